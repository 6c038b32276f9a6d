"""``python -m marketstats``: the generated market's statistics beside the recording's and what is accepted.

Exits with 1 if a row is missed. The recording is looked for in RINGFENCE_DATA, else beside the checkout.
"""

import argparse
import gzip
import os
import statistics as stdlib
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import Final

from marketstats.statistics import Found, measure
from marketstats.table import ROWS, Check
from marketstats.tape import of_market, of_recording
from ringfence.simulator.catalog import LISTED
from ringfence.simulator.generated import PROFILES, generated
from ringfence.simulator.recorded import clock_offset_ns, in_venue_order

START_NS: Final = 1_700_000_000_000_000_000


def data() -> Path | None:
    """Where the recordings are; None if they are not here."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    root = Path(os.environ.get("RINGFENCE_DATA", beside))
    found = root / "binance-spot" if (root / "binance-spot").is_dir() else root
    return found if found.is_dir() else None


def of_seed(symbol: str, seed: int, seconds: float) -> Found:
    """Statistics of one generated market."""
    rng = Random(f"{seed}/{symbol}")  # sim-ok: seeded by the argument
    market = generated(LISTED[symbol].instrument, PROFILES[symbol], rng, START_NS)
    return measure(of_market(market, LISTED[symbol].instrument.tick, seconds))


def of_file(symbol: str, path: Path) -> Found:
    with gzip.open(path) as file:
        lines = file.read().splitlines()
    return measure(of_recording(in_venue_order(lines, clock_offset_ns(lines)), LISTED[symbol].instrument.tick))


def medians(runs: list[Found]) -> Found:
    return {key: stdlib.median(run[key] for run in runs) for key in runs[0]}


def report(symbol: str, recorded: Found, generated_: Found) -> list[int]:
    """Print the table of one instrument; the numbers of the rows that are missed."""
    missed: list[int] = []
    print(f"\n{symbol}")
    print(f"  {'':3}{'':62}{'recorded':>11}{'generated':>11}  accepted")
    for row in ROWS:
        met = all(check.holds(generated_[check.key], recorded) for check in row.checks)
        if not met:
            missed.append(row.number)
        print(f"  {row.number:2} {row.name}")
        for check in row.checks:
            sign = "ok" if check.holds(generated_[check.key], recorded) else "MISSED"
            print(_line(check.key, recorded, generated_, f"{_bounds(check, recorded)}  {sign}"))
        for key in row.shown:
            print(_line(key, recorded, generated_, "shown only"))
    return missed


def _line(key: str, recorded: Found, generated_: Found, says: str) -> str:
    return f"  {'':3}  {key.partition(' ')[2]:60}{recorded[key]:11.4g}{generated_[key]:11.4g}  {says}"


def _bounds(check: Check, recorded: Found) -> str:
    low, high = check.bounds(recorded)
    if high == float("inf"):
        return f">= {low:.4g}"
    return f"<= {high:.4g}" if low == -float("inf") else f"{low:.4g} to {high:.4g}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="market-stats", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--symbol", choices=sorted(PROFILES), action="append")
    chosen = parser.parse_args()
    found = data()
    if found is None:
        print("no recording here: set RINGFENCE_DATA to the directory that holds binance-spot/", file=sys.stderr)
        return 2
    missed: dict[str, list[int]] = {}
    with ProcessPoolExecutor() as pool:
        for symbol in chosen.symbol or sorted(PROFILES):
            (path,) = found.glob(f"{symbol.lower()}-*.gz")
            recorded = of_file(symbol, path)
            count = chosen.seeds
            runs = list(pool.map(of_seed, [symbol] * count, range(1, count + 1), [chosen.seconds] * count))
            print(f"median of {count} seeds of {chosen.seconds:g} s", end="")
            missed[symbol] = report(symbol, recorded, medians(runs))
    for symbol, rows in missed.items():
        print(f"\n{symbol}: {len(ROWS) - len(rows)} of {len(ROWS)} rows met; missed: {rows or 'none'}", end="")
    print()
    return 1 if any(missed.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

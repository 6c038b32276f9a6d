"""``python -m rolloutsim --runs 1000 [--seed N]``: many seeds, or one of them told in full."""

import argparse
import collections
import sys
import time

from rolloutsim.run import Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="rolloutsim", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1, help="the first seed of many")
    parser.add_argument("--seed", type=int, help="only this one")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        outcome = run(chosen.seed)
        print(outcome)
        return _told(outcome)
    began = time.monotonic()  # sim-ok: the time that is printed
    ends: collections.Counter[str] = collections.Counter()
    totals: collections.Counter[str] = collections.Counter()
    failed = 0
    for seed in range(chosen.first, chosen.first + chosen.runs):
        outcome = run(seed)
        failed += _told(outcome)
        ends[outcome.end.split(":")[0]] += 1
        for what in ("passes", "promoted", "failed", "rolled_back"):
            totals[what] += getattr(outcome, what)
    print(f"{chosen.runs} rollouts in {time.monotonic() - began:.1f} s: {dict(totals)}")  # sim-ok: as above
    print("ended", dict(ends), f"{failed} broke a rule")
    return 1 if failed else 0


def _told(outcome: Outcome) -> int:
    if not outcome.wrong:
        return 0
    print(f"seed {outcome.seed} broke a rule; again: make sim SEED={outcome.seed}")
    for sentence in outcome.wrong[:10]:
        print("  ", sentence)
    return 1


if __name__ == "__main__":
    sys.exit(main())

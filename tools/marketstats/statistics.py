"""The statistics of a tape, by the number and letter that the table gives them. Pure; numpy.

Definitions: an aggressor order is a run of consecutive trades of equal venue time and side. tw = weighted by the
time that a quote lasted. Returns of the middle price are on a fixed grid, last value. A statistic that the tape is
too short for is NaN, which no tolerance accepts.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from marketstats.tape import DEPTH_BPS, Tape

Numbers = npt.NDArray[np.float64]
Found = dict[str, float]

NAN: Final = float("nan")
WIDE_TICKS: Final = 10
"""A spread wider than this begins an episode."""
IMPACT_S: Final = (0.1, 1.0, 10.0)
WINDOWS_S: Final = (0.1, 1.0, 10.0)


def measure(tape: Tape) -> Found:
    """Every statistic of one tape."""
    quotes = _Quotes(tape)
    orders = _Aggressors(tape)
    return (
        _spread(tape, quotes)
        | _touch(tape, quotes, orders)
        | _book(tape)
        | _rates(tape, quotes)
        | _orders(tape, quotes, orders)
        | _returns(tape, quotes)
        | _impact(tape, quotes, orders)
        | _silence(tape)
    )


class _Quotes:
    """Best quotes as columns; ``lasted`` is how long each held, seconds."""

    def __init__(self, tape: Tape) -> None:
        rows = np.array([tuple(quote) for quote in tape.quotes], dtype=float)
        self.at, self.bid, self.bid_size, self.ask, self.ask_size = rows.T
        self.lasted = np.diff(self.at, append=max(tape.seconds, float(self.at[-1])))
        self.mid = (self.bid + self.ask) / 2
        self.ticks = np.rint((self.ask - self.bid) / tape.tick)
        self.moved = np.flatnonzero(np.diff(self.mid)) + 1
        """Indices of quotes that changed the middle price."""

    def mid_at(self, times: Numbers, *, before: bool = False) -> Numbers:
        """The middle price that held at these times, or just before them."""
        index = np.searchsorted(self.at, times, side="left" if before else "right") - 1
        return np.asarray(self.mid[np.maximum(index, 0)])


class _Aggressors:
    """Aggressor orders as columns."""

    def __init__(self, tape: Tape) -> None:
        trades = tape.trades
        starts = [
            n
            for n, trade in enumerate(trades)
            if n == 0 or (trade.venue_ms, trade.buy) != (trades[n - 1].venue_ms, trades[n - 1].buy)
        ]
        ends = [*starts[1:], len(trades)]
        groups = [trades[a:b] for a, b in zip(starts, ends, strict=True)]
        self.at = np.array([group[0].at for group in groups])
        self.ms = np.array([group[0].venue_ms for group in groups], dtype=float)
        self.sign = np.array([1.0 if group[0].buy else -1.0 for group in groups])
        self.fills = np.array([len(group) for group in groups], dtype=float)
        self.prices = np.array([len({trade.price for trade in group}) for group in groups], dtype=float)
        self.size = np.array([sum(trade.size for trade in group) for group in groups])
        self.usd = np.array([sum(trade.size * trade.price for trade in group) for group in groups])


def _spread(tape: Tape, quotes: _Quotes) -> Found:
    bps = (quotes.ask - quotes.bid) / quotes.mid * 1e4
    total = quotes.lasted.sum()
    back_ms: list[float] = []
    began: float | None = None
    for at, ticks in zip(quotes.at, quotes.ticks, strict=True):
        if began is None and ticks > WIDE_TICKS:
            began = at
        elif began is not None and ticks <= 1:
            back_ms.append((at - began) * 1e3)
            began = None
    return {
        "1": float(quotes.lasted[quotes.ticks <= 1].sum() / total),
        "2": float((bps * quotes.lasted).sum() / total),
        "3 rate": len(back_ms) / tape.seconds * 60,
        "3 p50": _quantile(back_ms, 0.5),
        "3 p90": _quantile(back_ms, 0.9),
        "4": float(bps.max()),
        "4 crossed": float((quotes.ticks <= 0).sum()),
    }


def _touch(tape: Tape, quotes: _Quotes, orders: _Aggressors) -> Found:
    sizes = np.concatenate([quotes.bid_size, quotes.ask_size])
    weights = np.concatenate([quotes.lasted, quotes.lasted])
    p10, p50, p90 = (_weighted_quantile(sizes, weights, q) for q in (0.1, 0.5, 0.9))
    share = quotes.bid_size / (quotes.bid_size + quotes.ask_size)
    mean = float(np.average(share, weights=np.maximum(quotes.lasted, 1e-12)))
    sd = float(np.sqrt(np.average((share - mean) ** 2, weights=np.maximum(quotes.lasted, 1e-12))))
    # the direction of the next change of the middle after each quote
    following = np.searchsorted(quotes.moved, np.arange(len(quotes.at)), side="right")
    known = following < len(quotes.moved)
    up = np.zeros(len(quotes.at))
    target = quotes.moved[following[known]]
    up[known] = quotes.mid[target] > quotes.mid[target - 1]
    weight = known.astype(float)
    heavy, light = share > 0.8, share < 0.2
    removed = _removed_at_touch(quotes)
    return {
        "5 p10": p10,
        "5 p50": p50,
        "5 p90": p90,
        "5 ratio": p90 / p10 if p10 else NAN,
        "9 sd": sd,
        "9 up": _mean(up[heavy], weight[heavy]),
        "9 down": _mean(up[light], weight[light]),
        "27": float(orders.size.sum()) / removed if removed else NAN,
    }


def _removed_at_touch(quotes: _Quotes) -> float:
    """Quantity that left the best prices, by whatever cause, base units."""
    total = 0.0
    for price, size, better in ((quotes.bid, quotes.bid_size, 1), (quotes.ask, quotes.ask_size, -1)):
        change = np.diff(price) * better
        same = change == 0
        total += float(np.maximum(-np.diff(size)[same], 0).sum())
        total += float(size[:-1][change < 0].sum())  # the whole level went
    return total


def _book(tape: Tape) -> Found:
    found: Found = {}
    for level in (1, 2, 5, 10):
        sizes = [side[level - 1] for s in tape.samples for side in s.sizes if len(side) >= level]
        found[f"6 level {level}"] = _quantile(sizes, 0.5)
    found["6 ratio"] = found["6 level 1"] / found["6 level 2"]
    for index, bps in enumerate(DEPTH_BPS):
        found[f"7 {bps} bps"] = float(np.mean([side[index] for s in tape.samples for side in s.depth_usd])) / 1e3
    found["8"] = float(np.mean([gap for s in tape.samples for gap in s.gaps]))
    counts = np.array([len(batch.distances_bps) for batch in tape.batches], dtype=float)
    distances = np.array([d for batch in tape.batches for d in batch.distances_bps])
    found |= {
        "11 mean": float(counts.mean()),
        "11 p50": _quantile(counts, 0.5),
        "11 burst": _quantile(counts, 0.99) / _quantile(counts, 0.5),
        "12 deletes": sum(batch.deleted for batch in tape.batches) / len(distances),
        "12 near": float((distances < 1).mean()),
        "12 far": float((distances > 25).mean()),
        "29 bids": tape.reach_bps[0],
        "29 asks": tape.reach_bps[1],
    }
    return found


def _rates(tape: Tape, quotes: _Quotes) -> Found:
    per_second = np.bincount(quotes.at.astype(int))
    gaps = np.diff(quotes.at[quotes.moved])
    return {
        "10 mean": len(quotes.at) / tape.seconds,
        "10 max": float(per_second.max()),
        "10 burst": float(per_second.max()) / (len(quotes.at) / tape.seconds),
        "13 rate": len(quotes.moved) / tape.seconds,
        "13 p50": _quantile(gaps * 1e3, 0.5),
        "13 cv": float(gaps.std() / gaps.mean()),
    }


def _orders(tape: Tape, quotes: _Quotes, orders: _Aggressors) -> Found:
    largest = np.sort(orders.usd)[::-1]
    tail = largest[: max(2, len(largest) // 20)]
    waits = np.diff(orders.ms)
    counts = {w: np.bincount((orders.at / w).astype(int), minlength=int(tape.seconds / w)) for w in WINDOWS_S}
    mids = quotes.mid_at(orders.at, before=True)
    half = orders.sign * (orders.usd / orders.size - mids) / mids * 1e4
    by_order, by_volume = float(half.mean()), float(np.average(half, weights=orders.size))
    found = {
        "14 trades": len(tape.trades) / tape.seconds,
        "14 aggressors": len(orders.at) / tape.seconds,
        "14 fills": float(orders.fills.mean()),
        "14 fills p99": _quantile(orders.fills, 0.99),
        "15 p50": _quantile(orders.usd, 0.5),
        "15 p90": _quantile(orders.usd, 0.9),
        "15 p99": _quantile(orders.usd, 0.99),
        "15 mean": float(orders.usd.mean()),
        "16 hill": float(1 / np.log(tail[:-1] / tail[-1]).mean()),
        "16 share": float(largest[: max(1, len(largest) // 10)].sum() / largest.sum()),
        "17": float(orders.usd.sum()) / tape.seconds * 60 / 1e3,
        "18 cv": float(waits.std() / waits.mean()),
        "21": float((orders.prices > 1).mean()),
        "22 mean": by_order,
        "22 weighted": by_volume,
        "22 ratio": by_volume / by_order if by_order else NAN,
    }
    for ms in (1, 10, 100):
        found[f"18 {ms} ms"] = float((waits <= ms).mean())
    for window, count in counts.items():
        found[f"19 {window:g} s"] = float(count.var() / count.mean())
    found["19 rise"] = found["19 10 s"] / found["19 0.1 s"]
    for lag in (1, 5, 10, 50):
        found[f"20 lag {lag}"] = _autocorrelation(orders.sign, lag)
    return found


def _returns(tape: Tape, quotes: _Quotes) -> Found:
    found: Found = {}
    variances = {}
    for name, step in (("100 ms", 0.1), ("1 s", 1.0), ("5 s", 5.0), ("10 s", 10.0)):
        mids = quotes.mid_at(np.arange(quotes.at[0], tape.seconds, step))
        returns = np.diff(np.log(mids)) * 1e4
        variances[name] = variance = _variance(returns)
        found[f"23 {name}"] = variance**0.5
        if step <= 1:
            found[f"24 {name}"] = float((returns == 0).mean())
            found[f"25 {name}"] = float(((returns - returns.mean()) ** 4).mean() / variance**2 - 3) if variance else NAN
    for name, base in (("1 s", "100 ms"), ("10 s", "1 s")):
        found[f"23 vr {name}"] = variances[name] / variances[base] / 10 if variances[base] else NAN
    return found


def _impact(tape: Tape, quotes: _Quotes, orders: _Aggressors) -> Found:
    found: Found = {}
    for after in IMPACT_S:
        known = orders.at + after < tape.seconds
        before = quotes.mid_at(orders.at[known])
        later = quotes.mid_at(orders.at[known] + after)
        signed = orders.sign[known] * (later - before) / before
        found[f"26 {after:g} s"] = float(signed.mean() * 1e4) if len(signed) else NAN
    return found


def _silence(tape: Tape) -> Found:
    def longest(times: list[float]) -> float:
        return float(np.diff(np.array(times)).max())

    return {
        "28 depth": longest([batch.at for batch in tape.batches]),
        "28 quotes": longest([quote.at for quote in tape.quotes]),
        "28 trades": longest([trade.at for trade in tape.trades]),
    }


def _quantile(values: "list[float] | Numbers", q: float) -> float:
    return float(np.quantile(values, q)) if len(values) else NAN


def _weighted_quantile(values: Numbers, weights: Numbers, q: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, q * reached[-1])])


def _variance(values: Numbers) -> float:
    return float(values.var()) if len(values) > 1 else NAN


def _mean(values: Numbers, weights: Numbers) -> float:
    return float(np.average(values, weights=weights)) if weights.sum() > 0 else NAN


def _autocorrelation(values: Numbers, lag: int) -> float:
    centred = values - values.mean()
    if len(values) <= lag or not centred.any():
        return NAN
    return float((centred[:-lag] * centred[lag:]).mean() / centred.var())

"""Table A: what the generated market must be like. Each row holds one or more checks; a row is met if all are.

Bounds are absolute, or relative to what the same function measures in the recording.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

INFINITY: Final = float("inf")


class Of(Enum):
    """What the bounds of a check count from."""

    ZERO = "absolute"
    FACTOR = "times the recorded figure"
    OFFSET = "added to the recorded figure"


class Check(NamedTuple):
    """Accept what lies between, ends included. NaN lies nowhere."""

    key: str
    low: float
    high: float
    of: Of = Of.ZERO

    def bounds(self, recorded: Mapping[str, float]) -> tuple[float, float]:
        if self.of is Of.FACTOR:
            return self.low * recorded[self.key], self.high * recorded[self.key]
        base = recorded[self.key] if self.of is Of.OFFSET else 0.0
        return base + self.low, base + self.high

    def holds(self, generated: float, recorded: Mapping[str, float]) -> bool:
        low, high = self.bounds(recorded)
        return low <= generated <= high


class Row(NamedTuple):
    number: int
    name: str
    checks: tuple[Check, ...]
    shown: tuple[str, ...] = ()
    """Further figures that are printed and not judged."""


def near(key: str, tolerance: float) -> Check:
    return Check(key, 1 - tolerance, 1 + tolerance, Of.FACTOR)


def times(key: str, low: float, high: float) -> Check:
    return Check(key, low, high, Of.FACTOR)


def plus(key: str, tolerance: float) -> Check:
    return Check(key, -tolerance, tolerance, Of.OFFSET)


def least(key: str, low: float) -> Check:
    return Check(key, low, INFINITY)


def most(key: str, high: float) -> Check:
    return Check(key, -INFINITY, high)


ROWS: Final = (
    Row(1, "time at one-tick spread", (Check("1", 0.98, 0.999),)),
    Row(2, "spread, time-weighted mean, bps", (near("2", 0.30),)),
    Row(
        3,
        "spreads above 10 ticks per minute; ms until one tick",
        (times("3 rate", 0.5, 2.0), most("3 p50", 5), most("3 p90", 50)),
    ),
    Row(4, "widest spread, bps; crossed quotes", (least("4", 3.0), most("4 crossed", 0))),
    Row(5, "touch size, base", (near("5 p50", 0.35), times("5 ratio", 0.5, 2.0)), ("5 p10", "5 p90")),
    Row(
        6,
        "median size of levels, base; first over second",
        (least("6 ratio", 5.0), times("6 level 5", 0.5, 2.0), times("6 level 10", 0.5, 2.0)),
        ("6 level 1", "6 level 2"),
    ),
    Row(7, "mean depth a side, kUSD", tuple(near(f"7 {bps} bps", 0.40) for bps in (1, 5, 10, 25))),
    Row(8, "gap between the ten best levels, ticks", (near("8", 0.50),)),
    Row(
        9,
        "queue imbalance; next move up, given bid share > .8 and < .2",
        (Check("9 sd", 0.28, 0.38), least("9 up", 0.70), most("9 down", 0.28)),
    ),
    Row(10, "best quotes per s; busiest second over it", (near("10 mean", 0.30), least("10 burst", 3.0))),
    Row(11, "level changes per 100 ms; p99 over p50", (near("11 mean", 0.40), least("11 burst", 5.0)), ("11 p50",)),
    Row(
        12,
        "level changes that delete; < 1 bp; > 25 bps away",
        (plus("12 deletes", 0.15), plus("12 near", 0.15), plus("12 far", 0.15)),
    ),
    Row(13, "middle changes per s; gap ms; its CV", (near("13 rate", 0.40), most("13 p50", 5), least("13 cv", 3))),
    Row(
        14,
        "aggressors per s; fills each",
        (near("14 aggressors", 0.35), near("14 fills", 0.40)),
        ("14 trades", "14 fills p99"),
    ),
    Row(
        15,
        "aggressor notional, USD",
        (times("15 p50", 0.5, 2.0), times("15 p90", 0.5, 2.0)),
        ("15 p99", "15 mean"),
    ),
    Row(
        16, "tail index; volume share of the largest tenth", (Check("16 hill", 0.9, 1.5), Check("16 share", 0.75, 0.90))
    ),
    Row(17, "turnover, kUSD per minute", (times("17", 0.4, 2.5),)),
    Row(
        18,
        "waits between aggressors: CV; share below",
        (Check("18 cv", 1.4, 2.5), *(plus(f"18 {ms} ms", 0.12) for ms in (1, 10, 100))),
    ),
    Row(
        19,
        "Fano factor of counts; 10 s over 0.1 s",
        (Check("19 1 s", 5, 20), least("19 rise", 1.0)),
        ("19 0.1 s", "19 10 s"),
    ),
    Row(
        20,
        "autocorrelation of aggressors' signs",
        (Check("20 lag 1", 0.25, 0.60), least("20 lag 10", 0.05)),
        ("20 lag 5", "20 lag 50"),
    ),
    Row(21, "aggressors that sweep more than one price", (Check("21", 0.08, 0.30),)),
    Row(
        22,
        "effective half-spread, bps; weighted over plain",
        (near("22 mean", 0.50), least("22 ratio", 3.0)),
        ("22 weighted",),
    ),
    Row(
        23,
        "standard deviation of the middle, bps; variance ratios",
        (
            Check("23 100 ms", 0.2, 0.5),
            Check("23 1 s", 0.7, 1.7),
            Check("23 vr 1 s", 1.1, 1.7),
            Check("23 vr 10 s", 0.7, 1.3),
        ),
        ("23 5 s", "23 10 s"),
    ),
    Row(24, "share of zero returns", (Check("24 100 ms", 0.85, 0.96), Check("24 1 s", 0.40, 0.70))),
    Row(25, "excess kurtosis", (least("25 100 ms", 20), least("25 1 s", 3))),
    Row(
        26,
        "impact of an aggressor, bps",
        (Check("26 0.1 s", 0.1, 0.8), Check("26 1 s", 0.1, 0.8)),
        ("26 10 s",),
    ),
    Row(27, "touch volume that trades removed", (Check("27", 0.10, 0.30),)),
    Row(28, "longest silence, s (not judged: it sets staleness limits)", (), ("28 depth", "28 quotes", "28 trades")),
    Row(29, "reach of the first book, bps (deeper is unknown)", (), ("29 bids", "29 asks")),
)

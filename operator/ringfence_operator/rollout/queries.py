"""The library's metrics as PromQL: names for people, queries for Prometheus. Pure.

Every query binds namespace, system and revision (or the gate that the revision trades at), so no other system's or
revision's samples count. Series keep their revision whatever track they trade on, and counters are asked for their
increase since the step began: a restart of a gate loses nothing and counts nothing twice.

What a metric means and what it must be within is `library`'s; here is only how it is asked for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ringfence_operator.rollout.evidence import Queries

WINDOW_MAX_S: Final = 31 * 86_400
"""As far back as a query ever looks."""
NAMES: Final = ("namespace", "system", "track", "revision", "stage", "gate", "window")
"""What may stand in a query as ``$(name)``; values are escaped for use within double quotes."""

_GATE: Final = 'namespace="$(namespace)",system="$(system)",service="$(gate)"'
_OWN: Final = f'{_GATE},revision="$(revision)"'
"""Of a gate, of one revision."""
_TWIN: Final = 'namespace="$(namespace)",system="$(system)",service="paper",revision="$(revision)"'
_STRATEGY: Final = 'namespace="$(namespace)",system="$(system)",service="strategy",revision="$(revision)"'
_MARKETDATA: Final = 'namespace="$(namespace)",system="$(system)",service="marketdata"'
_PORTFOLIO: Final = (
    'namespace="$(namespace)",system="$(system)",service="portfolio",gate=~".*-$(gate)",track="$(track)"'
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One metric of the library."""

    queries: Queries
    fresh: str
    """A selector whose newest sample has to be young: nothing else tells that a counter has stopped being scraped."""


def _increase(metric: str, selector: str) -> str:
    return f"sum(increase({metric}{{{selector}}}[$(window)]))"


def _scrapes(metric: str, selector: str) -> str:
    return f"sum(count_over_time({metric}{{{selector}}}[$(window)]))"


def _counted(metric: str) -> Entry:
    """Times that something happened at the gate that must never happen."""
    return Entry(Queries(value=_increase(metric, _GATE), samples=_scrapes(metric, _GATE)), f"{metric}{{{_GATE}}}")


def _ratio(events: str, total: str) -> Entry:
    return Entry(Queries(value=_increase(events, _OWN), total=_increase(total, _OWN)), f"{total}{{{_OWN}}}")


def _episodes(metric: str, selector: str = _OWN) -> Entry:
    """Sums over episodes: see `ringfence.execution.evidence`."""
    queries = Queries(
        value=_increase(f"{metric}_episodes_positive_total", selector),
        negative=_increase(f"{metric}_episodes_negative_total", selector),
        samples=_increase(f"{metric}_episodes_total", selector),
        squares=_increase(f"{metric}_episodes_squares_total", selector),
    )
    return Entry(queries, f"{metric}_episodes_total{{{selector}}}")


def _p99(histogram: str, selector: str) -> str:
    return f"histogram_quantile(0.99, sum by (le) (increase({histogram}_bucket{{{selector}}}[$(window)])))"


_ACTIVE: Final = f'ringfence_gate_state{{{_GATE},state="Active"}}'
_UNREADY: Final = f"ringfence_gate_unready{{{_GATE}}}"
_STARTED: Final = f"ringfence_strategy_started_seconds{{{_STRATEGY}}}"
_LOSS: Final = f'{{{_GATE},owner=~"account|$(track)"}}'
_TICK: Final = "ringfence_strategy_tick_to_intent_seconds"
_AGE: Final = f"ringfence_marketdata_book_age_seconds{{{_MARKETDATA}}}"
_UNKNOWN: Final = f"ringfence_gate_unknown_age_seconds{{{_GATE}}}"
_BREAKS: Final = f"ringfence_gate_breaks{{{_GATE}}}"
_PROFIT: Final = f"ringfence_portfolio_profit{{{_PORTFOLIO}}}"

LIBRARY: Final[Mapping[str, Entry]] = {
    "reconciliation-breaks": Entry(
        Queries(
            value=f"max(max_over_time({_BREAKS}[$(window)]))", samples=f"sum(count_over_time({_BREAKS}[$(window)]))"
        ),
        _BREAKS,
    ),
    "overfills": _counted("ringfence_gate_overfills_total"),
    "self-matches": _counted("ringfence_gate_self_matches_total"),
    # an outcome may be unknown for a moment; longer than half a minute it must not
    "unknown-orders": Entry(
        Queries(
            value=f"max(max_over_time({_UNKNOWN}[$(window)]) > bool 30)",
            samples=f"sum(count_over_time({_UNKNOWN}[$(window)]))",
        ),
        _UNKNOWN,
    ),
    # percent of the limit; a limit of zero has no share, which is no data
    "daily-loss": Entry(
        Queries(value=f"100 * max(ringfence_gate_loss_day{_LOSS} / (ringfence_gate_loss_day_limit{_LOSS} > 0))"),
        f"ringfence_gate_loss_day{_LOSS}",
    ),
    "drawdown": Entry(
        Queries(value=f"100 * max(ringfence_gate_drawdown_ratio{_LOSS})"), f"ringfence_gate_drawdown_ratio{_LOSS}"
    ),
    "venue-rejects": _ratio("ringfence_gate_track_rejected_total", "ringfence_gate_track_orders_total"),
    "gate-refusals": _ratio("ringfence_gate_track_refused_total", "ringfence_gate_track_intents_total"),
    # seconds; the sum of two p99 is no less than the p99 of the sum would be in all but strange cases
    "tick-to-order-p99": Entry(
        Queries(
            value=f"{_p99(_TICK, _STRATEGY)} + {_p99('ringfence_gate_check_seconds', _GATE)}",
            samples=_increase(f"{_TICK}_count", _STRATEGY),
        ),
        f"{_TICK}_count{{{_STRATEGY}}}",
    ),
    "market-data-age-p99": Entry(
        Queries(
            value=f"max(quantile_over_time(0.99, {_AGE}[$(window)]))",
            samples=f"sum(count_over_time({_AGE}[$(window)]))",
        ),
        _AGE,
    ),
    # share of the time; a stop that people or an upgrade of the platform ask for is no fault of the candidate
    "gate-inactive": Entry(
        Queries(
            value=f"sum(sum_over_time({_UNREADY}[$(window)])) / sum(count_over_time({_UNREADY}[$(window)]))",
            samples=f"sum(count_over_time({_UNREADY}[$(window)]))",
        ),
        _UNREADY,
    ),
    # a process that began anew in its pod; another pod in its place is a node's doing, which no candidate can help
    "restarts": Entry(
        Queries(
            value=f"sum(changes({_STARTED}[$(window)]))",
            samples=f"sum(count_over_time({_STARTED}[$(window)]))",
        ),
        _STARTED,
    ),
    # of the paper gate of the same venue: it simulates what execution sends
    "live-minus-simulated": _episodes("ringfence_twin_slippage_bps", _TWIN),
    "live-minus-simulated-fills": _episodes("ringfence_twin_fill_share", _TWIN),
    "arrival-slippage": _episodes("ringfence_gate_slippage_bps"),
    "markout-10s": _episodes("ringfence_gate_markout_bps"),
    "profit": Entry(Queries(value=f"sum(delta({_PROFIT}[$(window)]))"), _PROFIT),
}

ORDERS: Final = Entry(
    Queries(value=_increase("ringfence_gate_track_orders_total", _OWN)), f"ringfence_gate_track_orders_total{{{_OWN}}}"
)
EPISODES: Final = Entry(
    Queries(value=_increase("ringfence_gate_slippage_bps_episodes_total", _OWN)),
    f"ringfence_gate_slippage_bps_episodes_total{{{_OWN}}}",
)
"""How much a revision has traded since its step began: what minOrders and minEpisodes are held against."""

FRESH: Final = _ACTIVE
"""What stands for the freshness of a query of one's own: that the gate in question is being scraped."""

_PLACE: Final = re.compile(r"\$\(([a-z]+)\)")


def resolved(query: str, values: Mapping[str, str]) -> str:
    """The query with every ``$(name)`` filled in, escaped. Raises KeyError with the name that has no value."""
    return _PLACE.sub(lambda found: _escaped(values[found.group(1)]), query)


def window(seconds: float) -> str:
    """A duration as PromQL writes it: whole seconds, at least one."""
    return f"{max(1, min(WINDOW_MAX_S, int(seconds)))}s"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

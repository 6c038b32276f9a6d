"""One table of limits: complete, of one mind with the data plane, and what presets make of it."""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from ringfence.execution.caps import Caps
from ringfence.execution.gate import Gate
from ringfence.execution.losses import LossLedger
from ringfence.execution.usage import usages
from ringfence.model.orders import OrderType, TimeInForce
from ringfence.runtime.config import COUNTED_LIMITS, FLOORS, SCALED_LIMITS
from ringfence.runtime.config import Limits as GateLimits
from ringfence.runtime.guard import Guard
from ringfence_operator import api
from ringfence_operator.api import trading_rules
from ringfence_operator.api.limit_table import LEAVES, Leaf, effective, preset_value
from ringfence_operator.api.limits import PRESETS
from ringfence_operator.api.meta import Looser, Scales, Share
from ringfence_operator.limits import UNMAPPED, blackouts, gate_limits, looser, sessions

CAPITAL = "10000"
GATE = {field.name: field for field in msgspec.structs.fields(GateLimits)}


def name(leaf: Leaf) -> str:
    """Of the gate's field."""
    return "_".join(leaf.way)


def named(scales: Scales) -> set[str]:
    return {name(leaf) for leaf in LEAVES if leaf.limit is not None and leaf.limit.scales is scales}


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.path)
def test_every_limit_says_all_that_is_known_of_it(leaf: Leaf) -> None:
    """Unit, scope, direction, refusal and a description: docs, presets, policies and scaling are made of them."""
    assert leaf.limit is not None
    assert leaf.looser is not None
    assert leaf.limit.unit
    assert leaf.limit.scope
    assert leaf.limit.refused
    assert leaf.description


def test_the_gate_has_the_same_limits_by_the_same_names() -> None:
    """None that is accepted and not enforced anywhere, none that nobody can set."""
    assert {name(leaf) for leaf in LEAVES if leaf.path not in UNMAPPED} == set(GATE)


def test_the_gate_scales_exactly_what_the_table_scales() -> None:
    """By weight, by count, and nothing else."""
    assert named(Scales.BY_WEIGHT) == SCALED_LIMITS
    assert named(Scales.COUNT) == COUNTED_LIMITS


def test_the_gate_tightens_in_the_same_direction() -> None:
    """The stricter of two revisions: greater for floors, smaller for all other numbers."""
    floors = {name(leaf) for leaf in LEAVES if leaf.looser is Looser.WHEN_LOWER}
    assert floors == FLOORS


def test_presets_go_from_strict_to_loose() -> None:
    """A later one may let more through and never less: the policies say that a later preset loosens."""
    for leaf in LEAVES:
        values = [preset_value(leaf, preset, CAPITAL) for preset in PRESETS]
        if values[0] is None:
            assert values == [None] * len(PRESETS), leaf.path
            continue
        numbers = [float(value) for value in values if value is not None]
        assert numbers == sorted(numbers, reverse=leaf.looser is Looser.WHEN_LOWER), leaf.path


def test_every_preset_gives_every_limit_that_the_gate_needs() -> None:
    """A system that writes nothing but a preset and its capital is limited in everything."""
    for preset in PRESETS:
        found = gate_limits(api.Limits(preset=preset), CAPITAL)
        unlimited = {field for field in GATE if getattr(found, field) in (None, ())}
        assert unlimited == {
            "order_quantity_max",
            "order_daily_volume_percent",
            "order_participation_percent",
            "position_correlation",
            "position_value_at_risk",
            "position_value_at_risk_percent",
            "position_expected_shortfall",
            "position_expected_shortfall_percent",
            "account_fee_token",
            "account_fee_token_floor",
            "rules_types",
            "rules_times_in_force",
            "rules_restricted",
            "rules_sessions",
            "rules_blackouts",
        }


def test_moderate_is_the_table_of_defaults() -> None:
    """What is written down where limits are discussed."""
    found = gate_limits(api.Limits(), CAPITAL)
    scale = 10**8
    assert found.order_value_max == 1_000 * scale
    assert (found.position_per_instrument, found.position_gross) == (2_500 * scale, 10_000 * scale)
    assert (found.order_collar_bps, found.order_static_collar_bps) == (50 * scale, 300 * scale)
    assert (found.order_slippage_bps, found.market_volatility_halt_bps) == (20 * scale, 100 * scale)
    percents = (found.loss_day_percent, found.loss_week_percent, found.loss_month_percent)
    assert percents == (3 * scale, 6 * scale, 10 * scale)
    assert (found.loss_drawdown_reduce_percent, found.loss_drawdown_halt_percent) == (7 * scale, 10 * scale)
    assert (found.breakers_consecutive_losses, found.position_open_positions) == (8, 5)
    assert found.account_balance_floor == 200 * scale


def test_what_is_written_wins() -> None:
    """Also where it is looser; the rest is still the preset's."""
    limits = api.Limits.parse({"preset": "conservative", "order": {"valueMax": "7", "collarBps": "99"}})
    found = effective(limits, CAPITAL)
    assert (found.order.value_max, found.order.collar_bps) == ("7", "99")
    assert (found.position.per_instrument, found.order.slippage_bps) == ("1000", "10")


def test_filling_in_is_idempotent() -> None:
    """What was granted can be written out in full, and means the same."""
    once = effective(api.Limits(preset="full"), CAPITAL)
    assert effective(once, CAPITAL) == once
    assert gate_limits(once, CAPITAL) == gate_limits(api.Limits(preset="full"), CAPITAL)


@pytest.mark.parametrize("capital", ["0.00000001", "0.12345678", "999999999999999.99999999"])
def test_shares_of_any_capital_are_exact_amounts(capital: str) -> None:
    """Rounded to the stricter side, never to nothing, and the model takes them."""
    found = effective(api.Limits(), capital)
    assert api.Limits.parse(found.dump()) == found
    assert gate_limits(found, capital).loss_day >= 1


def test_a_share_is_rounded_to_the_stricter_side() -> None:
    """Ceilings down, floors up."""
    by_path = {leaf.path: leaf for leaf in LEAVES}
    assert preset_value(by_path["loss.week"], "moderate", "0.00000017") == "0.00000001"
    assert preset_value(by_path["account.balanceFloor"], "moderate", "0.00000051") == "0.00000002"


def test_sessions_are_minutes_of_the_week() -> None:
    """From Monday; a range of days may go around the weekend, and spans that touch are one."""
    day = 24 * 60
    assert sessions(("Mon 00:00-24:00", "Tue 00:00-01:00")) == ((0, day + 60),)
    assert sessions(("Sat-Mon 09:30-10:00",)) == (
        (570, 600),
        (5 * day + 570, 5 * day + 600),
        (6 * day + 570, 6 * day + 600),
    )
    with pytest.raises(ValueError, match="ends before it starts"):
        sessions(("Mon 10:00-09:00",))


def test_blackouts_are_seconds() -> None:
    """UTC, and a day that does not exist is an error."""
    assert blackouts(("2026-11-06T13:25:00Z/2026-11-06T14:00:00Z",)) == ((1_793_971_500, 1_793_973_600),)
    for text in ("2026-11-06T14:00:00Z/2026-11-06T14:00:00Z", "2026-02-31T14:00:00Z/2026-11-06T14:00:00Z"):
        with pytest.raises(ValueError, match=r"ends before it starts|day is out of range"):
            blackouts((text,))


@pytest.mark.parametrize(
    "rules",
    [
        {"sessions": ["Mon-Fri 9:30-16:00"]},
        {"sessions": ["Mo 09:30-16:00"]},
        {"sessions": []},
        {"types": ["STOP"]},
        {"restricted": ["btc"]},
        {"blackouts": ["2026-11-06"]},
    ],
)
def test_rules_that_mean_nothing_are_refused(rules: dict[str, Any]) -> None:
    """Before anything runs on them."""
    with pytest.raises(ValueError, match="rules"):
        api.Limits.parse({"rules": rules})


def test_what_has_a_soft_level_is_measured() -> None:
    """An alert that nothing can give would be a promise."""
    guard = Guard("s", {}, [], 0)
    gate = Gate(guard, ())
    of_no_preset = ("valueAtRisk", "valueAtRiskPercent", "expectedShortfall", "expectedShortfallPercent")
    limits = api.Limits.parse({"position": dict.fromkeys(of_no_preset, "1")})
    gate.account.caps = Caps(gate_limits(limits, CAPITAL))
    measured = {usage.limit for usage in usages(gate, LossLedger(owners={}), {})}
    assert measured == {name(leaf) for leaf in LEAVES if leaf.limit is not None and leaf.limit.soft}


SOURCES = Path(__file__).parents[3] / "services" / "ringfence" / "execution"
TESTS = Path(__file__).parents[1] / "ringfence"


def test_every_refusal_of_the_page_exists_and_is_forced_by_a_test() -> None:
    """A code that people look for is one that the gate says."""
    sources = "".join(path.read_text() for path in SOURCES.glob("*.py"))
    tests = "".join(path.read_text() for path in TESTS.glob("test_*.py"))
    groups = {leaf.path: set(leaf.limit.refused.split(", ")) - {"-"} for leaf in LEAVES if leaf.limit}
    codes = set().union(*groups.values())
    made = {code for code in codes if re.search(rf'"{code}[ "]', sources)}
    periods = {f"LOSS_{period}_REACHED" for period in ("WEEK", "MONTH")}
    assert codes - made - periods == set(), "the gate never says it"
    ledger = ("loss.", "breakers.")  # forced by name in the ledger's and the breakers' own tests
    forced = set().union(*(found for path, found in groups.items() if not path.startswith(ledger)))
    assert len(forced) > 25
    assert {code for code in forced if code not in tests} == set(), "no test forces it"


def test_words_are_the_gates() -> None:
    """Every type of order and every time in force can be allowed or not."""
    assert get_args(trading_rules.OrderType) == tuple(OrderType)
    assert get_args(trading_rules.TimeInForce) == tuple(TimeInForce)


def test_a_share_is_only_of_money() -> None:
    """A part of the capital is no number of orders."""
    for leaf in LEAVES:
        if leaf.limit is not None and any(isinstance(value, Share) for value in leaf.limit.presets or ()):
            assert leaf.limit.unit == "currency", leaf.path


GRANTED = gate_limits(
    api.Limits.model_validate(
        {"preset": "conservative", "rules": {"types": ["LIMIT"], "sessions": ["Mon-Fri 09:00-17:00"]}}
    ),
    CAPITAL,
)


def test_the_same_limits_are_not_looser() -> None:
    assert looser(GRANTED, GRANTED) == ()


OPTIONAL = [leaf for leaf in LEAVES if leaf.path not in UNMAPPED and GATE[name(leaf)].default in {None, ()}]


@pytest.mark.parametrize("leaf", OPTIONAL, ids=lambda leaf: leaf.path)
def test_a_limit_that_is_taken_away_is_looser_and_one_that_is_added_is_not(leaf: Leaf) -> None:
    """Whichever limit it is."""
    field = GATE[name(leaf)]
    some = {"rules_types": ("LIMIT",), "rules_times_in_force": ("GTC",), "rules_restricted": ("BTCUSDT",)}
    some |= {"rules_sessions": ((0, 60),), "rules_blackouts": ((0, 60),), "account_fee_token": "BNB"}  # type: ignore[dict-item]
    without = msgspec.structs.replace(GRANTED, **{name(leaf): field.default})
    limited = msgspec.structs.replace(GRANTED, **{name(leaf): some.get(name(leaf), 5)})
    assert looser(limited, without) == (f"limits.{leaf.path}",)
    assert looser(without, limited) == ()


def test_each_direction_is_told_by_the_name_that_people_write() -> None:
    more = msgspec.structs.replace(
        GRANTED,
        order_value_max=GRANTED.order_value_max + 1,
        breakers_window_seconds=GRANTED.breakers_window_seconds - 1,
        rules_types=("LIMIT", "MARKET"),
        rules_sessions=((0, 60),),
        loss_day=GRANTED.loss_day - 1,
    )
    assert looser(GRANTED, more) == (
        "limits.order.valueMax",
        "limits.breakers.windowSeconds",
        "limits.rules.types",
        "limits.rules.sessions",
    )


def test_fewer_hours_are_tighter_and_a_blackout_that_grows_too() -> None:
    was = msgspec.structs.replace(GRANTED, rules_sessions=((0, 600),), rules_blackouts=((100, 200),))
    less = msgspec.structs.replace(was, rules_sessions=((60, 120), (300, 600)), rules_blackouts=((50, 300),))
    assert looser(was, less) == ()
    assert looser(less, was) == ("limits.rules.sessions", "limits.rules.blackouts")


def test_every_change_of_sectors_is_looser() -> None:
    """Which of two ways to divide instruments is stricter depends on what is held; also the first division loosens,
    for until then all of them were one sector."""
    whole = gate_limits(api.Limits(), CAPITAL)
    divided = gate_limits(api.Limits.parse({"position": {"sectors": {"BTCUSDT": "payments"}}}), CAPITAL)
    assert divided.position_sectors == {"BTCUSDT": "payments"}
    assert looser(whole, divided) == looser(divided, whole) == ("limits.position.sectors",)

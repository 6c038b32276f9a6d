"""What stands open and nobody closes is told by name once it lasts; what comes and goes is not."""

from types import SimpleNamespace
from typing import Any, cast

from gatebench.stoprig import BTC, ETH, WALL, Rig
from ringfence.execution.app import Execution
from ringfence.execution.standing import LASTING_NS, TOLD_MAX, Standing, stands_open
from ringfence.model.money import parse as money
from ringfence.runtime.config import Hedge
from ringfence.wire.stops import Scope, Severity

PAIR = Hedge(name="pair", leg=BTC, against=ETH, ratio=money("20"), tolerance=money("1"))
A, B = frozenset({"a"}), frozenset({"b"})
STEP = LASTING_NS // 5


def test_what_lasts_is_told_once_and_untold_once_it_has_been_closed_for_as_long() -> None:
    """Each change of what is told is one write; between them there is none."""
    standing = Standing()
    changes = [standing.look(A, step * STEP) for step in range(20)]
    assert [step for step, changed in enumerate(changes) if changed] == [5]
    assert standing.told == A
    changes = [standing.look(frozenset(), step * STEP) for step in range(20, 40)]
    assert [20 + step for step, changed in enumerate(changes) if changed] == [25]
    assert standing.told == frozenset()


def test_what_comes_and_goes_is_never_told_and_never_untold() -> None:
    """Legs that are filled one after the other, all day long."""
    standing = Standing()
    assert not any(standing.look(A if step % 5 else frozenset(), step * STEP) for step in range(100))
    for step in range(100, 106):
        standing.look(A, step * STEP)
    assert not any(standing.look(frozenset() if step % 5 else A, step * STEP) for step in range(110, 200))
    assert standing.told == A


def test_each_name_has_its_own_time() -> None:
    standing = Standing()
    standing.look(A, 0)
    standing.look(A | B, LASTING_NS // 2)
    assert standing.look(A | B, LASTING_NS)
    assert standing.told == A
    assert standing.look(A | B, 2 * LASTING_NS)
    assert standing.lines == ["a", "b"]


def test_the_line_stays_small_and_says_that_there_is_more() -> None:
    standing = Standing()
    standing.told = frozenset(f"{number:03}" for number in range(TOLD_MAX + 3))
    assert (len(standing.lines), standing.lines[-1]) == (TOLD_MAX + 1, "and 3 more")


def told(rig: Rig) -> list[str]:
    app: Any = SimpleNamespace(
        config=SimpleNamespace(hedges=(PAIR,)), gate=rig.gate, guard=rig.guard, manager=rig.manager
    )
    return list(stands_open(cast("Execution", app)))


def test_a_hedge_is_told_at_any_time_and_a_position_where_its_strategy_may_not_act() -> None:
    """By name: amounts change with each fill, and would write the status as often."""
    rig = Rig()
    assert told(rig) == []
    rig.hold(money("0.5"))
    apart = ["hedge pair of stable misses a leg"]
    assert told(rig) == apart, "its strategy looks after the position itself"
    rig.guard.hold("x", Severity.REDUCE_ONLY, "x", WALL)
    assert told(rig) == apart, "it may still reduce"
    rig.guard.hold("x", Severity.HALT, "x", WALL, Scope(tracks=("candidate",)))
    assert told(rig) == apart, "the stop is of another track"
    rig.guard.hold("x", Severity.HALT, "x", WALL)
    assert told(rig) == [*apart, "BTCUSDT of stable has no protective order"]

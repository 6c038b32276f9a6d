"""What the command line makes of a wish to stop: which switch, and what it says."""

import pytest

from ringfence.wire.stops import EVERYTHING, Scope, covers, switch_scope
from ringfence_cli.wanted import EVERY, Wanted, scope, system_of


def test_all_of_a_system_is_its_own_switch() -> None:
    """With no word about scope: the switch of that name covers everything whatever it says."""
    wanted = Wanted("momentum", reason="bad ticks")
    assert (wanted.name, wanted.spec()) == ("momentum", {"engaged": True, "reason": "bad ticks"})


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Scope(instruments=("BTCUSDT",)), "momentum.btcusdt"),
        (Scope(venues=("sim",), tracks=("candidate",)), "momentum.sim-candidate"),
        (Scope(instruments=("BTC/USD", "X")), "momentum.btc-usd-x"),
    ],
)
def test_a_part_has_a_switch_of_its_own(part: Scope, name: str) -> None:
    """It names the system, and covers that part of it and of no other; no system can have its name."""
    wanted = Wanted("momentum", part, action="Flatten", protective="Cancel")
    made = {"metadata": {"name": wanted.name}, "spec": wanted.spec()}
    assert wanted.name == name
    assert wanted.spec() | {"action": "Flatten", "protective": "Cancel", "engaged": True} == wanted.spec()
    assert covers(made, "momentum", {})
    assert not covers(made, "other", {})
    assert switch_scope(made, "momentum") == part


def test_a_namespace_has_one_switch_over_every_system() -> None:
    made = {"metadata": {"name": EVERY}, "spec": Wanted("").spec()}
    assert Wanted("").name == EVERY
    assert covers(made, "anything", {})
    assert switch_scope(made, "anything") == EVERYTHING


def test_a_track_that_there_cannot_be_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="canary"):
        scope((), (), ("canary",))


@pytest.mark.parametrize(
    ("switch", "system"), [("momentum", "momentum"), ("momentum.btcusdt", "momentum"), (EVERY, "")]
)
def test_after_a_release_one_is_sent_to_the_system_that_it_stopped(switch: str, system: str) -> None:
    assert system_of(switch) == system

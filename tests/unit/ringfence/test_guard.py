"""The guard: most severe wins, unknown is severe, the past is ignored, releases go through start-up."""

from typing import Any

import msgspec
import pytest

from ringfence.runtime.guard import Guard, Latch
from ringfence.wire.kill import KillRequest, MirroredState, Severity

NOW = 1_700_000_000_000_000_000
SYSTEM = "momentum"


def switch(
    name: str = SYSTEM, generation: int = 1, uid: str = "u1", selector: Any = None, **spec: Any
) -> dict[str, Any]:
    body = {"selector": selector} if selector is not None else {}
    return {"metadata": {"name": name, "uid": uid, "generation": generation}, "spec": body | spec}


def document(engage: str = "", state: str = "", version: int = 1, uid: str = "d1") -> dict[str, Any]:
    data = {key: value for key, value in (("engage", engage), ("state", state)) if value}
    return {"metadata": {"name": "k", "uid": uid, "resourceVersion": str(version)}, "data": data}


def mirror(epoch: int, severity: str) -> str:
    return msgspec.json.encode(MirroredState(epoch=epoch, severity=severity)).decode()


def direct(severity: str = "Cancel", **more: Any) -> KillRequest:
    return KillRequest(**({"severity": severity, "reason": "r", "by": "ann", "ts": NOW, "source": "direct"} | more))


def starting() -> Guard:
    return Guard(SYSTEM, {"desk": "crypto"}, ["market data", "lease"], NOW)


def active() -> Guard:
    guard = starting()
    guard.switches_listed([switch()], NOW)
    for requirement in ("market data", "lease"):
        guard.met(requirement, NOW)
    guard.reconciled(guard.cycle, NOW)
    assert (guard.state, guard.severity, guard.reason) == ("Active", Severity.NONE, "")
    return guard


def test_it_starts_halted_and_says_what_is_missing() -> None:
    """Every requirement, and that the system's own switch exists."""
    guard = starting()
    assert (guard.state, guard.severity) == ("Starting", Severity.HALT)
    for name in ("market data", "lease", "reconciled", "kill switch"):
        assert name in guard.reason
    guard.switches_listed([], NOW)
    assert "KillSwitch momentum does not exist" in guard.reason
    guard.met("market data", NOW)
    guard.met("lease", NOW)
    guard.reconciled(1, NOW)
    assert guard.state == "Starting"
    guard.switches_listed([switch()], NOW)
    assert guard.state == "Active"


def test_a_lost_requirement_halts_and_comes_back() -> None:
    """Not a release by anybody, so it needs no new start."""
    guard = active()
    epoch = guard.epoch
    guard.missed("market data", "BTCUSDT is silent", NOW + 5)
    assert (guard.state, guard.epoch, guard.closed_at) == ("Halted", epoch + 1, NOW + 5)
    assert "BTCUSDT is silent" in guard.reason
    guard.met("market data", NOW)
    assert (guard.state, guard.cycle) == ("Active", 1)


@pytest.mark.parametrize(
    ("spec", "state", "severity"),
    [
        ({"restrict": "ReduceOnly"}, "ReduceOnly", Severity.REDUCE_ONLY),
        ({"restrict": "Halt"}, "Halted", Severity.HALT),
        ({"engaged": True}, "Cancel", Severity.CANCEL),
        ({"engaged": True, "action": "Flatten"}, "Flatten", Severity.FLATTEN),
    ],
)
def test_each_severity_of_a_switch(spec: dict[str, Any], state: str, severity: Severity) -> None:
    """Own switch and a selecting one alike."""
    for seen in (switch(generation=2, **spec), switch("desk", 1, "u2", {"matchLabels": {"desk": "crypto"}}, **spec)):
        guard = active()
        guard.switch_seen(seen, NOW)
        assert (guard.state, guard.severity) == (state, severity)


def test_a_switch_of_others_does_nothing() -> None:
    guard = active()
    guard.switch_seen(switch("other", 1, "u2", {"matchLabels": {"desk": "fx"}}, engaged=True), NOW)
    assert guard.state == "Active"


def test_the_most_severe_of_all_sources_wins_and_the_epoch_counts_tightenings() -> None:
    """Loosening to what still holds changes the severity, never the epoch."""
    guard = active()
    epoch = guard.epoch
    guard.switch_seen(switch(generation=2, restrict="ReduceOnly"), NOW)
    guard.hold("own", Severity.CANCEL, "breaker", NOW)
    assert (guard.severity, guard.epoch) == (Severity.CANCEL, epoch + 2)
    guard.hold("own", Severity.HALT, "breaker", NOW)
    assert (guard.severity, guard.epoch) == (Severity.HALT, epoch + 2)
    guard.drop("own", NOW)
    assert guard.epoch == epoch + 2


def test_a_release_starts_up_again() -> None:
    """Never straight to Active, and a reconciliation that began before the release proves nothing."""
    guard = active()
    before = guard.cycle
    guard.switch_seen(switch(generation=2, engaged=True), NOW)
    guard.switch_seen(switch(generation=3, engaged=False), NOW)
    assert (guard.state, guard.cycle) == ("Starting", before + 1)
    guard.reconciled(before, NOW)
    assert guard.state == "Starting"
    guard.reconciled(guard.cycle, NOW)
    assert guard.state == "Active"


def test_older_generations_are_ignored() -> None:
    """API servers can answer from the past; another uid is another object."""
    guard = active()
    guard.switch_seen(switch(generation=5, engaged=True), NOW)
    guard.switch_seen(switch(generation=4), NOW)
    assert (guard.state, guard.ignored_old) == ("Cancel", 1)
    guard.switches_listed([switch(generation=4)], NOW)
    assert guard.state == "Cancel"


def test_deleting_an_engaged_switch_latches() -> None:
    """Creating it anew does not release; engaging and releasing the new one does."""
    guard = active()
    guard.switch_seen(switch(generation=2, engaged=True), NOW)
    guard.switch_deleted(switch(generation=2, engaged=True), NOW)
    assert guard.state == "Cancel"
    assert "deleted while it stopped" in guard.reason
    guard.switch_seen(switch(generation=1, uid="u9"), NOW)
    assert guard.state == "Cancel"
    guard.switch_seen(switch(generation=2, uid="u1"), NOW)  # the dead one, told late
    assert guard.state == "Cancel"
    guard.switch_seen(switch(generation=2, uid="u9", engaged=True), NOW)
    guard.switch_seen(switch(generation=3, uid="u9"), NOW)
    assert guard.state == "Starting"


@pytest.mark.parametrize("how", ["watch", "push"])
def test_a_switch_that_a_late_list_had_left_out_stops_all_the_same(how: str) -> None:
    """The Lease's list shows it before the watch's list arrives, which was made before it was: it is not dead."""
    guard = active()
    desk = {"matchLabels": {"desk": "crypto"}}
    guard.switch_seen(switch("desk", 1, "u2", desk), NOW)
    guard.switches_listed([switch()], NOW)
    assert guard.state == "Active"
    if how == "watch":
        guard.switch_seen(switch("desk", 2, "u2", desk, engaged=True), NOW)
    else:
        guard.pushed(direct(source="operator", uid="u2", generation=2), NOW)
    assert guard.state == "Cancel"
    guard.switch_seen(switch("desk", 3, "u2", desk), NOW)
    assert guard.state == "Starting", "its release is one"


def test_a_late_list_does_not_keep_a_switch_that_lives_from_being_released() -> None:
    guard = active()
    desk = {"matchLabels": {"desk": "crypto"}}
    guard.switch_seen(switch("desk", 1, "u2", desk, engaged=True), NOW)
    guard.switches_listed([switch()], NOW)
    guard.switch_seen(switch("desk", 1, "u2", desk, engaged=True), NOW)
    assert guard.state == "Cancel", "what is told of it now may be as old as the list"
    guard.switch_seen(switch("desk", 2, "u2", desk), NOW)
    assert (guard.state, guard.latches) == ("Starting", {})


def test_a_switch_that_was_pushed_and_deleted_before_it_was_seen_is_latched() -> None:
    """Else a restart would forget it, and nobody could release it. If it lives after all, it counts by itself."""
    guard = active()
    guard.pushed(direct(source="operator", uid="u7", generation=1), NOW)
    guard.switches_listed([switch()], NOW)
    assert guard.state == "Cancel"
    assert [(latch.severity, latch.uid) for latch in guard.latches.values()] == [("Cancel", "u7")]
    lives = starting()
    lives.restore(guard.latches.values(), NOW)
    for one in (guard, lives):
        one.switch_seen(switch("desk", 1, "u7", {"matchLabels": {"desk": "crypto"}}, engaged=True), NOW)
        assert (one.latches, one.severity) == ({}, Severity.CANCEL)


def test_an_unreadable_switch_that_went_away_halts_again_when_it_is_back() -> None:
    """It has no uid by which it could be told from another."""
    guard = active()
    broken = {"metadata": {"name": "broken"}, "spec": {}}
    guard.switch_seen(broken, NOW)
    guard.switches_listed([switch()], NOW)
    guard.switch_seen(switch(generation=2, engaged=True), NOW)
    guard.switch_seen(switch(generation=3), NOW)
    assert guard.latches == {}
    guard.switch_seen(broken, NOW)
    assert guard.sources["switch/broken"].severity is Severity.HALT


def test_deletions_are_seen_in_lists_and_as_recreations() -> None:
    """Absence from the watch's list is a deletion; another uid under the same name too."""
    other = switch("desk", 1, "u2", {"matchLabels": {"desk": "crypto"}}, engaged=True)
    guard = active()
    guard.switch_seen(other, NOW)
    guard.switches_listed([switch()], NOW)
    assert "KillSwitch desk was deleted" in guard.reason
    guard.switch_seen(other, NOW)  # dead: a list from the past
    assert guard.state == "Cancel"
    recreated = active()
    recreated.switch_seen(switch(generation=2, engaged=True), NOW)
    recreated.switch_seen(switch(generation=1, uid="u9"), NOW)
    assert recreated.state == "Cancel"


def test_deleting_a_released_switch_of_ones_own_halts() -> None:
    """Without its switch nobody could stop the system, so it does not trade."""
    guard = active()
    guard.switch_deleted(switch(), NOW)
    assert guard.severity is Severity.HALT


def test_a_direct_kill_is_latched_until_the_switch_is_cycled() -> None:
    """A newer generation that is merely not engaged proves nothing; engaged and then released does."""
    guard = active()
    guard.pushed(direct(), NOW)
    assert guard.state == "Cancel"
    assert "direct kill by ann: r" in guard.reason
    guard.pushed(direct("Halt"), NOW)
    assert guard.severity is Severity.CANCEL
    guard.switch_seen(switch(generation=2, reason="a note"), NOW)
    assert guard.state == "Cancel"
    guard.switch_seen(switch(generation=3, engaged=True), NOW)
    guard.switch_seen(switch(generation=4, restrict="Halt"), NOW)
    assert guard.state == "Cancel"
    guard.switch_seen(switch(generation=5), NOW)
    assert guard.state == "Starting"
    assert guard.releases == 1


@pytest.mark.parametrize("more", [{}, {"source": "operator", "uid": "u1", "generation": 2}])
def test_a_second_push_may_take_protective_orders_too_and_a_third_brings_none_back(more: dict[str, Any]) -> None:
    """As severe as the first, it is tighter all the same; and a push only ever tightens."""
    guard = active()
    guard.pushed(direct(**more), NOW)
    assert guard.keeps_protective
    guard.pushed(direct("Halt", protective="Cancel", **more), NOW)
    assert (guard.keeps_protective, guard.severity) == (False, Severity.CANCEL)
    changed = guard.changed
    guard.pushed(direct(protective="Keep", **more), NOW)
    assert (guard.keeps_protective, guard.changed) == (False, changed)
    guard.pushed(direct("Flatten", protective="Keep", **more), NOW)
    assert (guard.keeps_protective, guard.severity) == (False, Severity.FLATTEN)


def test_a_direct_kill_while_engaged_ends_with_that_release() -> None:
    guard = active()
    guard.switch_seen(switch(generation=2, engaged=True), NOW)
    guard.pushed(direct("Flatten"), NOW)
    guard.switch_seen(switch(generation=3), NOW)
    assert guard.state == "Starting"


def test_latches_survive_a_restart() -> None:
    """The host restores them before anything is seen; an unknown word is severe."""
    guard = active()
    guard.pushed(direct(), NOW)
    fresh = starting()
    fresh.restore(guard.latches.values(), NOW)
    assert fresh.state == "Cancel"
    fresh.restore([Latch(name="direct", severity="???", reason="x")], NOW)
    assert fresh.severity is Severity.CANCEL


def test_the_operators_push_ends_when_the_object_itself_is_seen() -> None:
    """In its generation or a later one; a push about what is already known changes nothing."""
    guard = active()
    push = direct(source="operator", uid="u1", generation=2)
    guard.pushed(push, NOW)
    assert guard.state == "Cancel"
    guard.switch_seen(switch(generation=2, engaged=True), NOW)
    guard.switch_seen(switch(generation=3), NOW)
    assert guard.state == "Starting"
    guard.pushed(push, NOW)
    assert guard.state == "Starting"
    guard.pushed(direct("None", source="operator", uid="u1", generation=9), NOW)
    assert guard.state == "Starting"


def test_an_older_view_of_the_object_does_not_end_a_newer_push() -> None:
    """The push told of generation 3; seeing generation 2 unengaged, or again 1, is no release."""
    guard = active()
    guard.pushed(direct(source="operator", uid="u1", generation=3), NOW)
    guard.switch_seen(switch(generation=1), NOW)
    guard.switch_seen(switch(generation=2), NOW)
    assert guard.state == "Cancel"
    guard.switch_seen(switch(generation=4), NOW)
    assert guard.state == "Starting"


def test_a_push_with_an_unknown_word_cancels() -> None:
    guard = active()
    guard.pushed(direct("Explode"), NOW)
    assert guard.severity is Severity.CANCEL


def test_the_document_engages_and_releases() -> None:
    """Any text engages; what the operator wrote counts beside it, unreadable as Halt."""
    guard = active()
    guard.document_seen(document(engage="now!", version=2), NOW)
    assert guard.severity is Severity.CANCEL
    guard.document_seen(document(state="{not json", version=3), NOW)
    assert guard.severity is Severity.HALT
    guard.document_seen(document(state=mirror(4, "Nonsense"), version=4), NOW)
    assert guard.severity is Severity.HALT
    guard.document_seen(document(state=mirror(5, "Flatten"), version=5), NOW)
    assert guard.severity is Severity.FLATTEN
    guard.document_seen(document(state=mirror(4, "None"), version=6), NOW)
    assert guard.severity is Severity.FLATTEN, "an older epoch is ignored"
    guard.document_seen(document(version=1), NOW)
    assert guard.severity is Severity.FLATTEN, "an older version is ignored"
    guard.document_seen(document(state=mirror(6, "None"), version=7), NOW)
    assert guard.state == "Starting"
    guard.document_seen(None, NOW)
    assert "does not exist" in guard.reason


def test_the_file_is_news_only_if_the_watch_has_not_seen_it_replaced() -> None:
    """Kubelet shows a release up to two minutes late; an engagement by the file alone holds."""
    guard = active()
    guard.file_seen("stop", "", NOW)
    assert guard.severity is Severity.CANCEL
    guard.file_seen("", "", NOW)
    assert guard.state == "Starting"
    guard.reconciled(guard.cycle, NOW)
    guard.document_seen(document(version=2), NOW)
    guard.document_seen(document(engage="stop", version=3), NOW)
    guard.file_seen("stop", "", NOW)
    guard.document_seen(document(version=4), NOW)
    guard.file_seen("stop", "", NOW)
    assert guard.state == "Starting", "the file still shows what has been released"
    guard.file_seen("other", "", NOW)
    assert guard.severity is Severity.CANCEL
    guard.file_seen("", "", NOW, "not mounted")
    assert guard.severity is Severity.HALT


@pytest.mark.parametrize("broken", [{}, {"metadata": None}, {"metadata": {"name": SYSTEM}}, {"spec": {}}])
def test_what_cannot_be_read_halts(broken: dict[str, Any]) -> None:
    """A KillSwitch without metadata or spec is no permission."""
    guard = active()
    guard.switch_seen(broken, NOW)
    assert guard.severity is Severity.HALT


def test_every_change_is_counted() -> None:
    """Hosts poll one number."""
    guard = active()
    changed = guard.changed
    guard.met("market data", NOW)
    assert guard.changed == changed
    guard.hold("a", Severity.HALT, "x", NOW)
    guard.hold("a", Severity.HALT, "y", NOW)
    assert guard.changed == changed + 2


def test_a_milder_reason_is_told_beneath_a_severer_one() -> None:
    """Whoever releases a switch accepts what lies beneath it, and so must have been able to read it."""
    guard = active()
    guard.hold("reconciliation", Severity.HALT, "the account holds 1 BTC that no order explains", NOW)
    guard.switch_seen(switch(generation=2, engaged=True, reason="bad ticks"), NOW)
    assert guard.severity is Severity.CANCEL
    assert guard.reason == "KillSwitch momentum: bad ticks; the account holds 1 BTC that no order explains"


def test_what_the_mirror_repeats_is_told_once() -> None:
    """The ConfigMap and the mounted file carry the operator's words for the same switch."""
    guard = active()
    guard.switches_listed([switch(generation=2, engaged=True, reason="bad ticks")], NOW)
    state = MirroredState(epoch=1, severity="Cancel", reason="KillSwitch momentum: bad ticks")
    guard.document_seen(document(state=msgspec.json.encode(state).decode()), NOW)
    assert guard.reason == "KillSwitch momentum: bad ticks"
    guard.document_seen(document(engage="stop", version=2), NOW)
    assert guard.reason == "KillSwitch momentum: bad ticks; kill-switch ConfigMap: engage is 'stop'"

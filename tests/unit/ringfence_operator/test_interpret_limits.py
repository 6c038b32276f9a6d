"""What decides is told of limits and of the venue's rules: by name and figure, and nothing where nothing is known."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from operatorbench.reports import report
from ringfence.model.money import parse
from ringfence.runtime import config
from ringfence.wire.tracks import TracksReport
from ringfence_operator import interpret, progress, records
from ringfence_operator.api import TradingSystem
from ringfence_operator.cluster.apply import Ref
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.desired import config as documents
from ringfence_operator.desired.labels import short_hash
from ringfence_operator.limits import gate_limits
from ringfence_operator.rollout.machine import decide
from ringfence_operator.rollout.state import Stage, TrackState

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SPEC = Path(__file__).parents[2] / "golden" / "inputs" / "simulated-live.yaml"
EMPTY = Seen(system={}, live={}, pods=(), switches=(), secrets={}, pod_monitors=False)


def tells(min_notional: str) -> TracksReport:
    return report("sim-execution", "b", min_notional=min_notional)


def system(value_max: str, grant: str) -> TradingSystem:
    raw: dict[str, Any] = next(iter(yaml.safe_load_all(SPEC.read_text())))
    raw["metadata"] |= {"namespace": "trading", "uid": "1", "generation": 1}
    raw["spec"]["limits"]["order"]["valueMax"] = value_max
    stable = TrackState(revision="r", stage=Stage.LIVE, weight=100, grant=grant, since=NOW)
    told = records.track_status(stable)
    raw["status"] = {"stable": told.dump() if told is not None else {}}
    return TradingSystem.parse(raw)


def granted(value_max: str) -> tuple[str, Seen]:
    """A limits revision as it lies in the cluster."""
    spec = system(value_max, "").spec
    limits = gate_limits(spec.limits, spec.capital)
    grant = documents.grant(limits)
    found = {"data": {config.LIMITS_KEY: documents.text(limits)}}
    return grant, replace(EMPTY, live={Ref("ConfigMap", f"momentum-limits-{grant}"): found})


def test_the_smallest_order_is_the_largest_that_any_gate_tells() -> None:
    """And where none answers, what status kept of it: stages are judged by that at apply."""
    fresh = system("100", "g")
    several = replace(EMPTY, reports=(tells("5"), tells("10"), tells("")))
    assert progress.min_notional(fresh, EMPTY) is None
    assert progress.min_notional(fresh, replace(EMPTY, reports=(tells(""),))) is None, "rules not known yet"
    assert progress.min_notional(fresh, several) == parse("10")
    kept = fresh.model_copy(update={"status": fresh.status.model_copy(update={"min_notional": "7.5"})})
    assert progress.min_notional(kept, EMPTY) == parse("7.5")
    decided = decide(interpret.rollout_spec(fresh), records.state_of(fresh), interpret.observation(fresh, several), NOW)
    assert interpret.status(fresh, several, decided)["minNotional"] == "10"


def test_limits_that_are_looser_than_the_grant_are_told_by_name() -> None:
    grant, seen = granted("100")
    assert interpret.observation(system("200", grant), seen).looser == ("limits.order.valueMax",)
    assert interpret.observation(system("50", grant), seen).looser == (), "tightening needs nobody"
    assert interpret.observation(system("100", grant), seen).looser == ()


def test_a_grant_that_cannot_be_read_or_is_not_what_its_name_says_granted_nothing() -> None:
    grant, seen = granted("100")
    assert interpret.observation(system("200", grant), EMPTY).looser == ("limits",)
    ((where, found),) = seen.live.items()
    text = msgspec.json.decode(found["data"][config.LIMITS_KEY], type=config.Limits)
    forged = documents.text(msgspec.structs.replace(text, order_value_max=parse("1000000")))
    other = replace(seen, live={where: {"data": {config.LIMITS_KEY: forged}}})
    assert interpret.observation(system("200", grant), other).looser == ("limits",)


def test_a_grant_that_was_written_before_a_limit_existed_still_counts() -> None:
    """Its name is the hash of the text that was granted, not of what a newer operator would write."""
    _, seen = granted("100")
    ((where, found),) = seen.live.items()
    text = msgspec.json.decode(found["data"][config.LIMITS_KEY])
    del text["position_sector_percent"]
    earlier = msgspec.json.encode(text).decode()
    grant = short_hash(earlier)
    where = where._replace(name=f"momentum-limits-{grant}")
    kept = replace(seen, live={where: {"data": {config.LIMITS_KEY: earlier}}})
    assert interpret.observation(system("100", grant), kept).looser == (), "a limit that is added only tightens"
    assert interpret.observation(system("200", grant), kept).looser == ("limits.order.valueMax",)

"""Everything that is made for a system, word for word: read the diff of expected/ before you commit it.

An input is a TradingSystem, followed by whatever else is in the cluster (kill switches, ConfigMaps, the word
PodMonitor). Keys are made up of their roles, and the time stands still.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence_operator import interpret
from ringfence_operator.api import TradingSystem
from ringfence_operator.cluster.apply import Ref, ref
from ringfence_operator.cluster.observe import Seen
from ringfence_operator.desired.objects import desired_objects
from ringfence_operator.rollout.machine import decide
from ringfence_operator.settings import Settings

HERE = Path(__file__).parent
INPUTS = sorted(path.stem for path in (HERE / "inputs").glob("*.yaml"))
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SETTINGS = Settings(platform_image="registry.example/ringfence@sha256:" + "0" * 64)
HEADER = "# Written by `make golden` from inputs/{name}.yaml: read the diff, do not edit.\n"


class Readable(yaml.SafeDumper):
    """Documents within documents as blocks, so that a diff shows their lines."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Readable.add_representer(str, _block)


def objects(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What one pass would make, in the order in which it would make it."""
    raw, *others = documents
    raw["metadata"] |= {"namespace": "trading", "uid": "00000000-0000-0000-0000-000000000001", "generation": 1}
    system = TradingSystem.parse(raw)
    secrets = {
        name: {key: f"<{name} {key}>" for key in interpret.SECRET_KEYS[kind]}
        for name, kind in interpret.own_secrets(system).items()
    }
    live: dict[Ref, Any] = {ref(other): other for other in others if other["kind"] != "PodMonitor"}
    seen = Seen(
        system=raw,
        live=live,
        pods=(),
        switches=tuple(other for other in others if other["kind"] == "KillSwitch"),
        secrets=secrets,
        pod_monitors=any(other["kind"] == "PodMonitor" for other in others),
    )
    observation = interpret.observation(system, seen)
    decided = decide(interpret.rollout_spec(system), interpret.state_of(system), observation, NOW)
    assert decided.state.stable is not None
    plan = interpret.plan(system, seen, decided.state, observation.stop, SETTINGS, NOW)
    found = desired_objects(plan)
    return [*found.lasting, *(manifest for stage in found.stages for manifest in stage)]


@pytest.mark.parametrize("name", INPUTS)
def test_desired_objects(name: str, request: pytest.FixtureRequest) -> None:
    """The same input gives the same objects, to the letter."""
    documents = list(yaml.safe_load_all((HERE / "inputs" / f"{name}.yaml").read_text()))
    text = HEADER.format(name=name) + yaml.dump_all(objects(documents), Dumper=Readable, sort_keys=False, width=120)
    path = HERE / "expected" / f"{name}.yaml"
    if request.config.getoption("--rewrite-golden", default=False):
        path.write_text(text)

    assert path.read_text() == text


def test_every_expected_file_has_an_input() -> None:
    """A removed input takes its expectation with it."""
    assert sorted(path.stem for path in (HERE / "expected").glob("*.yaml")) == INPUTS

"""The models: what they accept, what they fill in, and what names they give to content."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ringfence.model import money
from ringfence.wire import kill
from ringfence_operator import api
from ringfence_operator.api.meta import SYSTEM_NAME_LENGTH_MAX, TEXT_LENGTH_MAX, VENUE_NAME_LENGTH_MAX
from ringfence_operator.api.tradingsystem import Simulator

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "manifests" / "samples"


def sample(name: str = "momentum") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((SAMPLES / f"{name}.yaml").read_text())
    return found


def changed(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with one field of another value."""
    made = copy.deepcopy(document)
    *way, last = path.split(".")
    target: Any = made
    for step in way:
        target = target[int(step) if step.isdigit() else step]
    target[last] = value
    return made


def test_a_sample_reads_and_writes_back_the_same() -> None:
    """What people wrote is what we send: names, texts and numbers. Defaults that they left out are filled in."""
    document = sample()
    written = api.TradingSystem.parse(document).spec.dump()
    for name in ("goal", "capital", "strategy", "venues"):
        assert_holds(written[name], document["spec"][name])


def assert_holds(written: Any, given: Any) -> None:
    """All that was given is in what was written, with the same values."""
    if isinstance(given, dict):
        assert given.keys() <= written.keys()
        for key, value in given.items():
            assert_holds(written[key], value)
    elif isinstance(given, list):
        assert len(written) == len(given)
        for one, other in zip(written, given, strict=True):
            assert_holds(one, other)
    else:
        assert written == given


def test_defaults_are_filled_in() -> None:
    """A short spec has everything that has a sensible default; limits are what the preset says."""
    spec = api.TradingSystem.parse(sample("meanrev-paper")).spec
    assert spec.goal == "Paper"
    assert spec.topology == "Distributed"
    assert spec.limits.preset == "moderate"
    assert spec.limits.order.collar_bps is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.capital", "0"),
        ("spec.capital", "0.00"),
        ("spec.capital", "-1"),
        ("spec.capital", "1e4"),
        ("spec.capital", "1.000000001"),
        ("spec.capital", 10000),
        ("spec.goal", "live"),
        ("spec.strategy.class", "momentum.strategy"),
        ("spec.strategy.image", "two words"),
        ("spec.strategy.parameters", {"fast": 20}),
        ("spec.limits.order.messagesPerSecond", "20"),
        ("spec.limits.order.messagesPerSecond", True),
        ("spec.limits.order.maxValue", "10"),
        ("spec.limits.order.value_max", "10"),
        ("spec.venues", []),
        ("spec.venues.0.name", "Sim"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(path: str, value: object) -> None:
    """The message starts from the field as people write it."""
    with pytest.raises(ValidationError) as refused:
        api.TradingSystem.parse(changed(sample(), path, value))
    assert any(path.rsplit(".", maxsplit=1)[-1] in map(str, error["loc"]) for error in refused.value.errors())


def test_models_do_not_change() -> None:
    """A spec that was read is a value."""
    spec = api.TradingSystem.parse(sample()).spec
    with pytest.raises(ValidationError):
        spec.goal = "Paper"  # type: ignore[misc]


def test_a_status_of_another_version_is_readable() -> None:
    """An upgrade, or a way back, meets fields that it does not know."""
    document = sample() | {"status": {"stage": "Live", "fromTheFuture": {"a": 1}}}
    assert api.TradingSystem.parse(document).status.stage == "Live"


def test_decimals_are_exact_in_the_data_plane() -> None:
    """Whatever text the API takes, the gate can keep exactly."""
    for text in ("0.00000001", "999999999999999.99999999", "1", "10.50"):
        spec = api.TradingSystem.parse(changed(sample(), "spec.capital", text)).spec
        assert money.parse(spec.capital) > 0


def test_a_simulator_left_out_is_all_defaults() -> None:
    """And its money is the system's capital in its currency, whatever that is."""
    spec = api.TradingSystem.parse(sample("meanrev-paper")).spec
    venue = spec.venue("sim")
    assert venue.simulator is None
    assert venue.simulated == Simulator()
    assert spec.starting_balances(venue) == {"USDT": "5000"}
    assert api.TradingSystem.parse(sample()).spec.starting_balances(
        api.TradingSystem.parse(sample()).spec.venue("sim")
    ) == {"USDT": "100000"}


def test_only_a_simulator_has_simulated_settings() -> None:
    """A real account never falls back to a simulation."""
    venue = api.Venue.parse({"name": "b", "type": "Binance", "binance": {"credentialsSecret": "keys"}})
    with pytest.raises(ValueError, match="no simulator"):
        _ = venue.simulated


def test_names_of_pods_fit() -> None:
    """The longest host name that we make of a system and a venue is a DNS label."""
    longest = "marketdata"
    assert SYSTEM_NAME_LENGTH_MAX + 1 + VENUE_NAME_LENGTH_MAX + 1 + len(longest) <= 63 - len("-0")


class TestHashes:
    """Names of content."""

    def test_a_revision_is_image_class_parameters_and_instruments(self) -> None:
        """Nothing else, and the order of writing means nothing."""
        document = sample()
        document["spec"]["strategy"]["instruments"].append({"venue": "sim", "symbol": "ETHUSDT"})
        strategy = api.TradingSystem.parse(document).spec.strategy
        backwards = changed(document, "spec.strategy.instruments", document["spec"]["strategy"]["instruments"][::-1])
        assert api.revision_hash(api.TradingSystem.parse(backwards).spec.strategy) == api.revision_hash(strategy)
        assert json.loads(api.revision_json(strategy)).keys() == {"image", "class", "parameters", "instruments"}
        for path, value in (("image", "other:1"), ("class", "a:B"), ("parameters", {"fast": "21"})):
            other = api.TradingSystem.parse(changed(document, f"spec.strategy.{path}", value)).spec.strategy
            assert api.revision_hash(other) != api.revision_hash(strategy)

    def test_names_of_revisions_never_drift(self) -> None:
        """A new operator must not take a running system for a new revision and send it back to paper."""
        strategy = api.Strategy.parse(
            {
                "image": "quant/momentum:3",
                "class": "momentum.strategy:MovingAverageCross",
                "parameters": {"slow": "60", "fast": "20"},
                "instruments": [{"venue": "sim", "symbol": "BTCUSDT"}],
            }
        )
        assert api.revision_hash(strategy) == "90afa02b"


class TestSeverity:
    """What a switch asks for, as the gates understand it."""

    @pytest.mark.parametrize(
        ("spec", "severity"),
        [
            ({}, "None"),
            ({"engaged": False}, "None"),
            ({"engaged": True}, "Cancel"),
            ({"engaged": True, "action": "Flatten"}, "Flatten"),
            ({"engaged": True, "action": "None"}, "Cancel"),
            ({"engaged": True, "action": "what"}, "Cancel"),
            ({"engaged": True, "restrict": "Halt"}, "Cancel"),
            ({"engaged": "yes"}, "Cancel"),
            ({"engaged": None}, "Cancel"),
            ({"restrict": "ReduceOnly"}, "ReduceOnly"),
            ({"restrict": "Halt"}, "Halt"),
            ({"restrict": "what"}, "Halt"),
            ({"restrict": 7}, "Halt"),
            (None, "Halt"),
            ([], "Halt"),
        ],
    )
    def test_the_operator_and_the_gates_agree(self, spec: object, severity: str) -> None:
        """Two implementations, because neither plane may import the other for this; one meaning."""
        assert api.severity(spec).word == severity
        assert kill.of_switch(spec)[0].word == severity

    def test_words_and_order_are_the_same(self) -> None:
        """The most severe wins on both sides."""
        assert [(found.value, found.word) for found in api.Severity] == [
            (found.value, found.word) for found in kill.Severity
        ]

    def test_a_parsed_spec_is_understood_too(self) -> None:
        """Callers may have either."""
        assert api.severity(api.KillSwitchSpec(engaged=True, action="Flatten")) is api.Severity.FLATTEN
        assert api.severity(api.KillSwitch.parse({"metadata": {"name": "m"}}).spec) is api.Severity.NONE


def test_engaging_needs_nothing_but_engaged() -> None:
    """One word stops a system; reason, action and everything else have defaults."""
    spec = api.KillSwitch.parse({"metadata": {"name": "m"}, "spec": {"engaged": True}}).spec
    assert (spec.engaged, spec.action, spec.restrict, spec.reason, spec.selector) == (True, "Cancel", "None", "", None)


def test_a_gate_that_is_open_can_say_so() -> None:
    """Its line has an empty time of closing; a status must take it."""
    line = {"pod": "p", "state": "Active", "closedAt": "", "latencyMs": ""}
    status = api.KillSwitch.parse({"metadata": {"name": "m"}, "status": {"gates": [line]}}).status
    assert status.gates[0].closed_at == ""
    assert status.gates[0].working_orders is None


def test_sentences_fit_into_a_status() -> None:
    """A long reason is cut, never refused."""
    assert api.sentence("a\n  b") == "a b"
    assert len(api.sentence("x" * 10_000)) == TEXT_LENGTH_MAX
    assert api.Condition(type="Ready", status="False", message=api.sentence("x" * 10_000)).reason == ""


def test_models_import_nothing_but_pydantic() -> None:
    """So that the command line, tests and people's tools can use them anywhere."""
    program = (
        "import sys, pydantic; before = set(sys.modules)\n"
        "import ringfence_operator.api\n"
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)\n"
        "known = {'ringfence_operator', 'pydantic', 'pydantic_core', 'annotated_types', 'typing_extensions'}\n"
        "print(sorted(name for name in roots - known if not name.startswith('_')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT / "operator"
    )
    assert done.stdout.strip() == "[]"

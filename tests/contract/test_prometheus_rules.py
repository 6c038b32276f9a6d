"""The alert rules, by Prometheus' own tool: they parse, and fire on the states that they are for."""

import subprocess

import pytest

from localnode import LocalNodeError, builder
from sources import ROOT

RULES = ROOT / "config" / "prometheus"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def promtool() -> str:
    try:
        return str(builder.build(("promtool",), quiet=True) / "promtool")
    except LocalNodeError as error:
        pytest.skip(f"NO PROMTOOL, nothing was judged: {error}")


@pytest.mark.parametrize(
    "words", [("check", "rules", "ringfence-rules.yaml"), ("test", "rules", "ringfence-rules-test.yaml")]
)
def test_rules(promtool: str, words: tuple[str, ...]) -> None:
    done = subprocess.run([promtool, *words], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

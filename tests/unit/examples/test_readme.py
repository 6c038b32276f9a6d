"""The README's code is code: what an author reads first must run."""

import re
from pathlib import Path

from momentum.strategy import MovingAverageCross
from ringfence.sdk.parameters import declared

README = Path(__file__).parents[3] / "examples" / "momentum" / "README.md"


def test_the_readmes_strategy_and_its_test_run() -> None:
    """All Python of the README, in its order, in one module."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    exec(compile("\n".join(blocks), str(README), "exec"), {"__name__": "readme"})  # noqa: S102 - our own text


def test_the_readmes_parameters_are_the_strategys() -> None:
    """Names and defaults in the table are those of the class."""
    table = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", README.read_text(), re.MULTILINE))
    assert table == {name: parameter.default for name, parameter in declared(MovingAverageCross).items()}

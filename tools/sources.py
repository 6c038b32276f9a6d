"""The repository's own Python files as data, parsed once: what the rules of tests/arch are read from."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
CODE: Final = ("operator", "services", "tools", "examples/momentum")
"""Folders that packages are imported from."""


class Module(NamedTuple):
    """One Python file."""

    path: Path
    """Relative to the repository."""
    name: str
    """As it is imported, such as ``ringfence.model.money``; a test's is its path."""
    text: str
    tree: ast.Module

    @property
    def doc(self) -> str:
        return ast.get_docstring(self.tree) or ""

    def imports(self) -> Iterator[str]:
        """Every module that is imported, in whatever way, wherever in the file."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                if node.level:
                    raise ValueError(f"{self.path}:{node.lineno}: a relative import hides what is imported")
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def read(folder: str) -> tuple[Module, ...]:
    """All modules below a folder of the repository."""
    base = ROOT / folder
    found = []
    for path in sorted(base.rglob("*.py")):
        text = path.read_text()
        name = ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
        found.append(Module(path.relative_to(ROOT), name, text, ast.parse(text)))
    return tuple(found)


class Code:
    """The code of the repository."""

    root = ROOT

    @property
    def modules(self) -> tuple[Module, ...]:
        """What is imported: not the tests."""
        return tuple(module for folder in CODE for module in read(folder))

    @property
    def tests(self) -> tuple[Module, ...]:
        return read("tests")

    def below(self, *packages: str) -> tuple[Module, ...]:
        """Modules of packages, by their dotted names."""
        return tuple(m for m in self.modules if within(m.name, *packages))


def within(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of the packages or lies in one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def listed(wrong: Iterable[object]) -> str:
    """What breaks a rule, one a line, for a person who has to mend it."""
    return "\n" + "\n".join(map(str, wrong))

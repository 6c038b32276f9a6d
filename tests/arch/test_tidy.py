"""Sizes, clocks, paths and docstrings: the house rules that a machine can check."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sources import CODE, ROOT, Code, Module, listed

FILE_LINES_MAX: Final = 600
FUNCTION_LINES_MAX: Final = 70
MARK: Final = "# sim-ok: "
CLOCKS: Final = re.compile(
    r"time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|clock_gettime|clock_gettime_ns)"
    r"|(datetime\.)?(datetime|date)\.(now|utcnow|today)"
    r"|random\.\w+|Random|uuid\.uuid[14]|uuid[14]|secrets\.\w+|os\.urandom"
    r"|(time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns)"
)
"""Calls that give another answer each time: time, chance and ids are arguments, or come from runtime/clock.py."""
NO_INIT: Final = ("operator", "services", "tests")
MACHINE: Final = re.compile(
    r"(?<![\w.~-])/(" + "|".join(("work", "root", r"home/(?!someone)\w+", r"Users/\w+")) + r")/"
)
"""Places on one machine; /home/someone is nobody's. Nothing that is committed may depend on one."""
TEXTS: Final = frozenset({".cfg", ".go", ".json", ".md", ".py", ".sh", ".toml", ".tpl", ".txt", ".yaml", ".yml", ""})


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_are_short(code: Code) -> None:
    """A file that does not fit in one sitting hides a second concept."""
    sizes = [(module.path, len(module.text.splitlines())) for module in (*code.modules, *code.tests)]
    long = [f"{path} has {lines} lines" for path, lines in sizes if lines > FILE_LINES_MAX]
    assert not long, listed(long)


def test_functions_are_short(code: Code) -> None:
    """A function fits on a screen."""
    long = [
        f"{module.path}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for module in (*code.modules, *code.tests)
        for node in functions(module)
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long, listed(long)


def test_time_and_chance_are_arguments(code: Code) -> None:
    """Whoever reads a clock or draws a number says on that line why replay stays exact."""
    wrong = []
    for module in code.modules:
        lines = module.text.splitlines()
        for node in ast.walk(module.tree):
            # a clock that is handed on uncalled, as a default or a callback, is read somewhere else
            if isinstance(node, ast.Call):
                used = [node.func, *node.args, *(keyword.value for keyword in node.keywords)]
            elif isinstance(node, ast.arguments):
                used = [*node.defaults, *(default for default in node.kw_defaults if default is not None)]
            else:
                continue
            for one in used:
                reads = isinstance(one, ast.Name | ast.Attribute) and CLOCKS.fullmatch(ast.unparse(one))
                if reads and not any(MARK in line for line in lines[one.lineno - 1 : one.end_lineno]):
                    wrong.append(f"{module.path}:{one.lineno} uses {ast.unparse(one)}")
    assert not wrong, listed(wrong)


def test_a_mark_says_why(code: Code) -> None:
    """An escape without a reason is a hole."""
    wrong = [
        f"{module.path}:{number}"
        for module in (*code.modules, *code.tests)
        if not module.path.match("tests/arch/*")
        for number, line in enumerate(module.text.splitlines(), 1)
        if "sim-ok" in line and not re.search(r"# sim-ok: \S.{4,}", line)
    ]
    assert not wrong, listed(wrong)


def test_no_init_where_it_would_shadow() -> None:
    """`operator/__init__.py` would hide Python's own operator module, and tests are found by importlib mode."""
    assert [name for name in NO_INIT if (ROOT / name / "__init__.py").exists()] == []
    assert list((ROOT / "tests").rglob("__init__.py")) == []
    assert list((ROOT / "operator").glob("*.py")) == []
    assert list((ROOT / "operator").rglob("test_*.py")) == []


def test_packages_say_what_they_own(code: Code) -> None:
    """The first paragraph of a package is where a newcomer starts."""
    inits = [module for module in code.modules if module.path.name == "__init__.py"]
    assert len(inits) > 15
    assert [str(module.path) for module in inits if len(module.doc) < 20] == []


def test_every_package_has_an_init(code: Code) -> None:
    """A folder of modules without one is imported by luck."""
    folders = {module.path.parent for module in code.modules}
    roots = {Path(folder) for folder in CODE}
    missing = [str(f) for f in folders - roots if not (ROOT / f / "__init__.py").exists()]
    assert not missing, listed(missing)


def test_nothing_names_a_machine() -> None:
    """A path of somebody's machine, or of the place where this was written, works nowhere else."""
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    wrong = []
    for name in files.stdout.splitlines():
        path = ROOT / name
        if path.suffix in TEXTS and path.is_file():
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if MACHINE.search(line):
                    wrong.append(f"{name}:{number}: {line.strip()[:100]}")
    assert not wrong, listed(wrong)


def test_decisions_have_numbers_of_their_own() -> None:
    """Two that were written at the same time would both be meant by one number."""
    numbers = [path.name.partition("-")[0] for path in (ROOT / "docs" / "adr").glob("*.md")]
    twice = {number for number in numbers if numbers.count(number) > 1}
    assert not twice, listed(sorted(twice))

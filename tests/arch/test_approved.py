"""The wrong order is unsendable: adapters take an `Approved`, and only the gate can make one."""

import ast
from typing import Final

from sources import Code, listed

GATE: Final = "services/ringfence/execution/gate.py"
HARMLESS: Final = frozenset({"isinstance", "issubclass"})


def mentions(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id == "Approved") or (
        isinstance(node, ast.Attribute) and node.attr == "Approved"
    )


def test_only_the_gate_constructs_approved(code: Code) -> None:
    """No call of the class, and no decoder, converter or copier that is handed it."""
    makers = set()
    for module in code.modules:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            arguments = (*node.args, *(keyword.value for keyword in node.keywords))
            handed = any(mentions(argument) for argument in arguments) and ast.unparse(node.func) not in HARMLESS
            if mentions(node.func) or handed:
                makers.add(str(module.path))
    assert makers == {GATE}


def test_approved_has_one_name(code: Code) -> None:
    """No subclass and no alias through which one could be made elsewhere."""
    wrong = []
    for module in code.modules:
        for node in ast.walk(module.tree):
            aliased = isinstance(node, ast.ImportFrom) and any(a.name == "Approved" and a.asname for a in node.names)
            derived = isinstance(node, ast.ClassDef) and any(mentions(base) for base in node.bases)
            renamed = isinstance(node, ast.Assign) and mentions(node.value)
            if aliased or derived or renamed:
                wrong.append(f"{module.path}:{node.lineno}")
    assert not wrong, listed(wrong)


def test_nobody_copies_an_approved(code: Code) -> None:
    """`structs.replace` would make one with another quantity: adapters and order management do not use it at all."""
    wrong = [
        f"{module.path}:{node.lineno}"
        for module in code.below("ringfence.execution", "ringfence.venues")
        if "import Approved" in module.text
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("structs.replace", "copy", "deepcopy"))
        if any("approved" in ast.unparse(argument).lower() for argument in node.args)
    ]
    assert not wrong, listed(wrong)

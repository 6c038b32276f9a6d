"""The watchdog cannot order: nothing that it is made of, and nothing that it is given, leads to a new order."""

import ast
import inspect
import re
from typing import Final

from ringfence.venues.binance.cancelling import BinanceCancelOnly
from ringfence.venues.cancelling import CancelOnly
from sources import Code, Module, listed, within

ORDERS: Final = re.compile(
    r"\b(Approved|submit|new_order|Intent|Pusher|pusher|TradingVenue|BinanceTrading|amend|replace_order)\b"
)
PACKAGES: Final = ("ringfence.watchdog", "ringfence.venues.cancelling", "ringfence.venues.binance.cancelling")
MAY: Final = {"open", "close", "cancel_all", "open_orders", "balances", "instruments", "price", "price_at"}


def reached(code: Code, *starts: str) -> dict[str, Module]:
    """Every module of ours that these import, directly or not."""
    modules = {module.name: module for module in code.modules}
    waiting = list(code.below(*starts))
    found = {module.name: module for module in waiting}
    while waiting:
        for name in waiting.pop().imports():
            module = modules.get(name) or modules.get(name.rpartition(".")[0])
            if module is not None and module.name not in found:
                found[module.name] = module
                waiting.append(module)
    return found


def test_it_never_reaches_the_gate(code: Code) -> None:
    """Only the gate constructs an Approved (tests/arch/test_approved.py), and not even indirectly is it imported."""
    found = reached(code, "ringfence.watchdog")
    assert len(found) > 20
    assert [name for name in found if within(name, "ringfence.execution", "ringfence.strategy", "ringfence.sdk")] == []


def test_it_names_nothing_that_orders(code: Code) -> None:
    """Neither the package nor its way to a venue."""
    wrong = []
    for module in code.below(*PACKAGES):
        names = {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
        names |= {
            alias.name for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        wrong += [f"{module.path} names {name}" for name in sorted(names) if ORDERS.fullmatch(name)]
    assert not wrong, listed(wrong)


def test_its_venue_can_do_no_more_than_cancel_and_look() -> None:
    """The interface, the adapter, and the one kind of request there that is not a question."""
    for kind in (CancelOnly, BinanceCancelOnly):
        public = {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
        assert public == MAY
    text = inspect.getsource(inspect.getmodule(BinanceCancelOnly))  # type: ignore[arg-type]
    assert set(re.findall(r'\bRequest\(\s*"(\w+)"', text)) == {"DELETE", "GET"}
    used = set(re.findall(r"codec\.(\w+)\(", text))
    assert used & {"new_order"} == set()

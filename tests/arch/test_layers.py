"""Who may import whom: the shape of DESIGN and ARCHITECTURE, held by reading the imports."""

import re
import sys
from typing import Final

import pytest

from sources import Code, Module, listed, within

CONTRACTS: Final = ("ringfence.runtime.alerts", "ringfence.runtime.config", "ringfence.wire", "ringfence.kube")
"""All that the control plane may know of the services; alerts, because both have to tell Alertmanager the same."""
SHARED: Final = ("model", "wire", "runtime", "kube", "venues", "sdk")
"""Parts of `ringfence` that services are made of; every other package there is a service."""
HOSTS: Final = {
    "ringfence.backtest": ("ringfence",),
    "ringfence.paper": ("ringfence.execution",),
    "ringfence.sdk.testing": ("ringfence.strategy",),
}
"""Who may put services together: what runs several engines in one process, and a program under another name."""
PURE_PACKAGES: Final = (
    "ringfence.model",
    "ringfence.wire",
    "ringfence_operator.api",
    "ringfence_operator.desired",
    "ringfence_operator.policies",
    "ringfence_operator.rollout",
)
PURE_MODULES: Final = (
    "ringfence.execution.gate",
    "ringfence.execution.manager",
    "ringfence.marketdata.book",
    "ringfence.marketdata.sync",
    "ringfence.portfolio.documents",
    "ringfence.portfolio.ledger",
    "ringfence.portfolio.marks",
    "ringfence.runtime.guard",
    "ringfence.sdk.context",
    "ringfence.sdk.parameters",
    "ringfence.sdk.strategy",
    "ringfence.sdk.units",
    "ringfence.simulator.matching",
    "ringfence.strategy.desk",
    "ringfence.strategy.engine",
    "ringfence.venues.binance.codec",
    "ringfence.watchdog.alarms",
    "ringfence.watchdog.dropcopy",
    "ringfence.watchdog.judge",
    "ringfence.watchdog.stops",
    "ringfence.wire.alerts",
)
"""What must be pure whatever its docstring says; a docstring with the sentence "Pure." adds its module."""
OUTWARD: Final = frozenset(
    {
        *("aiohttp", "asyncio", "httpx", "kopf", "kubernetes", "logging", "multiprocessing", "os", "random"),
        *("secrets", "socket", "structlog", "subprocess", "threading", "time", "uuid", "uvloop", "zmq"),
    }
)
"""Clocks, chance, sockets, disks, logs and waiting."""
PLAIN: Final = ("ringfence.runtime.config", "ringfence_operator.settings", "ringfence_operator.access_rules")
"""Not pure for one function that reads a file; their values are."""


def pure(code: Code) -> dict[str, Module]:
    """Modules that must be pure, by name."""
    claimed = [m for m in code.modules if re.search(r"\bPure\.", m.doc) and m.path.name != "__init__.py"]
    return {m.name: m for m in (*code.below(*PURE_PACKAGES), *claimed, *code.below(*PURE_MODULES))}


def forbidden(modules: tuple[Module, ...], allowed: tuple[str, ...], among: str) -> list[str]:
    """Imports of one part of the repository beyond what is allowed."""
    return [
        f"{module.path} imports {name}"
        for module in modules
        for name in module.imports()
        if within(name, among) and not within(name, *allowed)
    ]


def test_services_never_import_the_operator(code: Code) -> None:
    """The operator reads the contracts of services, never the other way round."""
    modules = code.below("ringfence", "momentum")
    assert len(modules) > 30
    assert forbidden(modules, (), "ringfence_operator") + forbidden(modules, (), "ringfence_cli") == []


def test_operator_knows_only_contracts_of_services(code: Code) -> None:
    """Configuration, wire and the Kubernetes client; the command line also measures time."""
    assert forbidden(code.below("ringfence_operator"), CONTRACTS, "ringfence") == []
    assert forbidden(code.below("ringfence_cli"), (*CONTRACTS, "ringfence.runtime.clock"), "ringfence") == []
    assert forbidden(code.below("ringfence_operator"), (), "ringfence_cli") == []


def test_api_imports_pydantic_only(code: Code) -> None:
    """The kinds import in a bare environment: the standard library, pydantic, and each other."""
    modules = code.below("ringfence_operator.api")
    allowed = ("pydantic", "pydantic_core", "annotated_types", "ringfence_operator.api", *sys.stdlib_module_names)
    assert modules
    assert [f"{m.path} imports {n}" for m in modules for n in m.imports() if not within(n, *allowed)] == []


def test_rollout_needs_nothing_installed_but_pydantic(code: Code) -> None:
    """`decide` is tested, and read, without a cluster, a loop or a library."""
    modules = code.below("ringfence_operator.rollout")
    allowed = ("pydantic", "msgspec", "ringfence_operator.api", "ringfence_operator.rollout", "ringfence.wire")
    assert modules
    wrong = [
        f"{m.path} imports {n}"
        for m in modules
        for n in m.imports()
        if not within(n, *allowed, *sys.stdlib_module_names)
    ]
    assert not wrong, listed(wrong)


def test_a_service_imports_no_other_service(code: Code) -> None:
    """What several services need is in model, wire, runtime, venues or kube; only hosts put services together."""
    wrong = []
    for module in code.below("ringfence"):
        if len(module.name.split(".")) < 2:
            continue
        own = ".".join(module.name.split(".")[:2])
        allowed = (own, *(f"ringfence.{part}" for part in SHARED))
        hosted = tuple(name for host, names in HOSTS.items() if within(module.name, host) for name in names)
        wrong += forbidden((module,), (*allowed, *hosted), "ringfence")
    assert not wrong, listed(wrong)


def test_a_strategy_package_imports_the_sdk_only(code: Code) -> None:
    """The example shows what an author needs, and that it is enough."""
    assert code.below("momentum")
    assert forbidden(code.below("momentum"), ("ringfence.sdk",), "ringfence") == []


def test_only_venues_and_simulator_know_a_venues_protocol(code: Code) -> None:
    """A venue's package is chosen where a process begins; nothing else names it."""
    hosts = ("ringfence.execution", "ringfence.marketdata", "ringfence.watchdog")
    wrong = [
        f"{m.path} imports {n}"
        for m in code.below("ringfence")
        if not within(m.name, "ringfence.venues")
        for n in m.imports()
        if within(n, "ringfence.venues.binance", "ringfence.venues.paper") and not within(m.name, *hosts)
    ]
    assert not wrong, listed(wrong)


def test_pure_modules_reach_nothing_outside(code: Code) -> None:
    """An engine has no clock, chance, socket, disk, log or await: those are handed in by its host."""
    wrong = []
    for module in pure(code).values():
        lines = module.text.splitlines()
        typed = any("from random import Random" in line and "# sim-ok:" in line for line in lines)
        wrong += [
            f"{module.path} imports {name}"
            for name in module.imports()
            if name.split(".")[0] in OUTWARD and not (typed and name == "random.Random")
        ]
    assert not wrong, listed(wrong)


def test_what_pure_modules_import_reaches_nothing_outside_either(code: Code) -> None:
    """Purity that is one import away is no purity; a file-reading function among plain values is the exception."""
    modules = {module.name: module for module in code.modules}
    wrong = []
    for start in (*code.below(*PURE_PACKAGES), *code.below(*PURE_MODULES)):
        seen, waiting = {start.name}, [start]
        while waiting:
            module = waiting.pop()
            if module.name in PLAIN:
                continue
            outward = sorted({name for name in module.imports() if name.split(".")[0] in OUTWARD - {"random"}})
            wrong += [f"{start.path} reaches {name} through {module.path}" for name in outward]
            for name in module.imports():
                found = modules.get(name) or modules.get(name.rpartition(".")[0])
                if found is not None and found.name not in seen:
                    seen.add(found.name)
                    waiting.append(found)
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("name", PURE_MODULES)
def test_the_list_of_pure_modules_is_of_modules(code: Code, name: str) -> None:
    """A renamed module does not leave the list silently."""
    assert [m.name for m in code.modules if m.name == name] == [name]

"""Every query of the metric library asks for series that a running service exports, with the labels that it has."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from gatebench.bench import furnished
from ringfence.execution import twinning
from ringfence.execution.twin import Twin
from ringfence.marketdata import metrics as marketdata
from ringfence.marketdata.sync import MarketSync
from ringfence.model.calendar import Calendar
from ringfence.model.money import parse
from ringfence.portfolio import metrics as portfolio
from ringfence.portfolio.documents import Accounts
from ringfence.portfolio.ledger import Ledger
from ringfence.portfolio.marks import Marks
from ringfence.runtime.histogram import Histogram
from ringfence.sdk import Strategy
from ringfence.strategy import metrics as strategy
from ringfence.strategy.engine import StrategyEngine
from ringfence_operator.rollout import queries

TARGET = {"namespace", "system", "service"}
"""Labels that Prometheus adds from the pod, by PodMonitor or scrape configuration."""
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
SELECTOR = re.compile(r"(ringfence_[a-z0-9_]+)\{([^}]*)\}")


def names(found: Iterable[Metric]) -> set[str]:
    return {family.name + suffix for family in found for suffix in SUFFIXES.get(family.type, ("",))}


def exported() -> set[str]:
    """Of the services that are engines here, and of a paper gate's twin; execution is asked as a process."""
    engine = StrategyEngine(Strategy, {}, track="stable", revision="abc123", session=1, symbols=("BTCUSDT",))
    accounts = Accounts(Ledger({"sim-execution": Calendar()}), Marks([Calendar()]), "USDT", parse("10000"))
    return (
        names(strategy.families(engine, Histogram(), "abc123", 1.0))
        | names(marketdata.families(MarketSync(("BTCUSDT",), 1000, 1000), Histogram(), 0))
        | names(portfolio.families(accounts, 0))
        | names(twinning.families(Twin(lambda _: "abc123", 0, 0, 0, 0)))
    )


def queries_of_the_library() -> list[str]:
    entries = [*queries.LIBRARY.values(), queries.ORDERS, queries.EPISODES]
    parts = [
        part
        for entry in entries
        for part in (
            entry.fresh,
            entry.queries.value,
            entry.queries.negative,
            entry.queries.total,
            entry.queries.samples,
            entry.queries.squares,
        )
    ]
    return sorted({part for part in parts if part})


@pytest.mark.asyncio
async def test_every_library_query_names_metrics_that_a_service_exports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names that a strategy, marketdata, portfolio and a running gate export are all that the library asks for,
    and what it selects by on the gate's series are labels that they carry."""
    async with furnished(tmp_path, monkeypatch, paper=False) as bench:
        await bench.resting(1)
        page = await bench.metrics()
    families = list(text_string_to_metric_families(page))
    known = exported() | names(families)
    labels = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    asked = queries_of_the_library()
    assert asked
    for query in asked:
        selectors = SELECTOR.findall(query)
        assert selectors, query
        for name, matchers in selectors:
            assert name in known, f"{name} is exported by nobody"
            if name in labels:
                wanted = {matcher.partition("=")[0] for matcher in re.findall(r'(\w+=~?)"', matchers)} - TARGET
                assert wanted <= labels[name], f"{name} has no label {wanted - labels[name]}"
    counted = [line for line in page.splitlines() if line.startswith("ringfence_gate_track_orders_total{")]
    assert counted == ['ringfence_gate_track_orders_total{revision="abc123def0",track="stable"} 1.0']

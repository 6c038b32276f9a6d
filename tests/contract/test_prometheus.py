"""The client against a real Prometheus that scrapes a page of ours: every way of having no number has its own name."""

import asyncio
import json
import math
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

import localnode
from ringfence.runtime.serving import serving
from ringfence_operator.cluster.measure import Measurer, Subject
from ringfence_operator.cluster.prometheus import Failure, Prometheus, Reason, Sample
from ringfence_operator.rollout import queries
from ringfence_operator.rollout.evidence import MetricSpec, NonInferior, Queries, Ratio, Sums, Within

LOOKBACK_S = 3.0
PAGE = """\
good 2.5
several{a="1"} 1
several{a="2"} 2
zero 0
hits_total 12
misses_total 0
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@dataclass
class Page:
    """What is scraped."""

    port: int
    text: str = PAGE
    status: int = 200
    scrapes: int = 0
    runner: web.AppRunner | None = field(default=None, repr=False)

    async def serve(self, _request: web.Request) -> web.Response:
        self.scrapes += 1
        return web.Response(text=self.text, status=self.status)


@pytest.fixture(scope="module")
def programs() -> Path:
    return localnode.build(["prometheus"], quiet=True)


@pytest.fixture(scope="module")
def server(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Prometheus as a plain process; its address, and the port of the page that it scrapes each second."""
    folder, port, scraped = tmp_path_factory.mktemp("prometheus"), free_port(), free_port()
    scrape = {"job_name": "page", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrape]}))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                programs / "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"]},
        )
    try:
        yield f"http://127.0.0.1:{port}", scraped
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest_asyncio.fixture
async def page(server: tuple[str, int]) -> AsyncIterator[Page]:
    found = Page(server[1])
    application = web.Application()
    application.add_routes([web.get("/metrics", found.serve)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", found.port).start()
    found.runner = runner
    yield found
    await runner.cleanup()


@pytest_asyncio.fixture
async def prometheus(server: tuple[str, int], page: Page) -> AsyncIterator[Prometheus]:
    """Once it has scraped the page of this test."""
    async with aiohttp.ClientSession() as session:
        found = Prometheus(session, server[0])
        await until(found, "good", Sample)
        yield found


async def until(prometheus: Prometheus, query: str, kind: type) -> Sample | Failure:
    deadline = time.monotonic() + 30
    while True:
        answer = await ask(prometheus, query)
        if isinstance(answer, kind):
            return answer
        assert time.monotonic() < deadline, f"{query}: {answer}"
        await asyncio.sleep(0.1)


async def ask(prometheus: Prometheus, query: str) -> Sample | Failure:
    return await prometheus.instant(query, at=time.time(), lookback_s=LOOKBACK_S)


@pytest.mark.asyncio
async def test_one_finite_value_is_a_number(prometheus: Prometheus) -> None:
    """A vector of one and a scalar are the value that was scraped; zero is a number like any other."""
    for query, value in (("good", 2.5), ("scalar(good)", 2.5), ("sum(several)", 3.0), ("zero", 0.0), ("1 + 1", 2.0)):
        answer = await ask(prometheus, query)
        assert isinstance(answer, Sample), answer
        assert value == answer.value


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("renamed_metric", Reason.EMPTY),
        ("good > 3", Reason.EMPTY),
        ("misses_total / zero", Reason.NOT_FINITE),
        ("hits_total / zero", Reason.NOT_FINITE),
        ("several", Reason.WRONG_TYPE),
        ('"text"', Reason.WRONG_TYPE),
        ("good[10s]", Reason.WRONG_TYPE),
        ("sum(", Reason.HTTP_ERROR),
        ("rate(good)", Reason.HTTP_ERROR),
        ("quantile(2, good)", Reason.WARNINGS),
    ],
)
async def test_what_is_no_number_says_why(prometheus: Prometheus, query: str, reason: Reason) -> None:
    """Nothing, NaN, infinity, several, another type, a wrong query and an incomplete answer are told apart."""
    answer = await ask(prometheus, query)
    assert isinstance(answer, Failure), answer
    assert (reason, True) == (answer.reason, bool(answer.message))


@pytest.mark.asyncio
async def test_a_series_that_stopped_is_empty_within_the_lookback(prometheus: Prometheus, page: Page) -> None:
    """A metric that vanishes from a page, or a page that vanishes, does not go on answering with its last value."""
    page.text = PAGE.replace("good 2.5\n", "")
    answer = await until(prometheus, "good", Failure)
    assert isinstance(answer, Failure)
    assert Reason.EMPTY is answer.reason
    page.text = PAGE
    await until(prometheus, "good", Sample)
    page.status = 500
    assert isinstance(await until(prometheus, "good", Failure), Failure)


@pytest.mark.asyncio
async def test_an_evaluation_in_the_past_does_not_reach_further_back_than_asked(prometheus: Prometheus) -> None:
    """At a time before the first scrape there is nothing, whatever came later."""
    answer = await prometheus.instant("good", at=time.time() - 3600, lookback_s=LOOKBACK_S)
    assert isinstance(answer, Failure)
    assert Reason.EMPTY is answer.reason


@pytest.mark.asyncio
async def test_a_range_is_its_points(prometheus: Prometheus) -> None:
    """All points of one series, oldest first; several series, none, NaN and too many points are refused."""

    async def over(query: str, *, step_s: float = 1.0, back_s: float = 5.0) -> tuple[Sample, ...] | Failure:
        now = time.time()
        return await prometheus.range(query, start=now - back_s, end=now, step_s=step_s, lookback_s=LOOKBACK_S)

    points = await over("good")
    assert isinstance(points, tuple)
    assert points
    assert {2.5} == {point.value for point in points}
    assert sorted(point.at for point in points) == [point.at for point in points]
    for query, reason in (
        ("several", Reason.WRONG_TYPE),
        ("renamed_metric", Reason.EMPTY),
        ("zero / zero", Reason.NOT_FINITE),
    ):
        answer = await over(query)
        assert isinstance(answer, Failure), answer
        assert reason is answer.reason
    answer = await over("good", step_s=0.0001, back_s=60.0)
    assert isinstance(answer, Failure)


@pytest.mark.asyncio
async def test_a_series_that_breaks_off_makes_its_range_stale(prometheus: Prometheus, page: Page) -> None:
    """However good the points were: the last one has to be of now."""
    page.text = PAGE.replace("good 2.5\n", "")
    await until(prometheus, "good", Failure)
    await asyncio.sleep(LOOKBACK_S + 2)  # sim-ok: the series has to become old by Prometheus' clock
    now = time.time()
    answer = await prometheus.range("good", start=now - 30, end=now, step_s=1, lookback_s=LOOKBACK_S)
    assert isinstance(answer, Failure), answer
    assert Reason.STALE is answer.reason


@pytest.mark.asyncio
async def test_nobody_there_and_nobody_answering_are_unreachable() -> None:
    """A closed port, a name that does not exist, and a server that accepts and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for url in (f"http://127.0.0.1:{free_port()}", "http://no-such-host.invalid:9090", mute):
            async with aiohttp.ClientSession() as session:
                answer = await ask(Prometheus(session, url, timeout_s=0.5), "good")
            assert isinstance(answer, Failure), url
            assert Reason.UNREACHABLE is answer.reason


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.MALFORMED),
        (b"{}", Reason.MALFORMED),
        (b'{"status":"error","error":"no"}', Reason.MALFORMED),
        (b'{"status":"success","data":{"resultType":"vector","result":[{"value":[1,2]}]}}', Reason.MALFORMED),
        (b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}', Reason.STALE),
        (b'{"status":"success","data":{"resultType":"scalar","result":[%d,"two"]}}', Reason.WRONG_TYPE),
        (b'{"status":"success","data":{"resultType":"scalar","result":[%d,"1_0e999"]}}', Reason.NOT_FINITE),
        (b" " * 2_000_000, Reason.MALFORMED),
    ],
    ids=["nothing", "empty", "error", "untyped", "old", "word", "overflow", "endless"],
)
async def test_a_server_that_is_no_prometheus_is_never_believed(body: bytes, reason: Reason) -> None:
    """A proxy's page, half a document, an old cache and an endless answer are failures, and never a number."""

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=body.replace(b"%d", str(int(time.time())).encode()))

    application = web.Application()
    application.add_routes([web.post("/api/v1/query", serve)])
    async with (
        serving(application, "127.0.0.1", 0, shutdown_timeout_s=0.1) as port,
        aiohttp.ClientSession() as session,
    ):
        answer = await ask(Prometheus(session, f"http://127.0.0.1:{port}"), "good")
    assert isinstance(answer, Failure), answer
    assert reason is answer.reason


@pytest.mark.parametrize("url", ["", "prometheus:9090", "ftp://x", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Prometheus(None, url)  # type: ignore[arg-type]


@pytest.mark.asyncio
async def test_every_query_of_the_library_is_one_that_prometheus_understands(prometheus: Prometheus) -> None:
    """Without its series each has no data, which is neither an error nor a number, whatever names are filled in."""
    ours = {"window": queries.window(30), "gate": "execution", "track": "stable"}  # these words are the operator's own
    values = dict.fromkeys(queries.NAMES, 'a"b\\c') | ours
    for name, entry in queries.LIBRARY.items():
        parts = entry.queries
        for query in (parts.value, parts.negative, parts.total, parts.samples, parts.squares, entry.fresh):
            if query:
                answer = await ask(prometheus, queries.resolved(query, values))
                assert isinstance(answer, Failure), name
                assert Reason.EMPTY is answer.reason, f"{name}: {answer}"


@pytest.mark.asyncio
async def test_a_reading_has_a_number_or_a_reason_and_never_both(prometheus: Prometheus) -> None:
    """Values, ratios and comparisons; absent, NaN and broken queries; and an outage, which is asked about once."""
    names = dict.fromkeys(queries.NAMES, "1") | {"window": "5s"}
    subject = Subject(names=names, stable=names | {"revision": "2"})
    sums = Queries(value="good", negative="zero", samples="hits_total", squares='several{a="$(revision)"}')
    metrics = [
        MetricSpec(name="value", rule=Within(0, 3), queries=Queries(value="good", samples="hits_total")),
        MetricSpec(name="ratio", rule=Ratio(0.1), queries=Queries(value="misses_total", total="hits_total")),
        MetricSpec(name="sums", rule=NonInferior(1.0), queries=sums),
        MetricSpec(name="absent", rule=Within(0, 3), queries=Queries(value="renamed")),
        MetricSpec(name="nan", rule=Within(0, 3), queries=Queries(value="zero / zero")),
        MetricSpec(name="broken", rule=Within(0, 3), queries=Queries(value="good(")),
        MetricSpec(name="unbound", rule=Within(0, 3), queries=Queries(value="good{a='$(nothing)'}")),
        MetricSpec(name="unknown", rule=Within(0, 3)),
    ]
    found = await Measurer(prometheus, datetime.now(UTC)).readings(metrics, subject)
    by_name = {reading.metric: reading for reading in found}
    assert [metric.name for metric in metrics] == [reading.metric for reading in found]
    assert (2.5, 12.0, "") == (by_name["value"].value, by_name["value"].samples, by_name["value"].error)
    assert (0.0, 12.0) == (by_name["ratio"].value, by_name["ratio"].total)
    assert Sums(count=12, positive=2.5, negative=0, squares=1) == by_name["sums"].candidate
    assert Sums(count=12, positive=2.5, negative=0, squares=2) == by_name["sums"].stable
    assert (None, "") == (by_name["absent"].value, by_name["absent"].error)
    assert by_name["nan"].value is not None
    assert math.isnan(by_name["nan"].value)
    for name in ("broken", "unbound", "unknown"):
        assert (None, True) == (by_name[name].value, bool(by_name[name].error)), name
    assert by_name["value"].age_s is None, "no gate is scraped here, so a query of one's own has no proof of freshness"

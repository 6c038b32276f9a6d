"""A process that grows by more than it means to remember is told of; one that fills its memory of orders is not."""

from load.memory import Memory, Sample, explained_mb, moments


def run(process: str, mb: list[float], step: int) -> Memory:
    memory = Memory()
    for number, held in enumerate(mb):
        memory.sample(number * step, {process: held})
    return memory


def test_filling_what_is_remembered_and_then_staying_is_flat() -> None:
    assert run("strategy", [50, 70, 90, 90.5, 90.2, 91], 10_000).grown() == []


def test_growth_that_goes_on_is_told_with_its_figures() -> None:
    told = run("strategy", [50, 70, 90, 110, 130], 10_000).grown()
    assert told == ["strategy grew by 80.0 MB from order 0 to 40,000, of which what it remembers explains 40.0"]


def test_a_slow_leak_shows_behind_the_plateau_that_hides_it() -> None:
    """The whole run stays within what 20,000 orders may cost; what came after them does not."""
    assert run("portfolio", [50, 55, 60, 66, 72, 78], 10_000).grown() == [
        "portfolio grew by 18.0 MB from order 20,000 to 50,000, of which what it remembers explains 0.0"
    ]


def test_what_remembers_nothing_may_not_grow() -> None:
    assert run("marketdata", [50, 59], 1_000).grown() == []
    assert run("marketdata", [50, 61], 1_000).grown() != []


def test_a_process_that_is_new_begins_anew() -> None:
    memory = Memory()
    memory.sample(30_000, {"strategy": 90.0})
    memory.began("strategy", 30_000)
    memory.sample(30_000, {"strategy": 50.0})
    memory.sample(50_000, {"strategy": 85.0})
    assert memory.samples["strategy"] == [Sample(0, 50.0), Sample(20_000, 85.0)]
    assert memory.grown() == []


def test_stages_add_up() -> None:
    assert explained_mb("execution", 0, 120_000) == 20_000 * 2.5 / 1e3 + 80_000 * 0.4 / 1e3
    assert explained_mb("execution", 10_000, 30_000) == 10_000 * 2.5 / 1e3 + 10_000 * 0.4 / 1e3


def test_moments_keep_the_first_and_the_last() -> None:
    samples = [Sample(n, 1.0) for n in range(100)]
    found = moments(samples)
    assert (found[0], found[-1], len(found)) == (samples[0], samples[-1], 7)
    assert moments(samples[:1]) == samples[:1]

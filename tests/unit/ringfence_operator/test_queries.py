"""The library's queries: complete, bound to their subject, and not to be talked out of it."""

import pytest

from ringfence_operator.rollout import queries
from ringfence_operator.rollout.evidence import MeanWithin, NonInferior, Queries, Ratio
from ringfence_operator.rollout.library import LIBRARY

NAMES = dict.fromkeys(queries.NAMES, "x") | {"window": "60s"}


def parts(found: Queries) -> list[str]:
    return [one for one in (found.value, found.negative, found.total, found.samples, found.squares) if one]


def test_every_metric_of_the_library_has_queries_and_every_query_a_metric() -> None:
    assert set(LIBRARY) == set(queries.LIBRARY)


@pytest.mark.parametrize("name", sorted(queries.LIBRARY))
def test_every_query_is_bound_to_one_system_in_one_namespace(name: str) -> None:
    """And all that its rule needs is asked for."""
    found = queries.LIBRARY[name]
    for query in (*parts(found.queries), found.fresh):
        text = queries.resolved(query, NAMES)
        assert "$(" not in text
        assert text.count("{") == text.count('namespace="x",system="x"'), text
    rule = LIBRARY[name].rule
    if isinstance(rule, Ratio):
        assert found.queries.total
    if isinstance(rule, NonInferior | MeanWithin):
        assert all((found.queries.samples, found.queries.squares, found.queries.negative))
    if LIBRARY[name].min_samples > 1:
        assert found.queries.samples or found.queries.total


def test_names_cannot_break_out_of_their_quotes() -> None:
    assert r'a{b="x\"} or up{c=\"\\\n"}' == queries.resolved('a{b="$(system)"}', {"system": 'x"} or up{c="\\\n'})


def test_a_name_that_nobody_fills_in_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        queries.resolved("up{a='$(nothing)'}", NAMES)


@pytest.mark.parametrize(("seconds", "text"), [(-5, "1s"), (0, "1s"), (1.9, "1s"), (3600, "3600s"), (1e12, "2678400s")])
def test_a_window_is_whole_seconds_and_bounded(seconds: float, text: str) -> None:
    assert text == queries.window(seconds)

"""When reconciliation looks at what. The bounds are those of the peers: a change of them is a change of promise."""

import pytest

from ringfence.execution.agenda import ALL, EVERY_S, OURS, SECOND_NS, STANDING, Agenda, Look

T0 = 5_000 * SECOND_NS


def settled() -> Agenda:
    agenda = Agenda()
    agenda.succeeded(agenda.take(T0), T0)
    return agenda


def at(seconds: float) -> int:
    return T0 + int(seconds * SECOND_NS)


def test_on_start_everything_is_looked_at() -> None:
    assert Agenda().take(T0) == ALL
    assert Agenda().wait_s(T0) == 0


@pytest.mark.parametrize(("look", "most_s"), [(Look.ORDERS, 10), (Look.BALANCES, 60), (Look.FILLS, 60)])
def test_continuously_each_is_looked_at_within_its_bound(look: Look, most_s: float) -> None:
    """Also when nothing happens and the stream looks healthy."""
    assert EVERY_S[look] <= most_s
    agenda = settled()
    assert look not in agenda.take(at(EVERY_S[look] - 0.001))
    assert look in agenda.take(at(EVERY_S[look]))


def test_between_two_looks_nothing_is_due() -> None:
    agenda = settled()
    assert not agenda.take(at(9))
    assert agenda.wait_s(at(9)) == 1


def test_what_failed_stays_due() -> None:
    """Only what succeeded is put off; what was asked for and did not succeed is asked for again by who took it."""
    agenda = settled()
    taken = agenda.take(at(60))
    assert taken == OURS
    agenda.succeeded(Look.ORDERS, at(60))
    assert agenda.take(at(61)) == Look.BALANCES | Look.FILLS
    agenda.ask(taken)
    assert agenda.take(at(61)) == OURS


def test_what_is_asked_for_during_a_run_is_not_lost() -> None:
    agenda = settled()
    agenda.ask(STANDING)
    assert agenda.take(at(1)) == STANDING
    agenda.ask(OURS)
    assert agenda.take(at(1), Look.FILLS | Look.BALANCES) == Look.FILLS | Look.BALANCES
    assert agenda.take(at(1)) == Look.ORDERS


def test_an_idle_hour_with_one_instrument_costs_little() -> None:
    """By the venue's weights, of 6,000 a minute; everything every 30 s was 240."""
    weights = {Look.ORDERS: 6, Look.ACCOUNT: 80, Look.FILLS: 20, Look.BALANCES: 20}
    agenda, used = settled(), 0
    for second in range(3600):
        taken = agenda.take(at(second))
        used += sum(weight for look, weight in weights.items() if look in taken)
        agenda.succeeded(taken, at(second))
    assert used / 60 < 120

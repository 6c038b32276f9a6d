"""The liveness probe fails for watches that died, and for nothing else."""

from ringfence_operator.heartbeat import LATE_S, Heartbeat


def test_beats_that_come_back_keep_it_alive() -> None:
    """However long it runs."""
    found = Heartbeat("me")
    now = 0.0
    for _ in range(1000):
        beat = found.next()
        found.written(beat, now)
        now += 10
        assert found.alive(now)
        found.seen(beat, now)
    assert found.overdue_s(now) == 0


def test_a_beat_that_does_not_come_back_is_the_end() -> None:
    """Written, and not seen again for too long."""
    found = Heartbeat("me")
    found.written(found.next(), 0.0)
    for now in range(10, int(LATE_S), 10):
        found.written(found.next(), float(now))
        assert found.alive(float(now))
    assert not found.alive(LATE_S + 1)


def test_an_api_server_that_is_away_is_not_our_death() -> None:
    """Nothing was written, so nothing can be missed: a restart would help nobody."""
    found = Heartbeat("me")
    beat = found.next()
    found.written(beat, 0.0)
    found.seen(beat, 0.1)
    assert found.alive(100_000.0)


def test_a_later_beat_stands_for_earlier_ones() -> None:
    """A watch may skip versions; order and speed of the two ways do not matter."""
    found = Heartbeat("me")
    first, second, third = found.next(), found.next(), found.next()
    found.written(first, 0.0)
    found.seen(second, 1.0)
    found.written(second, 1.1)
    assert found.overdue_s(500.0) == 0
    found.written(third, 2.0)
    found.seen(first, 3.0)
    assert found.overdue_s(12.0) == 10.0


def test_another_process_proves_nothing() -> None:
    """During an upgrade two of us may write the same object."""
    found = Heartbeat("me")
    found.written(found.next(), 0.0)
    found.seen("another-7", 1.0)
    found.seen("me-nonsense", 1.0)
    assert found.last_seen is None
    assert not found.alive(LATE_S + 1)

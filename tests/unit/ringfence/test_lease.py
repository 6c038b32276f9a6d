"""The Lease: fenced by transitions, judged by our own boot clock, never by anybody's timestamps."""

from typing import Any

import pytest

from ringfence.runtime.lease import CLOCK_ERROR_NS, SECOND_NS, LeaseCore, Wait, Write, micro_time

WALL = 1_700_000_000_123_456_789
VALIDITY = 5 * SECOND_NS


def core(identity: str = "pod-0/uid/a", pod: str = "", floor: int = 0, **more: Any) -> LeaseCore:
    return LeaseCore(identity, pod, 15, VALIDITY, floor, **more)


class Server:
    """The object, with resource versions."""

    def __init__(self, **spec: Any) -> None:
        self.spec: dict[str, Any] = spec
        self.version = 1

    def read(self) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": str(self.version)}, "spec": dict(self.spec)}

    def write(self, action: Write) -> bool:
        if action.resource_version != str(self.version):
            return False
        self.spec |= action.spec
        self.version += 1
        return True


def acquire(one: LeaseCore, server: Server, now: int) -> Write:
    action = one.step(server.read(), now, WALL)
    assert isinstance(action, Write)
    assert server.write(action)
    one.written(action.fence, now)
    return action


def test_a_free_lease_is_taken_with_the_next_fence() -> None:
    """Above what the Lease says, above what the journal has seen."""
    assert acquire(core(), Server(), 0).fence == 1
    assert acquire(core(), Server(leaseTransitions=4), 0).fence == 5
    assert acquire(core(floor=9), Server(leaseTransitions=4), 0).fence == 10


def test_sending_ends_before_a_late_request_could_meet_a_successor() -> None:
    """Duration, less the request's validity, less the clock error, counted from before the renewal was sent."""
    one, server = core(), Server()
    assert one.send_until == 0
    acquire(one, server, 100 * SECOND_NS)
    assert one.send_until == 115 * SECOND_NS - VALIDITY - CLOCK_ERROR_NS
    assert one.remaining_ns(109 * SECOND_NS) > 0
    assert one.remaining_ns(110 * SECOND_NS) == 0


def test_renewing_keeps_fence_and_acquisition_time() -> None:
    """Renewals are no transitions."""
    one, server = core(), Server()
    first = acquire(one, server, 0)
    again = acquire(one, server, 5 * SECOND_NS)
    assert (again.fence, one.fence, one.acquisitions) == (first.fence, 1, 1)
    assert again.spec["acquireTime"] == first.spec["acquireTime"]


def test_another_holder_is_waited_out_from_our_own_first_look() -> None:
    """Whatever its timestamps say; each change that we see starts the wait anew."""
    held, server = core("a/x/1"), Server()
    acquire(held, server, 0)
    server.spec["renewTime"] = "1970-01-01T00:00:00.000000Z"
    other = core("b/y/2")
    assert other.step(server.read(), 50 * SECOND_NS, WALL) == Wait(65 * SECOND_NS, "a/x/1")
    server.spec["renewTime"] = "2099-01-01T00:00:00.000000Z"
    assert other.step(server.read(), 60 * SECOND_NS, WALL) == Wait(75 * SECOND_NS, "a/x/1")
    assert isinstance(other.step(server.read(), 75 * SECOND_NS - 1, WALL), Wait)
    assert acquire(other, server, 75 * SECOND_NS).fence == 2


def test_the_first_holder_stops_before_the_second_starts() -> None:
    """At no time may both send, however badly the steps fall."""
    first, second, server = core("a/x/1"), core("b/y/2"), Server()
    acquire(first, server, 0)
    for second_look in range(20):
        now = second_look * SECOND_NS
        action = second.step(server.read(), now, WALL)
        if isinstance(action, Write):
            assert first.remaining_ns(now) == 0
            assert now >= first.send_until + VALIDITY
            break
    else:
        pytest.fail("the second never took over")


def test_a_holder_that_was_superseded_takes_a_new_fence() -> None:
    """It must not renew what is no longer its own."""
    first, second, server = core("a/x/1"), core("b/y/2"), Server()
    acquire(first, server, 0)
    second.step(server.read(), 0, WALL)
    acquire(second, server, 15 * SECOND_NS)
    assert isinstance(first.step(server.read(), 16 * SECOND_NS, WALL), Wait)
    assert first.send_until == 0
    assert acquire(first, server, 31 * SECOND_NS).fence == 3


def test_a_lost_write_stops_sending_until_the_next_read() -> None:
    """A conflict means that somebody else wrote."""
    one, server = core(), Server()
    acquire(one, server, 0)
    one.lost()
    assert (one.send_until, one.held) == (0, False)


def test_a_released_lease_is_taken_at_once() -> None:
    """After a clean shutdown nobody waits."""
    first, second, server = core("a/x/1"), core("b/y/2"), Server()
    acquire(first, server, 0)
    server.spec |= first.released()
    assert first.send_until == 0
    assert acquire(second, server, 1).fence == 2


def test_a_restarted_container_of_the_same_pod_need_not_wait() -> None:
    """It holds the journal's lock, so its predecessor is dead; a pod of the same name but another uid waits."""
    first, server = core("pod-0/uid/a", "pod-0/uid"), Server()
    acquire(first, server, 0)
    assert isinstance(core("pod-0/uid2/b", "pod-0/uid2").step(server.read(), 1, WALL), Wait)
    assert acquire(core("pod-0/uid/b", "pod-0/uid"), server, 1).fence == 2


def test_a_lease_shorter_than_a_request_is_refused() -> None:
    """No order could ever be sent, and nobody would know why."""
    with pytest.raises(ValueError, match="leaves no time between renewals"):
        LeaseCore("a", "", 7, VALIDITY, 0)
    assert LeaseCore("a", "", 8, VALIDITY, 0).fence == 0


def test_without_a_lease_nothing_is_fenced() -> None:
    """Paper has no account that two could trade."""
    one = LeaseCore("a", "", 0, VALIDITY, 0, fenced=False)
    assert one.held
    assert one.remaining_ns(1 << 60) > 0


def test_micro_times_are_what_kubernetes_expects() -> None:
    assert micro_time(WALL) == "2023-11-14T22:13:20.123456Z"

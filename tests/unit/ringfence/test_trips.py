"""Streaks of losing round trips, and executions that repeat without a person."""

from ringfence.execution.trips import EXECUTIONS_KEPT, Trips
from ringfence.model.orders import Side
from ringfence.model.positions import Position

SECOND = 1_000_000_000
LOT = 10


class Desk:
    """One track in one instrument, trading whole lots at whole prices."""

    def __init__(self) -> None:
        self.trips = Trips()
        self.position = Position()

    def trade(self, side: Side, quantity: int, price: int, fee: int = 0) -> int:
        before = self.position.quantity
        self.position.trade(side, quantity, price * 10**8)
        self.trips.position("stable", "X", before, self.position.quantity, self.position.realised, fee, LOT)
        return self.trips.streak("stable")


def test_losing_round_trips_in_a_row_are_counted_and_a_win_ends_the_row() -> None:
    desk = Desk()
    for number in range(3):
        assert desk.trade(Side.BUY, 100, 50) == number
        assert desk.trade(Side.SELL, 40, 51) == number, "half-way, whatever it won"
        assert desk.trade(Side.SELL, 60, 48) == number + 1
    desk.trade(Side.SELL, 100, 50)
    assert desk.trade(Side.BUY, 100, 49) == 0
    assert desk.trips.completed == 4


def test_fees_turn_a_win_into_a_loss() -> None:
    desk = Desk()
    desk.trade(Side.BUY, 100, 50, fee=60)
    assert desk.trade(Side.SELL, 100, 51, fee=60) == 1


def test_a_flip_ends_one_trip_and_begins_the_next() -> None:
    desk = Desk()
    desk.trade(Side.BUY, 100, 50)
    assert desk.trade(Side.SELL, 200, 49) == 1
    assert desk.trade(Side.BUY, 100, 50) == 2
    assert desk.trips.completed == 2


def test_even_is_neither_won_nor_lost() -> None:
    desk = Desk()
    desk.trade(Side.BUY, 100, 50)
    desk.trade(Side.SELL, 100, 49)
    desk.trade(Side.BUY, 100, 50)
    assert desk.trade(Side.SELL, 100, 50) == 1


def test_less_than_a_lot_is_flat() -> None:
    """A fee in the base asset leaves dust, which would else keep a trip open for ever."""
    desk = Desk()
    desk.trade(Side.BUY, 109, 50)
    assert desk.trade(Side.SELL, 100, 49) == 1
    assert desk.trade(Side.SELL, 100, 49) == 1
    assert desk.trade(Side.BUY, 100, 50) == 2


def test_executions_repeat_within_a_window_on_one_side_of_one_instrument() -> None:
    trips = Trips()
    for number in range(5):
        trips.execution("stable", "X", Side.BUY, f"b{number}", number * SECOND)
        trips.execution("stable", "X", Side.BUY, f"b{number}", number * SECOND)
        trips.execution("stable", "X", Side.SELL, f"s{number}", number * 100 * SECOND)
        trips.execution("candidate", "X", Side.BUY, f"c{number}", number * SECOND)
    assert trips.repeated("stable", 5, 4 * SECOND) == "X BUY"
    assert trips.repeated("stable", 5, 4 * SECOND - 1) == ""
    assert trips.repeated("stable", 6, 60 * SECOND) == "", "a second fill of an order is no second execution"
    assert trips.repeated("stable", 0, 60 * SECOND) == "", "0 is not limited"
    assert trips.repeated("shadow", 1, 60 * SECOND) == ""


def test_a_person_starts_the_counts_anew_and_memory_is_bounded() -> None:
    trips = Trips()
    for number in range(3 * EXECUTIONS_KEPT):
        trips.execution("stable", "X", Side.BUY, f"b{number}", number)
    assert trips.repeated("stable", EXECUTIONS_KEPT, SECOND) == "X BUY"
    assert sum(map(len, trips._times.values())) == EXECUTIONS_KEPT
    trips.streaks["stable"] = 8
    trips.forget_losses("stable")
    trips.forget_executions("stable")
    assert (trips.repeated("stable", 1, SECOND), trips.streak("stable")) == ("", 0)

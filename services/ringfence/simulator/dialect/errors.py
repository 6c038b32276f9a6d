"""Error codes and sentences of the protocol, word for word: clients match on them. Pure."""

from typing import Any, Final

from ringfence.simulator.orders import Reason, Refusal


class ApiError(Exception):
    """The answer to a request that was not done."""

    def __init__(
        self,
        code: int,
        message: str,
        status: int = 400,
        retry_after_s: int | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.data = data
        """What is told beside the code, where the protocol says more."""

    @property
    def document(self) -> dict[str, Any]:
        told: dict[str, Any] = {"code": self.code, "msg": self.message}
        return told if self.data is None else told | {"data": self.data}


_REFUSALS: Final[dict[Reason, tuple[int, str]]] = {
    Reason.UNKNOWN_SYMBOL: (-1121, "Invalid symbol."),
    Reason.FILTER: (-1013, "Filter failure: {detail}"),
    Reason.DUPLICATE_ID: (-2010, "Duplicate order sent."),
    Reason.INSUFFICIENT_BALANCE: (-2010, "Account has insufficient balance for requested action."),
    Reason.WOULD_TAKE: (-2010, "Order would immediately match and take."),
    Reason.TRIGGERED: (-2010, "Stop price would trigger immediately."),
    Reason.NOT_SMALLER: (-2038, "The new quantity must be above what is filled and below the order's."),
    Reason.UNSUPPORTED: (-2010, "Unsupported order combination."),
    Reason.RESTRICTED: (-2011, "Order was not canceled due to cancel restrictions."),
    Reason.MARKET_CLOSED: (-2010, "Market is closed."),
    Reason.NO_LIQUIDITY: (-2010, "No trading liquidity available for the market order."),
    Reason.UNKNOWN_ORDER: (-2011, "Unknown order sent."),
}


def of(refusal: Refusal) -> ApiError:
    """The protocol's words for a refusal of the venue."""
    code, message = _REFUSALS[refusal.reason]
    return ApiError(code, message.format(detail=refusal.detail))


def missing(name: str) -> ApiError:
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str, rule: str) -> ApiError:
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{rule}'.")


INTERVAL: Final = (-1120, "Invalid interval.")
UNSUPPORTED: Final = (-2010, "Unsupported order combination.")
ICEBERG_TOO_MUCH: Final = (-2010, "IcebergQty exceeds QTY.")
PREVENTION: Final = (-1013, "This symbol does not allow the specified self-trade prevention mode.")
TROUBLE: Final = {
    -1000: "An unknown error occurred while processing the request.",
    -1001: "Internal error; unable to process your request. Please try again.",
    -1003: "Too many requests; current limit is exceeded.",
    -1006: "An unexpected response was received from the message bus. Execution status unknown.",
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
}
"""The venue's own trouble, by code: made by faults only."""
REPLACE_PARTLY: Final = (-2021, "Order cancel-replace partially failed.")
REPLACE_FAILED: Final = (-2022, "Order cancel-replace failed.")
UNKNOWN_METHOD: Final = (-1020, "This operation is not supported.")
TIMESTAMP_AHEAD: Final = (-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
TIMESTAMP_OUTSIDE: Final = (-1021, "Timestamp for this request is outside of the recvWindow.")
RECV_WINDOW: Final = (-1131, "recvWindow must be less than 60000.")
SIGNATURE: Final = (-1022, "Signature for this request is not valid.")
KEY_FORMAT: Final = (-2014, "API-key format invalid.")
KEY_REJECTED: Final = (-2015, "Invalid API-key, IP, or permissions for action.")
NO_SUCH_ORDER: Final = (-2013, "Order does not exist.")
NOTHING_TO_CANCEL: Final = (-2011, "Unknown order sent.")
PRECISION: Final = (-1111, "Parameter '{name}' has too much precision.")
EMPTY_COMBINATION: Final = (-1106, "Parameter '{name}' sent when not required.")
SIDE: Final = (-1117, "Invalid side.")
TYPE: Final = (-1116, "Invalid orderType.")
TIME_IN_FORCE: Final = (-1115, "Invalid timeInForce.")
TOO_MANY_ORDERS: Final = (-1015, "Too many new orders; current limit is {limit} orders per {interval}.")
TOO_MUCH_WEIGHT: Final = (
    -1003,
    "Too much request weight used; current limit is {limit} request weight per 1 MINUTE.",
)
BANNED: Final = (-1003, "Way too much request weight used; IP banned until {until_ms}.")

"""Parameters of a strategy: texts in ``spec.strategy.parameters``, typed values in the class.

    class Cross(Strategy):
        fast = integer(default=5, minimum=1, doc="Samples of the fast average.")
        quantity = amount(default="0.01", minimum="0.00001", doc="Base asset per order.")

``self.fast`` is an int. What does not fit is refused before the strategy starts, all of it at once, each with the
parameter's name, the value and the rule.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Self, TypeVar, overload

from ringfence.model.money import MoneyError, parse, text

T = TypeVar("T")

_FLAGS: Final = {"true": True, "false": False}


class ParameterError(ValueError):
    """The parameters do not fit the strategy; one line for each that does not."""


class Parameter(Generic[T]):
    """One declared parameter. Make them with `integer`, `amount`, `number`, `flag` or `choice`."""

    def __init__(self, read: Callable[[str], T], default: str | None, doc: str) -> None:
        self.name = ""
        self.default = default
        """As it would be written in the manifest; None = must be given."""
        self.doc = doc
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        values: dict[str, Any] = instance.__dict__
        if self.name not in values:
            raise AttributeError(f"parameter {self.name!r} has no value: Strategy.__init__ was not called")
        value: T = values[self.name]
        return value

    def __set__(self, instance: object, value: T) -> None:
        raise AttributeError(f"parameter {self.name!r} cannot change while the strategy runs")

    def read(self, value: str) -> T:
        """The typed value; raises ValueError with the rule alone."""
        return self._read(value)


def integer(
    *, default: int | None = None, minimum: int | None = None, maximum: int | None = None, doc: str = ""
) -> Parameter[int]:
    """A whole number."""

    def read(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError("must be a whole number") from None
        _bounds(number, minimum, maximum, str)
        return number

    return Parameter(read, None if default is None else str(default), doc)


def amount(
    *, default: str | None = None, minimum: str | None = None, maximum: str | None = None, doc: str = ""
) -> Parameter[int]:
    """An exact price, quantity or sum of money; the value is an integer scaled by 1e-8."""
    low = None if minimum is None else parse(minimum)
    high = None if maximum is None else parse(maximum)

    def read(value: str) -> int:
        try:
            number = parse(value)
        except MoneyError:
            raise ValueError("must be a plain decimal number with at most 8 decimals, such as 0.01") from None
        _bounds(number, low, high, text)
        return number

    return Parameter(read, default, doc)


def number(
    *, default: float | None = None, minimum: float | None = None, maximum: float | None = None, doc: str = ""
) -> Parameter[float]:
    """A number that is not money, such as a threshold or a smoothing factor."""

    def read(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            raise ValueError("must be a number") from None
        if number - number != 0:
            raise ValueError("must be finite")
        _bounds(number, minimum, maximum, str)
        return number

    return Parameter(read, None if default is None else str(default), doc)


def flag(*, default: bool | None = None, doc: str = "") -> Parameter[bool]:
    """``true`` or ``false``."""

    def read(value: str) -> bool:
        try:
            return _FLAGS[value]
        except KeyError:
            raise ValueError("must be true or false") from None

    return Parameter(read, None if default is None else str(default).lower(), doc)


def choice(*options: str, default: str | None = None, doc: str = "") -> Parameter[str]:
    """One of a few words."""

    def read(value: str) -> str:
        if value not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return value

    return Parameter(read, default, doc)


def declared(strategy: type) -> dict[str, Parameter[Any]]:
    """The parameters of a strategy class, those of its bases first."""
    found: dict[str, Parameter[Any]] = {}
    for base in reversed(strategy.__mro__):
        found |= {name: value for name, value in vars(base).items() if isinstance(value, Parameter)}
    return found


def read_all(strategy: type, given: Mapping[str, str]) -> dict[str, Any]:
    """Typed values of all declared parameters. Raises ParameterError with everything that is wrong."""
    parameters = declared(strategy)
    values: dict[str, Any] = {}
    errors = [_unknown(name, parameters) for name in given if name not in parameters]
    for name, parameter in parameters.items():
        value = given.get(name, parameter.default)
        if value is None:
            errors.append(f"parameter {name!r} is missing: it has no default")
            continue
        try:
            values[name] = parameter.read(value)
        except ValueError as error:
            errors.append(f"parameter {name!r} is {value!r}: {error}")
    if errors:
        raise ParameterError("; ".join(errors))
    return values


def _unknown(name: str, parameters: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, parameters, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(parameters) or 'none'}"
    return f"parameter {name!r} is not known to this strategy: {hint}"


def _bounds(value: T, minimum: T | None, maximum: T | None, show: Callable[[T], str]) -> None:
    if minimum is not None and value < minimum:  # type: ignore[operator]  # int or float, both ordered
        raise ValueError(f"must be at least {show(minimum)}")
    if maximum is not None and value > maximum:  # type: ignore[operator]
        raise ValueError(f"must be at most {show(maximum)}")

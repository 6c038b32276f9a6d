"""Finds the author's class in the image."""

import importlib

from ringfence.runtime.service import FatalError
from ringfence.sdk.strategy import Strategy


def load_class(path: str) -> type[Strategy]:
    """The class behind ``module:Class``. Raises FatalError with what is wrong and what to do."""
    module_name, separator, name = path.partition(":")
    if not separator or not module_name or not name.isidentifier():
        raise FatalError(f"strategy class {path} must be written module:Class")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # the author's module may fail in any way while it is imported
        raise FatalError(
            f"strategy class {path} cannot be imported in this image: {type(error).__name__}: {error}; "
            "is the package installed in the image?"
        ) from error
    found = getattr(module, name, None)
    if found is None:
        ours = [n for n, v in vars(module).items() if _is_strategy(v) and v is not Strategy]
        raise FatalError(
            f"strategy class {path} is not in its module: {module_name} has "
            f"{', '.join(ours) if ours else 'no strategy class'}"
        )
    if not _is_strategy(found):
        raise FatalError(f"strategy class {path} is no strategy: it must derive from ringfence.sdk.Strategy")
    strategy: type[Strategy] = found
    return strategy


def _is_strategy(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Strategy)

"""Instant answers on an exercise: a tick, or the smallest input that fails, and a hint.

    from cnncourse import checks as check
    check.conv2d(conv2d)

Each problem set has a module here with the checks of its tasks; ``checks.NAME`` finds a check in
whichever module has it, and ``__all__`` of that module names it. `cnncourse.checks.core` is what
they are made of. No module loads TensorFlow before a check needs it.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

SETS = tuple(module.name for module in iter_modules(__path__) if module.name != "core")


def __getattr__(name: str) -> Any:
    """Return the check of this name, from the problem set that has it, or a set's module."""
    if name in SETS:
        return _load(name)
    if not name.startswith("_"):
        for module in map(_load, SETS):
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no check {name!r}; checks: {_names()}")


def __dir__() -> list[str]:
    """Names that tab completion offers: the checks of all problem sets."""
    return sorted({*globals(), *_names()})


def _load(module: str) -> Any:
    return import_module(f"{__name__}.{module}")


def _names() -> list[str]:
    return sorted(name for module in map(_load, SETS) for name in module.__all__)

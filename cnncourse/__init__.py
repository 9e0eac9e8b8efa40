"""A course on convolutional neural networks, and the small library that its notebooks import.

``import cnncourse`` is cheap: the rooms (``cnncourse.data``, ``cnncourse.layers``, ...) load when
they are first used. It does one more thing: it keeps TensorFlow's start-up log lines off the page,
so a notebook imports it before TensorFlow.
"""

from importlib import import_module
from types import ModuleType

from cnncourse._quiet import quieten_tensorflow

__version__ = "0.1.0"

ROOMS = (
    "arithmetic",
    "builders",
    "checks",
    "classroom",
    "data",
    "doctor",
    "explorers",
    "ladder",
    "layers",
    "memory",
    "networks",
    "plotting",
    "reference",
    "reproduce",
    "training",
)

quieten_tensorflow()


def __getattr__(name: str) -> ModuleType:
    """Load a room on first use, so that ``cnncourse.data`` works after ``import cnncourse``."""
    if name in ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; rooms: {ROOMS}")


def __dir__() -> list[str]:
    """Names that tab completion offers: the rooms as well as what is loaded."""
    return sorted({*globals(), *ROOMS})

"""Interactive pictures, on the learner's own numbers, drawings and networks.

    from cnncourse.explorers import ConvolutionExplorer
    ConvolutionExplorer(stride=2, padding="same")

Three layers, each usable without the next: plain data (``compute``, ``writing``), data to SVG
(``drawing``, on ``svg`` and ``raster``) and controls around the drawing (``widgets``). `DigitPad`,
`FeatureMapExplorer` and `MemoryExplorer` have a module each, built the same way. Lessons 01, 02,
03, 09, 10 and 14 use them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnncourse.explorers.digit_pad import DigitPad
    from cnncourse.explorers.feature_maps import FeatureMapExplorer
    from cnncourse.explorers.memory import MemoryExplorer
    from cnncourse.explorers.widgets import (
        ConvolutionExplorer,
        PoolingExplorer,
        ReceptiveFieldExplorer,
    )

__all__ = [
    "ConvolutionExplorer",
    "DigitPad",
    "FeatureMapExplorer",
    "MemoryExplorer",
    "PoolingExplorer",
    "ReceptiveFieldExplorer",
]

MODULES = {
    "DigitPad": "digit_pad",
    "FeatureMapExplorer": "feature_maps",
    "MemoryExplorer": "memory",
}


def __getattr__(name: str) -> Any:
    """Load ipywidgets and NumPy when the first explorer is asked for."""
    if name in __all__:
        module = import_module(f"cnncourse.explorers.{MODULES.get(name, 'widgets')}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; explorers: {__all__}")

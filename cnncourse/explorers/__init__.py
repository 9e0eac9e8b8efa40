"""Interactive pictures: convolution, pooling and receptive fields on the learner's own numbers.

    from cnncourse.explorers import ConvolutionExplorer
    ConvolutionExplorer(stride=2, padding="same")

Three layers, each usable without the next: ``compute`` (plain data), ``drawing`` (data to SVG) and
``widgets`` (controls around the drawing). Built for lessons 01, 02 and 03.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnncourse.explorers.widgets import (
        ConvolutionExplorer,
        PoolingExplorer,
        ReceptiveFieldExplorer,
    )

__all__ = ["ConvolutionExplorer", "PoolingExplorer", "ReceptiveFieldExplorer"]


def __getattr__(name: str) -> Any:
    """Load ipywidgets and NumPy when the first explorer is asked for."""
    if name in __all__:
        from cnncourse.explorers import widgets

        return getattr(widgets, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; explorers: {__all__}")

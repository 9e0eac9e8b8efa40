"""What `DigitPad` shows, computed: strokes in, images and a network's answers out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from cnncourse.data.handwriting import as_drawn, as_ink, as_mnist, resampled, squared
from cnncourse.explorers.compute import asked

PAD = 112  # rows and columns of a drawing: four for each of MNIST's
# The stroke's width over the pad's: as in MNIST, once a digit fills the pad as people do.
PEN = 0.08
REACH = 0.5  # how far off the pad a pen may go
CLASSES = 10

Stroke = tuple[tuple[float, float], ...]
Network = Callable[[np.ndarray], Any]


def as_strokes(strokes: Iterable[Any]) -> tuple[Stroke, ...]:
    """Return strokes as tuples of points (x, y), 0 to 1 from the upper left corner."""
    return tuple(_as_stroke(index, stroke) for index, stroke in enumerate(strokes))


def _as_stroke(index: int, stroke: Any) -> Stroke:
    points = np.array(stroke, dtype=float)
    if points.ndim != 2 or points.shape[1:] != (2,) or not len(points):
        raise ValueError(
            f"strokes[{index}] has shape {points.shape}; give a list of strokes, each a list of "
            "points (x, y): [[(0.5, 0.1), (0.5, 0.9)]] is one stroke down the middle"
        )
    if not (np.abs(points - 0.5) <= 0.5 + REACH).all():
        raise ValueError(
            f"strokes[{index}] goes from {points.min():g} to {points.max():g}; points go from 0 "
            "to 1 across the pad: divide them by the size of your drawing"
        )
    return tuple((float(x), float(y)) for x, y in points)


@lru_cache(maxsize=64)
def stroke_ink(stroke: Stroke) -> np.ndarray:
    """Return one stroke's ink [112, 112] float32: a round pen along straight lines.

    A pixel is inked by how far it lies inside the pen's edge, half of one on the edge itself.
    """
    points, radius = np.array(stroke) * PAD, PEN * PAD / 2
    ink = np.zeros((PAD, PAD), np.float32)
    reach = radius + 1
    for start, end in pairwise(points if len(points) > 1 else [*points, *points]):
        (left, top), (right, bottom) = (
            np.clip(edge, 0, PAD).astype(int)
            for edge in (np.minimum(start, end) - reach, np.maximum(start, end) + reach + 1)
        )
        across = np.arange(left, right) + 0.5 - start[0]
        down = (np.arange(top, bottom) + 0.5 - start[1])[:, np.newaxis]
        (dx, dy), length = end - start, ((end - start) ** 2).sum()
        along = np.clip((across * dx + down * dy) / length, 0, 1) if length else 0.0
        distance = np.sqrt((across - along * dx) ** 2 + (down - along * dy) ** 2)
        window = ink[top:bottom, left:right]
        np.maximum(window, np.clip(radius - distance + 0.5, 0, 1), out=window)
    ink.flags.writeable = False
    return ink


def answer_of(name: str, network: Network, images: np.ndarray) -> np.ndarray:
    """Return a network's answer as float64, with whatever goes wrong as a ValueError."""
    answer = asked(name, lambda images: np.asarray(network(images)).astype(np.float64), images)
    if not np.isfinite(answer).all():
        raise ValueError(
            f"{name} returned values that are not finite numbers; look for NaN in the weights: a "
            "smaller learning rate keeps them away"
        )
    return answer


@dataclass(frozen=True, eq=False)
class Reading:
    """A drawing and how a network reads it, once as MNIST would have it and once only shrunk.

    The drawing is ``ground`` (any drawing that `as_mnist` takes, or None) with ``strokes`` on it.
    ``predict`` and ``feature_maps`` are as for `DigitPad`. What cannot be read raises ValueError.
    """

    predict: Network
    feature_maps: Network | None = None
    strokes: tuple[Stroke, ...] = ()
    ground: np.ndarray | None = None

    def settled(self) -> "Reading":
        """Return this state with strokes read and the ground as uint8 [112, 112]."""
        ground = self.ground
        if ground is not None and (ground.shape, ground.dtype) != ((PAD, PAD), np.uint8):
            ink = resampled(squared(as_ink(ground)), PAD, PAD)
            ground = np.rint(255 * ink).astype(np.uint8)
        return replace(self, strokes=as_strokes(self.strokes), ground=ground)

    @cached_property
    def drawing(self) -> np.ndarray:
        """The drawing [112, 112] float32: 1 is ink, 0 ground."""
        drawing = np.zeros((PAD, PAD), np.float32)
        if self.ground is not None:
            drawing += self.ground / np.float32(255)
        for stroke in self.strokes:
            np.maximum(drawing, stroke_ink(stroke), out=drawing)
        return drawing

    @property
    def blank(self) -> bool:
        """Whether nothing is drawn."""
        return not self.drawing.any()

    @cached_property
    def image(self) -> np.ndarray:
        """The drawing as MNIST would have it [28, 28, 1] float32."""
        return as_mnist(self.drawing)

    @cached_property
    def shrunk(self) -> np.ndarray:
        """The drawing only shrunk [28, 28, 1] float32."""
        return as_drawn(self.drawing)

    @cached_property
    def _answers(self) -> np.ndarray:
        images = np.stack([self.image, self.shrunk])
        answers = answer_of("predict", self.predict, images)
        if answers.shape != (len(images), CLASSES):
            raise ValueError(
                f"predict returned shape {answers.shape} for {len(images)} images; give "
                f"({len(images)}, {CLASSES}): a probability for each digit"
            )
        sums = answers.sum(axis=1)
        if answers.min() < -0.01 or np.abs(sums - 1).max() > 0.02:
            raise ValueError(
                f"predict returned numbers from {answers.min():.3g} to {answers.max():.3g} with "
                f"sum {sums[0]:.3g}; give probabilities: the softmax of the logits"
            )
        return answers

    @property
    def probabilities(self) -> np.ndarray:
        """The network's probabilities [10] for `image`."""
        return self._answers[0]

    @property
    def shrunk_probabilities(self) -> np.ndarray:
        """The network's probabilities [10] for `shrunk`."""
        return self._answers[1]

    @property
    def guess(self) -> int | None:
        """The likeliest digit for `image`; None while nothing is drawn."""
        return None if self.blank else int(self.probabilities.argmax())

    @cached_property
    def maps(self) -> np.ndarray | None:
        """The feature maps [height, width, channels] of `image`, if ``feature_maps`` is given."""
        if self.feature_maps is None:
            return None
        maps = answer_of("feature_maps", self.feature_maps, self.image[np.newaxis])
        if maps.ndim != 4 or len(maps) != 1 or maps.size == 0:
            raise ValueError(
                f"feature_maps returned shape {maps.shape} for 1 image; give (1, height, width, "
                "channels): what a convolution makes of it"
            )
        return maps[0]

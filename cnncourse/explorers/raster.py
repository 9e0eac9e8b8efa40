"""Arrays as pixels: colour scales, PNG, and grids of feature maps, as parts of an SVG."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from math import ceil, sqrt

import numpy as np
from PIL import Image

from cnncourse.data.handwriting import resampled, squared
from cnncourse.explorers.svg import GREY, PAPER, Box, Grid, box, number, path, plain, small

# As in cnncourse.plotting, which needs matplotlib: eleven and ten places of its RdBu_r and viridis.
BLUE_TO_RED = (
    "#053061", "#2065ab", "#4393c3", "#90c4dd", "#d1e5f0", "#f7f6f6", "#fddbc7", "#f3a481",
    "#d6604d", "#b1182b", "#67001f",
)  # fmt: skip
VIRIDIS = (
    "#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58",
    "#b5de2b", "#fde725",
)  # fmt: skip
BLACK_TO_WHITE, WHITE_TO_INK = ("#000000", "#ffffff"), ("#ffffff", "#1c2733")
MOST_PIXELS = 100_000  # of a grid of maps: more than a page shows


def palette(anchors: Sequence[str]) -> np.ndarray:
    """Return 256 colours [256, 3] uint8 that run evenly through those given as "#rrggbb"."""
    colours = np.array([[int(a[i : i + 2], 16) for i in (1, 3, 5)] for a in anchors])
    places = np.linspace(0, len(anchors) - 1, 256)
    runs = [np.interp(places, range(len(anchors)), channel) for channel in colours.T]
    return np.rint(np.stack(runs, axis=-1)).astype(np.uint8)


@dataclass(frozen=True)
class Scale:
    """From which value to which, and the colours between them."""

    low: float
    high: float
    colours: Sequence[str]

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """Return the colours [height, width, 3] uint8 of values [height, width]."""
        return palette(self.colours)[self.places(values)]

    def places(self, values: np.ndarray) -> np.ndarray:
        """Return where values lie on the scale, 0 to 255."""
        share = (values - self.low) / (self.high - self.low)
        return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def scale_of(values: np.ndarray) -> Scale:
    """Return blue, white at 0, red where any value is negative; else dark to bright from 0."""
    limit = float(np.abs(values).max()) or 1.0
    if values.min() < 0:
        return Scale(-limit, limit, BLUE_TO_RED)
    return Scale(0.0, limit, VIRIDIS)


def png(pixels: np.ndarray, colours: Sequence[str] | None = None) -> bytes:
    """Return a PNG of [height, width, 3] uint8, or of [height, width] places in a palette."""
    picture = Image.fromarray(pixels)
    if colours is not None:
        picture.putpalette(palette(colours).tobytes())
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def image(place: Box, pixels: np.ndarray, colours: Sequence[str] | None = None) -> str:
    """Draw pixels, as `png` takes them, into a box, each a sharp square."""
    x, y, width, height = map(plain, place)
    return (
        f'<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" '
        'style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{b64encode(png(pixels, colours)).decode()}"/>'
    )


def square_grid(count: int) -> int:
    """Return how many columns make about as many rows of ``count`` tiles."""
    return ceil(sqrt(count))


def tiles(
    maps: np.ndarray, place: Box, scale: Scale, columns: int, most: float
) -> tuple[str, Grid]:
    """Draw feature maps [height, width, channels] as tiles, row by row, as large as fits.

    Returns the drawing and the grid whose cells are the tiles, at most ``most`` wide.
    """
    channels = maps.shape[2]
    columns = min(columns, channels)
    rows = ceil(channels / columns)
    x, y, width, height = place
    grid = Grid(x, y, min(width / columns, height / rows, most), rows, columns)
    side = min(max(maps.shape[:2]), max(int(sqrt(MOST_PIXELS / channels)), 1))
    pages = [squared(maps[..., channel]) for channel in range(channels)]
    pages = [page if len(page) == side else resampled(page, side, side) for page in pages]
    pages += [np.zeros((side, side))] * (rows * columns - channels)
    sheet = np.block([pages[i : i + columns] for i in range(0, len(pages), columns)])
    left = channels - (rows - 1) * columns
    empty = grid.span(rows - 1, left, 1, columns - left)
    parts = [image(grid.box, scale.places(sheet), scale.colours)]
    if left < columns:
        parts.append(box(empty, stroke="none", fill=PAPER, width=0))
    down = (f"M{plain(x + i * grid.cell)} {plain(y)}V{plain(grid.bottom)}" for i in range(columns))
    along = (f"M{plain(x)} {plain(y + i * grid.cell)}H{plain(grid.right)}" for i in range(rows))
    parts.append(path("".join([*down, *along]), PAPER, width=2))
    return "".join(parts), grid


def scale_bar(place: Box, scale: Scale) -> str:
    """Draw an upright scale with its largest and smallest value, and 0 where that lies between."""
    x, y, width, height = place
    ramp = np.arange(255, -1, -1, dtype=np.uint8)[:, np.newaxis]
    marks = sorted({scale.low, 0.0, scale.high})
    parts = [image(place, ramp, scale.colours), box(place, stroke=GREY, width=1)]
    for mark in marks:
        at = y + height * (scale.high - mark) / (scale.high - scale.low)
        parts.append(path(f"M{plain(x + width)} {plain(at)}h5", GREY, width=1))
        parts.append(small(x + width + 9, at, number(mark), 12))
    return "".join(parts)

"""Drawings made like MNIST's images: what was done there to a scan before any network saw it.

LeCun, Cortes and Burges scaled each digit into 20 by 20 pixels and put it into 28 by 28 by its
centre of mass (http://yann.lecun.com/exdb/mnist). A network that learnt from such images expects
the same of what it is given. `offline_digits` holds the sizes and does the centring.
"""

from math import ceil

import numpy as np

from cnncourse.data.offline_digits import BOX, SIDE, centre

Box = tuple[int, int, int, int]


def as_mnist(drawing: np.ndarray) -> np.ndarray:
    """Return a drawing as MNIST would have it: [28, 28, 1] float32, 0 to 1.

    The box around the ink is scaled so that its longer side is 20 pixels; each new pixel is the
    mean of the area that it covers. Then it is moved by whole pixels until the centre of mass lies
    within half a pixel of row and column 14, as in MNIST.

    ``drawing`` is [height, width] or [height, width, 1] of any size, ink above 0 on a ground of 0:
    uint8 to 255, float to 1, or bool. Raises ValueError for anything else and for a blank one.
    Lesson 09 uses it.
    """
    ink = as_ink(drawing)
    top, left, height, width = ink_box(ink)
    side = max(height, width)
    square = np.zeros((side, side))
    square[:height, :width] = ink[top : top + height, left : left + width]
    # Centred only once it is small: half a small pixel to the side would blur every edge.
    room = [(BOX - ceil(BOX * size / side)) // 2 for size in (height, width)]
    scaled = np.roll(resampled(square, BOX, BOX), room, axis=(0, 1))
    box = np.rint(255 * scaled).astype(np.uint8)  # MNIST holds bytes
    box.flat[scaled.argmax()] = max(box.max(), 1)  # however thin the line
    return (centre(box[np.newaxis])[0, ..., np.newaxis] / 255).astype(np.float32)


def as_drawn(drawing: np.ndarray) -> np.ndarray:
    """Return a drawing only shrunk as a whole: [28, 28, 1] float32, 0 to 1, however it lies.

    What is not square stands in the middle of a square. ``drawing`` is as for `as_mnist`, and may
    be blank.
    """
    square = squared(as_ink(drawing))
    return resampled(square, SIDE, SIDE)[..., np.newaxis].astype(np.float32)


def as_ink(drawing: np.ndarray) -> np.ndarray:
    """Return a drawing as float64 [height, width], 0 to 1; `as_mnist` says what it may be."""
    ink = np.asarray(drawing)
    if ink.ndim == 3 and ink.shape[2] == 1:
        ink = ink[..., 0]
    if ink.ndim != 2 or ink.size == 0:
        raise ValueError(
            f"drawing has shape {np.shape(drawing)}; give (height, width), for one image of a "
            "batch: images[0, :, :, 0]"
        )
    if ink.dtype == np.uint8:
        return ink / 255
    if ink.dtype != bool and not np.issubdtype(ink.dtype, np.floating):
        raise ValueError(
            f"drawing has dtype {ink.dtype}; give uint8 (0 to 255) or float (0 to 1): "
            "drawing.astype('uint8')"
        )
    low, high = ink.min(), ink.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"drawing goes from {low:g} to {high:g}; give floats from 0, the ground, to 1, ink: "
            "drawing / 255, and 1 - drawing for dark ink on bright paper"
        )
    return ink.astype(np.float64)


def ink_box(ink: np.ndarray) -> Box:
    """Return (top, left, height, width) of the smallest box that holds all ink [height, width].

    Raises ValueError if there is none.
    """
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        raise ValueError("drawing is blank; draw something first: ink is above 0")
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


def squared(ink: np.ndarray) -> np.ndarray:
    """Return [side, side] with the array [height, width] in its middle and 0 around it."""
    side = max(ink.shape)
    top, left = ((side - size) // 2 for size in ink.shape)
    square = np.zeros((side, side), ink.dtype)
    square[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return square


def resampled(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return an image [height, width] as [rows, columns], each the mean of the area it covers.

    >>> resampled(np.array([[0.0, 1.0, 2.0]]), 1, 2)
    array([[0.33333333, 1.66666667]])
    """
    down, across = _shares(image.shape[0], rows), _shares(image.shape[1], columns)
    return down @ image @ across.T


def _shares(old: int, new: int) -> np.ndarray:
    """Return [new, old]: what share of each of ``new`` equal parts each of ``old`` makes up."""
    ends = np.arange(1, new + 1)[:, np.newaxis] / new
    olds = np.arange(1, old + 1) / old
    overlap = np.minimum(ends, olds) - np.maximum(ends - 1 / new, olds - 1 / old)
    return np.maximum(overlap, 0) * new

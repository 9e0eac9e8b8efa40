"""A stand-in for MNIST, made on this machine without a network.

Most images come from the pen paths of `pen_paths.py`, a fresh one drawn for each image. The others
are redrawn from real handwriting: the 1,797 digits of 8x8 pixels that scikit-learn carries
(E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, 1998; each pixel counts the inked cells of a 4x4 block of a 32x32 scan). Both become
points along the way of the pen, which are bent, slanted and stretched as hands differ (elastic
distortion: Simard, Steinkraus and Platt, ICDAR 2003), inked with a pen of some width, fitted into
20x20 pixels and centred by mass in 28x28, as LeCun, Cortes and Burges did for MNIST.

The constants marked "MNIST" were measured once over its training set, so that widths, slants and
strokes agree on average, and the ways of writing were chosen with its training images in view. No
image of it and nothing learnt by training on it is in here.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

from cnncourse.data.pen_paths import PenPaths

TRAIN_COUNTS = (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)  # MNIST, digits 0 to 9
TEST_COUNTS = (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)

SIDE = 28  # an image, in pixels
BOX = 20  # the digit fits into a square of this side
CENTRE = 14.0  # MNIST: mean row and column of the ink, pixels counted from 0

DRAWN = 0.85  # share of images from pen paths; the others are traced from real handwriting
TEST_SHARE = 1 / 6  # share of the real digits that is kept for the test images
N_POINTS = 128  # points along the way of the pen: closer than a pen's radius even in an 8
BATCH = 128  # images inked at a time: few enough for the working arrays to stay in cache
THREADS = min(8, os.cpu_count() or 1)  # has no influence on the images

# By digit, so that mean slant, width to height and stroke width come out as in MNIST.
SLANT = np.array([0.24, 0.24, 0.15, 0.12, 0.15, 0.20, 0.12, -0.05, 0.16, 0.12], np.float32)
WIDEN = np.array([1.12, 1.00, 1.22, 1.10, 1.10, 1.20, 1.05, 1.10, 1.05, 1.00], np.float32)
PEN_RADIUS = np.array([1.26, 1.17, 1.14, 1.12, 1.07, 1.04, 1.11, 1.14, 1.06, 1.03], np.float32)

# Spread from image to image: standard deviations, lengths in heights of the digit.
SLANT_SPREAD = 0.22  # shear: sideways for each height up
TURN = 0.08  # rotation, radians
ASPECT_SPREAD = 0.15  # logarithm of width to height
TAPER = 0.35  # logarithm of how much wider the foot is than the head
LIFT = 0.05  # the waist moves up or down
ELASTIC = 0.03  # each of three waves that bend the plane
UNSTEADY = 0.03  # each point that a drawn pen passes
RADIUS_SPREAD = 0.23  # logarithm of the pen's radius
PRESSURE = 0.12  # swelling and thinning of a drawn stroke
RAGGED = 0.13  # logarithm of the radius from point to point
EDGE = 1.0  # pixels from full ink to none; as in MNIST nearly half of the inked pixels are full


class Traces(NamedTuple):
    """The legible real digits as pen paths; `source` is each one's place in `load_digits`."""

    points: np.ndarray  # (n, N_POINTS, 2): x to the right, y down, about 1 high
    widths: np.ndarray  # (n, N_POINTS): the stroke's width there over its median
    labels: np.ndarray  # (n,)
    source: np.ndarray  # (n,)


def make_digits(
    n_train: int = 60_000, n_test: int = 10_000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Handwritten digits like MNIST's, from a fixed seed.

    Returns `x_train` (n_train, 28, 28, 1) uint8, white ink (255) on black (0), `y_train`
    (n_train,) uint8, shuffled, and `x_test`, `y_test` likewise. Each digit's share is MNIST's.
    No drawn path and no real digit serves both parts (`source_indices`). The same arguments give
    the same bytes on the same machine, whatever the number of threads.

    Raises ValueError for a number of images below 1, a negative seed, or no whole number.
    """
    _check_whole_number("n_train", n_train, 1)
    _check_whole_number("n_test", n_test, 1)
    _check_whole_number("seed", seed, 0)
    train_sources, test_sources = source_indices(int(seed))
    x_train, y_train = _make_part(n_train, TRAIN_COUNTS, train_sources, [int(seed), 1])
    x_test, y_test = _make_part(n_test, TEST_COUNTS, test_sources, [int(seed), 2])
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def source_indices(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Which digits of `load_digits` the training and the test images are traced from.

    Two sorted arrays of indices without a common element; illegible digits are in neither.
    """
    rng = np.random.default_rng([seed, 0])
    traces = _trace_real_digits()
    train, test = [], []
    for digit in range(10):
        mine = rng.permutation(traces.source[traces.labels == digit])
        n_test = round(len(mine) * TEST_SHARE)
        test.append(mine[:n_test])
        train.append(mine[n_test:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def _check_whole_number(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is {value!r}: give a whole number of at least {least}")


# ---------------------------------------------------------------- real digits to pen paths


@lru_cache(maxsize=1)
def _trace_real_digits() -> Traces:
    """Pen paths of the real digits, without those that 8x8 pixels have made illegible."""
    digits = load_digits()
    scans = _enlarge(digits.images)
    skeletons = _thin(scans)
    kept, points, widths = [], [], []
    for index, (scan, skeleton, label) in enumerate(
        zip(scans, skeletons, digits.target, strict=True)
    ):
        radius = ndimage.distance_transform_edt(scan)[skeleton].astype(np.float32)
        if _is_legible(scan, skeleton, radius, label):
            path, radius = _follow(skeleton, radius)
            kept.append(index)
            points.append(path / 32)  # a scan is 32 cells high
            widths.append(radius / np.median(radius))
    source = np.array(kept)
    return Traces(np.stack(points), np.stack(widths), digits.target[source], source)


def _enlarge(counts: np.ndarray) -> np.ndarray:
    """Black-and-white scans (n, 40, 40) whose 4x4 blocks hold about `counts` (n, 8, 8) of ink.

    Enlarging alone leaves blurred strokes. So the excess of each block is put right and the
    outline smoothed, in turns: the outline that remains is smooth and explains the counts. A
    margin of one block is added on each side.
    """
    target = np.pad(counts.astype(np.float32) / 16, ((0, 0), (1, 1), (1, 1)))
    field = ndimage.zoom(target, (1, 4, 4), order=3, grid_mode=True, mode="grid-constant")
    for _ in range(12):
        ink = 1 / (1 + np.exp(-8 * (field - 0.5)))
        excess = ink.reshape(-1, 10, 4, 10, 4).mean(axis=(2, 4)) - target
        field -= excess.repeat(4, axis=1).repeat(4, axis=2)
        field = ndimage.gaussian_filter(field, (0, 0.6, 0.6))
    return field > 0.5


def _thin(scans: np.ndarray) -> np.ndarray:
    """Skeletons one cell wide, all scans at once (T. Y. Zhang and C. Y. Suen, CACM 1984)."""
    ink = scans.copy()
    height, width = ink.shape[1:]
    clockwise = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    changed = True
    while changed:
        changed = False
        for corner in (0, 1):  # peel from the south-east, then from the north-west
            padded = np.pad(ink, ((0, 0), (1, 1), (1, 1)))
            around = [
                padded[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
                for down, right in clockwise
            ]
            north, east, south, west = around[::2]
            n_ink = np.add.reduce(around, axis=0, dtype=np.int8)
            pairs = zip(around, around[1:] + around[:1], strict=True)
            n_starts = np.add.reduce([~here & after for here, after in pairs], dtype=np.int8)
            needed = east & south & (north | west) if corner == 0 else north & west & (east | south)
            peel = ink & (n_ink >= 2) & (n_ink <= 6) & (n_starts == 1) & ~needed
            ink &= ~peel
            changed |= bool(peel.any())
    return ink


def _is_legible(scan: np.ndarray, skeleton: np.ndarray, radius: np.ndarray, label: int) -> bool:
    """Whether the skeleton has the digit's loops and a pen along it would give the scan.

    Where a loop or a hook has run shut in 8x8 pixels, ink lies far from the skeleton.
    """
    loops = {0: 1, 6: 1, 8: 2, 9: 1}.get(int(label), 0)
    far = np.quantile(ndimage.distance_transform_edt(~skeleton)[scan], 0.98)
    n_loops = ndimage.label(~np.pad(skeleton, 1))[1] - 1
    return bool(far < 1.5 * np.median(radius) and n_loops >= loops)


def _follow(skeleton: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`N_POINTS` points (x, y) on the skeleton, smoothed, and the stroke's radius at each."""
    cells = np.argwhere(skeleton)[:, ::-1].astype(np.float32)
    touching = np.abs(cells[:, None] - cells).max(axis=-1) <= 1
    mean = touching / touching.sum(axis=1, keepdims=True, dtype=np.float32)
    mean[touching.sum(axis=1) <= 2] = np.eye(len(cells))[touching.sum(axis=1) <= 2]  # ends stay
    for _ in range(2):  # a staircase of cells becomes a line
        cells, radius = mean @ cells, mean @ radius
    one, other = np.nonzero(np.triu(touching, 1))
    cells = np.concatenate([cells, (cells[one] + cells[other]) / 2])
    radius = np.concatenate([radius, (radius[one] + radius[other]) / 2])
    if len(cells) > N_POINTS:
        pick = np.linspace(0, len(cells) - 1, N_POINTS).round().astype(int)
    else:
        pick = np.arange(N_POINTS) % len(cells)
    return cells[pick], radius[pick]


# ---------------------------------------------------------------- pen paths to images


def _make_part(
    n: int, counts: tuple[int, ...], sources: np.ndarray, seed: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28, 1) and labels (n,) of one part, traced from `sources` or drawn."""
    labels = _shuffled_labels(n, counts, np.random.default_rng([*seed, n]))
    traces, pens = _trace_real_digits(), PenPaths(N_POINTS)
    rows = np.flatnonzero(np.isin(traces.source, sources))
    rows_of = [rows[traces.labels[rows] == digit] for digit in range(10)]

    def make_batch(start: int) -> np.ndarray:
        # Each batch has its own stream of random numbers, so the order of work does not matter.
        rng = np.random.default_rng([*seed, n, start])
        digits = labels[start : start + BATCH]
        points, widths = _take_paths(digits, traces, rows_of, pens, rng)
        x, y = _vary(points, digits, rng)
        spread = np.exp(RADIUS_SPREAD * _normal(rng, len(digits), 1))
        ragged = np.exp(RAGGED * _normal(rng, *widths.shape))
        return _ink(x, y, PEN_RADIUS[digits][:, None] * spread * widths * ragged)

    with ThreadPoolExecutor(THREADS) as pool:
        images = np.concatenate(list(pool.map(make_batch, range(0, n, BATCH))))
    return images[..., None], labels


def _shuffled_labels(n: int, counts: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """`n` labels in the proportions of `counts`, the largest remainders rounded up."""
    shares = np.array(counts) * n / sum(counts)
    whole = np.floor(shares).astype(int)
    whole[np.argsort(whole - shares, kind="stable")[: n - whole.sum()]] += 1
    return rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), whole))


def _take_paths(
    digits: np.ndarray,
    traces: Traces,
    rows_of: list[np.ndarray],
    pens: PenPaths,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A pen path (n, N_POINTS, 2) for each digit and its relative width (n, N_POINTS)."""
    n = len(digits)
    chance = rng.random(n)
    rows = [rows_of[d][int(c * len(rows_of[d]))] for d, c in zip(digits, chance, strict=True)]
    points = traces.points[rows]
    widths = np.clip(traces.widths[rows], 0.5, 2.5) ** 0.7  # evened: a thin pen cannot swell so
    drawn = rng.random(n) < DRAWN
    unsteady = 2 * UNSTEADY * rng.random((n, 1, 1), np.float32)  # some write with care, some do not
    along = np.linspace(0, 2 * np.pi, N_POINTS, dtype=np.float32)
    turns, phase = rng.random((2, n, 1), np.float32)
    pressed = 1 + PRESSURE * np.sin((0.5 + 1.5 * turns) * along + 2 * np.pi * phase)
    points[drawn] = pens.draw(digits[drawn], unsteady[drawn], rng)
    widths[drawn] = pressed[drawn]
    return points, widths


def _vary(
    points: np.ndarray, digits: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The same paths by other hands: x and y (n, N_POINTS) of (n, N_POINTS, 2), in any scale."""
    n = len(points)
    middle = (points.min(axis=1, keepdims=True) + points.max(axis=1, keepdims=True)) / 2
    x, y = np.moveaxis(points - middle, 2, 0)
    x, y = x + _bend(x, y, rng), y + _bend(x, y, rng)
    taper, lift, aspect, slant, turn = _normal(rng, 5, n, 1)
    x = x * np.exp(TAPER * taper * y + ASPECT_SPREAD * aspect) * WIDEN[digits][:, None]
    y = y + LIFT * lift * (4 * y**2 - 1)
    x = x - (SLANT[digits][:, None] + SLANT_SPREAD * slant) * y
    cosine, sine = np.cos(TURN * turn), np.sin(TURN * turn)
    return cosine * x - sine * y, sine * x + cosine * y


def _bend(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth shifts (n, N_POINTS): the sum of three waves, each over a digit's height or more."""
    shift = np.zeros_like(x)
    for _ in range(3):
        across, down, phase = 2 * np.pi * rng.random((3, len(x), 1), np.float32)
        wave = np.sin(1.2 * (2 * across - 2 * np.pi) * x + 1.2 * (2 * down - 2 * np.pi) * y + phase)
        shift += ELASTIC * _normal(rng, len(x), 1) * wave
    return shift


def _ink(x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Images (n, 28, 28) uint8 of pens with `radius` pixels at the points x, y: (n, N_POINTS).

    The path is scaled so that path and pen fill 20 pixels, width to height as it was. A pixel's
    ink depends on its distance to the nearest point, in radii there. The image axis comes last
    while that is computed: long runs in memory, and no array larger than the cache.
    """
    n = len(x)
    mean_radius = radius.mean(axis=1, keepdims=True)
    extent = np.maximum(np.ptp(x, axis=1), np.ptp(y, axis=1))[:, None]
    scale = (BOX - 2 * mean_radius) / extent
    pixels = np.arange(BOX, dtype=np.float32)
    squares = []
    for place in (x * scale, y * scale):
        low = (place - radius).min(axis=1, keepdims=True)
        high = (place + radius).max(axis=1, keepdims=True)
        in_box = (place - (low + high) / 2 + (BOX - 1) / 2).T[:, None]
        squares.append(((pixels[:, None] - in_box) / radius.T[:, None]) ** 2)
    nearest = np.full((BOX, BOX, n), np.inf, np.float32)
    distance = np.empty_like(nearest)
    for across, down in zip(*squares, strict=True):
        np.add(down[:, None], across[None], out=distance)
        np.minimum(nearest, distance, out=nearest)
    ink = np.clip((1 - np.sqrt(nearest)) * mean_radius[:, 0] / EDGE + 0.5, 0, 1)
    return centre(np.rint(255 * ink).astype(np.uint8).transpose(2, 0, 1))


def centre(boxes: np.ndarray) -> np.ndarray:
    """Boxes (n, 20, 20) shifted by whole pixels until their ink's mean lies at `CENTRE`.

    A box that would leave the image stops at its edge; that happens to fewer than 1 in 1,000.
    """
    n, box, _ = boxes.shape
    pixels, mass = np.arange(box), boxes.sum(axis=(1, 2), dtype=np.int64)
    middle_down = boxes.sum(axis=2, dtype=np.int64) @ pixels / mass
    middle_right = boxes.sum(axis=1, dtype=np.int64) @ pixels / mass
    down = np.clip(np.rint(CENTRE - middle_down), 0, SIDE - box).astype(int)
    right = np.clip(np.rint(CENTRE - middle_right), 0, SIDE - box).astype(int)
    images = np.zeros((n, SIDE, SIDE), np.uint8)
    images[
        np.arange(n)[:, None, None],
        (down[:, None] + pixels)[:, :, None],
        (right[:, None] + pixels)[:, None, :],
    ] = boxes
    return images


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)

"""Checks of problem set 2: two poolings with SAME, who gets a window's share, a design."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from cnncourse import arithmetic, reference
from cnncourse.checks.convolution import PAIR_FOR_EVERY_AXIS, STANDING, digits
from cnncourse.checks.core import Check, Complaint, Inputs, Target

__all__ = ["hand_back", "max_pool", "mean_pool", "pools"]

Array = np.ndarray[Any, np.dtype[Any]]
Pool = Callable[[Array, int, int, str], Array]

SIDE_BY_SIDE = "The windows stand side by side, whatever the stride is."
NO_PADDING = (
    "With SAME every number is in some window: at the edge the window is cut off, not dropped."
)
CUT_BEFORE = (
    "The first window is cut off where the last should be: of an odd number of missing rows, the "
    "odd one is missing after."
)
STRIDE_1 = "The padding is that of stride 1; with a larger stride SAME needs less."
HEIGHT_FOR_BOTH = (
    "The padding of the height is used for the width, too: work that out with the width's size."
)
WIDTH_FOR_BOTH = (
    "The padding of the width is used for the height, too: work that out with the height's size."
)
SIDES_SWAPPED = (
    "The padding of one axis is used for the other: work it out for the height with the height's "
    "size, for the width with the width's."
)
FROM_0 = "The first window begins at pixel 0; with SAME it begins `before` pixels earlier."
END_MOVED = (
    "Where the start is cut to 0, the end moves with it: it stays at start + window, before the "
    "cut."
)
NEGATIVE_START = (
    "A negative start counts from the end: begin at max(0, start), and leave the end where it was."
)


READY_MADE = (reference.max_pool2d, reference.avg_pool2d, reference.max_pool2d_backward)

# max_pool and mean_pool(maps, window, stride, padding): a batch with channels


def _pool_cases() -> Iterator[Inputs]:
    def case(maps: Array, window: int, stride: int, padding: str) -> Inputs:
        return {"maps": maps, "window": window, "stride": stride, "padding": padding}

    yield case(digits(1, 2, 2, 1), 2, 2, "VALID")
    yield case(digits(1, 2, 3, 1), 2, 1, "VALID")
    yield case(digits(1, 1, 2, 2)[..., ::-1], 1, 1, "VALID")
    yield case(digits(1, 2, 2, 2), 2, 2, "VALID")
    yield case(digits(2, 2, 2, 1)[::-1], 2, 1, "VALID")
    yield case(digits(1, 3, 5, 1), 2, 2, "VALID")
    yield case(digits(1, 4, 4, 1), 1, 2, "SAME")
    yield case(-digits(1, 3, 3, 1), 2, 2, "SAME")
    yield case(digits(1, 4, 3, 1), 3, 2, "SAME")
    yield case(-1000 * digits(1, 3, 2, 1), 3, 1, "SAME")
    yield case(-1e9 * digits(1, 3, 2, 1), 3, 1, "SAME")
    yield case(-digits(1, 4, 4, 1), 3, 2, "SAME")
    yield case(np.arange(-12, 12).reshape(2, 2, 3, 2), 2, 1, "SAME")
    yield case(np.sin(np.arange(140.0)).reshape(2, 7, 5, 2), 4, 3, "SAME")


def _pool_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for padding in ("VALID", "SAME"):
        for window, stride in ((2, 2), (3, 2), (3, 1), (2, 3), (5, 4)):
            shape = (2, *rng.integers(5, 11, 2), 3)
            yield {
                "maps": rng.normal(-3, 1, shape),
                "window": window,
                "stride": stride,
                "padding": padding,
            }


def _filled(pool: Callable[..., Array], **how: Any) -> Pool:
    """Return a pooling that fills up the edge with numbers, as `numpy.pad` does it."""

    def wrong(maps: Array, window: int, stride: int, padding: str) -> Array:
        if padding == "VALID":
            return pool(maps, window, stride)
        sides = [arithmetic.padding_amounts(size, window, stride) for size in maps.shape[1:3]]
        return pool(np.pad(maps.astype(float), ((0, 0), *sides, (0, 0)), **how), window, stride)

    return wrong


def _first_cut(pool: Callable[..., Array]) -> Pool:
    def wrong(maps: Array, window: int, stride: int, padding: str) -> Array:
        if padding == "VALID":
            return pool(maps, window, stride, padding)
        sides = [arithmetic.padding_amounts(size, window, stride) for size in maps.shape[1:3]]
        (top, bottom), (left, right) = sides
        return pool(maps, window, stride, ((bottom, top), (right, left)))

    return wrong


def _sides(maps: Array, window: int, stride: int) -> list[tuple[int, int]]:
    return [arithmetic.padding_amounts(size, window, stride) for size in maps.shape[1:3]]


def _with_sides_of(pool: Callable[..., Array], height: int, width: int) -> Pool:
    """Return a pooling whose axes take the padding of axis 0, the height, or 1, the width."""

    def wrong(maps: Array, window: int, stride: int, padding: str) -> Array:
        if padding == "VALID":
            return pool(maps, window, stride, padding)
        sides = _sides(maps, window, stride)
        return pool(maps, window, stride, (sides[height], sides[width]))

    return wrong


def _cut(
    reduce: Callable[[Array], Array], part: Callable[[int, int, int], tuple[int, int]]
) -> Pool:
    """Return a pooling that cuts its windows: ``part(place * stride, before, window)`` says how."""

    def wrong(maps: Array, window: int, stride: int, padding: str) -> Array:
        sides, places = [(0, 0), (0, 0)], [(n - window) // stride + 1 for n in maps.shape[1:3]]
        if padding == "SAME":
            sides = _sides(maps, window, stride)
            places = [-(-n // stride) for n in maps.shape[1:3]]
        pooled = np.zeros((len(maps), *places, maps.shape[3]))
        for row, column in np.ndindex(*places):
            rows = slice(*part(row * stride, sides[0][0], window))
            columns = slice(*part(column * stride, sides[1][0], window))
            pooled[:, row, column] = reduce(maps[:, rows, columns])
        return pooled

    return wrong


def _largest(inside: Array) -> Array:
    return inside.max((1, 2))


def _mean(inside: Array) -> Array:
    return inside.sum((1, 2)) / np.prod(inside.shape[1:3], dtype=float)  # of nothing: NaN


def _from_0(at: int, before: int, window: int) -> tuple[int, int]:
    return at, at + window


def _end_moved(at: int, before: int, window: int) -> tuple[int, int]:
    return max(0, at - before), max(0, at - before) + window


def _negative(at: int, before: int, window: int) -> tuple[int, int]:
    return at - before, at - before + window


def _counted(axis: int) -> Pool:
    """Return a mean that divides by what is there along one axis, and by the window's other."""

    def wrong(maps: Array, window: int, stride: int, padding: str) -> Array:
        if padding == "VALID":
            return reference.avg_pool2d(maps, window, stride)
        size, (before, _) = maps.shape[1 + axis], _sides(maps, window, stride)[axis]
        starts = np.arange(-(-size // stride)) * stride - before
        counts = np.minimum(starts + window, size) - np.maximum(starts, 0)
        means = _filled(reference.avg_pool2d, constant_values=0)(maps, window, stride, padding)
        return means * window / counts.reshape((-1, 1, 1) if axis == 0 else (-1, 1))

    return wrong


def _pool_advice(trouble: str, inputs: Inputs) -> str | None:
    if "cannot convert float" in trouble:
        return "These maps hold integers: pad maps.astype(float)."
    if "remapped shapes" in trouble:
        return PAIR_FOR_EVERY_AXIS
    if "zero-size array" in trouble:
        return NEGATIVE_START
    return None


def _with_padding_of_stride_1(pool: Callable[..., Array]) -> Pool:
    def wrong(maps: Array, window: int, stride: int, padding: str) -> Array:
        if padding == "VALID":
            return pool(maps, window, stride, padding)
        side = ((window - 1) // 2, window // 2)
        return pool(maps, window, stride, (side, side))

    return wrong


def _pool_standing(pool: Callable[..., Array]) -> Pool:
    def wrong(maps: Array, window: int, stride: int, padding: str) -> Array:
        if padding != "VALID":
            raise ValueError("how such code pads is anybody's guess")
        _, rows, columns, _ = pool(maps, window, stride, padding).shape
        return pool(maps, window, 1, padding)[:, :rows, :columns]

    return wrong


def _common_slips(pool: Callable[..., Array]) -> Mapping[str, Pool]:
    """Return the mistakes that either pooling invites."""
    return {
        "The stride is not used.": lambda m, w, s, p: pool(m, w, 1, p),
        SIDE_BY_SIDE: lambda m, w, s, p: pool(m, w, w, p),
        STANDING: _pool_standing(pool),
        NO_PADDING: lambda m, w, s, p: pool(m, w, s, "VALID"),
        CUT_BEFORE: _first_cut(pool),
        STRIDE_1: _with_padding_of_stride_1(pool),
        HEIGHT_FOR_BOTH: _with_sides_of(pool, 0, 0),
        WIDTH_FOR_BOTH: _with_sides_of(pool, 1, 1),
        SIDES_SWAPPED: _with_sides_of(pool, 1, 0),
        "Every image gets the result of the first one.": (
            lambda m, w, s, p: pool(m[:1].repeat(len(m), 0), w, s, p)
        ),
        "Rows and columns of the result are swapped.": (
            lambda m, w, s, p: pool(m, w, s, p).swapaxes(1, 2)
        ),
    }


def _max_over_channels(maps: Array, window: int, stride: int, padding: str) -> Array:
    pooled = reference.max_pool2d(maps, window, stride, padding)
    return pooled.max(3, keepdims=True).repeat(maps.shape[3], 3)


def _mean_over_channels(maps: Array, window: int, stride: int, padding: str) -> Array:
    pooled = reference.avg_pool2d(maps, window, stride, padding)
    return pooled.mean(3, keepdims=True).repeat(maps.shape[3], 3)


max_pool = Check(
    name="max_pool",
    expected=reference.max_pool2d,
    cases=_pool_cases,
    more=_pool_more,
    slips={
        **_common_slips(reference.max_pool2d),
        "A 0 from the padding wins among negative numbers. Padding must never win: fill with "
        "-np.inf, or cut the window off at the edge.": (
            _filled(reference.max_pool2d, constant_values=0)
        ),
        **{
            f"The padding, {fill:,}, wins among numbers that are less: only -np.inf is below "
            "every number.": _filled(reference.max_pool2d, constant_values=fill)
            for fill in (-1, -100, -999, -1000, -10_000, -1_000_000, -1_000_000_000)
        },
        "The filling is NaN, and a maximum with NaN in it is NaN: fill with -np.inf.": (
            _filled(reference.max_pool2d, constant_values=np.nan)
        ),
        "A 0 that is in no window wins: begin with -np.inf.": (
            lambda m, w, s, p: np.maximum(reference.max_pool2d(m, w, s, p), 0)
        ),
        FROM_0: _cut(_largest, _from_0),
        END_MOVED: _cut(_largest, _end_moved),
        "All channels are compared with each other; each is pooled by itself.": _max_over_channels,
        "These are means; the largest number is wanted.": reference.avg_pool2d,
    },
    advice=_pool_advice,
    ready_made=READY_MADE,
)

mean_pool = Check(
    name="mean_pool",
    expected=reference.avg_pool2d,
    cases=_pool_cases,
    more=_pool_more,
    slips={
        **_common_slips(reference.avg_pool2d),
        "The padding is counted: at the edge divide by how many numbers are there.": (
            _filled(reference.avg_pool2d, constant_values=0)
        ),
        "The edge is repeated, so that it counts twice; only what is there counts.": (
            _filled(reference.avg_pool2d, mode="edge")
        ),
        "These are the largest numbers; the mean is wanted.": reference.max_pool2d,
        "Channels are averaged as well; each is pooled by itself.": _mean_over_channels,
        "The window is added up; divide by how many numbers it holds.": (
            lambda m, w, s, p: (
                reference.avg_pool2d(m, w, s, p)
                * _filled(reference.avg_pool2d)(np.ones(m.shape), w, s, p)
                * w**2
            )
        ),
        "The filling, -inf, got into the mean; only what is there counts.": (
            _filled(reference.avg_pool2d, constant_values=-np.inf)
        ),
        "The filling, NaN, got into the mean; only what is there counts.": (
            _filled(reference.avg_pool2d, constant_values=np.nan)
        ),
        "Only the rows are counted. In the corner both axes are cut: count rows × columns.": (
            _counted(0)
        ),
        "Only the columns are counted. In the corner both axes are cut: count rows × columns.": (
            _counted(1)
        ),
        FROM_0: _cut(_mean, _from_0),
        END_MOVED: _cut(_mean, _end_moved),
        NEGATIVE_START: _cut(_mean, _negative),
    },
    advice=_pool_advice,
    ready_made=READY_MADE,
)


# hand_back(shares, feature_map, window, stride): each window's share to the number it chose


def _hand_back(shares: Array, feature_map: Array, window: int, stride: int) -> Array:
    return reference.max_pool2d_backward(
        shares[None, ..., None], feature_map[None, ..., None], window, stride
    )[0, ..., 0]


def _hand_back_cases() -> Iterator[Inputs]:
    def case(shares: Any, feature_map: Any, window: int, stride: int) -> Inputs:
        return {
            "shares": np.array(shares, float),
            "feature_map": np.array(feature_map),
            "window": window,
            "stride": stride,
        }

    yield case([[5]], [[1, 4], [3, 2]], 2, 2)
    yield case([[5, -6]], [[1.0, 2, 8, 7], [4, 3, 5, 6]], 2, 2)
    yield case([[0.5]], [[3, 7], [7, 7]], 2, 2)
    yield case([[1, 10]], [[1, 9, 1], [2, 3, 4]], 2, 1)
    yield case([[1, 10], [100, 1000]], [[0, 0, 0], [0, 9, 0], [0, 0, 0]], 2, 1)
    yield case([[1, 10], [100, 1000]], np.zeros((3, 3)), 2, 1)
    yield case(
        [[1, 2], [3, 4]], [[1, 3, 2, 0, 9], [4, 2, 1, 1, 9], [0, 1, 5, 6, 9], [2, 2, 7, 3, 9]], 2, 2
    )
    yield case([[1, 2]], -np.arange(1.0, 22).reshape(3, 7), 3, 4)


def _hand_back_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for window, stride in ((2, 2), (2, 1), (3, 2), (3, 1), (2, 3)):
        rows, columns = rng.integers(5, 10, 2)
        sizes = [(side - window) // stride + 1 for side in (rows, columns)]
        yield {
            "shares": rng.normal(size=sizes),
            "feature_map": rng.integers(-3, 4, (rows, columns)),  # few values: many ties
            "window": window,
            "stride": stride,
        }


def _by_window(
    give: Callable[[Array, float], Array], *, overwrite: bool = False
) -> Callable[[Array, Array, int, int], Array]:
    """Return `hand_back` with another rule: ``give(numbers, share)`` says who gets how much."""

    def wrong(shares: Array, feature_map: Array, window: int, stride: int) -> Array:
        total = np.zeros(feature_map.shape)
        for row, column in np.ndindex(*shares.shape):
            top, left = row * stride, column * stride
            place = (slice(top, top + window), slice(left, left + window))
            given = give(feature_map[place], float(shares[row, column]))
            if overwrite:
                total[place] = np.where(given != 0, given, total[place])
            else:
                total[place] += given
        return total

    return wrong


def _first(numbers: Array, share: float) -> Array:
    given = np.zeros(numbers.size)
    given[numbers.argmax()] = share
    return given.reshape(numbers.shape)


def _last(numbers: Array, share: float) -> Array:
    return _first(numbers[::-1, ::-1], share)[::-1, ::-1]


def _down_first(numbers: Array, share: float) -> Array:
    return _first(numbers.T, share).T


def _all_equal(numbers: Array, share: float) -> Array:
    return share * (numbers == numbers.max())


def _split(numbers: Array, share: float) -> Array:
    best = numbers == numbers.max()
    return share * best / best.sum()


def _misplaced(*, start: bool, whole: bool) -> Callable[[Array, Array, int, int], Array]:
    """Return `hand_back` that adds no ``start``, or unravels with the ``whole`` map's shape."""

    def wrong(shares: Array, feature_map: Array, window: int, stride: int) -> Array:
        total = np.zeros(feature_map.shape)
        for row, column in np.ndindex(*shares.shape):
            top, left = row * stride, column * stride
            inside = feature_map[top : top + window, left : left + window]
            shape = feature_map.shape if whole else inside.shape
            down, right = np.unravel_index(inside.argmax(), shape)
            total[down + start * top, right + start * left] += shares[row, column]
        return total

    return wrong


def _up_to_last_window(shares: Array, feature_map: Array, window: int, stride: int) -> Array:
    rows, columns = ((n - 1) * stride + window for n in shares.shape)
    return _hand_back(shares, feature_map, window, stride)[:rows, :columns]


def _sized_by_windows(shares: Array, feature_map: Array, window: int, stride: int) -> Array:
    right = _hand_back(shares, feature_map, window, stride)
    total = np.zeros([max(n * window, m) for n, m in zip(shares.shape, right.shape, strict=True)])
    total[: right.shape[0], : right.shape[1]] = right
    return total[: shares.shape[0] * window, : shares.shape[1] * window]


def _hand_back_advice(trouble: str, inputs: Inputs) -> str | None:
    if "IndexError" in trouble:
        return (
            "The result has the map's shape, and argmax counts inside the window: unravel with the "
            "window's shape, then add row * stride and column * stride."
        )
    return None


hand_back = Check(
    name="hand_back",
    expected=_hand_back,
    cases=_hand_back_cases,
    more=_hand_back_more,
    slips={
        "A number that wins several windows collects from each: add up with +=, do not "
        "overwrite.": _by_window(_first, overwrite=True),
        "Where numbers are equal, each of them gets the whole share; only the first may.": (
            _by_window(_all_equal)
        ),
        "Where numbers are equal, they split the share; the first gets all of it.": (
            _by_window(_split)
        ),
        "Where numbers are equal, the last gets the share; the first in reading order should.": (
            _by_window(_last)
        ),
        "Equal numbers are looked through column by column; reading order goes row by row.": (
            _by_window(_down_first)
        ),
        "Every number of a window gets a part; the largest gets all.": (
            _by_window(lambda numbers, share: np.full(numbers.shape, share / numbers.size))
        ),
        "Every number of a window gets the whole share; only the largest may.": (
            _by_window(lambda numbers, share: np.full(numbers.shape, share))
        ),
        "The winner gets its own number; hand it the window's share.": (
            lambda s, f, w, step: _by_window(_first)(
                reference.max_pool2d(f[None, ..., None], w, step)[0, ..., 0], f, w, step
            )
        ),
        "The share is multiplied with the number; hand it on as it is.": (
            lambda s, f, w, step: _hand_back(s, f, w, step) * f
        ),
        "The windows stand side by side, whatever the stride is.": (
            lambda s, f, w, step: _by_window(_first)(s, f, w, w)
        ),
        STANDING: lambda s, f, w, step: _by_window(_first)(s, f, w, 1),
        "The smallest number gets the share, not the largest.": (
            lambda s, f, w, step: _hand_back(s, -f, w, step)
        ),
        "argmax counts inside the window: add row * stride and column * stride.": (
            _misplaced(start=False, whole=False)
        ),
        "argmax counts inside the window: unravel with the window's shape, not the map's.": (
            _misplaced(start=True, whole=True)
        ),
        "argmax counts inside the window: unravel with the window's shape, then add row * stride "
        "and column * stride.": _misplaced(start=False, whole=True),
        "The result has the map's shape, also where no window reaches.": _up_to_last_window,
        "The result has the map's shape; window times the number of windows is another where they "
        "overlap.": _sized_by_windows,
    },
    advice=_hand_back_advice,
    ready_made=READY_MADE,
)


# pools: poolings that keep a digit readable and hardly notice a shift


@cache
def enlarged_digits(part: int) -> Array:
    """Return 400 of scikit-learn's digits, [400, 24, 24, 1], enlarged to 20 × 20 with a margin."""
    from scipy import ndimage
    from sklearn.datasets import load_digits

    small = load_digits().images[400 * part : 400 * (part + 1)] / 16
    large = ndimage.zoom(small, (1, 2.5, 2.5), order=1)
    return np.pad(large, ((0, 0), (2, 2), (2, 2)))[..., np.newaxis]


@cache
def edge_maps(part: int) -> tuple[Array, Array]:
    """Return edge maps of `enlarged_digits` and the digits' labels.

    Maps are [3, 400, 24, 24, 4]: of the digits, of the digits shifted to the right by one pixel,
    and of those shifted down by one. The channels answer to lower, upper, right and left edges.
    ``part`` 0 is what the students have, 1 is other people's digits.
    """
    from sklearn.datasets import load_digits

    images = enlarged_digits(part)
    lower = np.repeat([[1.0], [0.0], [-1.0]], 3, axis=1)
    kernel = np.stack([lower, -lower, lower.T, -lower.T], axis=-1)[:, :, np.newaxis]
    maps = [
        reference.relu(reference.conv2d(shifted, kernel, padding="same"))
        for shifted in (images, np.roll(images, 1, axis=2), np.roll(images, 1, axis=1))
    ]
    labels = load_digits().target[400 * part : 400 * (part + 1)]
    return np.stack(maps).astype("float32"), labels


def _pooled(maps: Array, design: Any) -> Array:
    """Return maps [batch, height, width, channels] after every pooling of a design, with SAME."""
    if not isinstance(design, list | tuple):
        raise Complaint('is not a list of poolings, each ("max" or "mean", window, stride)')
    kinds = {"max": reference.max_pool2d, "mean": reference.avg_pool2d}
    for number, layer in enumerate(design, start=1):
        try:
            kind, window, stride = layer
            if kind not in kinds:
                raise Complaint('the first is "max" or "mean"')
            if window > min(maps.shape[1:3]):
                raise Complaint(f"the map has {maps.shape[1]} × {maps.shape[2]} places only")
            maps = kinds[kind](maps, window, stride, "same")
        except (TypeError, ValueError) as error:
            raise Complaint(
                f"pooling {number}, {layer!r}, is no (kind, window, stride): {error}"
            ) from None
    return maps


def pool_figures(design: Sequence[Any], part: int = 0) -> Mapping[str, float]:
    """Return what is left of a digit behind the poolings, and what a shift does to it.

    Each of the 400 digits takes the label of the other digit whose numbers are nearest to its own.
    """
    maps, labels = edge_maps(part)
    still, right, down = (
        _pooled(each, design).reshape(len(labels), -1).astype("float64") for each in maps
    )
    distances = (still**2).sum(1) - 2 * still @ still.T
    np.fill_diagonal(distances, np.inf)
    said = labels[distances.argmin(1)]
    changes = [np.abs(moved - still).sum() / np.abs(still).sum() for moved in (right, down)]
    return {
        "places along a side": _pooled(maps[0, :1], design).shape[1],
        "numbers for a digit": still.shape[1],
        "change by one pixel": float(np.mean(changes)),
        "digits read": float((said == labels).mean()),
    }


_POOL_HINTS = {
    "places along a side": (
        "Too few places are left: 24, divided by each stride in turn and rounded up, must give 4."
    ),
    "numbers for a digit": (
        "Too many places are left: 24, divided by each stride in turn and rounded up, must give 4."
    ),
    "change by one pixel": (
        "Make a window one pixel larger, first the one that overlaps its neighbours least: where "
        "windows overlap, an edge moves out of nothing at once."
    ),
    "digits read": (
        "Take a mean first and the largest behind it: at the same change that reads more. If it is "
        "so already and the change is small enough, make the largest window one pixel smaller."
    ),
}


def pools(design: Any, *, part: int = 0) -> None:
    """Check task 4's chain of poolings; ``part`` 1 takes digits that students have not seen."""
    edge_maps(part)  # here: loading them may take longer than measuring
    goals = {
        "places along a side": ("at least", 4),
        "numbers for a digit": ("at most", 64),
        "change by one pixel": ("at most", (0.11, 0.12)[part]),
        "digits read": ("at least", (0.96, 0.91)[part]),
    }
    Target("pools", pool_figures, goals, _POOL_HINTS)(design, part=part)

"""Checks of problem set 1: sliding, SAME's zeros, the whole convolution, two designs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cnncourse import arithmetic, reference
from cnncourse.checks.core import Check, Complaint, Inputs, Target

__all__ = ["conv2d", "kernel", "same_zeros", "slide", "stack"]

Array = np.ndarray[Any, np.dtype[Any]]

TURNED = (
    "The kernel is turned by 180°. Networks do not turn it: its top left number meets the top left "
    "pixel of the window."
)
SWAPPED = "Rows and columns of the kernel are swapped."
MEAN = "The products are averaged. Add them up: a mean is another kernel."
STANDING = (
    "The windows move on by 1, whatever the stride is. Place number `row` begins at pixel "
    "row * stride."
)
ODD_BEFORE = "The odd zero goes after, at the bottom and at the right, as in TensorFlow."
BOTH_SIDES = (
    "(kernel - 1) // 2 zeros on both sides are right at stride 1 and for odd kernels only. Count "
    "how far the last window reaches."
)
ALWAYS_HALF = "kernel // 2 zeros on both sides make the map too large under an even kernel."
ALL_AFTER = "All zeros are put after; half of them go before."
HEIGHT_FOR_BOTH = (
    "The zeros of the height are used for the width, too: work those out with the width's size and "
    "the kernel's width."
)
WIDTH_FOR_BOTH = (
    "The zeros of the width are used for the height, too: work those out with the height's size "
    "and the kernel's height."
)
PAIR_FOR_EVERY_AXIS = "np.pad wants a pair for every axis: ((0, 0), rows, columns, (0, 0))."
ZEROS_SWAPPED = (
    "The zeros of one axis are used for the other: work them out for the height with the kernel's "
    "height, for the width with its width."
)


def digits(*shape: int) -> Array:
    """Return 1, 2, 3 ... as floats: an image in which every pixel can be told from the others."""
    return np.arange(1.0, 1 + np.prod(shape)).reshape(shape)


def powers(*shape: int) -> Array:
    """Return 1, 10, 100 ...: a kernel under which each digit of the sum names a pixel."""
    return 10.0 ** np.arange(np.prod(shape)).reshape(shape)


# slide(image, kernel, stride): one image, one channel


def _slide(image: Array, kernel: Array, stride: int) -> Array:
    return reference.conv2d_naive(image[None, :, :, None], kernel[..., None, None], None, stride)[
        0, :, :, 0
    ]


def _slide_cases() -> Iterator[Inputs]:
    yield {"image": digits(2, 2), "kernel": powers(2, 2), "stride": 1}
    yield {"image": digits(3, 3), "kernel": np.array([[0.0, 1.0], [-1.0, 0.0]]), "stride": 1}
    yield {"image": digits(2, 4), "kernel": powers(1, 2), "stride": 1}
    yield {"image": digits(4, 5), "kernel": powers(2, 2), "stride": 2}
    yield {"image": np.arange(25).reshape(5, 5), "kernel": np.full((2, 3), 0.25), "stride": 1}
    yield {"image": digits(6, 7), "kernel": powers(3, 2), "stride": 3}


def _slide_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for stride in (1, 2, 3):
        height, width = rng.integers(1, 4, 2)
        rows, columns = rng.integers(6, 11, 2)
        yield {
            "image": rng.normal(size=(rows, columns)),
            "kernel": rng.normal(size=(height, width)),
            "stride": stride,
        }


def _slide_by_matrix_product(image: Array, kernel: Array, stride: int) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)[::stride, ::stride]
    return (windows @ kernel).sum((2, 3))


def _square(side: int) -> Callable[[Array, Array, int], Array]:
    """Return `slide` with the kernel's rows (0) or columns (1) taken for both."""

    def wrong(image: Array, kernel: Array, stride: int) -> Array:
        size = kernel.shape[side]
        result = np.zeros([(length - size) // stride + 1 for length in image.shape])
        for row, column in np.ndindex(*result.shape):
            top, left = row * stride, column * stride
            result[row, column] = (image[top : top + size, left : left + size] * kernel).sum()
        return result

    return wrong


def _only(rows: int, columns: int | None) -> Callable[[Array, Array, int], Array]:
    """Return `slide` that ends after its first rows and columns; the others are still 0."""

    def wrong(image: Array, kernel: Array, stride: int) -> Array:
        right = _slide(image, kernel, stride)
        result = np.zeros(right.shape)
        result[:rows, :columns] = right[:rows, :columns]
        return result

    return wrong


def _slide_advice(trouble: str, inputs: Inputs) -> str | None:
    if "IndexError" in trouble and inputs["stride"] > 1:
        return "Pixel row and result row are two counters: row // stride."
    if "operands could not be broadcast" in trouble:
        return "The window has the kernel's shape: kernel.shape[0] rows, kernel.shape[1] columns."
    return None


def _standing(image: Array, kernel: Array, stride: int) -> Array:
    rows, columns = _slide(image, kernel, stride).shape
    return _slide(image, kernel, 1)[:rows, :columns]


slide = Check(
    name="slide",
    expected=_slide,
    cases=_slide_cases,
    more=_slide_more,
    slips={
        TURNED: lambda i, k, s: _slide(i, k[::-1, ::-1], s),
        SWAPPED: lambda i, k, s: _slide(i, k.T, s),
        "Rows and columns of the result are swapped.": lambda i, k, s: _slide(i, k, s).T,
        MEAN: lambda i, k, s: _slide(i, k, s) / k.size,
        "The stride is not used.": lambda i, k, s: _slide(i, k, 1),
        STANDING: _standing,
        "The stride is used along one axis only.": lambda i, k, s: _slide(i, k, 1)[::s],
        "The last place of each row and column is missing: n steps make n + 1 places.": (
            lambda i, k, s: _slide(i, k, s)[:-1, :-1]
        ),
        "`@` is the matrix product. Multiply number by number: window * kernel.": (
            _slide_by_matrix_product
        ),
        "The result is cut to whole numbers: np.zeros(shape) holds fractions, "
        "np.zeros_like(image) of whole numbers does not.": (
            lambda i, k, s: np.trunc(_slide(i, k, s))
        ),
        "The kernel's rows are used for its columns too; it need not be square.": _square(0),
        "The kernel's columns are used for its rows too; it need not be square.": _square(1),
        "Only the first row is filled: `return` stands inside the loop over the rows.": (
            _only(1, None)
        ),
        "Only the first number is filled: `return` stands inside the loops.": _only(1, 1),
    },
    advice=_slide_advice,
    ready_made=(reference.conv2d, reference.conv2d_naive),
)


# same_zeros(size, kernel, stride): (before, after)


def _same_zeros_cases() -> Iterator[Inputs]:
    for size, kernel, stride in (
        (5, 3, 1),
        (5, 1, 1),
        (5, 2, 1),
        (5, 4, 1),
        (4, 3, 2),
        (5, 3, 2),
        (6, 2, 3),
        (5, 1, 3),
        (28, 5, 2),
        (224, 7, 2),
    ):
        yield {"size": size, "kernel": kernel, "stride": stride}


def _same_zeros_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for _ in range(30):
        size, kernel, stride = (int(rng.integers(1, high)) for high in (40, 8, 5))
        yield {"size": size, "kernel": kernel, "stride": stride}


def _total(size: int, kernel: int, stride: int, places: int) -> int:
    return (places - 1) * stride + kernel - size


def _halves(total: int) -> tuple[int, int]:
    return total // 2, total - total // 2


class _Zeros(NamedTuple):
    """A pair whose parts a message can name; it is shown as a plain one."""

    zeros_before: int
    zeros_after: int

    def __repr__(self) -> str:
        return repr(tuple(self))


def _same_zeros(size: int, kernel: int, stride: int) -> _Zeros:
    return _Zeros(*arithmetic.padding_amounts(size, kernel, stride))


same_zeros = Check(
    name="same_zeros",
    expected=_same_zeros,
    cases=_same_zeros_cases,
    more=_same_zeros_more,
    slips={
        ODD_BEFORE: lambda n, k, s: arithmetic.padding_amounts(n, k, s)[::-1],
        BOTH_SIDES: lambda n, k, s: ((k - 1) // 2, (k - 1) // 2),
        ALWAYS_HALF: lambda n, k, s: (k // 2, k // 2),
        "The stride is not used: SAME needs fewer zeros when the kernel strides.": (
            lambda n, k, s: _halves(k - 1)
        ),
        "There cannot be less than no zero: a kernel smaller than its stride may reach less far "
        "than the image.": lambda n, k, s: _halves(_total(n, k, s, -(-n // s))),
        "SAME has ceil(size / stride) places: size / stride is rounded up, not down.": (
            lambda n, k, s: _halves(max(0, _total(n, k, s, n // s)))
        ),
        "All zeros are put on each side; they are shared out between the two.": (
            lambda n, k, s: (sum(arithmetic.padding_amounts(n, k, s)),) * 2
        ),
        ALL_AFTER: lambda n, k, s: (0, sum(arithmetic.padding_amounts(n, k, s))),
        "The last window begins at (places - 1) * stride: n places are n - 1 steps.": (
            lambda n, k, s: _halves(max(0, _total(n, k, s, 1 - (-n // s))))
        ),
        "There are no half zeros: of an odd number the greater half goes after.": (
            lambda n, k, s: (sum(arithmetic.padding_amounts(n, k, s)) / 2,) * 2
        ),
        "Return two numbers, (before, after).": (
            lambda n, k, s: sum(arithmetic.padding_amounts(n, k, s))
        ),
        "Your zeros do not add up to what is missing: the odd one is lost.": (
            lambda n, k, s: (arithmetic.padding_amounts(n, k, s)[0],) * 2
        ),
    },
    ready_made=(arithmetic.padding_amounts,),
)


# conv2d(images, kernel, bias, stride, padding): the whole layer


def _conv_cases() -> Iterator[Inputs]:
    def case(images: Array, kernel: Array, bias: Any, stride: int, padding: str) -> Inputs:
        return {
            "images": images,
            "kernel": kernel,
            "bias": np.array(bias, float),
            "stride": stride,
            "padding": padding,
        }

    yield case(digits(1, 2, 2, 1), powers(2, 2, 1, 1), [0], 1, "VALID")
    yield case(digits(1, 1, 1, 1), powers(1, 1, 1, 1), [5], 1, "VALID")
    yield case(digits(1, 1, 1, 2), powers(1, 1, 2, 1), [5], 1, "VALID")
    yield case(digits(1, 1, 1, 2), powers(1, 1, 2, 2), [0.5, 0.25], 1, "VALID")
    yield case(digits(2, 2, 2, 1), powers(2, 2, 1, 1), [0], 1, "VALID")
    yield case(digits(1, 3, 5, 1), powers(1, 2, 1, 1), [0], 2, "VALID")
    yield case(digits(1, 2, 2, 1), powers(3, 3, 1, 1), [0], 1, "SAME")
    yield case(digits(1, 2, 3, 1), powers(2, 2, 1, 1), [0], 1, "SAME")
    yield case(digits(1, 4, 4, 1), powers(3, 3, 1, 1), [0], 2, "SAME")
    yield case(digits(1, 3, 4, 1), powers(3, 2, 1, 1), [0], 2, "SAME")
    yield case(digits(2, 5, 4, 2), powers(2, 3, 2, 1), [-1], 2, "SAME")


def _conv_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for padding in ("VALID", "SAME"):
        for stride in (1, 2, 3):
            height, width, channels, filters = rng.integers(1, 5, 4)
            yield {
                "images": rng.normal(size=(2, *rng.integers(5, 10, 2), channels)),
                "kernel": rng.normal(size=(height, width, channels, filters)),
                "bias": rng.normal(size=filters),
                "stride": stride,
                "padding": padding,
            }


def _swapped_filters(x: Array, k: Array, b: Array, s: int, p: str) -> Array:
    if k.shape[2] != k.shape[3]:
        raise ValueError("with unlike numbers of channels and filters this mistake raises")
    return reference.conv2d(x, k.swapaxes(2, 3), b, s, p)


def _conv_standing(x: Array, k: Array, b: Array, s: int, p: str) -> Array:
    if p != "VALID":
        raise ValueError("which zeros such code adds is anybody's guess")
    _, rows, columns, _ = reference.conv2d(x, k, b, s, p).shape
    return reference.conv2d(x, k, b, 1, p)[:, :rows, :columns]


def _padded_by(
    amounts: Callable[[int, int, int], tuple[int, int]],
) -> Callable[..., Array]:
    """Return `conv2d` with SAME replaced: zeros by ``amounts`` for each axis."""

    def convolve(x: Array, k: Array, b: Array, s: int, p: str) -> Array:
        if p == "VALID":
            return reference.conv2d(x, k, b, s, p)
        sides = (amounts(x.shape[1], k.shape[0], s), amounts(x.shape[2], k.shape[1], s))
        return reference.conv2d(x, k, b, s, sides)

    return convolve


def _sides(x: Array, k: Array, s: int) -> list[tuple[int, int]]:
    return [arithmetic.padding_amounts(x.shape[axis], k.shape[axis - 1], s) for axis in (1, 2)]


def _with_sides_of(height: int, width: int) -> Callable[..., Array]:
    """Return `conv2d` whose axes take the zeros of axis 0, the height, or 1, the width."""

    def convolve(x: Array, k: Array, b: Array, s: int, p: str) -> Array:
        if p == "VALID":
            return reference.conv2d(x, k, b, s, p)
        sides = _sides(x, k, s)
        return reference.conv2d(x, k, b, s, (sides[height], sides[width]))

    return convolve


def _without_zeros(x: Array, k: Array, b: Array, s: int, p: str) -> Array:
    rows, columns = (max(0, (x.shape[axis] - k.shape[axis - 1]) // s + 1) for axis in (1, 2))
    if rows and columns:
        return reference.conv2d(x, k, b, s, "VALID")
    return np.zeros((len(x), rows, columns, k.shape[3]))


def _edge_repeated(x: Array, k: Array, b: Array, s: int, p: str) -> Array:
    if p == "VALID":
        return reference.conv2d(x, k, b, s, p)
    x = np.pad(x, ((0, 0), *_sides(x, k, s), (0, 0)), mode="edge")
    return reference.conv2d(x, k, b, s, "VALID")


def _counted_before_padding(x: Array, k: Array, b: Array, s: int, p: str) -> Array:
    rows, columns = (max(0, (x.shape[axis] - k.shape[axis - 1]) // s + 1) for axis in (1, 2))
    return reference.conv2d(x, k, b, s, p)[:, :rows, :columns]


def _conv_advice(trouble: str, inputs: Inputs) -> str | None:
    if "remapped shapes" in trouble:
        return PAIR_FOR_EVERY_AXIS
    if "broadcast" in trouble:
        return (
            "The kernel has an axis more, the filters: the window is [batch, h, w, c], the kernel "
            "[h, w, c, filters]."
        )
    if "shape-mismatch" in trouble:
        return (
            "The window has the kernel's shape: kernel.shape[0] rows, kernel.shape[1] columns, all "
            "channels."
        )
    return None


conv2d = Check(
    name="conv2d",
    expected=reference.conv2d_naive,
    cases=_conv_cases,
    more=_conv_more,
    slips={
        TURNED: lambda x, k, b, s, p: reference.conv2d(x, k[::-1, ::-1], b, s, p),
        SWAPPED: lambda x, k, b, s, p: reference.conv2d(x, k.swapaxes(0, 1), b, s, p),
        MEAN: lambda x, k, b, s, p: reference.conv2d(x, k, None, s, p) / np.prod(k.shape[:3]) + b,
        "The bias is forgotten: one number for each filter, added to all its results.": (
            lambda x, k, b, s, p: reference.conv2d(x, k, None, s, p)
        ),
        "The bias is added once for each channel; a filter has one bias.": (
            lambda x, k, b, s, p: reference.conv2d(x, k, b * x.shape[3], s, p)
        ),
        "Only the first channel is used; a filter adds up over all of them.": (
            lambda x, k, b, s, p: reference.conv2d(x[..., :1], k[:, :, :1], b, s, p)
        ),
        "The channels are averaged; they are added up.": (
            lambda x, k, b, s, p: reference.conv2d(x, k, None, s, p) / x.shape[3] + b
        ),
        "The kernel's last axes are swapped: it is [height, width, in_channels, out_channels].": (
            _swapped_filters
        ),
        "Every image gets the result of the first one.": (
            lambda x, k, b, s, p: reference.conv2d(x[:1].repeat(len(x), 0), k, b, s, p)
        ),
        "The stride is not used.": lambda x, k, b, s, p: reference.conv2d(x, k, b, 1, p),
        STANDING: _conv_standing,
        "No zeros are added, though padding is SAME.": _without_zeros,
        ODD_BEFORE: _padded_by(lambda n, k, s: arithmetic.padding_amounts(n, k, s)[::-1]),
        BOTH_SIDES: _padded_by(lambda n, k, s: ((k - 1) // 2, (k - 1) // 2)),
        ALWAYS_HALF: _padded_by(lambda n, k, s: (k // 2, k // 2)),
        "The zeros are those of stride 1; with a larger stride SAME needs fewer.": _padded_by(
            lambda n, k, s: _halves(k - 1)
        ),
        HEIGHT_FOR_BOTH: _with_sides_of(0, 0),
        WIDTH_FOR_BOTH: _with_sides_of(1, 1),
        ZEROS_SWAPPED: _with_sides_of(1, 0),
        ALL_AFTER: _padded_by(lambda n, k, s: (0, sum(arithmetic.padding_amounts(n, k, s)))),
        "The edge is repeated; SAME adds zeros.": _edge_repeated,
        "VALID adds no zeros.": lambda x, k, b, s, p: reference.conv2d(x, k, b, s, "SAME"),
        "With SAME, pad first; then count places on the padded image.": _counted_before_padding,
    },
    advice=_conv_advice,
    ready_made=(reference.conv2d, reference.conv2d_naive),
)


# kernel: (kernel, threshold) that tells a 4 from a 0 in scikit-learn's 8 × 8 handwriting


def fours_and_noughts(half: int) -> tuple[Array, Array]:
    """Return one half (0: the students', 1: the other) of scikit-learn's noughts and fours.

    Images are [n, 8, 8, 1], 0 to 1; the second array says which are fours.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    chosen = (data.target == 0) | (data.target == 4)
    images, fours = data.images[chosen][..., np.newaxis] / 16, data.target[chosen] == 4
    middle = len(images) // 2
    part = slice(middle) if half == 0 else slice(middle, None)
    return images[part], fours[part]


def _responses(design: Any, images: Array) -> tuple[Array, Array, float]:
    """Return a design's kernel, what it answers to each image, and its threshold."""
    try:
        numbers, threshold = design
        numbers, threshold = np.asarray(numbers, float), float(threshold)
    except (TypeError, ValueError):
        raise Complaint("is not (kernel, threshold), an array and a number") from None
    if numbers.ndim != 2 or max(numbers.shape) > 5:
        raise Complaint(f"kernel has shape {numbers.shape}; give at most 5 rows and 5 columns")
    maps = np.maximum(reference.conv2d(images, numbers[..., None, None]), 0)
    return numbers, maps.mean((1, 2, 3)), threshold


def _kernel_figures(design: Any, images: Array, fours: Array) -> Mapping[str, float]:
    numbers, responses, threshold = _responses(design, images)
    said = responses > threshold
    total = abs(numbers.sum())
    return {
        "|sum of the kernel|": 0 if total <= 1e-6 * np.abs(numbers).max() else round(total, 6),
        f"fours called four, of {fours.sum()}": int(said[fours].sum()),
        f"noughts called nought, of {(~fours).sum()}": int((~said[~fours]).sum()),
        f"right, of {len(fours)}": int((said == fours).sum()),
    }


def _kernel_hint(design: Any, images: Array, fours: Array, wanted: int) -> str:
    """Say why too few digits are told apart: turned round, threshold, or the kernel itself."""
    _, responses, _ = _responses(design, images)
    told = [int(((responses > limit) == fours).sum()) for limit in responses]
    turned = [int(((responses < limit) == fours).sum()) for limit in responses]
    if max(turned) > max(*told, 0.65 * len(fours)):
        return (
            "Your kernel answers to noughts more than to fours; the rule wants it the other way "
            "round."
        )
    if max(told) >= wanted:
        low, high = np.percentile(responses[~fours], 95), np.percentile(responses[fours], 5)
        return (
            "The kernel can do it; move the threshold. 95 % of the noughts answer with "
            f"{low:.3f} or less, 95 % of the fours with {high:.3f} or more."
        )
    return (
        "A nought has horizontal strokes too, at its top and bottom. How tall must a kernel be so "
        "that its middle row never lies on them?"
    )


def kernel(design: Any, *, half: int = 0) -> None:
    """Check task 4's (kernel, threshold); ``half`` 1 takes digits that students have not seen."""
    images, fours = fours_and_noughts(half)  # here: loading it may take longer than measuring
    right, wanted = f"right, of {len(fours)}", int(np.ceil((0.95, 0.92)[half] * len(fours)))
    goals = {"|sum of the kernel|": ("at most", 0), right: ("at least", wanted)}
    hints: Mapping[str, Any] = {
        "|sum of the kernel|": "Numbers that add up to 0 see no difference between paper and ink.",
        right: lambda figures: _kernel_hint(design, images, fours, wanted),
    }
    Target("kernel", _kernel_figures, goals, hints)(design, images=images, fours=fours)


# stack: layers that see 15 × 15 pixels of a 32 × 32 × 3 image within a budget


def stack_figures(layers: Sequence[Any], size: int = 32) -> Mapping[str, float]:
    """Return what a stack of VALID convolutions on ``size`` × ``size`` × 3 sees and costs."""
    if not isinstance(layers, list | tuple) or not layers:
        raise Complaint("is not a list of layers, each (kernel, stride, filters)")
    channels, parameters, multiply_adds, skipped = 3, 0, 0, 0
    for number, layer in enumerate(layers, start=1):
        try:
            side, stride, filters = layer
            size = arithmetic.output_size(size, side, stride)
            parameters += arithmetic.conv_parameters(side, channels, filters)
        except (TypeError, ValueError) as error:
            raise Complaint(
                f"layer {number}, {layer!r}, is no (kernel, stride, filters): {error}"
            ) from None
        multiply_adds += arithmetic.conv_multiply_adds(size, size, side, channels, filters)
        skipped += max(0, stride - side)
        channels = filters
    return {
        "receptive field": arithmetic.receptive_field([layer[:2] for layer in layers]).size,
        "places along a side": size,
        "filters of the last layer": channels,
        "fewest filters in a layer": min(filters for _, _, filters in layers),
        "pixels skipped by strides": skipped,
        "parameters": parameters,
        "multiply-adds": multiply_adds,
    }


_STACK_HINTS = {
    "receptive field": "A stride makes every later kernel reach further; so does one more layer.",
    "places along a side": "Each stride of 2 halves the places, and each kernel takes its edge.",
    "fewest filters in a layer": (
        "One filter says a single number about a place; what it drops, no later layer brings back."
    ),
    "pixels skipped by strides": (
        "A stride larger than its kernel leaves pixels between the windows that nobody looks at."
    ),
    "parameters": "kernel² × channels in × filters: the last layer's channels in come dear.",
    "multiply-adds": "Every place pays for the whole kernel: have fewer places early.",
}


def stack(design: Any, *, size: int = 32) -> None:
    """Check task 5's layers; the budget grows with the image's ``size``."""
    goals = {
        "receptive field": ("at least", 15),
        "places along a side": ("at least", 8),
        "filters of the last layer": ("at least", 32),
        "fewest filters in a layer": ("at least", 4),
        "pixels skipped by strides": ("at most", 0),
        "parameters": ("at most", 5_000),
        "multiply-adds": ("at most", {32: 500_000, 40: 1_000_000}[size]),
    }
    Target("stack", stack_figures, goals, _STACK_HINTS)(design, size=size)

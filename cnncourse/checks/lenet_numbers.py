"""Checks of problem set 3: a layer table, the pixels that a place sees, a batch, a small network.

A network is a list of tuples: ("conv", filters, kernel, stride, padding), ("pool", window, stride,
padding), ("flatten",) and ("dense", units); padding is "SAME" or "VALID", the pool a max-pooling.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from cnncourse import arithmetic, reference
from cnncourse.checks.core import Check, Complaint, Inputs, Target
from cnncourse.networks import NETWORKS

__all__ = ["largest_batch", "layer_table", "pixels_seen", "small_network"]

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]
Row = tuple[Shape, int, int]

NUMBER = 4  # bytes


# layer_table(input_shape, layers): a row (shape, parameters, multiply-adds) for each layer


def _layer(shape: Shape, layer: Sequence[Any]) -> Row:
    """Return a layer's row, or raise Complaint with the remedy."""
    match tuple(layer):
        case ("conv" | "pool" as kind, *_) if len(shape) != 3:
            raise Complaint(f"a {kind} takes maps; put it before the flatten")
        case ("conv", filters, kernel, stride, padding):
            rows, columns = (
                arithmetic.output_size(side, kernel, stride, padding) for side in shape[:2]
            )
            parameters = arithmetic.conv_parameters(kernel, shape[2], filters)
            work = arithmetic.conv_multiply_adds(rows, columns, kernel, shape[2], filters)
            return (rows, columns, filters), parameters, work
        case ("pool", window, stride, padding):
            sizes = [arithmetic.output_size(side, window, stride, padding) for side in shape[:2]]
            return (*sizes, shape[2]), 0, 0
        case ("flatten",):
            return (prod(shape),), 0, 0
        case ("dense", units) if len(shape) == 1:
            weights = arithmetic.dense_parameters(shape[0], units, bias=False)
            return (units,), weights + units, weights
        case ("dense", _):
            raise Complaint('a dense layer takes one row of numbers; put ("flatten",) before it')
    raise Complaint(
        'a layer is ("conv", filters, kernel, stride, padding), ("pool", window, stride, padding), '
        '("flatten",) or ("dense", units)'
    )


def table(
    input_shape: Shape,
    layers: Sequence[Sequence[Any]],
    layer: Callable[[Shape, Sequence[Any]], Row] = _layer,
) -> list[Row]:
    """Return (shape, parameters, multiply-adds) for each layer."""
    rows: list[Row] = []
    for one in layers:
        rows.append(layer(rows[-1][0] if rows else input_shape, one))
    return rows


def _table_cases() -> Iterator[Inputs]:
    def case(shape: Shape, *layers: tuple[Any, ...]) -> Inputs:
        return {"input_shape": shape, "layers": list(layers)}

    yield case((3, 3, 1), ("conv", 2, 2, 1, "VALID"))
    yield case((3, 3, 2), ("conv", 5, 2, 1, "VALID"))
    yield case((4, 7, 1), ("conv", 2, 3, 1, "VALID"))
    yield case((4, 7, 1), ("conv", 2, 3, 1, "SAME"))
    yield case((5, 5, 2), ("pool", 2, 2, "VALID"))
    yield case((5, 7, 2), ("pool", 2, 2, "SAME"))
    yield case((6, 8, 1), ("conv", 2, 3, 2, "VALID"))
    yield case((2, 3, 4), ("flatten",))
    yield case((2, 3, 1), ("flatten",), ("dense", 5))
    yield case((6, 6, 1), ("conv", 4, 3, 1, "SAME"), ("conv", 5, 1, 1, "VALID"))
    yield case((28, 28, 1), *LENET)
    yield case((33, 20, 3), ("conv", 8, 4, 3, "SAME"), ("pool", 3, 2, "VALID"), *LENET)


def _table_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for channels in (1, 3, 4):
        convolutions = [
            ("conv", int(rng.integers(2, 9)), int(kernel), int(rng.integers(1, 4)), padding)
            for kernel, padding in zip(rng.integers(1, 5, 2), ("SAME", "VALID"), strict=True)
        ]
        first, second = (convolutions, convolutions[::-1])[channels % 2]
        yield {
            "input_shape": (*map(int, rng.integers(30, 50, 2)), channels),
            "layers": [
                first,
                ("pool", 3, 2, second[-1]),
                second,
                ("flatten",),
                ("dense", int(rng.integers(5, 30))),
                ("dense", 10),
            ],
        }


def _as_tuples(name: str) -> list[tuple[Any, ...]]:
    """Return a network of the course in the words of this problem set."""
    kinds = {"Conv": "conv", "MaxPool": "pool", "Flatten": "flatten", "Dense": "dense"}
    fields = {
        "conv": ("filters", "kernel", "stride", "padding"),
        "pool": ("window", "stride", "padding"),
        "flatten": (),
        "dense": ("units",),
    }
    words = []
    for _, layer in NETWORKS[name].named_layers:
        kind = kinds[type(layer).__name__]
        values = (getattr(layer, field) for field in fields[kind])
        words.append((kind, *(v.upper() if isinstance(v, str) else v for v in values)))
    return words


LENET = _as_tuples("mnist-lenet-keras")


def _changed(change: Callable[[Shape, Sequence[Any], Row], Any]) -> Callable[..., list[Row]]:
    """Return `layer_table` with every row changed by one mistake."""

    def layer(shape: Shape, one: Sequence[Any]) -> Row:
        return change(shape, one, _layer(shape, one))

    return lambda input_shape, layers: table(input_shape, layers, layer)


def _without_bias(shape: Shape, layer: Sequence[Any], row: Row) -> Row:
    return row[0], row[1] - (row[0][-1] if row[1] else 0), row[2]


def _bias_works(shape: Shape, layer: Sequence[Any], row: Row) -> Row:
    return row[0], row[1], row[2] + (prod(row[0]) if row[1] else 0)


def _work_at_input(shape: Shape, layer: Sequence[Any], row: Row) -> Row:
    if layer[0] != "conv":
        return row
    return row[0], row[1], row[2] // prod(row[0][:2]) * prod(shape[:2])


def _work_as_parameters(shape: Shape, layer: Sequence[Any], row: Row) -> Row:
    return row[0], row[1], _without_bias(shape, layer, row)[1]


def _one_channel(shape: Shape, layer: Sequence[Any], row: Row) -> Row:
    return _layer((*shape[:2], 1), layer) if layer[0] == "conv" else row


def _work_in_one_channel(shape: Shape, layer: Sequence[Any], row: Row) -> Row:
    return row[0], row[1], _one_channel(shape, layer, row)[2]


def _swapped(shape: Shape, layer: Sequence[Any], row: Row) -> Row:
    return (*row[0][1::-1], *row[0][2:]), *row[1:]


def _bare(shape: Shape, layer: Sequence[Any], row: Row) -> Any:
    return (row[0][0] if len(row[0]) == 1 else row[0]), *row[1:]


def _square(shape: Shape, layer: Sequence[Any], row: Row) -> Row:
    return _layer((shape[0], shape[0], *shape[2:]), layer) if len(shape) == 3 else row


def _resized(size: Callable[[int, int, int, str], int]) -> Callable[..., list[Row]]:
    """Return `layer_table` with another rule for sizes."""

    def change(shape: Shape, layer: Sequence[Any], row: Row) -> Row:
        if layer[0] not in ("conv", "pool"):
            return row
        kernel, stride, padding = layer[-3:]
        sizes = [size(side, kernel, stride, padding) for side in shape[:2]]
        return (*sizes, row[0][2]), row[1], row[2] // prod(row[0][:2]) * prod(sizes)

    return _changed(change)


def _same_down(size: int, kernel: int, stride: int, padding: str) -> int:
    if padding == "SAME":
        return size // stride
    return arithmetic.output_size(size, kernel, stride, padding)


def _valid_up(size: int, kernel: int, stride: int, padding: str) -> int:
    if padding == "VALID":
        return -(-(size - kernel) // stride) + 1
    return arithmetic.output_size(size, kernel, stride, padding)


def _in_row(what: str) -> str:
    """Name the place of a difference by row and column: "in row 2: the shape"."""
    said, *place = re.split(r" in (?=\[\d+\])", what)
    if not place:
        return what
    *_, column, row = ["", *(one.strip("[]") for one in place)]
    columns = {"0": ": the shape", "1": ": the parameters", "2": ": the multiply-adds"}
    return f"{said} in row {row}{columns.get(column, '')}"


layer_table = Check(
    name="layer_table",
    words=_in_row,
    expected=table,
    cases=_table_cases,
    more=_table_more,
    slips={
        "The biases are forgotten: one for each filter, one for each unit.": (
            _changed(_without_bias)
        ),
        "A bias is added, not multiplied: it is no multiply-add.": _changed(_bias_works),
        "The kernel works at the places of its output, not at the pixels of its input.": (
            _changed(_work_at_input)
        ),
        "A kernel's number works at every place of the map, not once.": (
            _changed(_work_as_parameters)
        ),
        "A filter is as deep as its input: kernel × kernel × channels numbers.": (
            _changed(_one_channel)
        ),
        "At each place a filter meets all channels: count them in the multiply-adds as well.": (
            _changed(_work_in_one_channel)
        ),
        "Height and width are not always equal; work out both.": _changed(_square),
        "The shape is (height, width, ...), in this order.": _changed(_swapped),
        "A shape is always a tuple: `(24,)`, not `24`.": _changed(_bare),
        "The padding is not used: SAME has ceil(size / stride) places.": (
            _resized(lambda size, k, s, padding: (size - k) // s + 1)
        ),
        "The padding is not used: VALID loses the edge, (size - kernel) // stride + 1 places.": (
            _resized(lambda size, k, s, padding: -(-size // s))
        ),
        "SAME rounds up: ceil(size / stride) places.": _resized(_same_down),
        "VALID rounds down: a window that does not fit whole is left out.": _resized(_valid_up),
        "The stride is not used.": (
            _resized(lambda size, k, s, p: arithmetic.output_size(size, k, 1, p))
        ),
    },
)


# pixels_seen(size, layers, place): (first, last) pixel of an axis that a place behind layers sees


def _seen(
    size: int,
    layers: Sequence[tuple[int, int, str]],
    place: int,
    *,
    before: Callable[[int, int, int, str], int] | None = None,
    clip: bool | str = True,
    reach: int = -1,
    forwards: bool = False,
) -> tuple[int, int]:
    """Walk back from a place to the pixels; the keywords let a slip change a rule."""

    def zeros(size: int, kernel: int, stride: int, padding: str) -> int:
        return arithmetic.padding_amounts(size, kernel, stride, padding=padding)[0]

    sizes = [size]
    for kernel, stride, padding in layers:
        sizes.append(arithmetic.output_size(sizes[-1], kernel, stride, padding))
    first = last = place
    way = list(zip(layers, sizes, strict=False))
    for (kernel, stride, padding), inputs in way if forwards else way[::-1]:
        offset = (before or zeros)(inputs, kernel, stride, padding)
        first = first * stride - offset
        last = last * stride - offset + kernel + reach
        if clip is True:
            first, last = max(first, 0), min(last, inputs - 1)
    return (max(first, 0), min(last, size - 1)) if clip == "once" else (first, last)


def _zeros(size: int, kernel: int, stride: int, padding: str) -> int:
    """Return the zeros on both sides, -1 where the windows end one number before the edge."""
    outputs = -(-size // stride)
    return (outputs - 1) * stride + kernel - size if padding == "SAME" else 0


def _seen_cases() -> Iterator[Inputs]:
    def case(size: int, place: int, *layers: tuple[int, int, str]) -> Inputs:
        return {"size": size, "layers": list(layers), "place": place}

    yield case(5, 1, (3, 1, "VALID"))
    yield case(9, 2, (2, 3, "VALID"))
    yield case(9, 1, (3, 1, "VALID"), (2, 2, "VALID"))
    yield case(9, 2, (3, 1, "SAME"))
    yield case(9, 3, (4, 1, "SAME"))
    yield case(9, 0, (3, 1, "SAME"))
    yield case(9, 8, (3, 1, "SAME"))
    yield case(8, 1, (3, 2, "SAME"))
    yield case(9, 1, (3, 2, "SAME"))
    yield case(6, 0, (2, 3, "SAME"))
    yield case(6, 1, (3, 2, "VALID"), (3, 1, "SAME"))
    yield case(9, 1, (2, 1, "VALID"), (3, 2, "SAME"))
    yield case(14, 1, (3, 2, "SAME"), (4, 2, "SAME"))
    yield case(28, 3, (4, 1, "SAME"), (2, 2, "SAME"), (4, 1, "SAME"), (2, 2, "SAME"))
    yield case(28, 6, (4, 1, "SAME"), (2, 2, "SAME"), (4, 1, "SAME"), (2, 2, "SAME"))


def _seen_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for count in (1, 2, 3, 4, 3, 4):
        size = places = int(rng.integers(30, 60))
        layers: list[tuple[int, int, str]] = []
        while len(layers) < count:
            stride = int(rng.integers(1, 3))
            kernel = int(rng.integers(stride, 5))
            padding = str(rng.choice(["SAME", "VALID"]))
            if places < kernel:
                break
            layers.append((kernel, stride, padding))
            places = arithmetic.output_size(places, kernel, stride, padding)
        for place in sorted({0, places // 2, places - 1}):
            yield {"size": size, "layers": layers, "place": place}
    size = 2 * int(rng.integers(5, 15))
    yield {"size": size, "layers": [(3, 2, "VALID"), (5, 1, "SAME")], "place": size // 2 - 2}
    yield {"size": 3 * size, "layers": [(2, 3, "SAME"), (3, 1, "VALID")], "place": 2}


pixels_seen = Check(
    name="pixels_seen",
    expected=_seen,
    cases=_seen_cases,
    more=_seen_more,
    slips={
        "Begin with the last layer and end at the image.": (
            lambda size, layers, place: _seen(size, layers, place, forwards=True)
        ),
        "The layers are walked in the order of the network; start from the last one.": (
            lambda size, layers, place: _seen(size, layers[::-1], place)
        ),
        "The padding is not used: with SAME the first window begins before the first pixel.": (
            lambda size, layers, place: _seen(size, layers, place, before=lambda *_: 0)
        ),
        "A place in the padding is no pixel: keep the range inside the map, 0 to size - 1.": (
            lambda size, layers, place: _seen(size, layers, place, clip=False)
        ),
        "The padding lies around each layer's own input: keep the range inside *that* map at every "
        "step, not only inside the image.": (
            lambda size, layers, place: _seen(size, layers, place, clip="once")
        ),
        "If the windows do not reach beyond the end, there are no zeros, not −1.": (
            lambda size, layers, place: _seen(
                size, layers, place, before=lambda *layer: _zeros(*layer) // 2
            )
        ),
        "Half of the zeros go before, rounded down.": (
            lambda size, layers, place: _seen(
                size, layers, place, before=lambda *layer: max(_zeros(*layer), 0)
            )
        ),
        "A window of k that begins at n ends with n + k - 1; the last pixel is one too far.": (
            lambda size, layers, place: _seen(size, layers, place, reach=0)
        ),
        "(kernel - 1) // 2 zeros before are right at stride 1 only.": (
            lambda size, layers, place: _seen(
                size, layers, place, before=lambda _, k, s, p: (k - 1) // 2 if p == "SAME" else 0
            )
        ),
        "With an odd number of zeros the odd one goes after: kernel // 2 before is too many.": (
            lambda size, layers, place: _seen(
                size, layers, place, before=lambda _, k, s, p: k // 2 if p == "SAME" else 0
            )
        ),
        "The padding of every layer is worked out for the image; a layer pads the map that it is "
        "given, which is smaller.": (
            lambda size, layers, place: _seen(
                size,
                layers,
                place,
                before=lambda _, k, s, p: arithmetic.padding_amounts(size, k, s, padding=p)[0],
            )
        ),
        "The stride is not used: window number n begins at n * stride.": (
            lambda size, layers, place: _seen(size, [(k, 1, p) for k, _, p in layers], place)
        ),
        "This is how many pixels, or where they end without the last; give the first and the last "
        "pixel, both included.": lambda size, layers, place: (
            _seen(size, layers, place)[0],
            _seen(size, layers, place)[1] - _seen(size, layers, place)[0] + 1,
        ),
    },
)


# largest_batch(shapes, parameters, memory, training): images that fit into so many bytes


def _fitting(memory: int, fixed: int, each: int, number: int = NUMBER) -> int:
    return max(0, (memory - number * fixed) // (number * each))


def _counts(shapes: Sequence[Shape]) -> list[int]:
    return [prod(shape) for shape in shapes]


def _pair(shapes: Sequence[Shape]) -> int:
    """Return the numbers of the layer whose input and output together are the most."""
    return max(map(sum, pairwise(_counts(shapes))))


def _batch(shapes: Sequence[Shape], parameters: int, memory: int, training: bool) -> int:
    if training:
        return _fitting(memory, 2 * parameters, sum(_counts(shapes)))
    return _fitting(memory, parameters, _pair(shapes))


def _batch_cases() -> Iterator[Inputs]:
    def case(shapes: list[Shape], parameters: int, memory: int, training: bool) -> Inputs:
        return {
            "shapes": shapes,
            "parameters": parameters,
            "memory": memory,
            "training": training,
        }

    yield case([(2, 2, 1), (3,)], 0, 300, True)
    yield case([(2, 2, 1), (3,)], 15, 300, True)
    yield case([(2, 2, 1), (3,)], 15, 300, False)
    yield case([(5, 5, 1), (2, 2, 1), (3,)], 0, 3000, False)
    yield case([(2, 2, 1), (3, 3, 2), (2, 2, 1), (3, 3, 1), (4,)], 10, 2007, False)
    yield case([(2, 2, 1), (3, 3, 2), (2, 2, 1), (3, 3, 1), (4,)], 10, 2007, True)
    yield case([(2, 2, 1), (3,)], 100, 300, True)
    maps = [row[0] for row in table((28, 28, 1), LENET) if len(row[0]) == 3]
    shapes: list[Shape] = [(28, 28, 1), *maps, (1024,), (10,)]
    for training in (True, False):
        yield case(shapes, 3_255_914, 2 * 10**9, training)


def _batch_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for _ in range(6):
        shapes = [tuple(map(int, rng.integers(1, 12, 3))) for _ in range(5)] + [(10,)]
        for training in (True, False):
            yield {
                "shapes": shapes,
                "parameters": int(rng.integers(100, 3000)),
                "memory": int(rng.integers(10_000, 2_000_000)),
                "training": training,
            }


largest_batch = Check(
    name="largest_batch",
    expected=_batch,
    cases=_batch_cases,
    more=_batch_more,
    slips={
        "A number takes 4 bytes.": lambda s, n, m, t: _batch(s, n, 4 * m, t),
        "The gradients are forgotten: while training there is one for each parameter.": (
            lambda s, n, m, t: _batch(s, n / 2 if t else n, m, t)
        ),
        "No gradients are kept while predicting: the parameters count once.": (
            lambda s, n, m, t: _batch(s, n if t else 2 * n, m, t)
        ),
        "The parameters are there once, however many images there are.": (
            lambda s, n, m, t: (
                m // (4 * (2 * n + sum(_counts(s)))) if t else m // (4 * (n + _pair(s)))
            )
        ),
        "The parameters take memory as well.": lambda s, n, m, t: _batch(s, 0, m, t),
        "The images themselves are forgotten: shapes begins with theirs, and they count.": (
            lambda s, n, m, t: _batch(s[1:], n, m, t)
        ),
        "While a layer works its input is there as well, not its output alone.": (
            lambda s, n, m, t: _batch(s, n, m, t) if t else _fitting(m, n, max(_counts(s)))
        ),
        "The two largest are not there together unless they are neighbours: a layer's input and "
        "its output.": (
            lambda s, n, m, t: (
                _batch(s, n, m, t) if t else _fitting(m, n, sum(sorted(_counts(s))[-2:]))
            )
        ),
        "While predicting, a layer's output is thrown away once the next one has read it.": (
            lambda s, n, m, t: _fitting(m, 2 * n if t else n, sum(_counts(s)))
        ),
        "While training every layer's output is kept for the way back.": (
            lambda s, n, m, t: _fitting(m, 2 * n if t else n, _pair(s))
        ),
        "Part of an image does not fit: round down.": (
            lambda s, n, m, t: (
                -(-(m - 4 * (2 * n if t else n)) // (4 * (sum(_counts(s)) if t else _pair(s))))
            )
        ),
        "Where not even the parameters fit, no image does: 0, not less.": (
            lambda s, n, m, t: (
                (m - 4 * (2 * n if t else n)) // (4 * (sum(_counts(s)) if t else _pair(s)))
            )
        ),
    },
)


# small_network: sees more than LeNet, costs a small part of it, and still tells digits apart


@cache
def large_digits(part: int) -> tuple[Array, Array]:
    """Return 800 of scikit-learn's digits, [800, 28, 28, 1] from 0 to 1, and their labels.

    ``part`` 0 is what the students have; 1 is another 800, most of them from other people.
    """
    from scipy import ndimage
    from sklearn.datasets import load_digits

    chosen = slice(0, 800) if part == 0 else slice(900, 1700)
    small = load_digits().images[chosen] / 16
    images = np.pad(ndimage.zoom(small, (1, 3, 3), order=1), ((0, 0), (2, 2), (2, 2)))
    return images[..., np.newaxis].astype("float32"), load_digits().target[chosen]


def _values(layers: Sequence[Sequence[Any]], images: Array, seed: int) -> Array:
    """Return what the layers make of images, with random kernels and ReLU, no biases."""
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> Array:
        return rng.normal(0, np.sqrt(2 / prod(shape[:-1])), shape).astype("float32")

    values = images
    for layer in layers:
        match tuple(layer):
            case ("conv", filters, kernel, stride, padding):
                drawn = weights(kernel, kernel, values.shape[3], filters)
                values = reference.relu(reference.conv2d(values, drawn, None, stride, padding))
            case ("pool", window, stride, padding):
                values = reference.max_pool2d(values, window, stride, padding)
            case ("flatten",):
                values = values.reshape(len(values), -1)
            case ("dense", units):
                values = reference.relu(values @ weights(values.shape[1], units))
    return values


def _read(values: Array, labels: Array) -> float:
    """Return how many of the second half are read by a last layer that fits the first half."""
    values = values.astype("float64")
    values = (values - values.mean(0)) / (values.std() + 1e-9)
    values = np.hstack([values, np.ones((len(values), 1))])
    known, asked = np.split(values, 2)
    truth = np.eye(10)[labels[: len(known)]]
    least = known.T @ known + np.eye(known.shape[1])
    said = (asked @ np.linalg.solve(least, known.T @ truth)).argmax(1)
    return float((said == labels[len(known) :]).mean())


def network_figures(layers: Any, part: int = 0) -> Mapping[str, float]:
    """Return what a network on 28 × 28 × 1 sees, costs and tells apart with random kernels.

    For the last, nothing is trained but a last layer of ten units, which is fitted by least squares
    on what 400 digits become before it; "read" is the share of another 400 that it gets right, the
    mean over three draws of the kernels.
    """
    if not isinstance(layers, list | tuple) or not layers:
        raise Complaint("the network is not a list of layers")
    shape: Shape = (28, 28, 1)
    rows: list[Row] = []
    for number, layer in enumerate(layers, start=1):
        try:
            rows.append(_layer(shape, layer))
        except (TypeError, ValueError) as error:
            text = str(error).replace("padding 'same'", "padding 'SAME'")
            raise Complaint(f"layer {number}, {layer!r}: {text}") from None
        shape = rows[-1][0]
    if tuple(layers[-1]) != ("dense", 10):
        raise Complaint('the last layer must be ("dense", 10), the ten logits')
    work = sum(row[2] for row in rows)
    before_last = prod(rows[-2][0]) if len(rows) > 1 else 28 * 28
    limits = {
        "multiply-adds": (work, 1_000_000),
        "numbers before the last layer": (before_last, 2_000),
    }
    if much := [
        f"{n:,} {what} ({most:,} at most)" for what, (n, most) in limits.items() if n > most
    ]:
        raise Complaint(f"the network is too large for the trial: {' and '.join(much)}")
    windows = [(layer[-3], layer[-2]) for layer in layers if layer[0] in ("conv", "pool")]
    images, labels = large_digits(part)
    read = [_read(_values(layers[:-1], images, seed + 10 * part), labels) for seed in range(3)]
    return {
        "pixels seen along a side": arithmetic.receptive_field(windows).size,
        "parameters": sum(row[1] for row in rows),
        "multiply-adds": work,
        "numbers of the largest output": max(prod(row[0]) for row in rows),
        "read with random kernels": float(np.mean(read)),
    }


_NETWORK_HINTS = {
    "pixels seen along a side": (
        "It grows by (kernel - 1) · jump: strides and poolings early make every later kernel reach "
        "further."
    ),
    "parameters": (
        "Most sit where the maps become a row: numbers of the last map × units. Shrink that map."
    ),
    "multiply-adds": (
        "places × kernel² × channels in × filters: have few places before you have many filters."
    ),
}


def _read_hint(design: Sequence[Any]) -> str:
    text = "Too little of the digit comes through: more filters, or more places in the last map."
    if "dense" in [layer[0] for layer in design[:-1]]:
        text += " A dense layer before the last one is random here as well; leave it out."
    return text


def small_network(design: Any, *, part: int = 0) -> None:
    """Check task 4's layers; ``part`` 1 reads digits that students have not seen."""
    large_digits(part)  # here: loading them may take longer than measuring
    read = "read with random kernels"
    hints: Mapping[str, Any] = {**_NETWORK_HINTS, read: lambda figures: _read_hint(design)}
    lenet = table((28, 28, 1), LENET)
    goals = {
        "pixels seen along a side": ("at least", 21),
        "parameters": ("at most", sum(row[1] for row in lenet) // 500),
        "multiply-adds": ("at most", sum(row[2] for row in lenet) // 50),
        read: ("at least", (0.85, 0.84)[part]),
    }
    Target("small_network", network_figures, goals, hints)(design, part=part)

"""Checks of problem set 7: weights moved, a branched model, a planted fault, a layer, a design."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnncourse import reference
from cnncourse.checks.core import Check, Complaint, Inputs, Target
from cnncourse.checks.tensorflow import called, counting, floats, small_digits, through

__all__ = ["first_difference", "moved", "new_model", "rms_norm", "small_model"]

Array = np.ndarray[Any, np.dtype[Any]]


def places(*shape: int) -> Array:
    """Return an array whose numbers say where they stood: 2134 was at [1, 0, 2, 3]."""
    indices = np.indices(shape) + 1
    powers = 10.0 ** np.arange(len(shape) - 1, -1, -1)
    return np.tensordot(powers, indices, axes=1).astype(np.float32)


# moved(arrays, height, width): from channels-first arrays to Keras' list


class _Named(NamedTuple):
    """Keras' six arrays; a message calls them by these names."""

    conv_kernel: Array
    conv_bias: Array
    hidden_kernel: Array
    hidden_bias: Array
    out_kernel: Array
    out_bias: Array


def _moved(
    arrays: dict[str, Array],
    height: int,
    width: int,
    *,
    conv: Callable[[Array], Array] = lambda kernel: kernel.transpose(2, 3, 1, 0),
    hidden: Callable[[Array], Array] = lambda kernel: kernel.transpose(2, 3, 1, 0),
    out: Callable[[Array], Array] = np.transpose,
) -> _Named:
    """Return Keras' weights; ``hidden`` gets [units, filters, height, width]."""
    units, filters = len(arrays["hidden.weight"]), len(arrays["conv.weight"])
    folded = hidden(arrays["hidden.weight"].reshape(units, filters, height, width))
    return _Named(
        conv(arrays["conv.weight"]),
        arrays["conv.bias"],
        folded.reshape(-1, units),
        arrays["hidden.bias"],
        out(arrays["out.weight"]),
        arrays["out.bias"],
    )


def _foreign(
    number: Callable[..., Array],
    *,
    filters: int,
    channels: int,
    kernel: tuple[int, int],
    size: tuple[int, int],
    units: int,
    classes: int,
) -> Inputs:
    arrays = {
        "conv.weight": number(filters, channels, *kernel),
        "conv.bias": number(filters),
        "hidden.weight": number(units, filters, *size).reshape(units, -1),
        "hidden.bias": number(units),
        "out.weight": number(classes, units),
        "out.bias": number(classes),
    }
    return {"arrays": arrays, "height": size[0], "width": size[1]}


def _moved_cases() -> Iterator[Inputs]:
    for filters, channels, kernel, size, units, classes in (
        (1, 1, (1, 1), (1, 1), 1, 1),
        (1, 1, (2, 2), (1, 2), 2, 2),
        (2, 1, (1, 2), (1, 2), 1, 2),
        (2, 2, (2, 2), (1, 1), 2, 2),
        (2, 2, (2, 3), (2, 3), 2, 3),
        (2, 3, (3, 2), (2, 2), 4, 4),
    ):
        yield _foreign(
            places,
            filters=filters,
            channels=channels,
            kernel=kernel,
            size=size,
            units=units,
            classes=classes,
        )


def _moved_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for _ in range(3):
        a, b, c, d, e, f, g = (int(size) for size in rng.integers(1, 6, 7))
        yield _foreign(
            lambda *shape: rng.normal(size=shape).astype(np.float32),
            filters=a,
            channels=b,
            kernel=(c, c),
            size=(d, e),
            units=f,
            classes=g,
        )


_MOVE_CONV = "The convolution's kernel"

moved = Check(
    name="moved",
    expected=_moved,
    cases=_moved_cases,
    more=_moved_more,
    slips={
        f"{_MOVE_CONV} is reshaped, which keeps the order of its numbers. Axes change their places "
        "with transpose.": lambda a, h, w: _moved(
            a,
            h,
            w,
            conv=lambda k: k.reshape(*k.shape[2:], k.shape[1], k.shape[0]),
        ),
        f"{_MOVE_CONV} has its rows and columns swapped: plain .T turns all axes round.": (
            lambda a, h, w: _moved(a, h, w, conv=lambda k: k.T)
        ),
        f"{_MOVE_CONV} has filters before channels; Keras wants [..., in, out].": (
            lambda a, h, w: _moved(a, h, w, conv=lambda k: k.transpose(2, 3, 0, 1))
        ),
        "The inputs of hidden's kernel still stand in the order filter, row, column: .T leaves "
        "them there, and a reshape to (height, width, filters) moves nothing. Keras flattens row, "
        "column, filter.": (
            lambda a, h, w: _moved(a, h, w, hidden=lambda k: k.transpose(1, 2, 3, 0))
        ),
        "The hidden kernel's inputs are in the order column, row, filter; rows come first.": (
            lambda a, h, w: _moved(a, h, w, hidden=lambda k: k.transpose(3, 2, 1, 0))
        ),
        "The hidden kernel is folded as if its inputs stood in the order row, column, filter; in "
        "the file they stand in the order filter, row, column.": (
            lambda a, h, w: _moved(
                a,
                h,
                w,
                hidden=lambda k: (
                    k.reshape(len(k), h, w, -1).transpose(3, 1, 2, 0).reshape(-1, len(k))
                ),
            )
        ),
        "Rows and columns of out's kernel are swapped: Keras wants [inputs, units].": (
            lambda a, h, w: _moved(a, h, w, out=lambda k: k)
        ),
        "The hidden kernel's units are mixed with its inputs: transpose, do not reshape, to bring "
        "the units last.": (
            lambda a, h, w: _moved(a, h, w, hidden=lambda k: k.reshape(-1, len(k)))
        ),
    },
)


# new_model(height, width, channels, classes): two branches, built the functional way


def _weight_shapes(channels: int, classes: int) -> list[tuple[int, ...]]:
    kernels = [(3, 3, channels, 4), (3, 3, 4, 4), (3, 3, 8, 6), (6, classes)]
    return [shape for kernel in kernels for shape in (kernel, kernel[-1:])]


_ROWS = {"a": "", "b": "", "f": ": d and e side by side are 8 maps", "h": ": g gives 6 numbers"}


def _other_shapes(shapes: list[tuple[int, ...]], weights: list[Array]) -> str | None:
    """Say which row of the table has weights of other shapes than these."""
    if len(shapes) != len(weights):
        return (
            f"it has {len(shapes)} arrays of weights; {len(weights)} are wanted, a kernel and a "
            "bias for each of the rows a, b, f and h"
        )
    wanted = [weight.shape for weight in weights]
    names = [(row, part) for row in _ROWS for part in ("kernel", "bias")]
    for (row, part), yours, right in zip(names, shapes, wanted, strict=True):
        if yours != right:
            why = _ROWS[row] if part == "kernel" and yours[-1] == right[-1] else ""
            return f"row {row}'s {part} is {yours}, {right} is wanted{why}"
    return None


def _answered(answer: Callable[..., Any], images: Array, weights: list[Array]) -> Any:
    """Build the model, give it these weights, and return its logits."""
    import keras

    call = "new_model(height, width, channels, classes)"
    model = called(answer, *images.shape[1:], len(weights[-1]), call=call)
    if not isinstance(model, keras.Model):
        raise Complaint(f"new_model returns {model!r}; it has to return the keras.Model")
    if trouble := _other_shapes([weight.shape for weight in model.get_weights()], weights):
        raise Complaint(trouble)
    if len(model.trainable_weights) != len(weights):
        raise Complaint("some of its weights are not trainable")
    model.set_weights(weights)
    return model(images)


def _branched(
    images: Array,
    weights: list[Array],
    *,
    second: Callable[[Array], Array] = lambda maps: maps,
    joined: Callable[[Array, Array], Array] = lambda one, other: reference.relu(one + other),
    pools: Callable[[Array, Array], tuple[Array, Array]] = lambda most, mean: (most, mean),
    first: Callable[[Array], Array] = reference.relu,
    third: Callable[[Array], Array] = reference.relu,
    padding: str = "valid",
    pooling: str = "same",
    stride: int = 2,
    last: Callable[[Array], Array] = lambda logits: logits,
    over: Callable[..., Array] = np.mean,
) -> Array:
    """Return the logits by NumPy's layers, with something else in one place."""
    a = first(reference.conv2d(images, weights[0], weights[1], 1, "same"))
    b = second(reference.conv2d(a, weights[2], weights[3], 1, "same"))
    both = joined(a, b)
    most = reference.max_pool2d(both, 2, 2, pooling)
    mean = reference.avg_pool2d(both, 2, 2, pooling)
    values = np.concatenate(pools(most, mean), axis=3)
    values = third(reference.conv2d(values, weights[4], weights[5], stride, padding))
    return last(over(values, axis=(1, 2)) @ weights[6] + weights[7])


class _Weights(list[Array]):
    """Random arrays for the model; a message shows no more than their shapes."""

    def __repr__(self) -> str:
        return "normal numbers, shapes " + ", ".join(str(each.shape) for each in self)


def _model_case(rng: np.random.Generator, *sizes: int) -> Inputs:
    height, width, channels, classes = sizes
    shapes = _weight_shapes(channels, classes)
    weights = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    images = rng.normal(size=(2, height, width, channels)).astype(np.float32)
    return {"images": images, "weights": _Weights(weights)}


def _model_cases() -> Iterator[Inputs]:
    rng = np.random.default_rng(7)
    yield _model_case(rng, 12, 12, 1, 3)
    yield _model_case(rng, 13, 10, 2, 4)


def _model_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for _ in range(2):
        yield _model_case(rng, *(int(size) for size in rng.integers((9, 9, 1, 2), (15, 15, 4, 6))))


def _model_slip(**other: Any) -> Callable[..., Array]:
    return lambda images, weights: _branched(images, weights, **other)


new_model = through(
    Check(
        name="new_model",
        expected=_branched,
        cases=_model_cases,
        more=_model_more,
        slips={
            "The second convolution has a ReLU of its own; the table gives it none.": _model_slip(
                second=reference.relu
            ),
            "The first convolution's ReLU is missing.": _model_slip(first=lambda maps: maps),
            "The third convolution's ReLU is missing.": _model_slip(third=lambda maps: maps),
            "The ReLU after the sum is missing.": _model_slip(joined=np.add),
            "The sum is missing: the second convolution alone goes on.": _model_slip(
                joined=lambda one, other: reference.relu(other)
            ),
            "The two are averaged or multiplied, not added.": _model_slip(
                joined=lambda one, other: reference.relu((one + other) / 2)
            ),
            "The pools are put together in the other order: maximum first.": _model_slip(
                pools=lambda most, mean: (mean, most)
            ),
            "Both pools take the maximum.": _model_slip(pools=lambda most, mean: (most, most)),
            "Both pools take the mean.": _model_slip(pools=lambda most, mean: (mean, mean)),
            "Row g is the mean of each map, not its largest number.": _model_slip(over=np.max),
            "The third convolution is padded; it is VALID.": _model_slip(padding="same"),
            "The third convolution's stride is 1; it is 2.": _model_slip(stride=1),
            "The pools are VALID; they are SAME, which Keras has to be told.": _model_slip(
                pooling="valid"
            ),
            "The model ends in a softmax; logits are wanted.": _model_slip(last=reference.softmax),
        },
    ),
    _answered,
)


# first_difference(ours, theirs, images): the layer with a planted fault

PLANTED: dict[str, str | None] = {
    "nothing": None,
    "conv1 has no ReLU": "conv1",
    "pool1 takes the mean": "pool1",
    "conv2 has padding valid": "conv2",
    "hidden adds its bias twice": "hidden",
    "every weight rounded in its last digit": None,
    "one pixel of image 0, after conv1, by 0.005 of the largest": "conv1",
    "one pixel of image 1, after conv1, by 0.0003 of the largest": "conv1",
    "one pixel of image 1, after conv1, by 0.00003 of the largest": None,
    "one logit up and one down by 0.01 of the largest": "logits",
    "one logit by 0.0003 of the largest": "logits",
    "one logit by 0.00003 of the largest": None,
}


class _Size(float):
    """About how large the outputs are; a message says so."""

    def __repr__(self) -> str:
        return f"about {self:,.10g}: weights and images are such"


def _pair(planted: str, size: float) -> tuple[Any, Any, Array]:
    """Return two models and images; their numbers are about ``size``."""
    import keras

    def model(fault: str) -> Any:
        pool = keras.layers.AveragePooling2D if "pool1" in fault else keras.layers.MaxPooling2D
        conv2 = "valid" if "conv2" in fault else "same"
        inputs = keras.Input((8, 8, 2), name="images")
        values = keras.layers.Conv2D(
            4, 3, padding="same", activation=None if "no ReLU" in fault else "relu", name="conv1"
        )(inputs)
        values = pool(2, name="pool1")(values)
        values = keras.layers.Conv2D(4, 3, padding=conv2, activation="relu", name="conv2")(values)
        values = keras.layers.GlobalAveragePooling2D(name="pool2")(values)
        values = keras.layers.Dense(6, activation="relu", name="hidden")(values)
        return keras.Model(inputs, keras.layers.Dense(3, name="logits")(values))

    rng = np.random.default_rng(70)
    ours, theirs = model("nothing"), model(planted)
    weights = [rng.normal(size=weight.shape) for weight in ours.get_weights()]
    weights[::2] = [kernel / np.sqrt(kernel[..., 0].size) for kernel in weights[::2]]
    weights[1::2] = [size * np.abs(bias) for bias in weights[1::2]]
    images = size * rng.normal(size=(3, 8, 8, 2))
    if (
        "one pixel" in planted
    ):  # the second channel is 0 but there, where filter 0 takes it as it is
        place = (int("image 1" in planted), 4, 4)
        images[..., 1] = 0
        images[place] = 0, size * (30 if "0.00003" in planted else 2)
        weights[0][1, 1, 1, 0] = 1
    if "logit" in planted:  # all below 0, and nearly the same
        weights[-1] = size * np.array([-10, -11, -10.5])
    weights = [weight.astype(np.float32) for weight in weights]
    images = images.astype(np.float32)
    ours.set_weights(weights)

    def largest(layer: str) -> Any:
        outputs = keras.Model(ours.input, ours.get_layer(layer).output)(images)
        return np.abs(np.asarray(outputs)).max()

    if "rounded" in planted:
        weights = [np.nextafter(weight, np.float32(9e9)) for weight in weights]
    if "hidden" in planted:
        weights[5] = 2 * weights[5]
    if " by " in planted:
        share = float(planted.split(" by ")[1].split()[0])
        if "pixel" in planted:
            weights[0][1, 1, 1, 0] += share * largest("conv1") / images[..., 1].max()
        else:
            weights[-1][0] += share * largest("logits")
            weights[-1][1] -= share * largest("logits") * ("down" in planted)
    theirs.set_weights(weights)
    return ours, theirs, images


class _Layer(NamedTuple):
    """One layer of both models: its outputs and its weights."""

    name: str
    one: Array
    two: Array
    weights: list[Array]
    others: list[Array]


@cache
def _layers(planted: str, size: float) -> list[_Layer]:
    import keras

    ours, theirs, images = _pair(planted, size)
    outputs = [
        [
            np.asarray(each)
            for each in keras.Model(model.input, [x.output for x in model.layers])(images)
        ]
        for model in (ours, theirs)
    ]
    return [
        _Layer(layer.name, one, two, layer.get_weights(), other.get_weights())
        for layer, other, one, two in zip(ours.layers, theirs.layers, *outputs, strict=True)
    ]


def _looked_into(answer: Callable[..., Any], planted: str, outputs: float) -> Any:
    call = "first_difference(ours, theirs, images)"
    return called(answer, *_pair(planted, outputs), call=call)


def _difference_cases() -> Iterator[Inputs]:
    for planted in PLANTED:
        yield {"planted": planted, "outputs": _Size(1)}
    for size in (1e6, 1e-6):
        yield {"planted": "every weight rounded in its last digit", "outputs": _Size(size)}
    yield {"planted": "hidden adds its bias twice", "outputs": _Size(1e-6)}


def _difference_more(rng: np.random.Generator) -> Iterator[Inputs]:
    names = list(PLANTED)
    for number in rng.permutation(len(names)):
        yield {"planted": names[number], "outputs": _Size(10 ** rng.uniform(-6, 6))}


def _finds(differ: Callable[[Array, Array], Any], pick: int = 0) -> Callable[..., str | None]:
    """Return `first_difference` with another idea of what differs."""

    def found(planted: str, size: float) -> str | None:
        names = [
            layer.name
            for layer in _layers(planted, size)
            if layer.one.shape != layer.two.shape or differ(layer.one, layer.two)
        ]
        return names[pick] if names else None

    return found


def _other_weights(planted: str, size: float) -> str | None:
    for name, _, _, weights, others in _layers(planted, size):
        if any((one != other).any() for one, other in zip(weights, others, strict=True)):
            return name
    return None


def _apart(one: Array, two: Array) -> Any:
    return np.abs(one - two).max() > 1e-4 * np.abs(one).max()


_ALLCLOSE = (
    "np.allclose gives each number an allowance of its own, and a number near 0 next to none. Here "
    "all get the same: a ten-thousandth of the layer's largest."
)


def _difference_advice(trouble: str, inputs: Inputs) -> str | None:
    if "broadcast" in trouble or "Incompatible shapes" in trouble:
        return "Compare the shapes first: different shapes differ."
    if "InputLayer" in trouble or "positional argument" in trouble:
        return "layers[0] is the InputLayer; it cannot be called."
    return None


first_difference = through(
    Check(
        name="first_difference",
        expected=lambda planted, size: PLANTED[planted],
        cases=_difference_cases,
        more=_difference_more,
        seconds=30,
        advice=_difference_advice,
        slips={
            "A fixed allowance such as 1e-5 is too small for large numbers and too large for small "
            "ones: hold the difference against the layer's largest number.": _finds(
                lambda one, two: np.abs(one - two).max() > 1e-5
            ),
            "It wants equality to the last digit; rounding alone makes small differences.": _finds(
                lambda one, two: (one != two).any()
            ),
            _ALLCLOSE: _finds(lambda one, two: not np.allclose(one, two)),
            f"{_ALLCLOSE} So too with rtol=1e-4.": _finds(
                lambda one, two: not np.allclose(one, two, rtol=1e-4)
            ),
            "That is the last layer that differs. A fault goes on to all layers behind it: the "
            "first one is to blame.": _finds(_apart, pick=-1),
            "Equal weights are given. Compare what comes out of each layer.": _other_weights,
            "Nothing is found: what if only an inner layer is compared, or the shapes differ?": (
                lambda planted, size: None
            ),
            "The differences are averaged or added up; one number apart is enough. Take the "
            "largest absolute difference.": _finds(
                lambda one, two: np.abs((one - two).mean()) > 1e-4 * np.abs(one).max()
            ),
            "The differences are averaged; one number apart is enough. Take the largest.": _finds(
                lambda one, two: np.abs(one - two).mean() > 1e-4 * np.abs(one).max()
            ),
            "The sums are compared; differences cancel. Take the largest absolute difference.": (
                _finds(lambda one, two: np.abs(one.sum() - two.sum()) > 1e-4 * np.abs(one).max())
            ),
            "One number of one image is apart. Is only the first image compared, or does a mean or "
            "a norm hide it? Take the largest absolute difference of all.": _finds(
                lambda one, two: np.abs(one - two)[0].max() > 1e-4 * np.abs(one).max()
            ),
            "The difference has no absolute value: where theirs is the larger, it is below 0.": (
                _finds(lambda one, two: (one - two).max() > 1e-4 * np.abs(one).max())
            ),
            "The scale is the largest number; where all are below 0, take the largest absolute "
            "value.": _finds(lambda one, two: np.abs(one - two).max() > 1e-4 * one.max()),
            "The allowance is too small: a ten-thousandth of the layer's largest absolute number, "
            "not of its mean or its standard deviation.": _finds(
                lambda one, two: np.abs(one - two).max() > 1e-4 * one.std()
            ),
            "The allowance is too large: a ten-thousandth is 1e-4.": _finds(
                lambda one, two: np.abs(one - two).max() > 1e-3 * np.abs(one).max()
            ),
        },
    ),
    _looked_into,
)


# rms_norm: a layer class, RMSNorm(epsilon)


def _normed_by(
    answer: Callable[..., Any], images: Array, gain: Array, epsilon: float | None, saved: bool
) -> Any:
    """Put the layer into a model; saved: through a file. Return what it starts with and gives."""
    import keras
    import tensorflow as tf

    settings = {} if epsilon is None else {"epsilon": epsilon}
    call = "RMSNorm(epsilon=0.5, name='norm'), RMSNorm() or RMSNorm(name='norm')"
    layer = called(answer, name="norm", call=call, **settings)
    if not isinstance(layer, keras.layers.Layer):
        raise Complaint(f"{layer!r} is no layer: begin with class RMSNorm(keras.layers.Layer)")
    if layer.name != "norm":
        raise Complaint("RMSNorm(name='norm') has another name: hand **kwargs on to super()")
    inputs = keras.Input(images.shape[1:])
    try:
        made = layer(inputs)
    except Exception as error:
        if "numpy" not in str(error).lower() and "symbolic" not in str(error).lower():
            raise
        said = Complaint("NumPy cannot compute with Keras' tensors: use keras.ops")
        raise said.with_traceback(error.__traceback__) from None
    model = keras.Model(inputs, made)
    if len(model.trainable_weights) != 1:
        raise Complaint(f"it has {len(model.trainable_weights)} trainable weights; 1 is wanted")
    start = model.get_weights()[0]
    if start.shape != gain.shape:
        raise Complaint(
            f"the gain has shape {start.shape}; one number per channel, {gain.shape}, is wanted"
        )
    model.set_weights([gain])
    config = layer.get_config()
    if not isinstance(config, dict) or "name" not in config:
        raise Complaint(
            "get_config lacks the layer's name: begin with what super().get_config() returns"
        )
    if saved:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            model = keras.saving.load_model(path, custom_objects={answer.__name__: answer})
    with tf.GradientTape() as tape:
        outputs = model(images)
        total = tf.reduce_sum(outputs)
    slope = tape.gradient(total, model.trainable_weights[0])
    if slope is None:
        raise Complaint("the outputs do not depend on the gain: is it multiplied in `call`?")
    return {"gain at the start": start, "outputs": outputs, "slope of gain": slope}


def _normed(
    images: Array,
    gain: Array,
    epsilon: float | None,
    saved: bool,
    *,
    size: Callable[[Array, float], Array] = lambda x, e: np.sqrt(
        (x**2).mean(axis=-1, keepdims=True) + e
    ),
    shift: Callable[[Array], Array] = lambda x: np.zeros(1),
    start: float = 1,
    default: float = 1e-6,
) -> dict[str, Array]:
    x = images.astype(float)
    epsilon = default if epsilon is None else epsilon
    normed = (x - shift(x)) / size(x - shift(x), epsilon)
    axes = tuple(range(x.ndim - 1))
    return {
        "gain at the start": np.full(gain.shape, float(start)),
        "outputs": gain * normed,
        "slope of gain": normed.sum(axis=axes),
    }


def _norm_case(images: Array, gain: Any, epsilon: float | None, saved: bool = False) -> Inputs:
    gain = np.array(gain, np.float32)
    return {"images": images, "gain": gain, "epsilon": epsilon, "saved": saved}


def _norm_cases() -> Iterator[Inputs]:
    yield _norm_case(floats([[[[1, 7]]]]), [1, 1], 0.0)
    yield _norm_case(floats([[[[1, 7]]]]), [2, 10], 0.0)
    yield _norm_case(floats([[[[1, 7], [3, 4]], [[0, 2], [5, 5]]]]), [1, 1], 11.0)
    yield _norm_case(counting(2, 2, 3, 4), [1, 2, 3, 4], 0.5)
    yield _norm_case(floats([[[[0.001, 0.007]]]]), [1, 1], None)
    yield _norm_case(floats([[[[1, 7]]]]), [1, 10], 11.0, saved=True)


def _norm_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for saved in (False, True):
        shape = tuple(rng.integers(2, 6, 4))
        yield _norm_case(
            rng.normal(size=shape).astype(np.float32),
            rng.normal(size=shape[-1]),
            float(rng.uniform(0.1, 1)),
            saved,
        )
    yield _norm_case(rng.normal(0, 1e-3, (2, 3, 3, 4)).astype(np.float32), rng.normal(size=4), None)


def _norm_slip(**other: Any) -> Callable[..., dict[str, Array]]:
    return lambda *inputs: _normed(*inputs, **other)


def _root_mean(x: Array, epsilon: float, **over: Any) -> Array:
    return np.sqrt((x**2).mean(keepdims=True, **over) + epsilon)


rms_norm = through(
    Check(
        name="rms_norm",
        expected=_normed,
        cases=_norm_cases,
        more=_norm_more,
        slips={
            "The mean is taken over rows and columns; take it over the channels, axis -1.": (
                _norm_slip(size=lambda x, e: _root_mean(x, e, axis=(1, 2)))
            ),
            "The mean is taken over the whole image; each pixel has its own, over its channels.": (
                _norm_slip(size=lambda x, e: _root_mean(x, e, axis=(1, 2, 3)))
            ),
            "The mean is taken over the whole batch; each pixel has its own, over its channels.": (
                _norm_slip(size=lambda x, e: _root_mean(x, e))
            ),
            "The mean is subtracted first; that is layer normalisation. Here only size counts.": (
                _norm_slip(shift=lambda x: x.mean(axis=-1, keepdims=True))
            ),
            "The squares are added up, not averaged.": _norm_slip(
                size=lambda x, e: np.sqrt((x**2).sum(axis=-1, keepdims=True) + e)
            ),
            "The square root is missing.": _norm_slip(
                size=lambda x, e: (x**2).mean(axis=-1, keepdims=True) + e
            ),
            "epsilon is added outside of the root; it belongs to the mean of the squares.": (
                _norm_slip(size=lambda x, e: np.sqrt((x**2).mean(axis=-1, keepdims=True)) + e)
            ),
            "epsilon is not used.": _norm_slip(
                size=lambda x, e: np.sqrt((x**2).mean(axis=-1, keepdims=True))
            ),
            "RMSNorm() has another epsilon; 0.000001 if nothing else is said.": _norm_slip(
                default=1e-3
            ),
            "RMSNorm() has the epsilon 1e-7; 0.000001 is 1e-6.": _norm_slip(default=1e-7),
            "The gain starts at 0, and so would every output; let it start at 1.": _norm_slip(
                start=0
            ),
            "After loading, epsilon is another: get_config has to hand it on.": (
                lambda x, g, e, saved: _normed(x, g, 1e-6 if saved else e, saved)
            ),
        },
    ),
    _normed_by,
)


# small_model: the most accuracy for few parameters

STEPS, BATCH = 500, 32


def _small_figures(design: Any, data: tuple[Array, ...], half: int) -> Mapping[str, float]:
    import keras
    import tensorflow as tf

    if not callable(design) or isinstance(design, keras.Model):
        raise Complaint(f"is {design!r}; give the function small_model, without brackets")
    images, labels, test_images, test_labels = data
    keras.utils.set_random_seed(half)
    model = called(design, call="small_model()")
    if not isinstance(model, keras.Model) or model.output_shape != (None, 10):
        raise Complaint("small_model has to return a keras.Model that gives 10 logits")
    first = np.asarray(model(images[:99], training=False))
    if np.allclose(first.sum(axis=1), 1, atol=1e-3) and first.min() >= 0:
        raise Complaint("ends in softmax; logits are wanted")
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.03, STEPS))
    variables = [weight.value for weight in model.trainable_weights]
    optimizer.build(model.trainable_weights)

    def step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        optimizer.apply(tape.gradient(loss, variables), model.trainable_weights)
        return loss

    step = tf.function(step, autograph=False)
    rng = np.random.default_rng(half)
    for _ in range(STEPS):
        chosen = rng.integers(0, len(images), BATCH)
        step(images[chosen], labels[chosen])
    right = np.argmax(model(test_images, training=False), axis=1) == test_labels
    return {"parameters": model.count_params(), "right": float(right.mean())}


def _right_hint(figures: Mapping[str, Any]) -> str:
    if figures["right"] < 0.2:
        return (
            "It answers as by chance: at this rate ReLUs can die; try leaky_relu or elu as "
            "activation."
        )
    return (
        "It sees too little or keeps too little: how large is the receptive field before the last "
        "pooling, and how many numbers reach the last layer?"
    )


_SMALL_HINTS: Mapping[str, Any] = {
    "parameters": "Where do they sit? A dense layer on a flattened map is dear; pooling the map "
    "first is cheap. A 3 × 3 layer costs 9 · in · out.",
    "right": _right_hint,
}


def small_model(design: Any, *, half: int = 0) -> None:
    """Check task 5's function that returns a model; ``half`` 1 exchanges the halves."""
    goals = {"parameters": ("at most", 600), "right": ("at least", (0.91, 0.85)[half])}
    target = Target("small_model", _small_figures, goals, _SMALL_HINTS, seconds=90)
    target(design, data=small_digits(half), half=half)

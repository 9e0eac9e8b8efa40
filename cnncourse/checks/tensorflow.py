"""Checks of problem set 5: a dense layer that slides, dropout, a tape in parts, Adam, a recipe."""

import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from cnncourse.checks.core import Check, Complaint, Inputs, Target, shown

__all__ = ["adam", "dense_everywhere", "dropout", "gradients_in_parts", "recipe"]

Array = np.ndarray[Any, np.dtype[Any]]


def through(check: Check, around: Callable[..., Any]) -> Callable[..., None]:
    """Return a check that holds ``around(answer, *inputs)`` to what ``check`` expects.

    For answers that make something (a function, a graph, a model), which ``around`` then uses.
    """

    def run(answer: Any, *, seed: int | None = None) -> None:
        check(partial(around, answer) if callable(answer) else answer, seed=seed)

    return run


def called(answer: Callable[..., Any], *arguments: Any, call: str, **settings: Any) -> Any:
    """Call a student's function; if it takes other arguments, say how it is called."""
    try:
        inspect.signature(answer).bind(*arguments, **settings)
    except TypeError:
        raise Complaint(f"it takes other arguments; it is called as {call}") from None
    return answer(*arguments, **settings)


def counting(*shape: int, start: float = 1) -> Array:
    """Return 1, 2, 3 ... in float32."""
    return np.arange(start, start + np.prod(shape), dtype=np.float32).reshape(shape)


def floats(values: Any) -> Array:
    """Return a number or a nested list as a float32 array."""
    return np.array(values, np.float32)


# dense_everywhere(maps, kernel, bias, height, width): a dense layer at every place


def _everywhere(
    maps: Array,
    kernel: Array,
    bias: Array,
    height: int,
    width: int,
    stride: tuple[int, int] = (1, 1),
) -> Array:
    rows = range(0, maps.shape[1] - height + 1, stride[0])
    columns = range(0, maps.shape[2] - width + 1, stride[1])
    result = np.zeros((len(maps), len(rows), len(columns), kernel.shape[1]), np.float32)
    for row, top in enumerate(rows):
        for column, left in enumerate(columns):
            window = maps[:, top : top + height, left : left + width]
            result[:, row, column] = window.reshape(len(maps), -1) @ kernel + bias
    return result


def _everywhere_case(maps: Array, height: int, width: int, units: int | None = None) -> Inputs:
    """Return an input; without ``units`` every unit hands on one number of the window."""
    length = height * width * maps.shape[3]
    kernel = np.eye(length) if units is None else 10.0 ** np.arange(length * units)
    return {
        "maps": maps,
        "kernel": kernel.reshape(length, units or length).astype(np.float32),
        "bias": -1.5 * np.arange(1, 1 + (units or length), dtype=np.float32) * (units is not None),
        "height": height,
        "width": width,
    }


def _everywhere_cases() -> Iterator[Inputs]:
    yield _everywhere_case(counting(1, 1, 1, 2), 1, 1)
    yield _everywhere_case(counting(1, 1, 1, 1), 1, 1, units=3)
    yield _everywhere_case(counting(1, 2, 2, 1), 1, 2, units=2)
    yield _everywhere_case(counting(1, 1, 3, 1), 1, 3)
    yield _everywhere_case(counting(1, 2, 3, 1), 2, 3)
    yield _everywhere_case(counting(1, 2, 2, 2), 2, 2)
    yield _everywhere_case(counting(1, 2, 3, 2), 2, 3)
    yield _everywhere_case(counting(1, 2, 3, 1), 2, 2)
    yield _everywhere_case(counting(1, 4, 5, 1), 2, 3, units=1)
    yield _everywhere_case(counting(2, 3, 3, 2), 2, 1, units=1)


def _everywhere_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for _ in range(4):
        height, width, channels, units = (int(size) for size in rng.integers(1, 5, 4))
        shape = (3, height + rng.integers(0, 3), width + rng.integers(1, 4), channels)
        yield {
            "maps": rng.normal(size=shape).astype(np.float32),
            "kernel": rng.normal(size=(height * width * channels, units)).astype(np.float32),
            "bias": rng.normal(size=units).astype(np.float32),
            "height": height,
            "width": width,
        }


def _kernel_as(
    fold: Callable[[Array, int, int, int], Array],
) -> Callable[[Array, Array, Array, int, int], Array]:
    """Return `dense_everywhere` whose kernel was folded in another way."""

    def wrong(maps: Array, kernel: Array, bias: Array, height: int, width: int) -> Array:
        folded = fold(kernel, height, width, maps.shape[3])
        return _everywhere(maps, folded.reshape(kernel.shape), bias, height, width)

    return wrong


def _dense_advice(trouble: str, inputs: Inputs) -> str | None:
    if "4-dimensional" not in trouble and "rank 4" not in trouble:
        return None
    return (
        "A convolution's kernel has four axes: fold the dense one into "
        "[height, width, channels, units]."
    )


dense_everywhere = Check(
    name="dense_everywhere",
    expected=_everywhere,
    cases=_everywhere_cases,
    more=_everywhere_more,
    advice=_dense_advice,
    slips={
        "The result goes through a ReLU; the dense layer's answers are wanted as they are.": (
            lambda *inputs: np.maximum(_everywhere(*inputs), 0)
        ),
        "The kernel is folded as [width, height, channels, units], and the window lies on its "
        "side; the height comes first.": lambda m, k, b, h, w: _everywhere(m, k, b, w, h),
        "The bias is forgotten.": lambda m, k, b, h, w: _everywhere(m, k, 0 * b, h, w),
        "The kernel is folded as [width, height, ...]; the height comes first.": _kernel_as(
            lambda k, h, w, c: k.reshape(w, h, c, -1).swapaxes(0, 1)
        ),
        "The kernel is folded with its channels before the rows. Flattening [height, width, "
        "channels] lets the channel change fastest, so the channels come after the width.": (
            _kernel_as(lambda k, h, w, c: k.reshape(c, h, w, -1).transpose(1, 2, 0, 3))
        ),
        "The units are folded first: the kernel's last axis is the units, before and after.": (
            _kernel_as(lambda k, h, w, c: k.reshape(-1, h, w, c).transpose(1, 2, 3, 0))
        ),
        "The kernel is turned by 180°; TensorFlow does not turn it.": _kernel_as(
            lambda k, h, w, c: k.reshape(h, w, c, -1)[::-1, ::-1]
        ),
        "The window moves by its own size; it shall stand at every place: stride 1.": (
            lambda m, k, b, h, w: _everywhere(m, k, b, h, w, (h, w))
        ),
        "Only the first place is worked out; let the window slide.": (
            lambda m, k, b, h, w: _everywhere(m[:, :h, :w], k, b, h, w)
        ),
        "Zeros are added around the maps: with VALID the window stays inside.": (
            lambda m, k, b, h, w: _everywhere(
                np.pad(
                    m,
                    ((0, 0), ((h - 1) // 2, h // 2), ((w - 1) // 2, w // 2), (0, 0)),
                ),
                k,
                b,
                h,
                w,
            )
        ),
    },
)


# dropout(inputs, keep_prob, training): judged by its statistics


class _Calls(list[Any]):
    """The results of several calls; a message shows the first two."""

    def __repr__(self) -> str:
        return "\n".join(
            f"{which} call: {shown(result)}"
            for which, result in zip(("first", "second"), self, strict=False)
        )


def _again(answer: Callable[..., Any], *inputs: Any) -> _Calls:
    """Return what eight calls give, with TensorFlow's own dropout out of reach."""
    import tensorflow as tf

    def refused(*_: Any, **__: Any) -> None:
        raise Complaint("tf.nn.dropout does the task; write it from random numbers")

    call = "dropout(inputs, keep_prob, training)"
    own = [(tf.nn, "dropout"), (tf.compat.v1.nn, "dropout")]
    own += [(tf.nn.experimental, name) for name in ("stateless_dropout", "general_dropout")]
    with ExitStack() as stack:
        for module, name in own:
            stack.enter_context(mock.patch.object(module, name, refused))
        return _Calls(called(answer, *inputs, call=call) for _ in range(8))


def _dropout_cases() -> Iterator[Inputs]:
    def case(inputs: Array, keep_prob: float, training: bool = True) -> Inputs:
        return {"inputs": inputs, "keep_prob": keep_prob, "training": training}

    yield case(counting(6), 0.5, training=False)
    yield case(np.ones(20_000, np.float32), 0.8)
    yield case(counting(6), 1.0)
    yield case(np.full((40, 500), -3, np.float32), 0.25)
    yield case(counting(30, 6, 5, 8), 0.5)


def _dropout_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for training in (False, True, True, True):
        shape = (40, *rng.integers(5, 9, 2), 7)
        yield {
            "inputs": (0.1 + rng.random(shape)).astype(np.float32),
            "keep_prob": float(rng.uniform(0.3, 0.9)),
            "training": training,
        }


def _judge_dropout(results: Any, inputs: Inputs) -> str | None:
    """Say what is wrong with eight results of one call; the bounds are six standard deviations."""
    given, keep = inputs["inputs"], inputs["keep_prob"]
    for result in results:
        if result is None:
            return "gives nothing (None): it ends without `return`"
        if np.shape(result) != given.shape:
            return f"gives shape {np.shape(result)}, where {given.shape} is wanted"
        if not np.isfinite(result).all():
            return "gives numbers that are not finite"
    if not inputs["training"] or keep == 1:
        return _judge_unchanged(results[0], given, keep)
    kept = np.array(results) != 0
    complaint = _judge_places(kept[:2]) or _judge_kept(results[0], given, keep)
    if not complaint and len({int(mask.sum()) for mask in kept}) == 1:
        return (
            f"keeps {kept[0].sum():,} of {given.size:,} numbers in every one of 8 calls; if each "
            "is decided by itself, that number varies"
        )
    return complaint


def _judge_places(masks: Array) -> str | None:
    """Say what numbers, kept or dropped in two calls, have in common that they should not."""
    first = masks[0]
    if first.all() or not first.any():
        return f"drops {'nothing' if first.all() else 'everything'}, though training is True"
    for axis, name in enumerate(("images", "rows", "columns", "channels")[: first.ndim]):
        if first.ndim > 1 and (first == first.take([0], axis)).all():
            return f"drops the same places in all {name}; decide for every number by itself"
    if (first == masks[1]).all():
        return "drops the same places in every call; draw new random numbers each time"
    return None


def _judge_unchanged(result: Array, given: Array, keep: float) -> str | None:
    if np.allclose(result, given):
        return None
    if np.allclose(result, given * keep):
        return "multiplies with keep_prob where nothing is dropped; the scaling belongs to training"
    return "changes its inputs, though nothing is to be dropped (training is False or keep_prob 1)"


def _judge_kept(result: Array, given: Array, keep: float) -> str | None:
    kept = result != 0
    share, allowed = kept.mean(), 6 * np.sqrt(keep * (1 - keep) / given.size)
    if abs(share - keep) > allowed:
        if abs(share - (1 - keep)) <= allowed:
            return f"keeps a share of {share:.3f}: keep_prob = {keep:.3g} is what to keep, not drop"
        return f"keeps a share of {share:.3f}, where about {keep:.3g} is wanted"
    for factor, complaint in (
        (1 / keep, None),
        (1.0, "does not scale what stays, so its mean is too small: divide by keep_prob"),
        (keep, "multiplies what stays with keep_prob; to make up for the rest, divide by it"),
        (1 / (1 - keep), "divides what stays by the share dropped; divide by the share kept"),
    ):
        if np.allclose(result[kept], given[kept] * factor, rtol=1e-4):
            return complaint
    return "scales what stays by something else than 1 / keep_prob, or not all numbers alike"


dropout = through(
    Check(
        name="dropout",
        expected=None,
        cases=_dropout_cases,
        more=_dropout_more,
        judge=_judge_dropout,
    ),
    _again,
)


# gradients_in_parts(losses_of, variables, images, labels, size)


def _with_tape(
    answer: Callable[..., Any], weights: Array, bias: Array, images: Array, labels: Array, size: int
) -> Any:
    """Call the answer with losses (images @ weights + bias - labels)² that refuse large parts."""
    import tensorflow as tf

    variables = [tf.Variable(weights), tf.Variable(bias)]
    held: weakref.WeakSet[Any] = weakref.WeakSet()  # parts that a tape still keeps

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def noted(losses: Any) -> Any:
        part = _Part()

        def back(slope: Any) -> Any:
            held.discard(part)
            return slope

        held.add(part)
        return losses, back

    def losses_of(images: Any, labels: Any) -> Any:
        if len(images) > size:
            raise Complaint(f"losses_of got {len(images)} images at once; at most {size} fit")
        if held:
            raise Complaint(
                "losses_of gets the next part while a tape still holds the last one, so all are "
                "in memory at the end: take each part's gradient before the next part"
            )
        apart = tf.linalg.matvec(tf.convert_to_tensor(images), variables[0])
        return noted((apart + variables[1] - labels) ** 2)

    call = "gradients_in_parts(losses_of, variables, images, labels, size)"
    try:
        result = called(answer, losses_of, variables, images, labels, size, call=call)
    except (TypeError, ValueError) as error:
        if "None" not in str(error):
            raise
        raise Complaint(_NO_GRADIENT).with_traceback(error.__traceback__) from None
    if not isinstance(result, tuple | list) or len(result) != 2:
        return result
    loss, gradients = result
    if isinstance(gradients, tuple | list):
        if any(gradient is None for gradient in gradients):
            raise Complaint(_NO_GRADIENT)
        gradients = list(gradients)
    return loss, gradients


_NO_GRADIENT = (
    "tape.gradient gave None: what happens outside of the tape is not recorded. losses_of and the "
    "sum of its losses have to be inside the `with`"
)


class _Part:
    """Stands for what a tape keeps of one part."""


class _Whole(NamedTuple):
    loss: Any
    gradients: Any


def _parts(
    weights: Array, bias: Array, images: Array, labels: Array, size: int
) -> list[tuple[int, float, Array, Array]]:
    """Return of each part its size and the sums of losses and slopes, worked out by hand."""
    parts = []
    for start in range(0, len(images), size):
        x, y = images[start : start + size], labels[start : start + size]
        apart = x @ weights + bias - y
        parts.append((len(x), (apart**2).sum(), 2 * x.T @ apart, 2 * apart.sum()))
    return parts


Weigh = Callable[[list[int]], Sequence[float]]


def _weighted(weigh: Weigh, weigh_slopes: Weigh | None = None) -> Callable[..., Any]:
    """Return the answer that multiplies each part's sums with the weight that ``weigh`` gives."""

    def combine(*inputs: Any) -> Any:
        parts = _parts(*inputs)
        sizes = [part[0] for part in parts]
        weights, for_slopes = weigh(sizes), (weigh_slopes or weigh)(sizes)
        loss, slope, slope_of_bias = (
            sum(weight * part[which] for weight, part in zip(chosen, parts, strict=True))
            for which, chosen in ((1, weights), (2, for_slopes), (3, for_slopes))
        )
        return _Whole(loss, [slope, slope_of_bias])

    return combine


def _over_all(sizes: list[int]) -> list[float]:
    return [1 / sum(sizes)] * len(sizes)


def _by_size(*inputs: Any) -> Any:
    return _weighted(lambda sizes: [1 / inputs[-1]] * len(sizes))(*inputs)


def _by_size_and_parts(*inputs: Any) -> Any:
    return _weighted(lambda sizes: [1 / inputs[-1] / len(sizes)] * len(sizes))(*inputs)


def _part_case(images: Array, labels: Any, size: int) -> Inputs:
    return {
        "weights": np.zeros(images.shape[1], np.float32),
        "bias": floats(0),
        "images": images,
        "labels": np.array(labels, np.float32),
        "size": size,
    }


def _part_cases() -> Iterator[Inputs]:
    yield _part_case(counting(2, 1), [1, 1], 2)
    yield _part_case(counting(4, 1), [1, 2, 1, 3], 2)
    yield _part_case(counting(3, 1), [1, 1, 5], 2)
    yield _part_case(counting(7, 2) / 10, [1, 0, 2, 1, 0, 0, 3], 3)
    yield _part_case(counting(2, 3), [1, 2], 10)


def _part_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for number, size in ((10, 4), (9, 2), (5, 8)):
        images = rng.normal(size=(number, 3)).astype(np.float32)
        case = dict(_part_case(images, rng.normal(size=number), size))
        yield case | {"weights": floats(rng.normal(size=3)), "bias": floats(rng.normal())}


gradients_in_parts = through(
    Check(
        name="gradients_in_parts",
        expected=_weighted(_over_all),
        cases=_part_cases,
        more=_part_more,
        slips={
            "The parts' means are averaged as if all parts were equally large. Add up sums over "
            "images, and divide once, by the number of images.": _weighted(
                lambda sizes: [1 / size / len(sizes) for size in sizes]
            ),
            "The parts' means are added up; the mean over all images is wanted.": _weighted(
                lambda sizes: [1 / size for size in sizes]
            ),
            "The sums are not divided by the number of images.": _weighted(
                lambda sizes: [1.0] * len(sizes)
            ),
            "The loss is divided by the number of images, its gradients are not.": _weighted(
                _over_all, lambda sizes: [1.0] * len(sizes)
            ),
            "The gradients are those of the last part only: add up those of all parts.": _weighted(
                _over_all, lambda sizes: [0.0] * (len(sizes) - 1) + [1 / sum(sizes)]
            ),
            "The gradients are those of the last part only, and of its own mean: add up the sums' "
            "gradients of all parts.": _weighted(
                _over_all, lambda sizes: [0.0] * (len(sizes) - 1) + [1 / sizes[-1]]
            ),
            "Every part is divided by `size`, but there are fewer images than that in some: divide "
            "once, by the number of images.": _by_size,
            "It is divided by `size` times the number of parts, but some parts are smaller: divide "
            "by the number of images.": _by_size_and_parts,
            "The sums are divided by the number of parts; divide by the number of images.": (
                _weighted(lambda sizes: [1 / len(sizes)] * len(sizes))
            ),
            "Only the last part counts: add its gradients to those of the parts before.": _weighted(
                lambda sizes: [0.0] * (len(sizes) - 1) + [1 / sizes[-1]]
            ),
            "The last part, with fewer images, is left out.": _weighted(
                lambda sizes: [
                    float(size == max(sizes)) / sum(n for n in sizes if n == max(sizes))
                    for size in sizes
                ]
            ),
        },
    ),
    _with_tape,
)


# adam: a class, Adam(variables, rate), with a method apply(slopes)


def _steps_of(
    answer: Callable[..., Any],
    start: list[Array],
    rate: float,
    slopes: list[list[Array]],
    compiled: bool,
) -> Any:
    """Return every variable's value after each step."""
    import tensorflow as tf

    variables = [tf.Variable(array) for array in start]
    apply = getattr(called(answer, variables, rate, call="Adam(variables, rate)"), "apply", None)
    if not callable(apply):
        raise Complaint("it has no method apply(slopes)")
    if compiled:
        apply = tf.function(apply, autograph=False)
    values = []
    for step in slopes:
        apply([tf.constant(slope) for slope in step])
        values.append([variable.numpy() for variable in variables])
    return values


def _adam_advice(trouble: str, inputs: Inputs) -> str | None:
    if "int32" in trouble or "int64" in trouble:
        return "Is t a whole number? TensorFlow does not mix kinds: count in tf.Variable(0.0)."
    if "out of scope" in trouble or "FuncGraph" in trouble:
        return _REMEMBER
    return None


_REMEMBER = (
    "Right in step 1, wrong from step 2: the running means are not remembered. They have to be "
    "tf.Variables, made in __init__ and changed with assign."
)


def _keras_adam(
    start: list[Array], rate: float, slopes: list[list[Array]], compiled: bool
) -> list[list[Array]]:
    import keras
    import tensorflow as tf

    variables = [tf.Variable(array) for array in start]
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(variables)
    values = []
    for step in slopes:
        optimizer.apply([tf.constant(slope) for slope in step], variables)
        values.append([variable.numpy() for variable in variables])
    return values


def _other_adam(
    *,
    betas: tuple[float, float] = (0.9, 0.999),
    count: Callable[[int, int, int, bool], float] = lambda step, number, of, compiled: step,
    correct: tuple[bool, bool] = (True, True),
    power: float = 2,
    root: Callable[[Array], Array] = np.sqrt,
    sign: float = -1,
    forgets: Callable[[bool], bool] = lambda compiled: False,
) -> Callable[..., list[list[Array]]]:
    """Return Adam with something else in one place; ``count`` gives the t of the corrections."""

    def other(
        start: list[Array], rate: float, slopes: list[list[Array]], compiled: bool
    ) -> list[list[Array]]:
        values = [array.astype(float) for array in start]
        means = [np.zeros_like(value) for value in values]
        squares = [np.zeros_like(value) for value in values]
        after = []
        for step, now in enumerate(slopes, start=1):
            if forgets(compiled):
                means = [np.zeros_like(value) for value in values]
                squares = [np.zeros_like(value) for value in values]
            for number, slope in enumerate(now):
                means[number] = betas[0] * means[number] + (1 - betas[0]) * slope
                squares[number] = betas[1] * squares[number] + (1 - betas[1]) * slope**power
                t = count(step, number, len(now), compiled)
                mean = means[number] / (1 - betas[0] ** t if correct[0] else 1)
                square = squares[number] / (1 - betas[1] ** t if correct[1] else 1)
                values[number] = values[number] + sign * rate * mean / (root(square) + 1e-7)
            after.append(list(values))
        return after

    return other


def _adam_case(rate: float, slopes: list[list[Any]], compiled: bool = False) -> Inputs:
    return {
        "start": [np.ones(np.shape(slope), np.float32) for slope in slopes[0]],
        "rate": rate,
        "slopes": [[np.array(slope, np.float32) for slope in step] for step in slopes],
        "compiled": compiled,
    }


def _adam_cases() -> Iterator[Inputs]:
    yield _adam_case(0.1, [[[4.0]]])
    yield _adam_case(0.1, [[[4.0]], [[2.0]], [[-1.0]]])
    yield _adam_case(0.1, [[[1e-6]]])  # only here the 1e-7 counts
    two = [[[4.0, -1.0], [[0.5]]], [[1.0, 1.0], [[-2.0]]], [[3.0, 0.1], [[0.2]]]]
    yield _adam_case(0.01, two)
    yield _adam_case(0.1, [[[4.0]], [[2.0]], [[-1.0]]], compiled=True)
    yield _adam_case(0.01, two, compiled=True)


def _adam_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for compiled in (False, True):
        shapes = [(3,), (2, 2, 1, 4), ()]
        steps = [
            [rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape) for shape in shapes]
            for _ in range(6)
        ]
        steps += [[1e-6 * slope for slope in steps[0]]] * 2
        yield _adam_case(0.1, [[1e-6 * slope for slope in step] for step in steps[:2]], compiled)
        yield _adam_case(float(rng.uniform(0.001, 0.1)), steps, compiled)


def _standing_still(
    start: list[Array], rate: float, slopes: list[list[Array]], compiled: bool
) -> list[list[Array]]:
    return [start] * len(slopes)


adam = through(
    Check(
        name="adam",
        expected=_other_adam(),
        cases=_adam_cases,
        more=_adam_more,
        advice=_adam_advice,
        slips={
            "Nothing moves. `variable.assign_sub(move)` changes a variable; `variable = ...` only "
            "gives another tensor its name.": _standing_still,
            "It moves uphill: subtract the move.": _other_adam(sign=1),
            "Both running means begin at 0, so they are too small at first: divide them by "
            "1 - 0.9**t and 1 - 0.999**t.": _other_adam(correct=(False, False)),
            "Only the mean of the slopes is corrected; the mean of the squares begins at 0 too.": (
                _other_adam(correct=(True, False))
            ),
            "Only the mean of the squares is corrected; the mean of the slopes begins at 0 too.": (
                _other_adam(correct=(False, True))
            ),
            "The mean forgets all but the last slope: keep 0.9 of the old mean.": _other_adam(
                betas=(0.0, 0.999)
            ),
            "0.9 and 0.999 are swapped.": _other_adam(betas=(0.999, 0.9)),
            "The 10⁻⁷ stands under the root; add it to the root.": _other_adam(
                root=lambda square: np.sqrt(square + 1e-7)
            ),
            "The 10⁻⁷ is missing.": _other_adam(root=lambda square: np.sqrt(square) - 1e-7),
            "The 10⁻⁷ is added before √s is corrected, as Keras' own Adam does; follow the formula "
            "above.": _keras_adam,
            "The square root is missing.": _other_adam(root=lambda square: square),
            "The second mean is of the slopes' squares.": _other_adam(
                power=1, root=lambda square: np.sqrt(np.abs(square))
            ),
            "t is 2 in the first step; count it before you use it, from 1.": _other_adam(
                count=lambda step, number, of, compiled: step + 1
            ),
            "t is 0 in the first step, so 1 - 0.9**t is 0; count it before you use it, from 1.": (
                _other_adam(count=lambda step, number, of, compiled: step - 1)
            ),
            _REMEMBER: _other_adam(forgets=lambda compiled: True),
            "Every step is like the first: Python ran once, when the function was traced. What "
            "changes from step to step (t and both means) has to be in tf.Variables.": _other_adam(
                forgets=lambda compiled: True, count=lambda step, number, of, compiled: 1
            ),
            "t grows with every variable; all variables of one step share one t.": _other_adam(
                count=lambda step, number, of, compiled: (step - 1) * of + number + 1
            ),
            "t stays 1 when the function is compiled: Python ran once, when it was traced. Count "
            "in a tf.Variable, made in __init__.": _other_adam(
                count=lambda step, number, of, compiled: 1 if compiled else step
            ),
            "t stays 1: every step needs the next one.": _other_adam(
                count=lambda step, number, of, compiled: 1
            ),
        },
    ),
    _steps_of,
)


# recipe: (new_params, forward, rate) that learns to read in 60 steps

STEPS, BATCH = 60, 32


def small_digits(half: int) -> tuple[Array, Array, Array, Array]:
    """Return scikit-learn's digits [n, 8, 8, 1], 0 to 1, and labels: to learn, and to test.

    ``half`` 1 exchanges the two.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images, labels = (data.images[..., np.newaxis] / 16).astype(np.float32), data.target
    first, second = slice(900), slice(900, None)
    learn, test = (first, second) if half == 0 else (second, first)
    return images[learn], labels[learn], images[test], labels[test]


def _recipe_figures(design: Any, data: tuple[Array, ...], half: int) -> Mapping[str, float]:
    """Return the figures of three starts' middle one, by what it reads rightly."""
    try:
        new_params, forward, rate = design
    except (TypeError, ValueError):
        raise Complaint("is not (new_params, forward, rate), three functions") from None
    starts = [_one_start(new_params, forward, rate, data, seed) for seed in (half, 10, 11)]
    return sorted(starts, key=lambda figures: figures[_right(half)])[1]


def _right(half: int) -> str:
    return f"read rightly, of {(897, 900)[half]}"


def _one_start(
    new_params: Any, forward: Any, rate: Any, data: tuple[Array, ...], seed: int
) -> dict[str, float]:
    import keras
    import tensorflow as tf

    images, labels, test_images, test_labels = data
    tf.random.set_seed(seed)
    params = new_params()
    variables = list(params.values()) if isinstance(params, Mapping) else []
    if not variables or not all(isinstance(variable, tf.Variable) for variable in variables):
        raise Complaint("new_params has to return a dictionary of tf.Variables")
    some = np.array(forward(params, images[:2]))
    if some.shape != (2, 10):
        raise Complaint(
            f"forward gives shape {some.shape} for 2 images; logits of (2, 10) are wanted"
        )
    if (some >= 0).all() and np.allclose(some.sum(axis=1), 1, atol=1e-4):
        raise Complaint(
            "forward ends with a softmax (each row sums to 1): return the logits, the loss has its "
            "own softmax"
        )
    optimizer = keras.optimizers.Adam()
    optimizer.build(variables)

    def step(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = forward(params, images)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    step = tf.function(step, autograph=False)
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(images)) for _ in range(3)])
    losses = []
    for number in range(STEPS):
        chosen = order[number * BATCH : (number + 1) * BATCH]
        optimizer.learning_rate.assign(rate(number))
        losses.append(float(step(images[chosen], labels[chosen])))
    right = np.argmax(forward(params, test_images), axis=1) == test_labels
    return {
        "parameters": sum(int(tf.size(variable)) for variable in variables),
        "loss before the first step": losses[0],
        "mean loss of the last ten": float(np.mean(losses[-10:])),
        f"read rightly, of {len(right)}": int(right.sum()),
    }


def _recipe_hint(figures: Mapping[str, float]) -> str:
    """Say from the losses where the way to the goal is lost."""
    begin, end = figures["loss before the first step"], figures["mean loss of the last ten"]
    if not np.isfinite(end):
        return "The loss is not finite: far too long steps, or far too large weights."
    if abs(end - np.log(10)) < 0.02:
        return (
            "The loss stays at ln 10 = 2.303: nothing gets through. Either the weights of a layer "
            "are all equal, or so small that the signal fades, or the steps were so short that "
            "nothing moved, or so long that every ReLU died."
        )
    if end < 0.5:
        return (
            "It learns well. Which layers could it do without on the way from 8 × 8 to ten? Is "
            "there one that sees shapes? Let the rate fall, or try half of it and twice."
        )
    if begin > 5:
        return "The loss begins far above ln 10 = 2.3: the weights start too large."
    return (
        "Compare the losses with ln 10 = 2.3. Hardly below it at the end: the steps are too short, "
        "or the signal fades on its way through many layers."
    )


def recipe(design: Any, *, half: int = 0) -> None:
    """Check task 5's (new_params, forward, rate); ``half`` 1 exchanges learnt and read digits."""
    goals = {"parameters": ("at most", 5_000), _right(half): ("at least", (830, 810)[half])}
    hints: Mapping[str, Any] = {
        "parameters": "Which layer has most of them? Fewer inputs or units there cost the least.",
        _right(half): _recipe_hint,
    }
    target = Target("recipe", _recipe_figures, goals, hints, seconds=60)
    target(design, data=small_digits(half), half=half)

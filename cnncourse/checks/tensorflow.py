"""Checks of problem set 5: a dense layer that slides, dropout, a tape in parts, Adam, a recipe."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from cnncourse.checks.core import Check, Inputs, Target

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
        raise ValueError(f"it takes other arguments; it is called as {call}") from None
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
        "bias": np.arange(units or length, dtype=np.float32) / 2 * (units is not None),
        "height": height,
        "width": width,
    }


def _everywhere_cases() -> Iterator[Inputs]:
    yield _everywhere_case(counting(1, 1, 1, 2), 1, 1)
    yield _everywhere_case(counting(1, 1, 1, 1), 1, 1, units=3)
    yield _everywhere_case(counting(1, 1, 2, 1), 1, 2, units=2)
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


dense_everywhere = Check(
    name="dense_everywhere",
    expected=_everywhere,
    cases=_everywhere_cases,
    more=_everywhere_more,
    slips={
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


def _twice(answer: Callable[..., Any], *inputs: Any) -> list[Any]:
    call = "dropout(inputs, keep_prob, training)"
    return [called(answer, *inputs, call=call) for _ in range(2)]


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
    """Say what is wrong with two results of one call; the bounds are six standard deviations."""
    given, keep = inputs["inputs"], inputs["keep_prob"]
    for result in results:
        if np.shape(result) != given.shape:
            return f"gives shape {np.shape(result)}, where {given.shape} is wanted"
        if not np.isfinite(result).all():
            return "gives numbers that are not finite"
    if not inputs["training"] or keep == 1:
        return _judge_unchanged(results[0], given, keep)
    return _judge_places(np.array(results) != 0) or _judge_kept(results[0], given, keep)


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
    _twice,
)


# gradients_in_parts(losses_of, variables, images, labels, size)


def _with_tape(
    answer: Callable[..., Any], weights: Array, bias: Array, images: Array, labels: Array, size: int
) -> Any:
    """Call the answer with losses (images @ weights + bias - labels)² that refuse large parts."""
    import tensorflow as tf

    variables = [tf.Variable(weights), tf.Variable(bias)]

    def losses_of(images: Any, labels: Any) -> Any:
        if len(images) > size:
            raise ValueError(f"losses_of got {len(images)} images at once; at most {size} fit")
        apart = tf.linalg.matvec(tf.convert_to_tensor(images), variables[0])
        return (apart + variables[1] - labels) ** 2

    call = "gradients_in_parts(losses_of, variables, images, labels, size)"
    loss, gradients = called(answer, losses_of, variables, images, labels, size, call=call)
    if any(gradient is None for gradient in gradients):
        raise ValueError("a gradient is None: what happened outside of the tape is not recorded")
    return loss, list(gradients)


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


def _weighted(weigh: Callable[[list[int]], Sequence[float]]) -> Callable[..., Any]:
    """Return the answer that multiplies each part's sums with the weight that ``weigh`` gives."""

    def combine(*inputs: Any) -> Any:
        parts = _parts(*inputs)
        weights = weigh([part[0] for part in parts])
        loss, slope, slope_of_bias = (
            sum(weight * part[which] for weight, part in zip(weights, parts, strict=True))
            for which in (1, 2, 3)
        )
        return loss, [slope, slope_of_bias]

    return combine


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
        expected=_weighted(lambda sizes: [1 / sum(sizes)] * len(sizes)),
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
        raise ValueError("it has no method apply(slopes)")
    if compiled:
        apply = tf.function(apply, autograph=False)
    values = []
    for step in slopes:
        apply([tf.constant(slope) for slope in step])
        values.append([variable.numpy() for variable in variables])
    return values


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
    two = [[[4.0, -1.0], [[0.5]]], [[1.0, 1.0], [[-2.0]]], [[3.0, 0.1], [[0.2]]]]
    yield _adam_case(0.01, two)
    yield _adam_case(0.1, [[[4.0]], [[2.0]], [[-1.0]]], compiled=True)
    yield _adam_case(0.01, two, compiled=True)


def _adam_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for compiled in (False, True):
        shapes = [(3,), (2, 2, 1, 4), ()]
        # Far from 0, where Keras adds its 1e-7 at another place than the textbook.
        steps = [
            [rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape) for shape in shapes]
            for _ in range(6)
        ]
        yield _adam_case(float(rng.uniform(0.001, 0.1)), steps, compiled)


def _standing_still(
    start: list[Array], rate: float, slopes: list[list[Array]], compiled: bool
) -> list[list[Array]]:
    return [start] * len(slopes)


adam = through(
    Check(
        name="adam",
        expected=_keras_adam,
        cases=_adam_cases,
        more=_adam_more,
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
            "The square root is missing.": _other_adam(root=lambda square: square),
            "The second mean is of the slopes' squares.": _other_adam(
                power=1, root=lambda square: np.sqrt(np.abs(square))
            ),
            "t is 2 in the first step; count it before you use it, from 1.": _other_adam(
                count=lambda step, number, of, compiled: step + 1
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
    import keras
    import tensorflow as tf

    try:
        new_params, forward, rate = design
    except (TypeError, ValueError):
        raise ValueError("is not (new_params, forward, rate), three functions") from None
    images, labels, test_images, test_labels = data
    tf.random.set_seed(half)
    params = new_params()
    variables = list(params.values()) if isinstance(params, Mapping) else []
    if not variables or not all(isinstance(variable, tf.Variable) for variable in variables):
        raise ValueError("new_params has to return a dictionary of tf.Variables")
    shape = tuple(forward(params, images[:2]).shape)
    if shape != (2, 10):
        raise ValueError(f"forward gives shape {shape} for 2 images; logits of (2, 10) are wanted")
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
    rng = np.random.default_rng(half)
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
        "right": float(right.mean()),
    }


_RECIPE_HINTS = {
    "parameters": "Which layer has most of them? Fewer inputs or units there cost the least.",
    "right": (
        "Compare the losses. Far above ln 10 = 2.3 before the first step: weights start too large. "
        "Hardly below it at the end: the steps are too short, or the signal fades on its way."
    ),
}


def recipe(design: Any, *, half: int = 0) -> None:
    """Check task 5's (new_params, forward, rate); ``half`` 1 exchanges learnt and read digits."""
    goals = {"parameters": ("at most", 5_000), "right": ("at least", (0.90, 0.88)[half])}
    target = Target("recipe", _recipe_figures, goals, _RECIPE_HINTS, seconds=60)
    target(design, data=small_digits(half), half=half)

"""Checks of problem set 4: three backward passes, a gradient checker, a network that learns."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnncourse import reference
from cnncourse.checks.convolution import SWAPPED, TURNED, digits, powers
from cnncourse.checks.core import Check, Complaint, Inputs, Target

__all__ = ["agrees", "bent_backward", "conv_backward", "learner", "loss_backward"]

Array = np.ndarray[Any, np.dtype[Any]]


# bent_backward(gradient, x, slope): x where it is positive, otherwise slope · x


def _bent_backward(gradient: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    by_slope = np.where(x > 0, 0, gradient * x)
    return gradient * np.where(x > 0, 1, slope), by_slope.sum((0, 1, 2))


def _bent_cases() -> Iterator[Inputs]:
    def case(gradient: Any, x: Any, slope: Any) -> Inputs:
        x = np.array(x, float)
        return {
            "gradient": np.array(gradient, float).reshape(x.shape),
            "x": x,
            "slope": np.array(slope, float),
        }

    yield case([5], [[[[3]]]], [0.1])
    yield case([5], [[[[-2]]]], [0.1])
    yield case([5, 7], [[[[-2], [3]]]], [0.1])
    yield case([-5, 7, 10], [[[[2], [-3], [-4]]]], [0.1])
    yield case([1, 10, 100, 1000], [[[[-2, -3], [-4, -5]]]], [0.1, 0.2])
    yield case([1, 10, 100, 1000], [[[[-2]], [[-3]]], [[[-4]], [[5]]]], [0.25])
    yield case(np.arange(24), np.sin(np.arange(1.0, 25)).reshape(2, 2, 3, 2), [0.5, -1])


def _bent_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for shape in ((1, 1, 1, 3), (2, 3, 4, 2), (5, 4, 4, 3)):
        yield {
            "gradient": rng.normal(size=shape),
            "x": rng.normal(size=shape),
            "slope": rng.normal(size=shape[-1]),
        }


def _second(
    wrong: Callable[[Array, Array, Array], Any],
) -> Callable[[Array, Array, Array], tuple[Array, Any]]:
    """Return `bent_backward` whose second result is another one."""
    return lambda g, x, a: (_bent_backward(g, x, a)[0], wrong(g, x, a))


bent_backward = Check(
    name="bent_backward",
    expected=_bent_backward,
    cases=_bent_cases,
    more=_bent_more,
    slips={
        "Whether x is positive decides, not the gradient that comes from behind.": (
            lambda g, x, a: (g * np.where(g > 0, 1, a), np.where(g > 0, 0, g * x).sum((0, 1, 2)))
        ),
        "The sign of x decides, not that of the gradient.": (
            lambda g, x, a: (g * np.where(g > 0, 1, a), _bent_backward(g, x, a)[1])
        ),
        "That is ReLU's: where x is negative the gradient goes on as well, times the slope.": (
            lambda g, x, a: (g * (x > 0), _bent_backward(g, x, a)[1])
        ),
        "What comes from behind is not used: multiply with it.": (
            lambda g, x, a: (
                np.where(x > 0, 1, a) + 0 * x,
                np.where(x > 0, 0, x).sum((0, 1, 2)),
            )
        ),
        "The slope is used where x is negative only; positive x say nothing about it.": _second(
            lambda g, x, a: (g * x).sum((0, 1, 2))
        ),
        "The slope's gradient is x times what comes from behind, added up.": _second(
            lambda g, x, a: np.where(x > 0, 0, x).sum((0, 1, 2))
        ),
        "The sign of x decides in d_slope too, not that of the gradient.": _second(
            lambda g, x, a: np.where(g > 0, 0, g * x).sum((0, 1, 2))
        ),
        "The slope is multiplied by x, so x is its own slope: gradient · x, added up.": _second(
            lambda g, x, a: np.where(x > 0, 0, g).sum((0, 1, 2))
        ),
        "The slope was used many times: add up what comes back, no mean.": _second(
            lambda g, x, a: np.where(x > 0, 0, g * x).mean((0, 1, 2))
        ),
        "There is one slope for each channel, used at all places of all images: add up over the "
        "first three axes.": _second(lambda g, x, a: np.where(x > 0, 0, g * x).sum(0)),
        "Every place has its own number here; a channel's slope was used at all of them: add up.": (
            _second(lambda g, x, a: np.where(x > 0, 0, g * x))
        ),
        "The channels are added up as well; each has a slope of its own.": _second(
            lambda g, x, a: np.where(x > 0, 0, g * x).sum()
        ),
        "The slope is multiplied with what comes back to itself; only x and the gradient are.": (
            _second(lambda g, x, a: np.where(x > 0, 0, g * x * a).sum((0, 1, 2)))
        ),
    },
)


# loss_backward(logits, labels): the batch's mean loss and its gradient


def _loss_backward(logits: Array, labels: Array) -> tuple[float, Array]:
    share = np.full(len(labels), 1 / len(labels))
    loss = reference.softmax_cross_entropy(logits, labels).mean()
    return float(loss), reference.softmax_cross_entropy_backward(share, logits, labels)


def _loss_cases() -> Iterator[Inputs]:
    for logits, labels in (
        ([[0, 0]], [0]),
        ([[2, 1, 0]], [0]),
        ([[0, 1, 2]], [1]),
        ([[2, 1, 0], [0, 3, 0]], [1, 2]),
        ([[1, 2, 3, 4], [1, 1, 5, 1], [-1, 0, 0, 2]], [0, 2, 3]),
        ([[1000, 0], [0, 10]], [0, 1]),
        ([[-1000, -1003, -1001]], [1]),
        ([[1000, 0, 0]], [1]),
    ):
        yield {"logits": np.array(logits, float), "labels": np.array(labels)}


def _loss_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for batch, classes, spread in ((1, 3, 1), (4, 10, 3), (7, 5, 300)):
        yield {
            "logits": rng.normal(0, spread, (batch, classes)),
            "labels": rng.integers(0, classes, batch),
        }


def _softmax_of_all(logits: Array, labels: Array) -> tuple[float, Array]:
    powers = np.exp(logits - logits.max())
    chances = powers / powers.sum()
    rows = np.arange(len(labels))
    loss = -np.log(chances[rows, labels]).mean()
    chances[rows, labels] -= 1
    return float(loss), chances / len(labels)


def _log_of_p(less: float) -> Callable[[Array, Array], tuple[float, Array]]:
    """Return `loss_backward` that takes the logarithm of the probabilities, ``less`` added."""

    def wrong(logits: Array, labels: Array) -> tuple[float, Array]:
        chances = reference.softmax(logits)[np.arange(len(labels)), labels]
        return float(-np.log(chances + less).mean()), _loss_backward(logits, labels)[1]

    return wrong


def _one_batch_only(logits: Array, labels: Array) -> tuple[float, Array]:
    if len(labels) == 1:
        raise ValueError("one image has one softmax")
    return _softmax_of_all(logits, labels)


def _columns_lowered(logits: Array, labels: Array) -> tuple[float, Array]:
    loss, gradient = _loss_backward(logits, labels)
    lowered = gradient + _truth(logits, labels)
    lowered[:, labels] -= 1 / len(labels)
    return loss, lowered


NEVER_THE_LOG = (
    "p became 0, and its logarithm is −inf. Never take the log of p: log(sum of exp(z)) − z_c, "
    "with the shifted z."
)


def _of_loss(
    change: Callable[[float, Array, Array, Array], tuple[Any, Any]],
) -> Callable[[Array, Array], tuple[Any, Any]]:
    return lambda logits, labels: change(*_loss_backward(logits, labels), logits, labels)


def _truth(logits: Array, labels: Array) -> Array:
    return np.eye(logits.shape[1])[labels] / len(labels)


loss_backward = Check(
    name="loss_backward",
    expected=_loss_backward,
    ready_made=(reference.softmax_cross_entropy, reference.softmax_cross_entropy_backward),
    cases=_loss_cases,
    more=_loss_more,
    slips={
        NEVER_THE_LOG: _log_of_p(0),
        **{
            f"{NEVER_THE_LOG} Adding {less:g} to p makes the loss wrong instead.": _log_of_p(less)
            for less in (1e-15, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
        },
        "The loss is the mean over the batch, so each image's gradient counts 1 / batch.": (
            _of_loss(lambda loss, g, z, y: (loss, g * len(y)))
        ),
        "The loss is a mean over the images, not a sum.": (
            _of_loss(lambda loss, g, z, y: (loss * len(y), g * len(y)))
        ),
        "The loss is the mean over the images.": (
            _of_loss(lambda loss, g, z, y: (loss * len(y), g))
        ),
        "That takes 1 from every image in all these columns; use [np.arange(batch), labels].": (
            _columns_lowered
        ),
        "The mean is over images, not over images and classes.": (
            _of_loss(lambda loss, g, z, y: (loss, g / z.shape[1]))
        ),
        "These are the probabilities alone; subtract the truth, 1 at the true class.": (
            _of_loss(lambda loss, g, z, y: (loss, g + _truth(z, y)))
        ),
        "The 1 is taken from the probabilities at every class; only the true one has it.": (
            _of_loss(lambda loss, g, z, y: (loss, g + _truth(z, y) - 1 / len(y)))
        ),
        "It is probabilities minus truth, not the other way round.": (
            _of_loss(lambda loss, g, z, y: (loss, -g))
        ),
        "The loss has the wrong sign: the logarithm of a probability is negative.": (
            _of_loss(lambda loss, g, z, y: (-loss, g))
        ),
        "Each image has its own softmax: add up along its classes, not over the whole batch.": (
            _one_batch_only
        ),
    },
)


# conv_backward(gradient, images, kernel, stride): without padding


def _conv_backward(gradient: Array, images: Array, kernel: Array, stride: int) -> Any:
    return tuple(reference.conv2d_backward(gradient, images, kernel, stride))


def _conv_cases() -> Iterator[Inputs]:
    def case(gradient: Array, images: Array, kernel: Array, stride: int = 1) -> Inputs:
        return {"gradient": gradient, "images": images, "kernel": kernel, "stride": stride}

    yield case(digits(1, 1, 1, 1) * 3, digits(1, 2, 2, 1), powers(2, 2, 1, 1))
    yield case(powers(1, 1, 2, 1), digits(1, 1, 3, 1), digits(1, 2, 1, 1))
    yield case(powers(1, 2, 2, 1), digits(1, 3, 3, 1), digits(2, 2, 1, 1))
    yield case(powers(1, 1, 1, 1), digits(1, 1, 2, 2), powers(1, 2, 2, 1))
    yield case(powers(1, 1, 2, 2), digits(1, 1, 2, 1), digits(1, 1, 1, 2))
    yield case(powers(2, 1, 1, 1), digits(2, 1, 2, 1), digits(1, 2, 1, 1))
    yield case(powers(1, 1, 2, 1), digits(1, 1, 5, 1), digits(1, 2, 1, 1), 2)
    yield case(powers(1, 2, 1, 1), digits(1, 6, 3, 1), digits(2, 2, 1, 1), 3)
    yield case(
        np.sin(np.arange(1.0, 37)).reshape(2, 3, 2, 3),
        np.cos(np.arange(1.0, 141)).reshape(2, 7, 5, 2),
        np.sin(np.arange(2.0, 38)).reshape(3, 2, 2, 3),
        2,
    )


def _conv_more(rng: np.random.Generator) -> Iterator[Inputs]:
    for stride in (1, 2, 3):
        height, width, channels, filters = map(int, rng.integers(1, 4, 4))
        images = rng.normal(size=(3, *rng.integers(5, 9, 2), channels))
        kernel = rng.normal(size=(height, width, channels, filters))
        shape = reference.conv2d(images, kernel, stride=stride).shape
        yield {
            "gradient": rng.normal(size=shape),
            "images": images,
            "kernel": kernel,
            "stride": stride,
        }


def _places(gradient: Array, kernel: Array, stride: int) -> Iterator[tuple[Array, Any]]:
    """Yield what comes from behind at each place, [batch, filters], and its window's slices."""
    height, width = kernel.shape[:2]
    for row, column in np.ndindex(gradient.shape[1:3]):
        top, left = row * stride, column * stride
        yield gradient[:, row, column], np.s_[:, top : top + height, left : left + width]


def _overwritten(gradient: Array, images: Array, kernel: Array, stride: int) -> Any:
    _, d_kernel, d_bias = _conv_backward(gradient, images, kernel, stride)
    d_images = np.zeros(images.shape)
    for behind, window in _places(gradient, kernel, stride):
        d_images[window] = np.tensordot(behind, kernel, (1, 3))
    return d_images, d_kernel, d_bias


def _last_place(gradient: Array, images: Array, kernel: Array, stride: int) -> Any:
    d_images, _, d_bias = _conv_backward(gradient, images, kernel, stride)
    *_, (behind, window) = _places(gradient, kernel, stride)
    return d_images, np.tensordot(images[window], behind, (0, 0)), d_bias


def _standing(gradient: Array, images: Array, kernel: Array, stride: int) -> Any:
    d_images, d_kernel = np.zeros(images.shape), np.zeros(kernel.shape)
    for behind, window in _places(gradient, kernel, 1):
        d_kernel += np.tensordot(images[window], behind, (0, 0))
        d_images[window] += np.tensordot(behind, kernel, (1, 3))
    return d_images, d_kernel, gradient.sum((0, 1, 2))


def _of_conv(
    change: Callable[[Array, Array, Array, Array, Array], tuple[Any, Any, Any]],
) -> Callable[[Array, Array, Array, int], tuple[Any, Any, Any]]:
    """Return `conv_backward` with its results changed; the change also gets gradient and images."""

    def wrong(gradient: Array, images: Array, kernel: Array, stride: int) -> tuple[Any, Any, Any]:
        d_images, d_kernel, d_bias = _conv_backward(gradient, images, kernel, stride)
        return change(d_images, d_kernel, d_bias, gradient, images)

    return wrong


def _conv_advice(trouble: str, inputs: Inputs) -> str | None:
    return WINDOW_FIRST if "broadcast" in trouble and "tensordot" in trouble else None


WINDOW_FIRST = "tensordot keeps the first array's axes first: window first, then gradient."
GRADIENT_FIRST = (
    "tensordot keeps the first array's axes first: for the images gradient first, then kernel."
)

conv_backward = Check(
    name="conv_backward",
    expected=_conv_backward,
    advice=_conv_advice,
    ready_made=(reference.conv2d_backward,),
    cases=_conv_cases,
    more=_conv_more,
    slips={
        "A pixel under several windows collects from each: add up with +=.": _overwritten,
        "The kernel was used at every place: add up over all of them, not the last one only.": (
            _last_place
        ),
        "The stride is not used: place number `row` had the window that begins at row * stride.": (
            _standing
        ),
        TURNED: lambda g, x, k, s: (
            _conv_backward(g, x, k[::-1, ::-1], s)[0],
            *_conv_backward(g, x, k, s)[1:],
        ),
        SWAPPED: lambda g, x, k, s: (
            _conv_backward(g, x, k.swapaxes(0, 1), s)[0],
            *_conv_backward(g, x, k, s)[1:],
        ),
        WINDOW_FIRST: _of_conv(lambda dx, dk, db, g, x: (dx, np.moveaxis(dk, 3, 0), db)),
        GRADIENT_FIRST: _of_conv(lambda dx, dk, db, g, x: (np.moveaxis(dx, 0, 3), dk, db)),
        "The kernel's gradient is the sum over the images, no mean.": (
            _of_conv(lambda dx, dk, db, g, x: (dx, dk / len(x), db))
        ),
        "The bias was added at every place: its gradient is the sum of all that comes from "
        "behind, no mean.": _of_conv(lambda dx, dk, db, g, x: (dx, dk, g.mean((0, 1, 2)))),
        "There is one bias for each filter: add up over images, rows and columns.": (
            _of_conv(lambda dx, dk, db, g, x: (dx, dk, g.sum(0)))
        ),
        "All biases are added up to one number; there is one for each filter.": (
            _of_conv(lambda dx, dk, db, g, x: (dx, dk, g.sum()))
        ),
        "The results are in another order: images, kernel, bias.": (
            _of_conv(lambda dx, dk, db, g, x: (dk, dx, db))
        ),
        "Only the first image is used; go through the whole batch.": (
            lambda g, x, k, s: (
                _conv_backward(g, x, k, s)[0],
                *_conv_backward(g[:1], x[:1], k, s)[1:],
            )
        ),
    },
)


# agrees(layer, x): whether a layer's backward pass is right


@dataclass(frozen=True)
class Layer:
    """A layer to be checked: ``forward(x)``, and ``backward(gradient, x)`` in x's shape."""

    name: str
    forward: Callable[[Array], Array]
    backward: Callable[[Array, Array], Array]

    def __repr__(self) -> str:
        """Return its name, which says what it does."""
        return self.name


def _softmax_backward(gradient: Array, x: Array) -> Array:
    chances = reference.softmax(x)
    return chances * (gradient - (gradient * chances).sum(-1, keepdims=True))


def _last_lowered(gradient: Array, x: Array) -> Array:
    right = 2 * x * gradient
    right.reshape(-1)[-1] -= np.abs(right).max()  # whatever comes from behind there
    return right


def _one_wrong(gradient: Array, x: Array) -> Array:
    right = gradient * (1 - np.tanh(x) ** 2)
    right.reshape(-1)[-1] += 0.02 * np.abs(right).max()
    return right


def layers_to_judge(weights: Array) -> Iterator[tuple[Layer, bool]]:
    """Yield layers for x with as many columns as the weights have rows, and whether each is right.

    Each one with a fault is found out by most inputs, but not by every way of looking.
    """

    def scaled(factor: float, slope: float = 2) -> tuple[Callable[..., Array], ...]:
        return (lambda x: factor * x * x), (lambda g, x: factor * slope * x * g)

    yield Layer("x²", *scaled(1)), True
    yield Layer("x², backward with x instead of 2x", *scaled(1, 1)), False
    yield TANH, True
    yield Layer("dense, x @ W", lambda x: x @ weights, lambda g, x: g @ weights.T), True
    yield (
        Layer(
            "tanh, backward without the gradient from behind",
            np.tanh,
            lambda g, x: 1 - np.tanh(x) ** 2,
        ),
        False,
    )
    yield Layer("tanh, backward 2 % off for the last number", np.tanh, _one_wrong), False
    yield Layer("x², backward with too little for the last number", np.square, _last_lowered), False
    yield Layer("softmax", reference.softmax, _softmax_backward), True
    yield (
        Layer(
            "softmax, backward with the mean where a weighted sum belongs",
            reference.softmax,
            lambda g, x: reference.softmax(x) * (g - g.mean(-1, keepdims=True)),
        ),
        False,
    )
    yield Layer("x³ · 1,000,000", lambda x: 1e6 * x**3, lambda g, x: 3e6 * x**2 * g), True
    yield Layer("x² / 1,000,000,000", *scaled(1e-9)), True
    yield Layer("x² / 1,000,000,000, backward with 2.2x", *scaled(1e-9, 2.2)), False
    yield (
        Layer(
            "x minus its mean, backward without the mean",
            lambda x: x - x.mean(-1, keepdims=True),
            lambda g, x: g,
        ),
        False,
    )
    yield (
        Layer(
            "sum of each row, backward to the first only",
            lambda x: x.sum(-1),
            lambda g, x: np.eye(x.shape[-1])[0] * x.shape[-1] * g[..., None],
        ),
        False,
    )


def _agrees_cases() -> Iterator[Inputs]:
    x = np.array([[0.5, -1.0, 2.0], [1.5, 0.7, -0.3]])
    weights = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]])
    for layer, _ in layers_to_judge(weights):
        yield {"layer": layer, "x": x}
    yield {"layer": TANH, "x": np.array([[1.0, 18.0]])}


TANH = Layer("tanh", np.tanh, lambda g, x: g * (1 - np.tanh(x) ** 2))
"""Right: at 18 its slope is next to nothing, and the differences give 0."""


def _agrees_more(rng: np.random.Generator) -> Iterator[Inputs]:
    weights = rng.normal(size=(4, 3))
    x = rng.uniform(0.3, 1.5, (3, 4)) * rng.choice([-1.0, 1.0], (3, 4))
    layers = [layer for layer, _ in layers_to_judge(weights)]
    for number in rng.permutation(len(layers)):
        layer = layers[number]
        yield {"layer": Layer("a layer", layer.forward, layer.backward), "x": x}
    saturated = np.array([[rng.uniform(0.3, 1.5), rng.uniform(17, 18)]])
    yield {"layer": Layer("a layer", TANH.forward, TANH.backward), "x": saturated}


def slopes_by_differences(layer: Layer, gradient: Array, x: Array, step: float = 1e-5) -> Array:
    """Return the slopes of ``sum(gradient * layer.forward(x))`` by central differences."""
    x, slopes = x.copy(), np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        kept = x[place]
        x[place] = kept + step
        above = layer.forward(x)
        x[place] = kept - step
        below = layer.forward(x)
        x[place] = kept
        slopes[place] = (gradient * (above - below)).sum() / (2 * step)
    return slopes


def _random(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).normal(size=shape)


def _agreement(
    *,
    behind: Callable[[tuple[int, ...]], Array] = _random,
    before: Callable[[tuple[int, ...]], Array] | None = None,
    same: Callable[[Array, Array], bool] | None = None,
) -> Callable[[Layer, Array], bool]:
    """Return `agrees`, with another gradient from behind or another idea of being the same."""

    def near(one: Array, other: Array) -> bool:
        return bool(np.abs(one - other).max() <= 1e-4 * np.abs(other).max())

    def check(layer: Layer, x: Array) -> bool:
        gradient = behind(layer.forward(x).shape)
        backed = layer.backward(gradient, x)
        gradient = before(gradient.shape) if before else gradient
        return (same or near)(backed, slopes_by_differences(layer, gradient, x))

    return check


agrees = Check(
    name="agrees",
    expected=_agreement(),
    cases=_agrees_cases,
    more=_agrees_more,
    slips={
        "If ones come from behind, some faults cancel, and one that ignores the gradient is not "
        "seen. Let random numbers come from behind.": _agreement(behind=np.ones),
        "A fixed tolerance calls small slopes right whatever they are, or large ones wrong: "
        "compare the difference with the size of the slopes.": _agreement(
            same=lambda one, other: bool(np.abs(one - other).max() < 1e-5)
        ),
        "np.allclose has a fixed tolerance too, atol=1e-8: slopes below it are called right "
        "whatever they are. Divide by the largest slope first.": _agreement(
            same=lambda one, other: bool(np.allclose(one, other))
        ),
        "Where a slope is next to nothing, rounding is more than it: measure against the largest "
        "slope of the array, not each against itself.": _agreement(
            same=lambda one, other: bool(np.allclose(one, other, atol=0, rtol=1e-4))
        ),
        "The loss for the differences is sum(gradient · forward(x)), with the same gradient that "
        "you hand to backward.": _agreement(before=np.ones),
        "A wrong number hides among many right ones: compare each of them, not sums or means.": (
            _agreement(same=lambda one, other: bool(np.isclose(one.sum(), other.sum(), atol=0)))
        ),
        "The tolerance is too wide: 2 % is a fault. Right slopes agree to 1 in 10,000.": (
            _agreement(
                same=lambda one, other: bool(
                    np.abs(one - other).max() <= 0.05 * np.abs(other).max()
                )
            )
        ),
        "One number is not enough: compare all slopes.": _agreement(
            same=lambda one, other: bool(
                np.isclose(one.reshape(-1)[0], other.reshape(-1)[0], atol=0, rtol=1e-4)
            )
        ),
        "Every layer is called right.": lambda layer, x: True,
        "Every layer is called wrong. Is what you compare with right, and in x's shape?": (
            lambda layer, x: False
        ),
    },
)


# learner: (train, predict) that reads digits of people it has never seen


def wandering_digits(part: int) -> tuple[Array, Array, Array, Array]:
    """Return training images and labels, then others: scikit-learn's digits at random places.

    Images are [n, 12, 12, 1], 0 to 1, each 8 × 8 digit shifted by up to 4 pixels downwards and to
    the right: 1,200 to train with, 597 from other people to read. ``part`` 1 takes other shifts,
    and reads people with whom part 0 trains.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.zeros((len(data.images), 12, 12, 1))
    shifts = np.random.default_rng(part).integers(0, 5, (len(images), 2))
    for image, small, (down, right) in zip(images, data.images, shifts, strict=True):
        image[down : down + 8, right : right + 8, 0] = small / 16
    order = np.arange(len(images)) if part == 0 else np.arange(len(images))[::-1]
    known, asked = order[:1200], order[1200:]
    return images[known], data.target[known], images[asked], data.target[asked]


CHANCE = 0.25


def _read_without(predict: Any, params: Mapping[str, Any], others: Array, truth: Array) -> float:
    """Return the share of digits that ``predict`` reads with zeros as parameters."""
    zeros = {
        name: value if np.asarray(value).dtype.kind in "biu" else np.zeros(np.shape(value))
        for name, value in params.items()
    }
    with suppress(Exception):  # what stops without its parameters needs them
        return float((np.asarray(predict(zeros, others)).argmax(1) == truth).mean())
    return 0.0


def _learned(
    design: Any, part: int, data: tuple[Array, Array, Array, Array]
) -> Mapping[str, float]:
    try:
        train, predict = design
    except (TypeError, ValueError):
        raise Complaint("is not (train, predict), two functions") from None
    images, labels, others, truth = (array.copy() for array in data)
    used = time.thread_time()
    params = train(images, labels)
    used = time.thread_time() - used
    if not isinstance(params, Mapping) or not params:
        raise Complaint("train does not return its parameters, a dictionary of arrays")
    count = sum(int(np.size(array)) for array in params.values())
    logits = np.asarray(predict(params, others.copy()))
    if logits.shape != (len(others), 10):
        raise Complaint(f"predict returns shape {logits.shape}; ten logits for each image are due")
    if not np.isfinite(logits).all():
        raise Complaint(
            "numbers have become nan: the step is too large; make it smaller, or let it shrink"
        )
    read = float((logits.argmax(1) == truth).mean())
    if _read_without(predict, params, others, truth) > CHANCE:
        raise Complaint(
            "predict reads digits even if all parameters are 0: what train has learnt must be in "
            "the dictionary that it returns"
        )
    return {"parameters": count, "seconds of training": used, "digits read": read}


_LEARNER_HINTS = {
    "seconds of training": "Fewer epochs, or fewer places: a larger stride in the first layer.",
    "parameters": "Where the maps become a row there are most: shrink them with a stride first.",
    "digits read": (
        "Does the loss fall? If not, try agrees on each layer, and a larger or smaller step. If it "
        "does, train longer, or let a second convolution see more of the stroke."
    ),
}


def learner(design: Any, *, part: int = 0) -> None:
    """Check task 5's (train, predict); ``part`` 1 trains and reads other people's digits."""
    data = wandering_digits(part)  # here: loading them may take longer than training
    goals = {
        "parameters": ("at most", 2_800),
        "seconds of training": ("at most", (10, 15)[part]),
        "digits read": ("at least", (0.75, 0.7)[part]),
    }
    target = Target(
        "learner",
        _learned,
        goals,
        _LEARNER_HINTS,
        seconds=40,  # on the clock, and at least 20 of computing
        too_slow="training was stopped, more than 20 s of computing; fewer epochs or fewer places?",
    )
    target(design, part=part, data=data)

"""Problem set 4's checks: right answers pass, each usual mistake gets its own hint."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cnncourse import checks as check
from cnncourse import reference
from cnncourse.checks.backpropagation import layers_to_judge, wandering_digits
from cnncourse.checks.core import CheckFailed, Target

# Right answers, number by number


def bent_backward(gradient, x, slope):
    d_x, d_slope = np.empty(x.shape), np.zeros(len(slope))
    for place in np.ndindex(x.shape):
        channel = place[-1]
        if x[place] > 0:
            d_x[place] = gradient[place]
        else:
            d_x[place] = slope[channel] * gradient[place]
            d_slope[channel] += x[place] * gradient[place]
    return d_x, d_slope


def loss_backward(logits, labels):
    loss, d_logits = 0.0, np.zeros(logits.shape)
    for image, (row, label) in enumerate(zip(logits, labels, strict=True)):
        log_sum = np.logaddexp.reduce(row)
        loss += (log_sum - row[label]) / len(labels)
        for number, logit in enumerate(row):
            d_logits[image, number] = (np.exp(logit - log_sum) - (number == label)) / len(labels)
    return loss, d_logits


def conv_backward(gradient, images, kernel, stride):
    d_images, d_kernel = np.zeros(images.shape), np.zeros(kernel.shape)
    d_bias = np.zeros(kernel.shape[3])
    for image, row, column, filter_ in np.ndindex(gradient.shape):
        behind = gradient[image, row, column, filter_]
        d_bias[filter_] += behind
        for down, right, channel in np.ndindex(kernel.shape[:3]):
            pixel = (image, row * stride + down, column * stride + right, channel)
            d_kernel[down, right, channel, filter_] += behind * images[pixel]
            d_images[pixel] += behind * kernel[down, right, channel, filter_]
    return d_images, d_kernel, d_bias


def agrees(
    layer: Any,
    x: np.ndarray,
    behind: Callable[..., Any] = np.random.default_rng(3).normal,  # noqa: B008
    same: Callable[..., Any] = lambda one, two: np.abs(one - two).max() < 1e-3 * np.abs(two).max(),
) -> bool:
    gradient = behind(size=layer.forward(x).shape)
    slopes = np.empty(x.size)
    for number in range(x.size):
        step = np.zeros(x.size)
        step[number] = 1e-4
        moved = step.reshape(x.shape)
        change = layer.forward(x + moved) - layer.forward(x - moved)
        slopes[number] = (gradient * change).sum() / 2e-4
    return bool(same(layer.backward(gradient, x).ravel(), slopes))


ANSWERS = {
    "bent_backward": bent_backward,
    "loss_backward": loss_backward,
    "conv_backward": conv_backward,
    "agrees": agrees,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_right_answers_pass(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (None, 1, 2):
        getattr(check, name)(ANSWERS[name], seed=seed)
    assert capsys.readouterr().out.count("✓") == 3


def test_layers_have_the_faults_that_they_are_said_to_have() -> None:
    x = np.array([[0.5, -1.0, 2.0], [1.5, 0.7, -0.3]])
    judged = list(layers_to_judge(np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]])))
    assert [agrees(layer, x) for layer, _ in judged] == [right for _, right in judged]
    assert [", backward" not in layer.name for layer, _ in judged] == [right for _, right in judged]


def said(name: str, answer: Callable[..., Any]) -> str:
    with pytest.raises(CheckFailed) as failure:
        getattr(check, name)(answer)
    return str(failure.value)


def by_gradient(gradient, x, slope):
    positive = gradient > 0
    return gradient * np.where(positive, 1, slope), (gradient * x * ~positive).sum((0, 1, 2))


def as_relu(gradient, x, slope):
    return gradient * (x > 0), bent_backward(gradient, x, slope)[1]


def slope_of(wrong: Callable[..., Any]) -> tuple[str, Callable[..., Any]]:
    return "bent_backward", lambda g, x, slope: (bent_backward(g, x, slope)[0], wrong(g, x, slope))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(1, keepdims=True)


def loss_by(change: Callable[..., Any]) -> tuple[str, Callable[..., Any]]:
    return "loss_backward", lambda z, y: change(*loss_backward(z, y), z, y)


def unstable(logits, labels):
    chances = softmax(logits)
    rows = np.arange(len(labels))
    gradient = chances.copy()
    gradient[rows, labels] -= 1
    return -np.log(chances[rows, labels]).mean(), gradient / len(labels)


def log_of_p(add: float = 0) -> tuple[str, Callable[..., Any]]:
    def answer(logits, labels):
        chances = softmax(logits - logits.max(1, keepdims=True))[np.arange(len(labels)), labels]
        return -np.log(chances + add).mean(), loss_backward(logits, labels)[1]

    return "loss_backward", answer


def in_columns(logits, labels):
    gradient = softmax(logits - logits.max(1, keepdims=True))
    gradient[:, labels] -= 1
    return loss_backward(logits, labels)[0], gradient / len(labels)


def softmax_of_all(logits, labels):
    powers = np.exp(logits - logits.max())
    chances, rows = powers / powers.sum(), np.arange(len(labels))
    loss = -np.log(chances[rows, labels]).mean()
    chances[rows, labels] -= 1
    return loss, chances / len(labels)


def conv_by(change: Callable[..., Any] | None = None, **how: Any) -> tuple[str, Callable[..., Any]]:
    """Return the usual loop over places with one thing wrong."""

    def answer(gradient, images, kernel, stride):
        height, width = kernel.shape[:2]
        d_images, d_kernel = np.zeros(images.shape), np.zeros(kernel.shape)
        for row, column in np.ndindex(gradient.shape[1:3]):
            top, left = (row, column) if how.get("standing") else (row * stride, column * stride)
            window = np.s_[:, top : top + height, left : left + width]
            behind = gradient[:, row, column]
            for_kernel = np.tensordot(images[window], behind, (0, 0))
            for_images = np.tensordot(behind, kernel[:: how.get("turn", 1)], (1, 3))
            d_kernel = for_kernel if how.get("kernel") else d_kernel + for_kernel
            d_images[window] = for_images + (0 if how.get("images") else d_images[window])
        results = d_images, d_kernel, gradient.sum((0, 1, 2))
        return change(*results, gradient) if change else results

    return "conv_backward", answer


def checker(**how: Any) -> tuple[str, Callable[..., Any]]:
    return "agrees", lambda layer, x: agrees(layer, x, **how)


def ones_in_front(layer, x):
    """Compare what random numbers from behind give with the slopes of a plain sum."""
    behind = np.random.default_rng(3).normal(size=layer.forward(x).shape)
    slopes = np.empty(x.size)
    for number in range(x.size):
        moved = (np.arange(x.size) == number).reshape(x.shape) * 1e-4
        slopes[number] = (layer.forward(x + moved) - layer.forward(x - moved)).sum() / 2e-4
    return np.allclose(layer.backward(behind, x).ravel(), slopes)


MISTAKES: dict[str, tuple[str, Callable[..., Any]]] = {
    "not the gradient that comes from behind": ("bent_backward", by_gradient),
    "The sign of x decides, not that of the gradient": (
        "bent_backward",
        lambda g, x, slope: (np.where(g > 0, g, slope * g), bent_backward(g, x, slope)[1]),
    ),
    "x times what comes from behind": slope_of(lambda g, x, slope: (x * (x <= 0)).sum((0, 1, 2))),
    "The sign of x decides in d_slope too": slope_of(
        lambda g, x, slope: (g * x * (g <= 0)).sum((0, 1, 2))
    ),
    "That is ReLU's": ("bent_backward", as_relu),
    "positive x say nothing about it": slope_of(lambda g, x, slope: (g * x).sum((0, 1, 2))),
    "so x is its own slope": slope_of(lambda g, x, slope: (g * (x <= 0)).sum((0, 1, 2))),
    "no mean.": slope_of(lambda g, x, slope: (g * x * (x <= 0)).mean((0, 1, 2))),
    "add up over the first three axes": slope_of(lambda g, x, slope: (g * x * (x <= 0)).sum(0)),
    "Every place has its own number here": slope_of(lambda g, x, slope: g * x * (x <= 0)),
    "each has a slope of its own": slope_of(lambda g, x, slope: (g * x * (x <= 0)).sum()),
    "each image's gradient counts 1 / batch": loss_by(lambda loss, g, z, y: (loss, g * len(y))),
    "not a sum": loss_by(lambda loss, g, z, y: (loss * len(y), g * len(y))),
    "The loss is the mean over the images": loss_by(lambda loss, g, z, y: (loss * len(y), g)),
    "use [np.arange(batch), labels]": ("loss_backward", in_columns),
    "p became 0, and its logarithm": log_of_p(),
    "Adding 1e-12 to p": log_of_p(1e-12),
    "Adding 1e-09 to p": log_of_p(1e-9),
    "Each image has its own softmax": ("loss_backward", softmax_of_all),
    "These are the probabilities alone": loss_by(
        lambda loss, g, z, y: (loss, softmax(z - z.max(1, keepdims=True)) / len(y))
    ),
    "not the other way round": loss_by(lambda loss, g, z, y: (loss, -g)),
    "the logarithm of a probability is negative": loss_by(lambda loss, g, z, y: (-loss, g)),
    "exp of much": ("loss_backward", unstable),
    "window first, then gradient": conv_by(
        lambda dx, dk, db, g: (dx, dk.transpose(3, 0, 1, 2), db)
    ),
    "gradient first, then kernel": conv_by(
        lambda dx, dk, db, g: (dx.transpose(1, 2, 3, 0), dk, db)
    ),
    "A pixel under several windows": conv_by(images=True),
    "not the last one only": conv_by(kernel=True),
    "The stride is not used": conv_by(standing=True),
    "is the sum of all that comes from behind, no mean": conv_by(
        lambda dx, dk, db, g: (dx, dk, g.mean((0, 1, 2)))
    ),
    "add up over images, rows and columns": conv_by(lambda dx, dk, db, g: (dx, dk, g.sum(0))),
    "there is one for each filter": conv_by(lambda dx, dk, db, g: (dx, dk, g.sum())),
    "The results are in another order": conv_by(lambda dx, dk, db, g: (dk, dx, db)),
    "The kernel's gradient is the sum over the images": conv_by(
        lambda dx, dk, db, g: (dx, dk / len(g), db)
    ),
    "If ones come from behind": checker(behind=lambda size: np.ones(size)),
    "A fixed tolerance": checker(same=lambda one, two: np.abs(one - two).max() < 1e-5),
    "np.allclose has a fixed tolerance too": checker(same=np.allclose),
    "measure against the largest slope": checker(
        same=lambda one, two: np.allclose(one, two, atol=0, rtol=1e-3)
    ),
    "with the same gradient that you hand to backward": ("agrees", ones_in_front),
    "not sums or means": checker(
        same=lambda one, two: np.isclose(one.mean(), two.mean(), atol=0, rtol=1e-4)
    ),
    "The tolerance is too wide": checker(
        same=lambda one, two: np.abs(one - two).max() < 0.05 * np.abs(two).max()
    ),
    "Every layer is called right": ("agrees", lambda layer, x: True),
    "Every layer is called wrong": ("agrees", lambda layer, x: False),
}


@pytest.mark.parametrize("hint", MISTAKES)
def test_each_mistake_gets_its_hint(hint: str) -> None:
    assert hint in said(*MISTAKES[hint])


def test_operands_of_tensordot_in_the_other_order_are_named_where_numpy_stops() -> None:
    def answer(gradient, images, kernel, stride):
        d_kernel = np.zeros(kernel.shape)
        height, width = kernel.shape[:2]
        d_kernel += np.tensordot(gradient[:, 0, 0], images[:, :height, :width], axes=(0, 0))
        return conv_backward(gradient, images, kernel, stride)

    assert "window first, then gradient" in said("conv_backward", answer)


def test_ready_made_backward_passes_are_refused() -> None:
    refused = "this function is ready-made"
    assert refused in said("conv_backward", lambda *given: tuple(reference.conv2d_backward(*given)))
    given = "loss_backward", lambda z, y: (reference.softmax_cross_entropy(z, y).mean(), z)
    assert refused in said(*given)


def test_step_that_does_not_come_back_exactly_is_named() -> None:
    def back_and_forth(layer, x):
        x += 1e-5
        x -= 2e-5
        x += 1e-5

    text = said("agrees", back_and_forth)
    assert "keep the old number and put it back" in text
    assert "e-1" in text.partition("The largest change")[2]
    left = said("agrees", lambda layer, x: x.__iadd__(1e-5))
    assert "1e-05" in left
    assert "keep the old number" not in left


def test_turned_kernel_is_named_where_it_shows() -> None:
    def turned(gradient, images, kernel, stride):
        _, *others = conv_backward(gradient, images, kernel, stride)
        return conv_backward(gradient, images, kernel[::-1, ::-1], stride)[0], *others

    assert "The kernel is turned by 180°" in said("conv_backward", turned)


def test_parts_of_the_digits_share_no_reader() -> None:
    """Each part's 597 are among those that the other part trains with, and moved elsewhere."""
    first, second = wandering_digits(0), wandering_digits(1)
    assert [len(array) for array in first] == [1200, 1200, 597, 597]
    assert np.array_equal(first[3][::-1], second[1][:597])
    moved = (first[2][::-1] != second[0][:597]).any((1, 2, 3))
    assert 0.93 < moved.mean() < 0.99  # of 25 places one is the same


def dense_alone(images, labels):
    """A dense layer, from few steps: enough to be measured, and not to reach the goal."""
    rows, truth = images.reshape(len(images), -1), np.eye(10)[labels]
    weights = np.linalg.solve(rows.T @ rows + 10 * np.eye(rows.shape[1]), rows.T @ truth)
    return {"weights": weights}


def read_by(params, images):
    return images.reshape(len(images), -1) @ params["weights"]


def test_learner_that_hides_what_it_has_learnt_is_refused() -> None:
    hidden = {}

    def hide(images, labels):
        hidden.update(dense_alone(images, labels))
        return {"nothing": np.zeros(3)}

    def centred(images):
        rows = images.any(2).argmax(1)[:, 0], images.any(1).argmax(1)[:, 0]
        return np.array(
            [
                np.roll(x, (-down, -right), (0, 1))
                for x, down, right in zip(images, *rows, strict=True)
            ]
        )

    def train(images, labels):
        return hide(centred(images), labels)

    text = said("learner", (train, lambda params, images: read_by(hidden, centred(images))))
    assert "even if all parameters are 0" in text
    assert "function" not in text.partition("0:")[0]


def test_learner_names_nan_and_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    nan = (lambda images, labels: {"weights": np.full((144, 10), np.nan)}, read_by)
    assert "the step is too large" in said("learner", nan)
    times = iter([0.0, 12.0, 0.0, 12.0])
    monkeypatch.setattr(
        "cnncourse.checks.backpropagation.time", SimpleNamespace(thread_time=lambda: next(times))
    )
    text = said("learner", (dense_alone, read_by))
    assert "≈ 12.000  ✗ at most 10" in text
    assert "Fewer epochs" in text


def test_target_says_in_its_own_words_that_time_is_over() -> None:
    def endless():
        while True:
            pass

    with pytest.raises(CheckFailed) as failure:
        Target("learner", lambda design: design(), {}, seconds=0.1, too_slow="stopped")(endless)
    assert str(failure.value).startswith("✗ learner: stopped")


def test_dense_layer_alone_misses_the_learner_s_target() -> None:
    with pytest.raises(CheckFailed, match="let a second convolution see more") as failure:
        check.learner((dense_alone, read_by))
    assert "1,440  ✓ at most 2,800" in str(failure.value)


def test_learner_says_what_is_missing() -> None:
    assert "two functions" in said("learner", dense_alone)
    assert "dictionary of arrays" in said("learner", (lambda images, labels: None, read_by))
    wrong = (dense_alone, lambda params, images: np.zeros(len(images)))
    assert "ten logits for each image" in said("learner", wrong)

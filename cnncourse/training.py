"""Training and evaluating: a compiled step, a progress bar, and a stop when the loss is lost.

Works for anything that is called as ``model(images, training=...)``, gives logits and has
``trainable_variables``: both builds of `cnncourse.builders` and any Keras model. Lesson 05 builds
the loop.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal, Protocol

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from cnncourse.data import ImageDataset
from cnncourse.layers import cross_entropy

# How often the loss is read back: often enough to stop early, seldom enough to cost nothing.
STEPS_BETWEEN_LOOKS = 20


class Model(Protocol):
    """What can be trained here."""

    @property
    def trainable_variables(self) -> Sequence[Any]:
        """The variables that an optimizer moves."""
        ...

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Logits [batch, classes] for images [batch, height, width, channels]."""
        ...


@dataclass(frozen=True)
class History:
    """What a training run went through.

    ``losses`` maps the number of optimizer steps done to the mean loss since the entry before,
    ``accuracies`` to the accuracy on the test set then; ``seconds`` is training time alone.
    """

    losses: dict[int, float]
    accuracies: dict[int, float]
    seconds: float


class TrainingDiverged(ArithmeticError):
    """The loss is not a number any more; training on would learn nothing."""


def set_seeds(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow, so that a run can be had again on this machine."""
    keras.utils.set_random_seed(seed)


def train(
    model: Model,
    data: ImageDataset,
    *,
    optimizer: keras.optimizers.Optimizer,
    batch_size: int,
    epochs: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    loss_reduction: Literal["mean", "sum"] = "mean",
    verbose: bool = True,
) -> History:
    """Train on ``data``'s training set for some epochs or for some steps.

    The mean loss is noted (and printed, when ``verbose``) after each epoch or tenth of the steps;
    the test set is evaluated after each epoch, or at the end. The images must be scaled. Raises
    ValueError for arguments that make no sense, and `TrainingDiverged` within a few steps of the
    loss becoming NaN or infinite.
    """
    if (epochs is None) == (steps is None):
        raise ValueError(f"epochs is {epochs} and steps is {steps}; give exactly one of them")
    for name, value in (("epochs", epochs), ("steps", steps), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; give at least 1")
    if loss_reduction not in ("mean", "sum"):
        raise ValueError(f"loss_reduction is {loss_reduction!r}; use 'mean' or 'sum'")
    if np.issubdtype(data.x_train.dtype, np.integer):
        raise ValueError(
            f"data holds {data.x_train.dtype} pixels up to {data.x_train.max()}; "
            "train on data.scaled(), whose pixels go from 0 to 1"
        )
    set_seeds(seed)
    steps_an_epoch = ceil(len(data.x_train) / batch_size)
    marks = _marks(steps_an_epoch, epochs, steps)
    step = _compiled_step(model, optimizer, loss_reduction)
    batches = iter(data.to_tf(batch_size, seed=seed, epochs=None))

    losses: dict[int, float] = {}
    accuracies: dict[int, float] = {}
    seconds, done = 0.0, 0
    with tqdm(total=marks[-1], leave=False, disable=not verbose, unit="step") as bar:
        for number, mark in enumerate(marks, start=1):
            started = time.perf_counter()
            total, count = tf.zeros([]), 0
            while done < mark:
                total += step(*next(batches))
                count, done = count + 1, done + 1
                if count % STEPS_BETWEEN_LOOKS == 0 or done == mark:
                    losses[mark] = float(total) / count
                    if not np.isfinite(losses[mark]):
                        raise TrainingDiverged(_diagnosis(losses[mark], done, data, optimizer))
                    bar.set_postfix(loss=f"{losses[mark]:.4f}", refresh=False)
                    bar.update(done - bar.n)
            seconds += time.perf_counter() - started
            line = f"epoch {number}" if epochs is not None else f"step {mark:,}"
            line += f": mean loss ≈ {losses[mark]:.4f}"
            if epochs is not None or mark == marks[-1]:
                accuracies[mark] = evaluate(model, data.x_test, data.y_test)[1]
                line += f", test accuracy ≈ {accuracies[mark]:.4f}"
            if verbose:
                bar.write(line)
    return History(losses, accuracies, seconds)


def evaluate(
    model: Model, images: np.ndarray, labels: np.ndarray, batch_size: int = 1_000
) -> tuple[float, float]:
    """(mean loss, accuracy) over all images, one batch at a time.

    The batches keep memory small and change no result: what is gathered from them is the logits,
    a few numbers an image, and both means are taken over all of these at once.
    """
    logits = predict(model, images, batch_size)
    loss = float(tf.reduce_mean(cross_entropy(tf.constant(logits), tf.constant(labels))))
    return loss, float((logits.argmax(axis=1) == labels).mean())


def predict(model: Model, images: np.ndarray, batch_size: int = 1_000) -> np.ndarray:
    """Logits [n, classes] of any number of images, one batch at a time, without dropout."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give at least 1")
    if len(images) == 0:
        raise ValueError("images is empty; give at least one image")
    forward = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    return np.concatenate(
        [
            forward(tf.constant(images[start : start + batch_size])).numpy()
            for start in range(0, len(images), batch_size)
        ]
    )


def _marks(steps_an_epoch: int, epochs: int | None, steps: int | None) -> list[int]:
    """Steps after which to report: each epoch's end, or each tenth."""
    if epochs is not None:
        return [steps_an_epoch * epoch for epoch in range(1, epochs + 1)]
    assert steps is not None
    return sorted({ceil(steps * tenth / 10) for tenth in range(1, 11)})


def _compiled_step(
    model: Model, optimizer: keras.optimizers.Optimizer, loss_reduction: str
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """One step of gradient descent as a graph; it returns the batch's mean loss."""
    variables = list(model.trainable_variables)
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = cross_entropy(model(images, training=True), labels)
            mean = tf.reduce_mean(losses)
            objective = mean if loss_reduction == "mean" else tf.reduce_sum(losses)
        optimizer.apply(tape.gradient(objective, variables), variables)
        return mean

    return step


def _diagnosis(
    loss: float, step: int, data: ImageDataset, optimizer: keras.optimizers.Optimizer
) -> str:
    """Say what was lost, when, and the usual causes with the values at hand."""
    rate = float(optimizer.learning_rate)
    largest = float(np.abs(data.x_train[:1000]).max())
    return (
        f"the loss became {loss} by step {step}. The usual causes, likeliest first: the learning "
        f"rate is too high (it is {rate:g}; try {rate / 10:g}); the images are not scaled (the "
        f"largest value in them is {largest:g}; it should be about 1); a log or a division by 0 "
        "in the network or the loss (take the loss from logits)"
    )

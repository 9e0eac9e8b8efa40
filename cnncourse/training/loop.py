"""The loop: a compiled step, a progress bar, and a stop when the loss is lost.

Works for anything that is called as ``model(images, training=...)``, gives logits and has
``trainable_variables``: both TensorFlow builds of `cnncourse.builders` and any Keras model. Lesson
05 builds the loop; lesson 09 kills it and goes on.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Literal, Protocol

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from cnncourse.data import ImageDataset
from cnncourse.data.files import say
from cnncourse.layers import cross_entropy
from cnncourse.training.resuming import KeptRun, Marks, Run, settings_of, state_of
from cnncourse.training.workers import Team

# How often the loss is read back: often enough to stop early, seldom enough to cost nothing.
STEPS_BETWEEN_LOOKS = 20

Batch = tuple[tf.Tensor, tf.Tensor]
Step = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
Forward = Callable[[tf.Tensor], tf.Tensor]


class Model(Protocol):
    """What can be trained here. With checkpoints it also needs a list of all its ``variables``."""

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
    checkpoints: str | Path | None = None,
    checkpoint_steps: int = 500,
    verbose: bool = True,
    team: Team | None = None,
) -> History:
    """Train on ``data``'s training set for some epochs or for some steps.

    The mean loss is noted (and printed, when ``verbose``) after each epoch or tenth of the steps;
    the test set is evaluated after each epoch, or at the end. The images must be scaled. Raises
    ValueError for arguments that make no sense, and `TrainingDiverged` within a few steps of the
    loss becoming NaN or infinite.

    With ``checkpoints``, a directory for this run alone, everything that the run is made of is
    saved there at the start, every ``checkpoint_steps`` steps, at the end, and on Ctrl-C. The same
    call goes on from the newest checkpoint, in this process or in another; what the model and the
    optimizer hold by then is replaced. On one machine the final variables, the losses and the
    accuracies are, to the bit, those of a run that was never stopped. A finished run returns at
    once; a run of epochs may be asked for more of them. Raises ValueError where the directory is in
    use or holds another run, and for a model with state that cannot be saved; OSError where a
    checkpoint cannot be written. Lesson 09 kills such a run.

    With a ``team``, from `cnncourse.training.workers.joined`, this process is one of many that make
    the same call. Each takes its share of every batch; the gradients of the shares are added up to
    those of the whole batch. Only the chief, worker 0, writes, prints and evaluates, so the others'
    ``accuracies`` are empty. The checkpoints are those of a run in one process, and may go on with
    another number of workers. Without dropout the variables then differ from one process's by no
    more than the rounding of sums; with dropout each worker draws for its own share. The same
    number of workers gives the same to the bit, stopped or not. Lesson 15 starts such a team.
    """
    team = team or Team()
    chief = team.index == 0
    _check_arguments(data, epochs, steps, batch_size, loss_reduction, checkpoint_steps)
    if batch_size < team.size:
        raise ValueError(
            f"batch_size is {batch_size}, which {team.size} workers cannot share; take fewer"
        )
    set_seeds(seed)
    marks = _marks(ceil(len(data.x_train) / batch_size), epochs, steps)
    step = _compiled_step(model, optimizer, loss_reduction, data.x_train, data.y_train, team)
    forward = _compiled_forward(model, data.x_test)
    run = Run()
    variables = state_of(model, optimizer) if checkpoints is not None or team.size > 1 else {}
    if checkpoints is not None and chief:
        settings = settings_of(model, optimizer, data, batch_size, seed, loss_reduction)
        run = KeptRun(Path(checkpoints), settings, variables, checkpoint_steps)

    verbose = verbose and chief
    with run.opened(marks):
        team.begin(run, variables)
        progress = run.progress
        if verbose and progress.step:
            end = "" if progress.step == marks.last else ": going on from there"
            say(f"{checkpoints} holds step {progress.step:,} of {marks.last:,}{end}")
        batches: Iterator[Batch] = iter(())
        if progress.step < marks.last:
            step = step.get_concrete_function()  # traced now, for the reason in _compiled_forward
            run.begin(step.graph)
            team.tell_kept()
            batches = iter(data.to_tf(batch_size, seed=seed, epochs=None, first=progress.step))
        hidden = not (verbose and _seen())
        with tqdm(
            total=marks.last, initial=progress.step, leave=False, disable=hidden, unit="step"
        ) as bar:
            while progress.step < marks.last:
                since, mark = marks.around(progress.step)
                until = min(mark, progress.step + STEPS_BETWEEN_LOOKS, run.next_keep())
                _advance(run, step, batches, until)
                mean = progress.loss_sum / (progress.step - since)
                if not np.isfinite(mean):
                    raise TrainingDiverged(_diagnosis(mean, progress.step, data, optimizer))
                bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
                bar.update(progress.step - bar.n)
                if progress.step == mark:
                    progress.losses[mark], progress.loss_sum = mean, 0.0
                    line = f"{marks.name(mark)}: mean loss ≈ {mean:.4f}"
                    if mark in marks.evaluated and chief:
                        accuracy = _scores(_gathered(forward, data.x_test), data.y_test)[1]
                        progress.accuracies[mark] = accuracy
                        line += f", test accuracy ≈ {accuracy:.4f}"
                    if verbose:
                        bar.write(line)
                run.keep(marks.last)
                team.tell_kept()
    return History(progress.losses, progress.accuracies, progress.seconds)


def evaluate(
    model: Model, images: np.ndarray, labels: np.ndarray, batch_size: int = 1_000
) -> tuple[float, float]:
    """(mean loss, accuracy) over all images, one batch at a time.

    The batches keep memory small and change no result: what is gathered from them is the logits,
    a few numbers an image, and both means are taken over all of these at once.
    """
    return _scores(predict(model, images, batch_size), labels)


def predict(model: Model, images: np.ndarray, batch_size: int = 1_000) -> np.ndarray:
    """Logits [n, classes] of any number of images, one batch at a time, without dropout."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give at least 1")
    if len(images) == 0:
        raise ValueError("images is empty; give at least one image")
    return _gathered(_compiled_forward(model, images), images, batch_size)


def _gathered(forward: Forward, images: np.ndarray, batch_size: int = 1_000) -> np.ndarray:
    return np.concatenate(
        [
            forward(tf.constant(images[start : start + batch_size])).numpy()
            for start in range(0, len(images), batch_size)
        ]
    )


def _scores(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    loss = float(tf.reduce_mean(cross_entropy(tf.constant(logits), tf.constant(labels))))
    return loss, float((logits.argmax(axis=1) == labels).mean())


def _seen() -> bool:
    """Whether a progress bar would be seen: in a notebook or in a terminal, not in a file."""
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def _check_arguments(
    data: ImageDataset,
    epochs: int | None,
    steps: int | None,
    batch_size: int,
    loss_reduction: str,
    checkpoint_steps: int,
) -> None:
    if (epochs is None) == (steps is None):
        raise ValueError(f"epochs is {epochs} and steps is {steps}; give exactly one of them")
    numbers = {
        "epochs": epochs,
        "steps": steps,
        "batch_size": batch_size,
        "checkpoint_steps": checkpoint_steps,
    }
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; give at least 1")
    if loss_reduction not in ("mean", "sum"):
        raise ValueError(f"loss_reduction is {loss_reduction!r}; use 'mean' or 'sum'")
    if np.issubdtype(data.x_train.dtype, np.integer):
        raise ValueError(
            f"data holds {data.x_train.dtype} pixels up to {data.x_train.max()}; "
            "train on data.scaled(), whose pixels go from 0 to 1"
        )


def _marks(steps_an_epoch: int, epochs: int | None, steps: int | None) -> Marks:
    """Steps after which to report: each epoch's end, or each tenth."""
    if epochs is not None:
        ends = [steps_an_epoch * epoch for epoch in range(1, epochs + 1)]
        return Marks("epoch", ends, ends)
    assert steps is not None
    tenths = sorted({ceil(steps * tenth / 10) for tenth in range(1, 11)})
    return Marks("step", tenths, tenths[-1:])


def _advance(run: Run, step: Step, batches: Iterator[Batch], until: int) -> None:
    """Take steps up to ``until``, or one at least if the run is to stop; add up their losses."""
    progress = run.progress
    started = time.perf_counter()
    total = tf.constant(progress.loss_sum)
    while progress.step < until:
        total += step(*next(batches))
        progress.step += 1
        if run.stopping:
            break
    progress.loss_sum = float(total)
    progress.seconds += time.perf_counter() - started


def _batch_of(array: np.ndarray) -> tf.TensorSpec:
    """Any number of an array's items.

    Graphs are made for these: one for all batches, the smaller last one of an epoch too. That
    makes the step of a run that goes on in the middle the very step of one that was never stopped.
    """
    return tf.TensorSpec((None, *array.shape[1:]), array.dtype)


def _compiled_forward(model: Model, images: np.ndarray) -> Forward:
    """A model as a graph from images to logits, without dropout.

    Traced here and now: of functions that trace at their first call, TensorFlow warns after five.
    """
    forward = tf.function(lambda batch: model(batch, training=False), [_batch_of(images)])
    return forward.get_concrete_function()


def _compiled_step(
    model: Model,
    optimizer: keras.optimizers.Optimizer,
    loss_reduction: str,
    images: np.ndarray,
    labels: np.ndarray,
    team: Team,
) -> Any:
    """One step of gradient descent as a graph; it returns the whole batch's mean loss."""
    variables = list(model.trainable_variables)
    optimizer.build(variables)

    @tf.function(input_signature=[_batch_of(images), _batch_of(labels)])
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        count = tf.shape(labels)[0]
        first, after = team.share(count)
        # A share may be empty where a batch is small. No layer takes an empty batch, so one image
        # goes through the network then, and its loss is left out.
        mine = slice(first, tf.maximum(after, first + 1))
        with tf.GradientTape() as tape:
            logits = model(images[mine], training=True)
            losses = cross_entropy(logits, labels[mine])[: after - first]
            mean = tf.reduce_sum(losses) / tf.cast(count, losses.dtype)
            objective = mean if loss_reduction == "mean" else tf.reduce_sum(losses)
        *gradients, mean = team.total([*tape.gradient(objective, variables), mean])
        optimizer.apply(gradients, variables)
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

"""Training a published network in the way its text built it, and going on with a stopped run.

"eager" and "keras" go through `cnncourse.training.train`. A session and an Estimator cannot: they
train in legs, each with a graph and a session of its own, and go on from the last finished leg. A
run that was stopped ends as one that was not, whichever way it is built.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import tensorflow as tf

from cnncourse.builders import build, in_keras, in_session, initial_params
from cnncourse.builders.estimator import Estimator, EstimatorSpec, model_fn_for, numpy_input_fn
from cnncourse.data import ImageDataset
from cnncourse.networks import Network
from cnncourse.training import evaluate, train

tf1 = tf.compat.v1
SessionRunHook: Any = tf1.train.SessionRunHook

BUILDS: Mapping[str, str] = {
    "mnist-tf": "eager",
    "mnist-keras": "keras",
    "mnist-core": "session",
    "mnist-lenet-tf": "eager",
    "mnist-lenet-keras": "keras",
    "cifar10-lenet-tf": "eager",
    "cifar10-lenet-keras": "keras",
    "mnist-dropout": "eager",
    "mnist-estimator": "estimator",
}
EVALUATED_AT_ONCE = 100  # images, as in text D; it changes memory and no result
# An Estimator that is stopped loses its leg. Each costs a graph, so there are not too many of them.
ESTIMATOR_LEGS, STEPS_IN_A_LEG = 20, 10


class Figure(NamedTuple):
    """What was measured on the test set after ``steps``, and the training ``seconds`` until then.

    ``images`` counts those trained on, each as often as it was shown.
    """

    steps: int
    accuracy: float
    loss: float
    seconds: float
    images: int


class Outcome(NamedTuple):
    """What a training run came to. Losses and accuracies are as in `cnncourse.training.History`."""

    figures: list[Figure]
    losses: dict[int, float]
    accuracies: dict[int, float]


class Watch:
    """Is told how a run gets on. This one looks away."""

    def begin(self, steps: int) -> None:
        """Note that a run, or a part of it, goes on after this many steps."""

    def step(self) -> None:
        """Note another step."""


@dataclass(frozen=True)
class Job:
    """A network to train on scaled ``data`` in a folder of its own."""

    network: Network
    data: ImageDataset
    folder: Path
    seed: int = 0
    watch: Watch = field(default_factory=Watch)
    verbose: bool = False


def outcome(job: Job) -> Outcome:
    """Train a network by its recipe, or go on with the run in its folder.

    Raises KeyboardInterrupt on Ctrl-C and ArithmeticError for a lost loss.
    """
    match BUILDS[job.network.name]:
        case "eager" | "keras" as api:
            return _in_stages(job, cast(Literal["eager", "keras"], api))
        case "session":
            return _in_legs(job, epoch_ends(job.network), _session_leg)
        case _:
            last = job.network.recipe.total_steps
            legs = max(1, min(ESTIMATOR_LEGS, last // STEPS_IN_A_LEG))
            ends = [ceil(last * leg / legs) for leg in range(1, legs + 1)]
            return _in_legs(job, ends, _estimator_leg)


def stages(network: Network) -> list[int]:
    """Steps after which a figure was published, the last step included."""
    last = network.recipe.total_steps
    return sorted({figure.steps or last for figure in network.published} | {last})


def epoch_ends(network: Network) -> list[int]:
    """Last step of each epoch, the last step of all included."""
    last, length = network.recipe.total_steps, steps_an_epoch(network)
    return [*range(length, last, length), last]


def steps_an_epoch(network: Network) -> int:
    """Batches that show every training image once."""
    return ceil(network.recipe.train_images / network.recipe.batch_size)


def images_shown(network: Network, steps: int) -> int:
    """Images in the first ``steps`` batches: the last one of each epoch may be smaller."""
    epochs, rest = divmod(steps, steps_an_epoch(network))
    return epochs * network.recipe.train_images + rest * network.recipe.batch_size


def write_json(path: Path, content: Any) -> None:
    """Write a file that is whole or not there at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(partial, path)


# Eager and Keras: the course's own loop


@dataclass(frozen=True, eq=False, repr=False)
class _WatchedData(ImageDataset):
    """Data whose batches are counted as they are used, and begin ``skip`` batches later."""

    skip: int = 0
    watch: Watch = field(default_factory=Watch)

    def to_tf(self, *arguments: Any, first: int = 0, **options: Any) -> Any:
        """Give the batches of `ImageDataset.to_tf` from the later beginning on."""
        first += self.skip
        dataset = super().to_tf(*arguments, first=first, **options)
        self.watch.begin(first)

        def batches() -> Iterator[Any]:
            for batch in dataset:
                self.watch.step()
                yield batch

        return batches()


def _in_stages(job: Job, api: Literal["eager", "keras"]) -> Outcome:
    """Train up to each step for which a text publishes a figure.

    Model and optimizer go from one stage to the next, and so do the batches: together the stages
    are one run.
    """
    network, data, recipe = job.network, job.data, job.network.recipe
    model = build(network, api, seed=job.seed)
    optimizer = in_keras.optimizer_of(recipe)
    parts = {item.name: getattr(data, item.name) for item in fields(data)}
    result = Outcome([], {}, {})
    done, seconds = 0, 0.0
    for end in stages(network):
        by_steps = recipe.epochs is None
        history = train(
            model,
            _WatchedData(**parts, skip=done, watch=job.watch),
            optimizer=optimizer,
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            steps=end - done if by_steps else None,
            seed=job.seed,
            loss_reduction=recipe.loss_reduction,
            checkpoints=job.folder / f"until_step_{end}",
            verbose=job.verbose,
        )
        result.losses.update({done + step: mean for step, mean in history.losses.items()})
        result.accuracies.update({done + step: share for step, share in history.accuracies.items()})
        loss, accuracy = evaluate(model, data.x_test, data.y_test, EVALUATED_AT_ONCE)
        done, seconds = end, seconds + history.seconds
        result.figures.append(Figure(done, accuracy, loss, seconds, images_shown(network, done)))
    return result


# Session and Estimator: legs


class Leg(NamedTuple):
    """What a leg of a run came to: its mean loss, the test set at its end, training seconds."""

    loss: float
    test_loss: float
    accuracy: float
    seconds: float


@dataclass
class _Notes:
    """How far a run in legs is. Numbers of steps are texts here, as JSON has it."""

    step: int = 0
    seconds: float = 0.0
    test_loss: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    accuracies: dict[str, float] = field(default_factory=dict)


def _in_legs(job: Job, ends: Sequence[int], run_leg: Callable[[Job, int, int], Leg]) -> Outcome:
    """Run the legs that are left; ``run_leg(job, first, last)`` saves what the next one needs."""
    job.folder.mkdir(parents=True, exist_ok=True)
    path = job.folder / "legs.json"
    notes = _Notes(**json.loads(path.read_text("utf-8"))) if path.exists() else _Notes()
    for end in ends:
        job.watch.begin(notes.step)
        if end <= notes.step:
            continue
        leg = run_leg(job, notes.step, end)
        if not np.isfinite(leg.loss):
            raise ArithmeticError(f"the loss became {leg.loss} by step {end}")
        notes.losses[str(end)], notes.accuracies[str(end)] = leg.loss, leg.accuracy
        notes.step, notes.test_loss = end, leg.test_loss
        notes.seconds += leg.seconds
        write_json(path, asdict(notes))  # last: what it speaks of has been saved
    losses, accuracies = (
        {int(step): value for step, value in noted.items()}
        for noted in (notes.losses, notes.accuracies)
    )
    images = images_shown(job.network, notes.step)
    accuracy = accuracies[notes.step]
    figure = Figure(notes.step, accuracy, notes.test_loss, notes.seconds, images)
    return Outcome([figure], losses, accuracies)


def _leg_seed(job: Job, first: int) -> int:
    """Seed for a leg's dropout: a graph's random numbers begin anew with its session."""
    return int(np.random.SeedSequence((job.seed, first)).generate_state(1)[0])


def _session_leg(job: Job, first: int, last: int) -> Leg:
    """Build a graph, take its variables from the leg before, train, evaluate, save (text B)."""
    recipe = job.network.recipe
    start = initial_params(job.network, job.seed)
    model = build(job.network, "session", params=start, seed=_leg_seed(job, first))
    with model.graph.as_default():
        optimizer = in_session.optimizer_of(recipe)
        size = tf.cast(tf.shape(model.labels)[0], tf.float32)
        train_op = optimizer.minimize(
            model.loss if recipe.loss_reduction == "mean" else model.loss * size
        )
        test_loss = in_session.mean_cross_entropy(model.prediction, model.labels)
        found = tf.argmax(model.prediction, axis=1, output_type=tf.int32)
        right = tf.reduce_mean(tf.cast(tf.equal(found, model.labels), tf.float64))
        saver = tf1.train.Saver()
        fill = tf1.variables_initializer(optimizer.variables())
    with model.session as session:
        session.run(fill)
        if first:
            saver.restore(session, str(job.folder / f"step_{first}"))
        endless = job.data.batches(recipe.batch_size, seed=job.seed, epochs=None, first=first)
        total, started = 0.0, time.perf_counter()
        for images, labels in islice(endless, last - first):
            feed = {model.images: images, model.labels: labels}
            total += session.run([model.loss, train_op], feed)[0]
            job.watch.step()
        seconds = time.perf_counter() - started
        scores = [
            (
                *session.run([test_loss, right], {model.images: images, model.labels: labels}),
                len(labels),
            )
            for images, labels in job.data.batches(EVALUATED_AT_ONCE, split="test", shuffle=False)
        ]
        saver.save(session, str(job.folder / f"step_{last}"), write_meta_graph=False)
    losses, accuracies, sizes = zip(*scores, strict=True)
    test_mean, accuracy = (float(np.average(of, weights=sizes)) for of in (losses, accuracies))
    return Leg(float(total / (last - first)), test_mean, accuracy, seconds)


def _estimator_leg(job: Job, first: int, last: int) -> Leg:
    """Let an Estimator go on to step ``last``, where it saves itself, and evaluate (text E)."""
    recipe, data = job.network.recipe, job.data
    meter = _Meter(job.watch)
    described = model_fn_for(job.network, seed=job.seed)

    def model_fn(features: Any, labels: Any, mode: str) -> EstimatorSpec:
        spec = described(features, labels, mode)
        meter.loss = spec.loss
        return spec

    def batches() -> tf.data.Dataset:
        return data.to_tf(recipe.batch_size, seed=job.seed, epochs=None, first=first)

    estimator = Estimator(
        model_fn,
        job.folder / "model",
        seed=_leg_seed(job, first),
        save_checkpoints_steps=recipe.total_steps,
    )
    for path in map(Path, estimator.checkpoints()):
        if int(path.name.rpartition("-")[2]) > first:  # of a leg whose end was not noted
            for file in path.parent.glob(f"{path.name}.*"):
                file.unlink()
    estimator.train(batches, max_steps=last, hooks=[meter])
    tests = numpy_input_fn(data.x_test, data.y_test, batch_size=EVALUATED_AT_ONCE, shuffle=False)
    scores = estimator.evaluate(tests)
    return Leg(meter.total / (last - first), scores["loss"], scores["accuracy"], meter.seconds)


class _Meter(SessionRunHook):
    """Adds up the losses of an Estimator's steps, and the time from the first to the last."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.loss: Any = None
        self.total = self.seconds = self.started = 0.0

    def before_run(self, run_context: Any) -> Any:
        """Ask for the loss beside the training step."""
        self.started = self.started or time.perf_counter()
        return tf1.train.SessionRunArgs(self.loss)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Add it up."""
        self.total += float(run_values.results)
        self.seconds = time.perf_counter() - self.started
        self.watch.step()

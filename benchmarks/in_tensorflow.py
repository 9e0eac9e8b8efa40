"""Ways to train a `Network` with what the project installs, for ``benchmarks/builds.py``."""

import time
from collections.abc import Callable

from cnncourse.builders import build, in_keras, in_session
from cnncourse.data import ImageDataset
from cnncourse.networks import Network
from cnncourse.training import train
from measuring import Trainee

import keras
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


def dataset(images: np.ndarray, labels: np.ndarray) -> ImageDataset:
    """The images to train on; a few of them stand in for the test set, which is not timed."""
    names = tuple(map(str, range(10)))
    return ImageDataset(images, labels, images[:10], labels[:10], names, "benchmark", "offline")


def with_fit(network: Network) -> Trainee:
    """The yardstick: compile and fit on arrays, as Keras' own guide does.

    What fit does after its last step is not counted: tf.data may keep it for seconds (data.py).
    """
    built = build(network, "keras")

    def run(images: np.ndarray, labels: np.ndarray) -> float:
        ends: list[float] = []
        watch = keras.callbacks.LambdaCallback(
            on_train_end=lambda logs: ends.append(time.perf_counter())
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        built.model.compile(in_keras.optimizer_of(network.recipe), loss)
        batch_size = network.recipe.batch_size
        built.model.fit(images, labels, batch_size, epochs=1, verbose=0, callbacks=[watch])
        return ends[0]

    return Trainee(built.logits, run)


def with_our_loop(api: str) -> Callable[[Network], Trainee]:
    def begin(network: Network) -> Trainee:
        built = build(network, api)

        def run(images: np.ndarray, labels: np.ndarray) -> None:
            train(
                built,
                dataset(images, labels),
                optimizer=in_keras.optimizer_of(network.recipe),
                batch_size=network.recipe.batch_size,
                epochs=1,
                verbose=False,
            )

        return Trainee(built.logits, run)

    return begin


def with_a_session(network: Network) -> Trainee:
    recipe = network.recipe
    built = build(network, "session")
    with built.graph.as_default():
        optimizer = in_session.optimizer_of(recipe)
        move = optimizer.minimize(built.loss)
        built.session.run(tf1.variables_initializer(optimizer.variables()))

    def run(images: np.ndarray, labels: np.ndarray) -> None:
        for batch in dataset(images, labels).batches(recipe.batch_size, seed=0):
            built.session.run(move, dict(zip((built.images, built.labels), batch, strict=True)))

    return Trainee(built.logits, run)


def with_numpy(network: Network) -> Trainee:
    """Plain gradient descent, whatever the recipe's optimizer: one line of NumPy."""
    recipe = network.recipe
    built = build(network, "numpy")

    def run(images: np.ndarray, labels: np.ndarray) -> None:
        for batch in dataset(images, labels).batches(recipe.batch_size, seed=0):
            _, slopes = built.loss_and_gradients(*batch, training=True)
            for variable, slope in zip(built.trainable_variables, slopes.values(), strict=True):
                variable -= np.float32(recipe.learning_rate) * slope

    return Trainee(built.logits, run)


WAYS: dict[str, Callable[[Network], Trainee]] = {
    "fit": with_fit,
    "keras": with_our_loop("keras"),
    "eager": with_our_loop("eager"),
    "session": with_a_session,
    "numpy": with_numpy,
}
VERSIONS: dict[str, str] = {}  # the project's own are noted anyway

"""Time training: every build of a network against plain Keras ``fit``, side by side.

Run ``python benchmarks/builds.py``. Each turn builds the network anew and trains it on the same
images with the network's own optimizer and batch size; making the graph counts. The builds take
turns, so the machine's noise falls on all alike, and medians are compared. NumPy does fewer steps
and is counted by the image.
"""

import os
import statistics
import time
from collections.abc import Callable

import cnncourse
from cnncourse.builders import build
from cnncourse.data import ImageDataset, load_mnist
from cnncourse.networks import NETWORKS, Network
from cnncourse.training import evaluate, train

import keras
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
TURNS = 3
IMAGES, FEWER_IMAGES = 20_000, 2_000
NAMES = ("mnist-keras", "mnist-core", "mnist-lenet-keras", "mnist-dropout")


def keras_optimizer(network: Network) -> keras.optimizers.Optimizer:
    return keras.optimizers.get(
        {
            "class_name": network.recipe.optimizer,
            "config": {"learning_rate": network.recipe.learning_rate},
        }
    )


def with_fit(network: Network, data: ImageDataset) -> None:
    """The yardstick: compile and fit on arrays, as Keras' own guide does."""
    model = build(network, "keras").model
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras_optimizer(network), loss)
    model.fit(data.x_train, data.y_train, network.recipe.batch_size, epochs=1, verbose=0)


def with_our_loop(api: str) -> Callable[[Network, ImageDataset], None]:
    def run(network: Network, data: ImageDataset) -> None:
        train(
            build(network, api),
            data,
            optimizer=keras_optimizer(network),
            batch_size=network.recipe.batch_size,
            epochs=1,
            verbose=False,
        )

    return run


def with_a_session(network: Network, data: ImageDataset) -> None:
    recipe = network.recipe
    built = build(network, "session")
    optimizers = {"adam": tf1.train.AdamOptimizer, "sgd": tf1.train.GradientDescentOptimizer}
    with built.graph.as_default():
        optimizer = optimizers[recipe.optimizer](recipe.learning_rate)
        move = optimizer.minimize(built.loss)
        built.session.run(tf1.variables_initializer(optimizer.variables()))
    for images, labels in data.batches(recipe.batch_size, seed=0):
        built.session.run(move, {built.images: images, built.labels: labels})
    built.session.close()


def with_numpy(network: Network, data: ImageDataset) -> None:
    built = build(network, "numpy")
    for images, labels in data.batches(network.recipe.batch_size, seed=0):
        _, slopes = built.loss_and_gradients(images, labels, training=True)
        for variable, slope in zip(built.trainable_variables, slopes.values(), strict=True):
            variable -= np.float32(network.recipe.learning_rate) * slope


WAYS: dict[str, Callable[[Network, ImageDataset], None]] = {
    "fit": with_fit,
    "keras": with_our_loop("keras"),
    "eager": with_our_loop("eager"),
    "session": with_a_session,
    "numpy": with_numpy,
}


def images_a_second(way: str, network: Network, data: ImageDataset) -> float:
    few = data.subset(FEWER_IMAGES if way == "numpy" else IMAGES, 10)
    start = time.perf_counter()
    WAYS[way](network, few)
    return len(few.x_train) / (time.perf_counter() - start)


def main() -> None:
    data = load_mnist().scaled()
    print(f"cnncourse {cnncourse.__version__}, {os.cpu_count()} cores, {data.source} MNIST")
    print(f"images a second, median of {TURNS} turns; in brackets the ratio to Keras' fit")
    print(f"{'network':20}" + "".join(f"{way:>16}" for way in WAYS))
    evaluate(build("mnist-core", "eager"), data.x_test[:100], data.y_test[:100])  # warm up
    for name in NAMES:
        network = NETWORKS[name]
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(TURNS):
            for way in WAYS:
                rates[way].append(images_a_second(way, network, data))
        # A ratio within each turn, where both ran under the same conditions.
        cells = []
        for way in WAYS:
            ratios = [ours / fit for ours, fit in zip(rates[way], rates["fit"], strict=True)]
            cells.append(f"{statistics.median(rates[way]):.0f} ({statistics.median(ratios):.2f})")
        print(f"{name:20}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()

"""How good the stand-in for CIFAR-10 is: time, bytes, and what models trained on it reach.

    python benchmarks/offline_objects.py --data FOLDER

Trains a linear softmax, the network `cifar10-lenet-keras` by its recipe (fewer epochs unless
``--epochs`` says otherwise) and a residual network with augmentation on the stand-in, and tests
each on the stand-in's test images. The last two are also tested on CIFAR-10's test images, which
are read for this and nothing else: to say honestly how little of photographs is learnt from
drawings. Without ``--data`` they are looked for where `load_cifar10` looks.
"""

import argparse
import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnncourse.builders import build
from cnncourse.data import load_cifar10, where
from cnncourse.data.loading import dataset_of
from cnncourse.data.cifar10 import CIFAR10
from cnncourse.data.offline_objects import make_objects
from cnncourse.networks import NETWORKS, Dense, Flatten
from cnncourse.training import evaluate, train

import keras
from keras import layers

LINEAR_EPOCHS = 4
TOLD_APART = (  # pairs of classes that ought to be confused, and one pair that ought not
    ("cat", "dog"),
    ("automobile", "truck"),
    ("deer", "horse"),
    ("airplane", "bird"),
    ("airplane", "ship"),
    ("frog", "truck"),
)


def confused(labels: np.ndarray, guesses: np.ndarray, one: str, other: str) -> float:
    """Share of the images of two classes that are taken for the other of the two."""
    a, b = CIFAR10.class_names.index(one), CIFAR10.class_names.index(other)
    wrong = ((labels == a) & (guesses == b)) | ((labels == b) & (guesses == a))
    return float(wrong.sum() / np.isin(labels, (a, b)).sum())


def residual_network(steps: int) -> keras.Model:
    """A small residual network with batch normalisation: 0.3 million weights."""

    def conv(x, filters):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        return layers.Activation("relu")(layers.BatchNormalization()(x))

    images = keras.Input((32, 32, 3))
    x = layers.RandomFlip("horizontal")(images)
    x = layers.RandomTranslation(0.1, 0.1, fill_mode="nearest")(x)
    x = conv(x, 24)
    for filters in (48, 96):
        x = layers.MaxPooling2D()(conv(x, filters))
        x = layers.Add()([x, conv(conv(x, filters), filters)])
    x = layers.Concatenate()([layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)])
    model = keras.Model(images, layers.Dense(10, "softmax")(x))
    warm = max(1, steps // 5)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-4, steps - warm, alpha=0.01, warmup_target=4e-3, warmup_steps=warm
    )
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="How good the stand-in for CIFAR-10 is")
    parser.add_argument("--data", type=Path, help="folder with the official files")
    parser.add_argument("--seed", type=int, default=0, help="seed of the images")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of cifar10-lenet-keras")
    parser.add_argument("--better-epochs", type=int, default=3, help="of the residual network")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, keras {keras.__version__}, seed {arguments.seed}")

    started = time.perf_counter()
    arrays = make_objects(seed=arguments.seed)
    print(f"made 50,000 + 10,000: {time.perf_counter() - started:.1f} s", flush=True)
    for name, array in arrays.items():
        print(f"sha256 {name:8} {hashlib.sha256(array.tobytes()).hexdigest()}")

    data = dataset_of(CIFAR10, "offline", arrays).scaled()
    real = None
    if where("cifar10", arguments.data)["official"]:
        official = load_cifar10("official", arguments.data).subset(0, 10_000).scaled()
        real = official.x_test, official.y_test
    else:
        print("on CIFAR-10: not measured; name its folder by --data or CNNCOURSE_DATA")
    network = NETWORKS["cifar10-lenet-keras"]
    recipe = network.recipe
    linear = replace(network, name="linear", layers=(Flatten(), Dense(10, "softmax")))
    history = train(
        build(linear, "keras"),
        data,
        optimizer=keras.optimizers.Adam(recipe.learning_rate),
        batch_size=recipe.batch_size,
        epochs=LINEAR_EPOCHS,
        verbose=False,
    )
    accuracy = max(history.accuracies.values())
    print(f"linear softmax, best of {LINEAR_EPOCHS} epochs: test {accuracy:.4f}", flush=True)

    model = build(network, "keras")
    for epoch in range(arguments.epochs):
        history = train(
            model,
            data,
            optimizer=keras.optimizers.Adam(recipe.learning_rate),  # its averages start anew
            batch_size=recipe.batch_size,
            epochs=1,
            seed=epoch,
            verbose=False,
        )
        seen = evaluate(model, data.x_train[:10_000], data.y_train[:10_000])[1]
        accuracy = list(history.accuracies.values())[-1]
        print(
            f"cifar10-lenet-keras, epoch {epoch + 1}: training {seen:.4f}, test {accuracy:.4f}"
            f"  ({history.seconds:.0f} s)",
            flush=True,
        )
    logits = [np.asarray(model.logits(data.x_test[i : i + 500])) for i in range(0, 10_000, 500)]
    guesses = np.concatenate(logits).argmax(axis=1)
    for pair in TOLD_APART:
        print(f"  {' and '.join(pair)} confused: {confused(data.y_test, guesses, *pair):.3f}")
    if real is not None:
        print(f"cifar10-lenet-keras on CIFAR-10's test images: {evaluate(model, *real)[1]:.4f}")

    keras.utils.set_random_seed(arguments.seed)
    better = residual_network(arguments.better_epochs * len(data.x_train) // 128)
    started = time.perf_counter()
    for epoch in range(arguments.better_epochs):
        better.fit(
            data.x_train,
            data.y_train,
            128,
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=0,
        )
        seen = better.evaluate(data.x_train[:10_000], data.y_train[:10_000], 500, verbose=0)[1]
        accuracy = better.evaluate(data.x_test, data.y_test, 500, verbose=0)[1]
        print(
            f"residual network, epoch {epoch + 1}: training {seen:.4f}, test {accuracy:.4f}"
            f"  ({time.perf_counter() - started:.0f} s since its start)",
            flush=True,
        )
    if real is not None:
        accuracy = better.evaluate(*real, 500, verbose=0)[1]
        print(f"residual network on CIFAR-10's test images: {accuracy:.4f}")


if __name__ == "__main__":
    main()

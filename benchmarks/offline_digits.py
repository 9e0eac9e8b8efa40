"""How good the stand-in for MNIST is: time, bytes, and what models trained on it reach.

    python benchmarks/offline_digits.py --real mnist.npz

Trains a linear softmax and the network `mnist-keras` (its recipe in full) on the stand-in, and
tests both on the stand-in's test images; the network also on MNIST's, which are read for this and
nothing else. Without ``--real`` they are looked for in the directory ``CNNCOURSE_DATA``.
"""

import argparse
import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from cnncourse.builders import build
from cnncourse.data import ImageDataset
from cnncourse.data.offline_digits import make_digits
from cnncourse.networks import NETWORKS, Dense, Flatten
from cnncourse.training import evaluate, train

import keras

LINEAR_EPOCHS = 10


def default_real() -> Path | None:
    directory = os.environ.get("CNNCOURSE_DATA")
    path = Path(directory, "mnist.npz") if directory else None
    return path if path is not None and path.is_file() else None


def read_real(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """MNIST's test set, scaled: images (10000, 28, 28, 1) and labels (10000,)."""
    with np.load(path) as arrays:
        images, labels = arrays["x_test"], arrays["y_test"]
    return images[..., None].astype(np.float32) / 255, labels


def main() -> None:
    parser = argparse.ArgumentParser(description="How good the stand-in for MNIST is")
    parser.add_argument("--real", type=Path, default=default_real(), help="MNIST as mnist.npz")
    parser.add_argument("--seed", type=int, default=0, help="seed of the images")
    parser.add_argument("--runs", type=int, default=1, help="trainings of the network")
    arguments = parser.parse_args()

    for turn in ("first", "again"):
        started = time.perf_counter()
        arrays = make_digits(seed=arguments.seed)
        print(f"made 60,000 + 10,000, {turn}: {time.perf_counter() - started:.1f} s", flush=True)
    for name, array in arrays.items():
        print(f"sha256 {name:8} {hashlib.sha256(array.tobytes()).hexdigest()}")

    data = ImageDataset(
        x_train=arrays["x_train"],
        y_train=arrays["y_train"],
        x_test=arrays["x_test"],
        y_test=arrays["y_test"],
        class_names=tuple(str(digit) for digit in range(10)),
        name="mnist",
        source="offline",
    ).scaled()
    network = NETWORKS["mnist-keras"]
    linear = replace(network, name="linear", layers=(Flatten(), Dense(10, "softmax")))
    history = train(
        build(linear, "keras"),
        data,
        optimizer=keras.optimizers.Adam(1e-3),
        batch_size=64,
        epochs=LINEAR_EPOCHS,
        verbose=False,
    )
    accuracy = list(history.accuracies.values())[-1]
    print(f"linear softmax, own test images: {accuracy:.4f}", flush=True)

    recipe = network.recipe
    for seed in range(arguments.runs):
        model = build(network, "keras", seed=seed)
        history = train(
            model,
            data.subset(recipe.train_images, len(data.x_test)),
            optimizer=keras.optimizers.Adam(recipe.learning_rate),
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            seed=seed,
            verbose=False,
        )
        accuracy = list(history.accuracies.values())[-1]
        print(f"mnist-keras {seed}, own test images: {accuracy:.4f}  ({history.seconds:.0f} s)")
        if arguments.real is None:
            print("mnist-keras on MNIST: not measured; give --real mnist.npz or CNNCOURSE_DATA")
        else:
            accuracy = evaluate(model, *read_real(arguments.real))[1]
            print(f"mnist-keras {seed}, MNIST's test images: {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()

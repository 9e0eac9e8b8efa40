"""How good the stand-in for MNIST is: time, bytes, and what models trained on it reach.

    python benchmarks/offline_digits.py --data FOLDER

Trains a linear softmax and the network `mnist-keras` (its recipe in full) on the stand-in, and
tests both on the stand-in's test images; the network also on MNIST's, which are read for this and
nothing else. Without ``--data`` they are looked for where `load_mnist` looks.
"""

import argparse
import hashlib
import time
from dataclasses import replace
from pathlib import Path


from cnncourse.builders import build
from cnncourse.data import load_mnist, where
from cnncourse.data.loading import dataset_of
from cnncourse.data.mnist import MNIST
from cnncourse.data.offline_digits import make_digits
from cnncourse.networks import NETWORKS, Dense, Flatten
from cnncourse.training import evaluate, train

import keras

LINEAR_EPOCHS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description="How good the stand-in for MNIST is")
    parser.add_argument("--data", type=Path, help="folder with the official files")
    parser.add_argument("--seed", type=int, default=0, help="seed of the images")
    parser.add_argument("--runs", type=int, default=1, help="trainings of the network")
    arguments = parser.parse_args()

    for turn in ("first", "again"):
        started = time.perf_counter()
        arrays = make_digits(seed=arguments.seed)
        print(f"made 60,000 + 10,000, {turn}: {time.perf_counter() - started:.1f} s", flush=True)
    for name, array in arrays.items():
        print(f"sha256 {name:8} {hashlib.sha256(array.tobytes()).hexdigest()}")

    data = dataset_of(MNIST, "offline", arrays).scaled()
    real = None
    if where("mnist", arguments.data)["official"]:
        real = load_mnist("official", arguments.data).subset(0, 10_000).scaled()
    else:
        print("on MNIST: not measured; name its folder by --data or CNNCOURSE_DATA")
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
        if real is not None:
            accuracy = evaluate(model, real.x_test, real.y_test)[1]
            print(f"mnist-keras {seed}, MNIST's test images: {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()

"""What the MNIST recipes of the lessons reach: accuracy, and seconds of training.

    python benchmarks/mnist.py              lesson 05's recipe, five seeds
    python benchmarks/mnist.py --recipes    lesson 07's recipes in full, ten epochs each; writes
                                            benchmarks/results/mnist_recipes.csv

Prints one line a run. Seconds are for training alone.
"""

import argparse
import csv
from pathlib import Path

from cnncourse.builders import build
from cnncourse.data import ImageDataset, load_mnist
from cnncourse.networks import NETWORKS
from cnncourse.training import History, train

import keras

RESULTS = Path(__file__).parent / "results" / "mnist_recipes.csv"
LESSON_05_STEPS = 1_500
LESSON_07_RUNS = (
    ("mnist-keras", keras.optimizers.Adam, 0.001),
    ("mnist-lenet-keras", keras.optimizers.SGD, 0.01),
    ("mnist-lenet-keras", keras.optimizers.SGD, 0.1),
    ("mnist-lenet-keras", keras.optimizers.Adam, 0.001),
)


def show(label: str, history: History) -> None:
    accuracy = list(history.accuracies.values())[-1]
    print(f"{label:32} test accuracy {accuracy:.4f}  {history.seconds:6.1f} s", flush=True)


def lesson_05(data: ImageDataset, seeds: int) -> None:
    for seed in range(seeds):
        rate = keras.optimizers.schedules.CosineDecay(2e-3, LESSON_05_STEPS)
        history = train(
            build("mnist-tf", "eager", seed=seed),
            data,
            optimizer=keras.optimizers.Adam(rate),
            batch_size=64,
            steps=LESSON_05_STEPS,
            seed=seed,
            verbose=False,
        )
        show(f"lesson 05, seed {seed}", history)


def lesson_07(data: ImageDataset) -> None:
    rows = []
    for name, optimizer, rate in LESSON_07_RUNS:
        recipe = NETWORKS[name].recipe
        history = train(
            build(name, "keras"),
            data.subset(recipe.train_images, len(data.x_test)),
            optimizer=optimizer(rate),
            batch_size=recipe.batch_size,
            epochs=recipe.epochs,
            verbose=False,
        )
        label = f"{optimizer.__name__} {rate:g}"
        show(f"{name}, {label}", history)
        rows += [
            (data.source, name, label, epoch, f"{loss:.4f}", f"{accuracy:.4f}")
            for epoch, (loss, accuracy) in enumerate(
                zip(history.losses.values(), history.accuracies.values(), strict=True), start=1
            )
        ]
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("data", "network", "optimizer", "epoch", "mean_loss", "test_accuracy"))
        writer.writerows(rows)
    print("wrote", RESULTS.relative_to(RESULTS.parents[2]))


def main() -> None:
    parser = argparse.ArgumentParser(description="What the MNIST recipes of the lessons reach")
    parser.add_argument("--seeds", type=int, default=5, help="runs of lesson 05's recipe")
    parser.add_argument("--recipes", action="store_true", help="lesson 07's recipes instead")
    arguments = parser.parse_args()
    data = load_mnist().scaled()
    print(f"data: {data.name}, {data.source}")
    if arguments.recipes:
        lesson_07(data)
    else:
        lesson_05(data, arguments.seeds)


if __name__ == "__main__":
    main()

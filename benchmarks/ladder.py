"""Climb the ladder of lesson 13: accuracy and seconds of training, rung by rung.

    python benchmarks/ladder.py                 every rung, CIFAR-10's and MNIST's
    python benchmarks/ladder.py NAME [NAME ...] these only; the table keeps the others' rows
    python benchmarks/ladder.py --choose        which ideas to keep, without the test set
    KERAS_BACKEND=jax python benchmarks/ladder.py   the same code on a GPU

``--choose`` trains the rungs of the smallest net with two seeds each on the training set less
5,000 images, and measures on these: what the choice of ideas rests on is in ladder_choice.csv.

Prints a line an epoch and writes benchmarks/results/ladder.csv (a row a rung) and
ladder_curves.csv (a row an epoch), and for a backend other than TensorFlow ladder_jax.csv and so
on. Seconds are for training alone, compilation included, evaluation not. The images come from
`load_cifar10` and `load_mnist`; the column ``data`` says which they were.
"""

import argparse
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from cnncourse.data import ImageDataset, load_cifar10, load_mnist
from cnncourse.ladder import LADDER, MNIST_LADDER, SHORT, Climb, Rung, climb
from measuring import replace_rows

import keras

RESULTS = Path(__file__).parent / "results"


HELD_OUT = 5_000
CHOICE_SEEDS = range(2)


def conditions(data: ImageDataset) -> dict[str, str]:
    note = f", {data.note}" if data.note else ""
    return {
        "data": f"{data.name}, {data.source}{note}",
        "backend": f"{keras.backend.backend()}, Keras {keras.__version__}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def without_test_set(data: ImageDataset) -> ImageDataset:
    """The training set alone: its last images take the test set's place."""
    return replace(
        data,
        x_train=data.x_train[:-HELD_OUT],
        y_train=data.y_train[:-HELD_OUT],
        x_test=data.x_train[-HELD_OUT:],
        y_test=data.y_train[-HELD_OUT:],
    )


def summary(climbed: Climb, data: ImageDataset, seed: int, cpu_seconds: float) -> dict[str, str]:
    return {
        "rung": climbed.rung.name,
        "seed": f"{seed}",
        "accuracy": f"{climbed.accuracy:.4f}",
        "one_view": f"{climbed.test_accuracies[-1]:.4f}",
        "train_accuracy": f"{climbed.train_accuracies[-1]:.4f}",
        "seconds": f"{climbed.seconds[-1]:.1f}",
        "cpu_seconds": f"{cpu_seconds:.1f}",
        "epochs": f"{climbed.rung.epochs}",
        "parameters": f"{climbed.model.count_params()}",
        **conditions(data),
    }


def curve(climbed: Climb) -> list[dict[str, str]]:
    return [
        {
            "rung": climbed.rung.name,
            "epoch": f"{epoch + 1}",
            "seconds": f"{climbed.seconds[epoch]:.1f}",
            "loss": f"{climbed.losses[epoch]:.4f}",
            "train_accuracy": f"{climbed.train_accuracies[epoch]:.4f}",
            "test_accuracy": f"{climbed.test_accuracies[epoch]:.4f}",
        }
        for epoch in range(climbed.rung.epochs)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Climb the ladder of lesson 13")
    parser.add_argument("names", nargs="*", metavar="NAME", help="rungs; all where none is named")
    parser.add_argument("--list", action="store_true", help="the rungs' names only")
    parser.add_argument("--choose", action="store_true", help="without the test set, two seeds")
    arguments = parser.parse_args()
    rungs: dict[str, Rung] = {rung.name: rung for rung in (*LADDER, SHORT, *MNIST_LADDER)}
    if arguments.list:
        print("\n".join(rungs))
        return
    unknown = set(arguments.names) - set(rungs)
    if unknown:
        parser.error(f"no rung {', '.join(sorted(unknown))}; --list shows the rungs")
    small = [rung.name for rung in LADDER if rung.epochs == LADDER[0].epochs]
    names = arguments.names or (small if arguments.choose else list(rungs))
    of_backend = "" if keras.backend.backend() == "tensorflow" else f"_{keras.backend.backend()}"
    table = RESULTS / f"ladder{'_choice' if arguments.choose else ''}{of_backend}.csv"

    places = {name: place for place, name in enumerate(rungs)}

    def order(row: Mapping[str, str]) -> tuple[int, int]:
        place = places.get(row["rung"], len(places))  # a rung of an older ladder: last
        return place, int(row["epoch"] if "epoch" in row else row["seed"])

    mnist, cifar10 = load_mnist(), load_cifar10()
    for seed in CHOICE_SEEDS if arguments.choose else (0,):
        for name in names:
            data = mnist if rungs[name] in MNIST_LADDER else cifar10
            data = without_test_set(data) if arguments.choose else data
            cpu = time.process_time()
            climbed = climb(rungs[name], data, seed=seed, report=partial(print, flush=True))
            row = summary(climbed, data, seed, time.process_time() - cpu)
            print(f"{name}: accuracy {row['accuracy']}, {row['seconds']} s", flush=True)
            replace_rows(table, [row], ("rung", "seed"), order)
            if not arguments.choose:
                curves = table.with_name(f"ladder_curves{of_backend}.csv")
                replace_rows(curves, curve(climbed), ("rung",), order)


if __name__ == "__main__":
    main()

"""Climb the ladder of lesson 13: accuracy and seconds of training, rung by rung.

    python benchmarks/ladder.py                 every rung, CIFAR-10's and MNIST's
    python benchmarks/ladder.py NAME [NAME ...] these only; the table keeps the others' rows
    KERAS_BACKEND=jax python benchmarks/ladder.py   the same code on a GPU

Prints a line an epoch and writes benchmarks/results/ladder.csv (a row a rung) and
ladder_curves.csv (a row an epoch), and for a backend other than TensorFlow ladder_jax.csv and so
on. Seconds are for training alone, compilation included, evaluation not. The images come from
`load_cifar10` and `load_mnist`; the column ``data`` says which they were.
"""

import argparse
import csv
import platform
import time
from pathlib import Path

from cnncourse.data import ImageDataset, load_cifar10, load_mnist
from cnncourse.ladder import LADDER, MNIST_LADDER, Climb, Rung, climb

import keras

RESULTS = Path(__file__).parent / "results"


def conditions(data: ImageDataset) -> dict[str, str]:
    note = f", {data.note}" if data.note else ""
    return {
        "data": f"{data.name}, {data.source}{note}",
        "backend": f"{keras.backend.backend()}, Keras {keras.__version__}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def summary(climbed: Climb, data: ImageDataset, cpu_seconds: float) -> dict[str, object]:
    return {
        "rung": climbed.rung.name,
        "accuracy": f"{climbed.accuracy:.4f}",
        "one_view": f"{climbed.test_accuracies[-1]:.4f}",
        "train_accuracy": f"{climbed.train_accuracies[-1]:.4f}",
        "seconds": f"{climbed.seconds[-1]:.1f}",
        "cpu_seconds": f"{cpu_seconds:.1f}",
        "epochs": climbed.rung.epochs,
        "parameters": climbed.model.count_params(),
        **conditions(data),
    }


def curve(climbed: Climb) -> list[dict[str, object]]:
    return [
        {
            "rung": climbed.rung.name,
            "epoch": epoch + 1,
            "seconds": f"{climbed.seconds[epoch]:.1f}",
            "loss": f"{climbed.losses[epoch]:.4f}",
            "train_accuracy": f"{climbed.train_accuracies[epoch]:.4f}",
            "test_accuracy": f"{climbed.test_accuracies[epoch]:.4f}",
        }
        for epoch in range(climbed.rung.epochs)
    ]


def keep(path: Path, rows: list[dict[str, object]], order: list[str]) -> None:
    """Write the rows of one rung into a table, in place of its old ones, in the ladder's order."""
    kept: list[dict[str, object]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if row["rung"] != rows[0]["rung"]]
    kept = [row for row in kept if row["rung"] in order] + rows
    kept.sort(key=lambda row: order.index(str(row["rung"])))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description="Climb the ladder of lesson 13")
    parser.add_argument("names", nargs="*", metavar="NAME", help="rungs; all where none is named")
    parser.add_argument("--list", action="store_true", help="the rungs' names only")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rungs: dict[str, Rung] = {rung.name: rung for rung in (*LADDER, *MNIST_LADDER)}
    if arguments.list:
        print("\n".join(rungs))
        return
    unknown = set(arguments.names) - set(rungs)
    if unknown:
        parser.error(f"no rung {', '.join(sorted(unknown))}; --list shows the rungs")
    suffix = "" if keras.backend.backend() == "tensorflow" else f"_{keras.backend.backend()}"
    mnist, cifar10 = load_mnist(), load_cifar10()
    for name in arguments.names or rungs:
        data = mnist if rungs[name] in MNIST_LADDER else cifar10
        cpu = time.process_time()
        climbed = climb(
            rungs[name], data, seed=arguments.seed, report=lambda line: print(line, flush=True)
        )
        row = summary(climbed, data, time.process_time() - cpu)
        print(f"{name}: accuracy {row['accuracy']}, {row['seconds']} s", flush=True)
        keep(RESULTS / f"ladder{suffix}.csv", [row], list(rungs))
        keep(RESULTS / f"ladder_curves{suffix}.csv", curve(climbed), list(rungs))


if __name__ == "__main__":
    main()

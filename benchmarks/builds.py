"""Time training: every build of a network against plain Keras ``fit`` and against PyTorch.

    python benchmarks/builds.py --pytorch /path/to/python

``--pytorch``, or the environment variable ``PYTORCH``, names an interpreter with PyTorch and NumPy;
without it this one is asked, and the peer is left out where there is none. Every way to train runs
in a process of its own, with its framework's own choice of threads, on the same images, with the
network's own optimizer and batch size. It is checked that all start with equal logits and end with
a lower loss.

Each turn trains three times: on one batch, which is the start, graph and all; on a few batches,
which give the process its memory and its caches back, since the others had their turns; on
``--steps`` more than those. The difference of the last two is steps alone, and gives images a
second. The ways take turns, so the machine's noise falls on all alike. NumPy does fewer steps and
is counted by the image.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from cnncourse.networks import NETWORKS, Network
from cnncourse.reference import softmax_cross_entropy
from measuring import Ratio, Trainee, store

import numpy as np

# The module that holds each way. The peers come first, then what is ours.
PEERS = {"fit": "in_tensorflow", "pytorch": "in_pytorch"}
OURS = {
    "keras": "in_tensorflow",
    "eager": "in_tensorflow",
    "session": "in_tensorflow",
    "numpy": "in_tensorflow",
}
IN_OUR_LOOP = ("keras", "eager")
NAMES = ("mnist-keras", "mnist-lenet-keras", "cifar10-lenet-keras")
CHECKED_IMAGES = 200
LARGEST_DIFFERENCE = 1e-4

Answer = dict[str, Any]


# In the process of one way


def serve(way: str) -> None:
    """Answer questions on standard input with a line each: first the versions, then turns."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a framework prints belongs elsewhere
    module = import_module({**PEERS, **OURS}[way])
    print(json.dumps(module.VERSIONS), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(turn(module.WAYS[way], **json.loads(line))), file=answers, flush=True)


def turn(begin: Callable[[Network], Trainee], name: str, folder: str, steps: int) -> Answer:
    """Build a network anew and train it: on one batch, then on one and ``steps`` more."""
    images, labels = (np.load(Path(folder, f"{name}-{part}.npy")) for part in ("x", "y"))
    trainee, batch_size = begin(NETWORKS[name]), NETWORKS[name].recipe.batch_size
    checked = images[:CHECKED_IMAGES]

    def seconds(batches: int) -> float:
        started = time.perf_counter()
        ended = trainee.train(images[: batches * batch_size], labels[: batches * batch_size])
        return (ended or time.perf_counter()) - started

    before = trainee.logits(checked).tolist()
    start = seconds(1)
    short, long = seconds(few(steps)), seconds(few(steps) + steps)
    return {
        "start": start,
        "images_a_second": steps * batch_size / (long - short),
        "before": before,
        "after": trainee.logits(checked).tolist(),
        "setting": trainee.setting,
    }


def few(steps: int) -> int:
    """Batches of a turn's second training."""
    return 2 + steps // 4


# In the process that asks


class Worker:
    """The process of one way; ``versions`` are those of its framework."""

    def __init__(self, way: str, python: str) -> None:
        """Start it, and wait until its framework is loaded."""
        self.way = way
        here = Path(__file__).resolve()
        path = os.pathsep.join(filter(None, (str(here.parents[1]), os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [python, str(here), "--serve", way],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.versions: dict[str, str] = self._answer()

    def ask(self, **question: Any) -> Answer:
        """Have one turn taken; the arguments are those of `turn`."""
        assert self.process.stdin is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process for {self.way!r} ended; what it said stands above")
        return json.loads(line)


@contextmanager
def running(way: str, python: str) -> Iterator[Worker]:
    worker = Worker(way, python)
    try:
        yield worker
    finally:
        worker.process.communicate()  # closes its input, which ends it


def has_pytorch(python: str) -> bool:
    command = [python, "-c", "import torch, numpy"]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def write_images(name: str, folder: str, steps: int) -> str:
    """Put the scaled images of a turn where every process finds them; say whose they are."""
    from cnncourse import data  # not at the top: the process of PyTorch may lack its packages

    load = {"mnist": data.load_mnist, "cifar10": data.load_cifar10}[NETWORKS[name].dataset]
    whole = load()
    need = (few(steps) + steps) * NETWORKS[name].recipe.batch_size
    if need > len(whole.x_train):
        most = (len(whole.x_train) // NETWORKS[name].recipe.batch_size - 2) * 4 // 5
        raise ValueError(f"steps is {steps}; {name} has images for {most} at most")
    images = whole.subset(need, 0).scaled()
    np.save(Path(folder, f"{name}-x.npy"), images.x_train)
    np.save(Path(folder, f"{name}-y.npy"), images.y_train)
    return whole.source


def ask_all(workers: Iterable[Worker], name: str, folder: str, steps: int) -> dict[str, Answer]:
    """One turn of each, one after the other."""
    return {
        worker.way: worker.ask(
            name=name, folder=folder, steps=max(1, steps // 10) if worker.way == "numpy" else steps
        )
        for worker in workers
    }


def measure(
    workers: Sequence[Worker], name: str, folder: str, turns: int, steps: int
) -> dict[str, list[Answer]]:
    """All answers of each way, after a round to warm up; every other turn in reverse order.

    Raises RuntimeError unless all ways train the same network, and learn.
    """
    labels = np.load(Path(folder, f"{name}-y.npy"))[:CHECKED_IMAGES]
    check_equal(name, ask_all(workers, name, folder, 1))
    rounds = [
        ask_all(reversed(workers) if number % 2 else workers, name, folder, steps)
        for number in range(turns)
    ]
    taken = {worker.way: [answers[worker.way] for answers in rounds] for worker in workers}
    for way, answers in taken.items():
        check_learnt(f"{name}: {way}", answers[-1], labels)
    return taken


def check_equal(name: str, answers: dict[str, Answer]) -> None:
    """Raise RuntimeError unless all start with the same logits."""
    (first, expected), *others = ((way, np.array(one["before"])) for way, one in answers.items())
    for way, found in others:
        if not (difference := np.abs(found - expected).max()) <= LARGEST_DIFFERENCE:
            raise RuntimeError(f"{name}: logits of {way} and {first} differ by {difference:.1e}")


def check_learnt(what: str, answer: Answer, labels: np.ndarray) -> None:
    """Raise RuntimeError unless training lowered the loss."""
    before, after = (
        softmax_cross_entropy(np.array(answer[when]), labels).mean() for when in ("before", "after")
    )
    if not after < before:
        raise RuntimeError(f"{what} trained from a loss of {before:.3f} to one of {after:.3f}")


def ratios(name: str, taken: dict[str, list[Answer]]) -> list[Ratio]:
    """Each of our ways against each peer: images a second, and seconds until it has begun."""
    values = {
        unit: {way: [answer[unit] for answer in answers] for way, answers in taken.items()}
        for unit in ("images_a_second", "start")
    }
    found = []
    for ours in (way for way in OURS if way in taken):
        for peer in (way for way in PEERS if way in taken):
            for unit, title in (("images_a_second", "images/s"), ("start", "s for one batch")):
                if unit == "images_a_second" or ours in IN_OUR_LOOP:
                    sides = values[unit][ours], values[unit][peer]
                    found.append(Ratio(name, ours, peer, title, *sides, unit == "start"))
    return found


def show(name: str, taken: dict[str, list[Answer]], found: Sequence[Ratio]) -> None:
    peers = [peer for peer in PEERS if peer in taken]
    titles = "".join(f"{'to ' + peer:>26}" for peer in peers)
    print(f"\n{name:32}{'images/s':>10}{'start':>10}{titles}")
    for way, answers in taken.items():
        rate, start = (
            statistics.median(answer[unit] for answer in answers)
            for unit in ("images_a_second", "start")
        )
        label = f"{way} {answers[-1]['setting']}"
        cells = [str(one) for one in found if one.ours == way and one.unit == "images/s"]
        print(f"  {label:30}{rate:10.0f}{start:8.2f} s" + "".join(f"{cell:>26}" for cell in cells))
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="Training speed, side by side")
    pytorch = os.environ.get("PYTORCH") or sys.executable
    parser.add_argument("--pytorch", default=pytorch, help="interpreter with PyTorch")
    parser.add_argument("--networks", nargs="+", default=NAMES, choices=NETWORKS, metavar="NAME")
    parser.add_argument("--ways", nargs="+", default=[*PEERS, *OURS], choices=[*PEERS, *OURS])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps in a turn")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return

    ways = [way for way in (*PEERS, *OURS) if way in arguments.ways]
    if "pytorch" in ways and not has_pytorch(arguments.pytorch):
        print(f"no PyTorch in {arguments.pytorch}: left out; --pytorch names another interpreter")
        ways.remove("pytorch")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        workers = [
            stack.enter_context(
                running(way, arguments.pytorch if way == "pytorch" else sys.executable)
            )
            for way in ways
        ]
        versions = {name: value for worker in workers for name, value in worker.versions.items()}
        print("the median turn's ratio, above 1 where ours is faster; in brackets the others'")
        for name in arguments.networks:
            source = write_images(name, folder, arguments.steps)
            taken = measure(workers, name, folder, arguments.turns, arguments.steps)
            found = ratios(name, taken)
            show(f"{name}, {source} images", taken, found)
            store("builds", found, versions)


if __name__ == "__main__":
    main()

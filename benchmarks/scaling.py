"""What a second process, or a second device, brings: images a second against one.

    python benchmarks/scaling.py

Every process is pinned to its cores, with a TensorFlow thread for each, so that the question is a
fair one: does twice the hardware do twice the work? One process on one core is the peer for two
processes on two; one process on two cores shows what threads alone make of the same hardware.
MirroredStrategy on two logical devices is held against Keras ``fit`` on the same two cores.
Efficiency is the ratio divided by how many times the cores.

The first steps make the graph and do not count. The ways take turns, and all processes of the
others wait meanwhile. It needs two cores, and an idle machine: other work on one of them falls on
one side more than on the other.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from cnncourse.data import ImageDataset
from measuring import Ratio, store

import numpy as np

NAMES = ("mnist-keras", "mnist-lenet-keras")  # the same arithmetic, 7 times the weights
BATCHES = (32, 128, 512)
UNCOUNTED = 3  # steps at the start
CLASSES = tuple("0123456789")


class Way(NamedTuple):
    """So many processes on so many cores each, or devices of one process."""

    processes: int
    cores: int
    devices: int = 0


WAYS = {
    "1 process, 1 core": Way(1, 1),
    "2 processes, 1 core each": Way(2, 1),
    "1 process, 2 cores": Way(1, 2),
    "fit, 2 cores": Way(1, 2, 1),
    "fit on 2 devices, 2 cores": Way(1, 2, 2),
}
COMPARED = (
    ("2 processes, 1 core each", "1 process, 1 core"),
    ("2 processes, 1 core each", "1 process, 2 cores"),
    ("1 process, 2 cores", "1 process, 1 core"),
    ("fit on 2 devices, 2 cores", "fit, 2 cores"),
)


# In a process of one way


@dataclass(frozen=True, eq=False, repr=False)
class Timed(ImageDataset):
    """One batch again and again; ``begun`` holds the time at which each step began."""

    begun: list[float] = field(default_factory=list)

    def to_tf(self, *arguments: Any, **options: Any) -> Any:
        """Give the first batch without end."""
        batch = next(iter(super().to_tf(*arguments, **options)))
        while True:
            self.begun.append(time.perf_counter())
            yield batch


def serve(way: Way, index: int, addresses: Sequence[str]) -> None:
    """Answer each question on standard input with the seconds that the steps took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cores = sorted(os.sched_getaffinity(0))[index * way.cores : (index + 1) * way.cores]
    os.sched_setaffinity(0, cores)

    import tensorflow as tf

    from cnncourse.training import rollcall, workers

    tf.config.threading.set_intra_op_parallelism_threads(way.cores)
    if way.devices:
        cpu = tf.config.list_physical_devices("CPU")[0]
        device = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [device] * way.devices)
    cluster = rollcall.Cluster(tuple(addresses), index) if addresses else None
    with workers.joined(cluster, {}) as team:
        seconds = fitting(way.devices) if way.devices else looping(team)
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(seconds(**json.loads(line))), file=answers, flush=True)


def looping(team) -> Callable[..., float]:
    """Train in the course's own loop, together with the team."""
    import keras

    from cnncourse.builders import build
    from cnncourse.training import train

    def seconds(name: str, batch_size: int, steps: int) -> float:
        model, optimizer = build(name, "keras"), keras.optimizers.SGD(0.01)
        arrays = noise(model.network.input_shape, batch_size)
        data = Timed(*arrays, class_names=CLASSES, name="noise", source="offline")
        options = {"batch_size": batch_size, "verbose": False, "team": team}
        train(model, data, optimizer=optimizer, steps=UNCOUNTED + steps + 1, **options)
        return data.begun[-1] - data.begun[UNCOUNTED]

    return seconds


def fitting(devices: int) -> Callable[..., float]:
    """Train with Keras ``fit``, on several devices or on the only one."""
    import keras
    import tensorflow as tf

    from cnncourse.builders import build

    strategy = (
        tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(devices)])
        if devices > 1
        else tf.distribute.get_strategy()
    )

    def seconds(name: str, batch_size: int, steps: int) -> float:
        with strategy.scope():
            built = build(name, "keras")
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            built.model.compile(keras.optimizers.SGD(0.01), loss)
        x, y, *_ = noise(built.network.input_shape, batch_size)
        begun: list[float] = []
        clock = keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda step, logs: begun.append(time.perf_counter())
        )
        n = UNCOUNTED + steps + 1
        x, y = (np.concatenate([part] * n) for part in (x, y))
        built.model.fit(x, y, batch_size=batch_size, verbose=0, callbacks=[clock])
        return begun[-1] - begun[UNCOUNTED]

    return seconds


def noise(
    shape: Sequence[int], count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As many images as a batch has, and a test set of one: numbers do not change the time."""
    numbers = np.random.default_rng(0)
    x = numbers.random((count, *shape), dtype=np.float32)
    y = numbers.integers(0, 10, count, dtype=np.uint8)
    return x, y, x[:1], y[:1]


# In the process that asks


@contextmanager
def running(name: str) -> Iterator[list[subprocess.Popen]]:
    """The processes of one way, ready to be asked."""
    way, addresses = WAYS[name], []
    if way.processes > 1:
        taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(way.processes)]
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in taken]
        for one in taken:
            one.close()
    processes = []
    try:
        for index in range(way.processes):
            command = [sys.executable, str(Path(__file__).resolve()), "--serve", name]
            command += ["--index", str(index), "--addresses", *addresses]
            processes.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        for process in processes:
            answer(process)
        yield processes
    finally:
        for process in processes:  # the end of its input ends it; a team ends together
            assert process.stdin is not None
            process.stdin.close()
        for process in processes:
            process.wait()


def answer(process: subprocess.Popen) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a process ended; what it said stands above")
    return line


def ask(processes: Sequence[subprocess.Popen], **question) -> float:
    """Seconds that the steps took: of the slowest process, for which the others wait."""
    for process in processes:
        assert process.stdin is not None
        print(json.dumps(question), file=process.stdin, flush=True)
    return max(float(answer(process)) for process in processes)


def main() -> None:
    parser = argparse.ArgumentParser(description="Scaling over processes and devices")
    parser.add_argument("--networks", nargs="+", default=NAMES, metavar="NAME")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES, metavar="N")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--images", type=int, default=2_560, help="in a turn, about")
    parser.add_argument("--serve", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--index", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--addresses", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(WAYS[arguments.serve], arguments.index, arguments.addresses)
        return
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        print("scaling: needs two cores and a system that pins processes to them; left out")
        return

    with ExitStack() as stack:
        ways = {name: stack.enter_context(running(name)) for name in WAYS}
        print("the median turn's ratio, above 1 where the first is faster; in brackets the others'")
        for network in arguments.networks:
            for batch_size in arguments.batches:
                question = {"name": network, "batch_size": batch_size}
                question["steps"] = max(4, arguments.images // batch_size)
                images = question["steps"] * batch_size
                rates: dict[str, list[float]] = {name: [] for name in ways}
                for turn in range(arguments.turns):
                    for name in sorted(ways, reverse=bool(turn % 2)):
                        rates[name].append(images / ask(ways[name], **question))
                case = f"{network}, batch {batch_size}"
                found = [
                    Ratio(case, ours, peer, "images/s", rates[ours], rates[peer])
                    for ours, peer in COMPARED
                ]
                print(f"\n{case}")
                for name, values in rates.items():
                    print(f"  {name:28}{statistics.median(values):9.0f} images/s")
                for ratio in found:
                    print(f"  {ratio.ours} to {ratio.peer}: {ratio}")
                store("scaling", found)


if __name__ == "__main__":
    main()

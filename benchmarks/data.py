"""Time the data room: ``to_tf`` against plain ``tf.data``, and the offline stand-ins.

    python benchmarks/data.py

The machine's noise falls on all alike: they take turns. A stand-in is made once, then loaded from
the cache; loading is held against NumPy reading the same arrays from a plain file, unchecked.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cnncourse
from cnncourse.data import ImageDataset, load_cifar10, load_mnist
from measuring import Ratio, store

import numpy as np

TURNS = 7


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def time_loading(load: Callable[[str], ImageDataset]) -> list[Ratio]:
    """Load a stand-in into an empty cache, then from it."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        try:
            first = seconds(lambda: load("offline"))
            data = load("offline")
            plain = Path(cache, "plain.npz")
            parts = ("x_train", "y_train", "x_test", "y_test")
            np.savez(plain, **{part: getattr(data, part) for part in parts})

            def read() -> None:
                with np.load(plain) as arrays:
                    for part in parts:
                        arrays[part]

            times: dict[str, list[float]] = {"cache": [], "plain": []}
            for _ in range(TURNS):
                times["cache"].append(seconds(lambda: load("offline")))
                times["plain"].append(seconds(read))
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before
    cached = Ratio(
        data.name, "from the cache", "np.load, unchecked", "s", times["cache"], times["plain"], True
    )
    usual = [statistics.median(times["cache"])]
    made = Ratio(data.name, "from the cache", "made anew", "s", usual, [first], True)
    print(
        f"load_{data.name}('offline')    first {first:.1f} s"
        f"    then {usual[0]:.2f} s: {made.median:.0f} times as fast as making it, "
        f"{cached} times as fast as np.load"
    )
    return [cached, made]


def time_epochs(data: ImageDataset, batch_size: int) -> list[Ratio]:
    """Compare one shuffled epoch of 60,000 images both ways, building the dataset included."""
    import tensorflow as tf

    images, labels = data.x_train, data.y_train

    def plain() -> tf.data.Dataset:
        slices = tf.data.Dataset.from_tensor_slices((images, labels))
        return slices.shuffle(len(images), seed=0).batch(batch_size).prefetch(tf.data.AUTOTUNE)

    def epoch(make: Callable[[], tf.data.Dataset]) -> None:
        for _ in make():
            pass

    times: dict[str, list[float]] = {"plain": [], "to_tf": [], "batches": []}
    for _ in range(TURNS):
        times["plain"].append(seconds(lambda: epoch(plain)))
        times["to_tf"].append(seconds(lambda: epoch(lambda: data.to_tf(batch_size, seed=0))))
        times["batches"].append(seconds(lambda: [None for _ in data.batches(batch_size, seed=0)]))
    median = {name: statistics.median(values) for name, values in times.items()}
    case = f"{images.dtype.name}, batch {batch_size}"
    found = [
        Ratio(case, ours, "tf.data", "s an epoch", times[ours], times["plain"], less_is_better=True)
        for ours in ("to_tf", "batches")
    ]
    print(
        f"{images.dtype.name:8}{batch_size:6}"
        f"{median['plain']:10.3f} s{median['to_tf']:10.3f} s{median['batches']:10.3f} s"
        f"{found[0]!s:>24}"
    )
    return found


def time_leaving(data: ImageDataset, batch_size: int = 128) -> list[Ratio]:
    """Leave an endless dataset after some seconds, with tf.data's tuning and without; end a fit."""
    import keras
    import tensorflow as tf

    tuning = tf.data.Options()
    tuning.autotune.enabled = True
    work = tf.constant(np.ones((1_000, 1_000), np.float32))
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(10))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def leaving(dataset: tf.data.Dataset, until: float) -> float:
        iterator, start = iter(dataset), time.perf_counter()
        while time.perf_counter() - start < until:
            next(iterator)
            (work @ work).numpy()  # stands for a step of training
        end = time.perf_counter()
        del iterator
        return time.perf_counter() - end

    def ending(until: float) -> float:
        """Seconds from the end of fit's last step until fit returns."""
        ends: list[float] = []
        start, images = time.perf_counter(), 0
        while time.perf_counter() - start < until:
            (work @ work).numpy()
            images += 10
        watcher = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: (work @ work).numpy(),
            on_train_end=lambda logs: ends.append(time.perf_counter()),
        )
        model.fit(data.x_train[:images], data.y_train[:images], 10, verbose=0, callbacks=[watcher])
        return time.perf_counter() - ends[0]

    times: dict[str, list[float]] = {"fit": [], "tuned": [], "to_tf": []}
    for turn in range(2 * TURNS):
        dataset = data.to_tf(batch_size, seed=0, epochs=None)
        until = 1.5 + 0.3 * turn
        times["fit"].append(ending(until))
        times["tuned"].append(leaving(dataset.with_options(tuning), until))
        times["to_tf"].append(leaving(dataset, until))
    print("\nseconds from the last batch until a dataset is left, used for 1.5 to 5.4 s")
    for name, values in times.items():
        print(f"{name:8}" + "".join(f"{value:7.3f}" for value in values))
    case, ours = "used for 1.5 to 5.4 s, then left", times["to_tf"]
    return [
        Ratio(case, "to_tf", peer, "s", ours, times[peer], less_is_better=True)
        for peer in ("tuned", "fit")
    ]


def main() -> None:
    print(f"cnncourse {cnncourse.__version__}, {os.cpu_count()} cores")
    found = [ratio for load in (load_mnist, load_cifar10) for ratio in time_loading(load)]
    data = load_mnist("offline")
    print("\nseconds for an epoch of 60,000 digits; plain is from_tensor_slices.shuffle.batch")
    print(f"{'':8}{'batch':>6}{'plain':>12}{'to_tf':>12}{'batches':>12}{'plain/to_tf':>24}")
    for prepared in (data, data.scaled()):
        for batch_size in (50, 128, 500):
            found += time_epochs(prepared, batch_size)
    store("data", [*found, *time_leaving(data.scaled())])


if __name__ == "__main__":
    main()

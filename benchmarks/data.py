"""Time the data room: ``to_tf`` against plain ``tf.data``, and the offline stand-in.

Run ``python benchmarks/data.py``. The machine's noise falls on both sides alike: the two take
turns, and medians are compared.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable

import cnncourse
from cnncourse.data import ImageDataset, load_mnist

TURNS = 7


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def time_loading() -> ImageDataset:
    """Load the stand-in into an empty cache, then from it."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        try:
            first = seconds(lambda: load_mnist("offline"))
            second = statistics.median(seconds(lambda: load_mnist("offline")) for _ in range(5))
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before
    print(f"load_mnist('offline')    first {first:.1f} s    then {second:.2f} s")
    return load_mnist("offline")


def time_epochs(data: ImageDataset, batch_size: int) -> None:
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
    print(
        f"{images.dtype.name:8}{batch_size:6}"
        f"{median['plain']:10.3f} s{median['to_tf']:10.3f} s{median['batches']:10.3f} s"
        f"{median['plain'] / median['to_tf']:10.1f}"
    )


def main() -> None:
    print(f"cnncourse {cnncourse.__version__}, {os.cpu_count()} cores")
    data = time_loading()
    print("\nseconds for an epoch of 60,000 digits; plain is from_tensor_slices.shuffle.batch")
    print(f"{'':8}{'batch':>6}{'plain':>12}{'to_tf':>12}{'batches':>12}{'plain/to_tf':>14}")
    for prepared in (data, data.scaled()):
        for batch_size in (50, 128, 500):
            time_epochs(prepared, batch_size)


if __name__ == "__main__":
    main()

"""How fast the NumPy convolution is, beside its own loops and beside TensorFlow, and its memory.

    python benchmarks/reference.py

Both sides take turns. Extra memory is what `conv2d` holds at its peak besides its
arguments and its result.
"""

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable

import cnncourse
from cnncourse import reference
from measuring import Ratio, store

import numpy as np
import tensorflow as tf


def compare(
    case: str, turns: int, peer: str, ours: Callable[[], object], theirs: Callable[[], object]
) -> Ratio:
    """Time `conv2d` against a peer; they take turns, so that noise falls on both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(1 + turns):
        for function, taken in zip((ours, theirs), times, strict=True):
            started = time.perf_counter()
            function()
            if turn:  # the first is to warm up
                taken.append(1000 * (time.perf_counter() - started))
    ratio = Ratio(case, "reference.conv2d", peer, "ms", *times, less_is_better=True)
    print(case)
    print(f"  {peer:18}{statistics.median(times[1]):8.1f} ms")
    print(f"  {ratio.ours:18}{statistics.median(times[0]):8.1f} ms   {ratio} times as fast")
    return ratio


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


def against_loops() -> Ratio:
    x, kernel = arrays((5, 28, 28, 3), (5, 5, 3, 8))
    return compare(
        "5 images of 28×28×3, 8 filters of 5×5, SAME, float32",
        3,
        "conv2d_naive",
        lambda: reference.conv2d(x, kernel, padding="same"),
        lambda: reference.conv2d_naive(x, kernel, padding="same"),
    )


def against_tensorflow() -> Ratio:
    x, kernel = arrays((32, 28, 28, 32), (5, 5, 32, 64))
    images, taps = tf.constant(x), tf.constant(kernel)
    return compare(
        "32 images of 28×28×32, 64 filters of 5×5, SAME, float32",
        21,
        "tf.nn.conv2d",
        lambda: reference.conv2d(x, kernel, padding="same"),
        lambda: tf.nn.conv2d(images, taps, 1, "SAME").numpy(),
    )


def memory() -> None:
    (kernel,) = arrays((5, 5, 32, 64))
    chunk = reference.CHUNK_BYTES
    print("the same; extra memory at the peak, all windows at once, and the bound:")
    print("one chunk of windows and one of padded images, which is no larger at stride 1")
    for batch in (1, 32, 256):
        (x,) = arrays((batch, 28, 28, 32))
        tracemalloc.start()
        result = reference.conv2d(x, kernel, padding="same")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(
            f"  batch {batch:4}  {(peak - result.nbytes) / 2**20:8.1f} MiB"
            f"  {25 * x.nbytes / 2**20:8.1f} MiB  {2 * chunk / 2**20:8.1f} MiB"
        )


def main() -> None:
    print(f"cnncourse {cnncourse.__version__}, {os.cpu_count()} cores")
    found = [against_loops(), against_tensorflow()]
    memory()
    store("reference", found)


if __name__ == "__main__":
    main()

"""How fast the NumPy convolution is, beside its own loops and beside TensorFlow, and its memory.

    python benchmarks/reference.py

Medians of turns taken alternately. Extra memory is what `conv2d` holds at its peak besides its
arguments and its result.
"""

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable

import cnncourse
from cnncourse import reference

import numpy as np
import tensorflow as tf


def medians(turns: int, *functions: Callable[[], object]) -> list[float]:
    """Median seconds of each function; they take turns, so that noise falls on all alike."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(turns):
        for function, taken in zip(functions, times, strict=True):
            started = time.perf_counter()
            function()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]


def arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


def against_loops() -> None:
    x, kernel = arrays((5, 28, 28, 3), (5, 5, 3, 8))
    ours, loops = medians(
        3,
        lambda: reference.conv2d(x, kernel, padding="same"),
        lambda: reference.conv2d_naive(x, kernel, padding="same"),
    )
    print("5 images of 28×28×3, 8 filters of 5×5, SAME, float32")
    print(f"  conv2d_naive  {1000 * loops:8.1f} ms")
    print(f"  conv2d        {1000 * ours:8.1f} ms   {loops / ours:8.0f} times as fast")


def against_tensorflow() -> None:
    x, kernel = arrays((32, 28, 28, 32), (5, 5, 32, 64))
    images, taps = tf.constant(x), tf.constant(kernel)
    ours, theirs = medians(
        21,
        lambda: reference.conv2d(x, kernel, padding="same"),
        lambda: tf.nn.conv2d(images, taps, 1, "SAME").numpy(),
    )
    print("32 images of 28×28×32, 64 filters of 5×5, SAME, float32")
    print(f"  tf.nn.conv2d  {1000 * theirs:8.1f} ms")
    print(f"  conv2d        {1000 * ours:8.1f} ms   {ours / theirs:8.2f} times the time")


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
    against_loops()
    against_tensorflow()
    memory()


if __name__ == "__main__":
    main()

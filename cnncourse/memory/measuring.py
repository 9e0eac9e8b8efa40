"""How many bytes a function took: TensorFlow's allocator counts, on a CPU as on a GPU.

What is counted is tensors: variables, batches, feature maps, workspaces. Memory that Python, NumPy
and TensorFlow's own code take is not in it, nor are the unused parts of what the allocator has
taken from the system.
"""

import gc
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import tensorflow as tf

SETTING = "TF_CPU_ALLOCATOR_USE_BFC"
PROBE = 1024  # bytes; TensorFlow's usual CPU allocator counts from 256 KiB on
# The first region of the CPU's allocator. As large as a GPU's would be, so that blocks are cut to
# size from it: regions that grow as needed are powers of two, and so are then the blocks in them.
REGION = 8 * 2**30


class Measured(int):
    """The peak in bytes, as a whole number, and what belongs to it.

    peak, before
        Bytes in use at most while the function ran, and just before it.
    seconds, value
        How long it took, and what it returned.
    """

    before: int
    seconds: float
    value: Any

    def __new__(cls, peak: int, before: int, seconds: float, value: Any) -> "Measured":
        """Make the number and hang the rest on it."""
        self = super().__new__(cls, peak)
        self.before, self.seconds, self.value = before, seconds, value
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make it anew, so that an `experiment` may return it."""
        return Measured, (int(self), self.before, self.seconds, self.value)

    @property
    def peak(self) -> int:
        """The number itself."""
        return int(self)

    def __repr__(self) -> str:
        """Say peak and start in MB."""
        return f"peak {self.peak / 1e6:,.1f} MB (before: {self.before / 1e6:,.1f} MB)"


def measure(function: Callable[[], Any], *, device: str | None = None) -> Measured:
    """Call a function and return the peak of TensorFlow's memory meanwhile, in bytes.

    The peak holds all that was alive: what the function made and what was there before, so measure
    in a fresh process what is to be held beside a plan. Call a compiled function once before:
    its first call traces it. ``device`` is "GPU:0" where there is a GPU, else "CPU:0". Raises
    RuntimeError as ``count_exactly`` does. Lesson 14 uses it.
    """
    device = device or ("GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0")
    if device.startswith("CPU"):
        count_exactly()
    gc.collect()
    known = tf.config.experimental.get_memory_info(device)
    _peaks[:] = [max(peak, known["peak"]) for peak in _peaks]
    tf.config.experimental.reset_memory_stats(device)
    _peaks.append(0)
    started = time.perf_counter()
    try:
        value = function()
    finally:
        seconds = time.perf_counter() - started
        peak = max(_peaks.pop(), tf.config.experimental.get_memory_info(device)["peak"])
    return Measured(peak, known["current"], seconds, value)


# What the measurements that are open saw before another one, inside them, set the counter back.
_peaks: list[int] = []


def count_exactly() -> None:
    """Make TensorFlow count every byte on the CPU, or say that it is too late.

    Importing `cnncourse.memory` makes the setting; this starts the devices and tests once that it
    holds. Raises RuntimeError if TensorFlow had started with another allocator.
    """
    global _exact
    if not _exact:
        _exact = _counted(PROBE) >= PROBE
        if not _exact:
            raise RuntimeError(
                f"TensorFlow started before {SETTING}=1 was set, and counts no tensor below "
                "256 KiB on the CPU. Restart the kernel and import cnncourse.memory before the "
                "first operation"
            )
        _reserve()


_exact = False


def _counted(size: int) -> int:
    """How many bytes the allocator notices of a tensor of so many."""
    tf.config.experimental.reset_memory_stats("CPU:0")
    before = tf.config.experimental.get_memory_info("CPU:0")["current"]
    with tf.device("CPU:0"):
        tf.raw_ops.Empty(shape=[size], dtype=tf.uint8)
    return tf.config.experimental.get_memory_info("CPU:0")["peak"] - before


def _reserve() -> None:
    """Make the allocator take one large region. Its pages stay untouched, so it costs no memory."""
    limit = int(os.environ.get("TF_CPU_BFC_MEM_LIMIT_IN_MB", 2**16)) * 2**20
    used = tf.config.experimental.get_memory_info("CPU:0")["current"]
    size = min(REGION, limit - used - 2**22, psutil.virtual_memory().total // 2)
    # A system that hands out no memory on trust refuses: blocks are then counted up to twice.
    with suppress(tf.errors.ResourceExhaustedError), tf.device("CPU:0"):
        tf.raw_ops.Empty(shape=[size // 2**20, 2**20], dtype=tf.uint8)

"""How much of a GPU TensorFlow may take: safe to call on a machine that has none.

TensorFlow takes nearly all memory of every GPU when it starts them, unless it is told otherwise
before. ``nvidia-smi`` then shows what was taken, not what is used.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def grow() -> int:
    """Let TensorFlow take GPU memory piece by piece, as it needs it; returns the number of GPUs.

    Pieces once taken are kept. Without a GPU it says so and does nothing. Raises RuntimeError where
    the GPUs have been started without this.
    """
    return _each_gpu(
        "let its memory grow", lambda gpu: tf.config.experimental.set_memory_growth(gpu, True)
    )


def limit(megabytes: int) -> int:
    """Let TensorFlow take at most so many MB (2**20 bytes) of every GPU; returns their number.

    They are taken at once. Without a GPU it says so and does nothing: a CPU has no such limit, and
    ``experiment(..., limit_mb=...)`` runs a function under one. Raises RuntimeError where the GPUs
    have been started without this limit, ValueError for a limit below 1.
    """
    if megabytes < 1:
        raise ValueError(f"megabytes is {megabytes}; give at least 1")
    share = tf.config.LogicalDeviceConfiguration(memory_limit=megabytes)
    return _each_gpu(
        f"limit it to {megabytes} MB",
        lambda gpu: tf.config.set_logical_device_configuration(gpu, [share]),
    )


def _each_gpu(wish: str, change: Callable[[Any], None]) -> int:
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        print("no GPU here: nothing to do")
    for gpu in gpus:
        try:
            change(gpu)
        except RuntimeError as error:
            raise RuntimeError(
                f"too late to {wish}: TensorFlow has started {gpu.name} with other settings, and "
                "they last until the process ends. Restart the kernel and call this before the "
                f"first operation (TensorFlow says: {error})"
            ) from error
        except ValueError as error:
            raise ValueError(
                f"{gpu.name} is set otherwise already: memory either grows or has a limit. Restart "
                f"the kernel and call one of the two (TensorFlow says: {error})"
            ) from error
    return len(gpus)

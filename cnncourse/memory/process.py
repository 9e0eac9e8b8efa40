"""The other side of an experiment: ``python -m cnncourse.memory.process TASK ANSWER``."""

import pickle
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import cnncourse.memory  # noqa: F401  makes the setting before TensorFlow starts


def main(task: Path, answer: Path) -> None:
    """Read a task, run it, and write down what became of it."""
    sendable, arguments = pickle.loads(task.read_bytes())
    found = _run(sendable, arguments)
    try:
        written = pickle.dumps(found)
    except Exception as error:
        found |= {"ended": "error", "value": None, "error": f"the value cannot be sent: {error}"}
        written = pickle.dumps(found)
    answer.write_bytes(written)


def _run(sendable: tuple[str, str, str], arguments: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    from cnncourse.memory import measure

    found: dict[str, Any] = {}
    started = time.perf_counter()

    def call() -> None:
        """Keep errors as results, so that the peak is read after them too."""
        try:
            found.update(ended="done", value=_function(*sendable)(**arguments))
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            found.update(ended="out of memory", error=str(error))
        except Exception as error:
            found.update(ended="error", error=f"{type(error).__name__}: {error}")
        found["seconds"] = time.perf_counter() - started

    found["peak"] = measure(call).peak
    return found


def _function(module: str, name: str, source: str) -> Callable[..., Any]:
    if module:
        return getattr(import_module(module), name)
    namespace: dict[str, Any] = {"__name__": "__experiment__"}
    exec(compile(source, "<experiment>", "exec"), namespace)
    return namespace[name]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

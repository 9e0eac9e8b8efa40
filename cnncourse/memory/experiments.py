"""Experiments that may run out of memory: each in a process of its own.

Whatever happens there, the caller gets an `Outcome`: a value, an error, or a process that died.
"""

import inspect
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cnncourse.networks import Network

ENDINGS = ("done", "out of memory", "error", "crashed", "timed out")


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment.

    ended
        "done", "out of memory", "error", "crashed" or "timed out".
    value
        What the function returned, if it is done.
    peak, seconds
        Most bytes that TensorFlow had in use on the process's CPU (its GPU, where it has one), and
        how long the function took; None where the process could not say.
    error
        The error's own text, or how the process ended.
    """

    ended: str
    value: Any = None
    peak: int | None = None
    seconds: float | None = None
    error: str = ""

    @property
    def done(self) -> bool:
        """Whether the function returned."""
        return self.ended == "done"

    @property
    def out_of_memory(self) -> bool:
        """Whether TensorFlow asked for more than there was."""
        return self.ended == "out of memory"

    def __repr__(self) -> str:
        """Say it in one line."""
        peak = "" if self.peak is None else f", peak {self.peak / 1e6:,.1f} MB"
        tail = f": {self.error.strip().splitlines()[0][:100]}" if self.error else ""
        return self.ended + (f" → {self.value!r}" if self.done else "") + peak + tail


def experiment(
    function: Callable[..., Any],
    *,
    limit_mb: int | None = None,
    timeout: float = 600,
    **arguments: Any,
) -> Outcome:
    """Call ``function(**arguments)`` in a fresh Python process and report what became of it.

    A function of a module is imported there. One defined in a notebook or inside another function
    is sent as its source text, so it imports what it needs itself and uses nothing from outside.
    Arguments and value are pickled. ``limit_mb`` lets TensorFlow have that many MB (2**20 bytes) on
    the CPU; oneDNN is switched off then, because it does not survive a refusal. ``timeout`` is in
    seconds. Nothing that happens in the process raises here; ValueError for what cannot be sent.
    Lesson 14 runs out of memory this way.
    """
    if limit_mb is not None and limit_mb < 4:
        raise ValueError(f"limit_mb is {limit_mb}; give at least 4")
    with tempfile.TemporaryDirectory() as folder:
        task, answer = Path(folder) / "task.pickle", Path(folder) / "answer.pickle"
        try:
            task.write_bytes(pickle.dumps((_sendable(function), _plain(arguments))))
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise ValueError(
                f"arguments of {function.__name__} cannot be sent to another process ({error}); "
                "give numbers, strings, arrays or a Network"
            ) from error
        command = [sys.executable, "-m", "cnncourse.memory.process", str(task), str(answer)]
        try:
            done = subprocess.run(
                command,
                env=_environment(limit_mb),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome("timed out", error=f"stopped after {timeout:g} seconds")
        if answer.exists():
            return Outcome(**pickle.loads(answer.read_bytes()))
        return Outcome("crashed", error=_how(done.returncode) + "\n" + done.stderr[-4000:])


def _sendable(function: Callable[..., Any]) -> tuple[str, str, str]:
    """(module, name, source): a module to import from, or source text to run."""
    name = getattr(function, "__qualname__", "")
    if name.isidentifier() and function.__module__ != "__main__":
        return function.__module__, name, ""
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise ValueError(
            f"function is {function!r}, whose source text cannot be had; give one written with "
            "def in a notebook's cell or in a module"
        ) from error
    if not source.startswith("def "):
        raise ValueError(
            f"function starts with {source.splitlines()[0]!r}; give one written with def, without "
            "decorators"
        )
    return "", function.__name__, source


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """A network that has been looked at holds views that cannot be pickled: send a fresh one."""
    return {
        name: replace(value) if isinstance(value, Network) else value
        for name, value in arguments.items()
    }


def _environment(limit_mb: int | None) -> dict[str, str]:
    # The other process finds the modules that this one finds.
    environment = os.environ | {
        "TF_CPU_ALLOCATOR_USE_BFC": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    if limit_mb is not None:
        environment["TF_CPU_BFC_MEM_LIMIT_IN_MB"] = str(limit_mb)
        environment["TF_ENABLE_ONEDNN_OPTS"] = "0"
    return environment


def _how(code: int) -> str:
    if code < 0:
        return f"the process was ended by {signal.Signals(-code).name}"
    return f"the process ended with exit code {code} and no answer"

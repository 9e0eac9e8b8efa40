"""Memory: planned by arithmetic, measured exactly, and kept within limits.

``plan`` says before anything runs how many bytes a training step or a prediction takes, and what
for; ``measure`` says what a function took at its peak; ``largest_batch`` asks both. ``experiment``
runs a function in a process of its own, where running out of memory is a result like any other.
``grow`` and ``limit`` tell TensorFlow how much of a GPU it may take. Lesson 14 uses them all.

Importing this room makes the setting with which TensorFlow counts memory on a CPU as it does on a
GPU. It works until the first operation, so import the room at the top of a notebook.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnncourse.memory.experiments import Outcome, experiment
    from cnncourse.memory.fitting import Fit, largest_batch
    from cnncourse.memory.limits import grow, limit
    from cnncourse.memory.measuring import Measured, count_exactly, measure
    from cnncourse.memory.planning import Plan, plan
    from cnncourse.memory.tasks import evaluation, training_step

# Read by TensorFlow at its first operation.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")

# Loaded on first use: a plan needs no TensorFlow.
_HOMES = {
    "planning": ("Plan", "plan"),
    "measuring": ("Measured", "count_exactly", "measure"),
    "fitting": ("Fit", "largest_batch"),
    "limits": ("grow", "limit"),
    "experiments": ("Outcome", "experiment"),
    "tasks": ("evaluation", "training_step"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {__all__}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """Names that tab completion offers."""
    return sorted({*globals(), *_MODULE_OF})


__all__ = [
    "Fit",
    "Measured",
    "Outcome",
    "Plan",
    "count_exactly",
    "evaluation",
    "experiment",
    "grow",
    "largest_batch",
    "limit",
    "measure",
    "plan",
    "training_step",
]

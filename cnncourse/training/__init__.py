"""Training and evaluating: the loop, and checkpoints that a killed run goes on from.

Lesson 05 builds the loop, lesson 09 kills a run and goes on with it.
"""

from cnncourse.training.loop import (
    History,
    Model,
    TrainingDiverged,
    evaluate,
    predict,
    set_seeds,
    train,
)

__all__ = [
    "History",
    "Model",
    "TrainingDiverged",
    "evaluate",
    "predict",
    "set_seeds",
    "train",
]

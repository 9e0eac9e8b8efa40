"""Going on with a stopped run: what its state is, and what must be the same to go on with it."""

import hashlib
import json
import re
import signal
import sys
import threading
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cnncourse.data import ImageDataset
from cnncourse.training.checkpoints import Damaged, Spec, damage_named, newest, opened_folder, write

# Operations that draw from a state which TensorFlow keeps to itself.
HIDDEN_RANDOM = {
    *("Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoisson"),
    *("RandomPoissonV2", "RandomShuffle", "RandomStandardNormal", "RandomUniform"),
    *("RandomUniformInt", "TruncatedNormal"),
}
LONGEST_SHOWN = 60
# A seed is where random state begins; where it has got to is among the variables.
NO_SETTINGS = {"name", "seed"}


@dataclass
class Progress:
    """How far a run is: besides its variables, all that it needs to go on.

    ``loss_sum`` adds up the batches' losses since the last entry in ``losses``.
    """

    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    losses: dict[int, float] = field(default_factory=dict)
    accuracies: dict[int, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, noted: Mapping[str, Any]) -> "Progress":
        """Undo what JSON does to keys."""
        losses, accuracies = (
            {int(step): float(value) for step, value in noted[name].items()}
            for name in ("losses", "accuracies")
        )
        step, loss_sum, seconds = (noted[name] for name in ("step", "loss_sum", "seconds"))
        if not isinstance(step, int) or step < 0:
            raise Damaged(f"its step is {step!r}")
        return cls(step, float(loss_sum), float(seconds), losses, accuracies)


@dataclass(frozen=True)
class Marks:
    """The steps after which the loss is noted, and those of them with an evaluation.

    ``unit`` is what the run was asked for in: "epoch" or "step".
    """

    unit: str
    noted: Sequence[int]
    evaluated: Sequence[int]

    @property
    def last(self) -> int:
        """Steps in all."""
        return self.noted[-1]

    def around(self, step: int) -> tuple[int, int]:
        """Return the last mark (or 0) that is reached after ``step`` steps, and the next."""
        number = bisect_right(self.noted, step)
        return self.noted[number - 1] if number else 0, self.noted[number]

    @property
    def asked(self) -> str:
        """Name the argument and its value."""
        number = len(self.noted) if self.unit == "epoch" else self.last
        return f"{self.unit}s is {number}"

    def name(self, mark: int) -> str:
        """Name a mark for people: "epoch 3", "step 1,200"."""
        return f"epoch {self.noted.index(mark) + 1}" if self.unit == "epoch" else f"step {mark:,}"

    def check(self, progress: Progress, folder: Path) -> None:
        """Raise ValueError unless a run with these marks would have noted the same so far."""
        if progress.step > self.last:
            raise ValueError(
                f"{self.asked}, which comes to {self.last:,} steps, but the run in {folder} has "
                f"taken {progress.step:,}; ask for as many at least, or give another directory"
            )
        seen = (progress.losses, progress.accuracies)
        for marks, noted in zip((self.noted, self.evaluated), seen, strict=True):
            if [mark for mark in marks if mark <= progress.step] != list(noted):
                raise ValueError(
                    f"{self.asked}, and such a run looks at its loss and at the test set after "
                    f"other steps than the run in {folder} did. A run of epochs can be made "
                    "longer, a run of steps cannot; ask for the same, or give another directory"
                )


class Run:
    """A run that keeps nothing; `KeptRun` does.

    ``stopping`` asks for it to end after a step; ``kept_step`` is that of the newest checkpoint.
    """

    def __init__(self) -> None:
        """Begin at step 0."""
        self.progress = Progress()
        self.stopping = False
        self.kept_step: int | None = None

    @contextmanager
    def opened(self, marks: Marks) -> Iterator[None]:
        """Train while this is open."""
        yield

    def begin(self, graph: Any) -> None:
        """Get ready for the first call of the compiled step, whose graph this is."""

    def next_keep(self) -> int:
        """Step after which `keep` must be called at the latest."""
        return sys.maxsize

    def keep(self, last: int) -> None:
        """Save what there is to save, knowing the number of steps in all."""


class KeptRun(Run):
    """A run whose state is kept in a folder."""

    def __init__(
        self, folder: Path, settings: dict[str, Any], variables: dict[str, Any], every: int
    ) -> None:
        """Save ``variables`` every so many steps. ``settings`` tell this run from others."""
        super().__init__()
        self._folder, self._settings, self._variables = folder, settings, variables
        self._every = every

    @contextmanager
    def opened(self, marks: Marks) -> Iterator[None]:
        """Take the folder, and set everything as its newest checkpoint has it, if there is one.

        While this is open, Ctrl-C waits for the next `keep`, so that no step is torn; a second one
        does not. Raises ValueError, and changes nothing, where the folder holds another run.
        """

        def stop(number: int, frame: Any) -> None:
            if self.stopping:
                signal.default_int_handler(number, frame)
            self.stopping = True

        with opened_folder(self._folder):
            self._restore(marks)
            # A handler of somebody else's stays: it knows better. Only the main thread may set one.
            ours = (
                threading.current_thread() is threading.main_thread()
                and signal.getsignal(signal.SIGINT) is signal.default_int_handler
            )
            if ours:
                signal.signal(signal.SIGINT, stop)
            try:
                yield
            finally:
                if ours:
                    signal.signal(signal.SIGINT, signal.default_int_handler)

    def begin(self, graph: Any) -> None:
        """Write the first checkpoint of a new run, so that killing it early loses nothing either.

        Raises ValueError if a step depends on anything that no checkpoint would hold.
        """
        refuse_hidden_state(graph, self._variables.values())
        if self.kept_step is None:
            self._save()

    def next_keep(self) -> int:
        """Step after which `keep` must be called at the latest."""
        return (self.progress.step // self._every + 1) * self._every

    def keep(self, last: int) -> None:
        """Write a checkpoint where one is due: every so often, after the last step, on stopping.

        Raises KeyboardInterrupt for an interrupt that came since.
        """
        step = self.progress.step
        if step % self._every == 0 or step == last or self.stopping:
            self._save()
        if self.stopping:
            raise KeyboardInterrupt(
                f"stopped after step {step:,} of {last:,}; run the same again to go on from there"
            )

    def _restore(self, marks: Marks) -> None:
        def accept(metadata: dict[str, Any]) -> Progress:
            with damage_named():
                settings = metadata["settings"]
                progress = Progress.from_json(metadata["progress"])
            if found := list(differences(self._settings, settings)):
                raise ValueError(
                    f"checkpoints is {str(self._folder)!r}, which holds another run: "
                    f"{'; '.join(found)}. Give this run another directory"
                )
            marks.check(progress, self._folder)
            return progress

        specs = [Spec.of(variable.numpy()) for variable in self._variables.values()]
        if found := newest(self._folder, specs, accept):
            self.progress, arrays = found
            self.kept_step = self.progress.step
            for variable, array in zip(self._variables.values(), arrays, strict=True):
                variable.assign(array)

    def _save(self) -> None:
        if self.progress.step == self.kept_step:
            return
        arrays = {name: variable.numpy() for name, variable in self._variables.items()}
        metadata = {"settings": self._settings, "progress": asdict(self.progress)}
        write(self._folder, self.progress.step, metadata, arrays)
        self.kept_step = self.progress.step


def state_of(model: Any, optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """All variables of a model and its optimizer by name. Raises ValueError where it has none."""
    variables = getattr(model, "variables", None)
    if variables is None:
        raise ValueError(
            "model has no `variables`, so its checkpoints would be empty; give it this list of "
            "all that training changes: trainable variables, statistics, random state"
        )
    return {
        f"{owner}/{number:03}/{_name(variable)}": variable
        for owner, owned in (("model", variables), ("optimizer", optimizer.variables))
        for number, variable in enumerate(owned)
    }


def settings_of(
    model: Any,
    optimizer: keras.optimizers.Optimizer,
    data: ImageDataset,
    batch_size: int,
    seed: int,
    loss_reduction: str,
) -> dict[str, Any]:
    """Everything that decides where a run leads, as JSON has it. Reads all of the data once.

    The numbers that the model starts from are not in it: those of the checkpoints replace them.
    """
    kind = keras.optimizers.serialize(optimizer)
    return {
        "network": _network(model),
        "variables": [str(Spec.of(variable.numpy())) for variable in model.variables],
        "optimizer": _plain({"class": kind["class_name"], **kind["config"]}),
        "data": {
            "set": f"{data.name} ({data.source})",
            "train": str(Spec.of(data.x_train)),
            "test": str(Spec.of(data.x_test)),
            "content": digest_of(data),
        },
        "batch_size": int(batch_size),
        "seed": int(seed),
        "loss_reduction": loss_reduction,
    }


def digest_of(data: ImageDataset) -> str:
    """SHA-256 of all images and labels."""
    digest = hashlib.sha256()
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        digest.update(array.data)
    return digest.hexdigest()


def refuse_hidden_state(graph: tf.Graph, variables: Iterable[Any]) -> None:
    """Raise ValueError if a training step depends on anything that no checkpoint would hold."""
    kept = {id(v.value if isinstance(v, keras.Variable) else v) for v in variables}
    lost = {_name(variable) for variable in graph.variables if id(variable) not in kept}
    if lost:
        raise ValueError(
            f"the model uses {', '.join(sorted(lost))}, which its `variables` lack, so that no "
            "checkpoint would hold it; add it there (random numbers: give the layer a "
            "keras.random.SeedGenerator of its own)"
        )
    text = graph.as_graph_def()
    nodes = [text.node, *(function.node_def for function in text.library.function)]
    if drawn := {node.op for part in nodes for node in part} & HIDDEN_RANDOM:
        raise ValueError(
            f"the model draws random numbers ({', '.join(sorted(drawn))}) from a state that "
            "TensorFlow hides, so no checkpoint could hold it; use keras.layers.Dropout, or "
            "tf.random.Generator with tf.nn.experimental.stateless_dropout, or do without "
            "checkpoints"
        )


def _name(variable: Any) -> str:
    name = variable.path if isinstance(variable, keras.Variable) else variable.name
    return name.removesuffix(":0")


def _network(model: Any) -> str | None:
    """SHA-256 of a model's description; None for a model that has none."""
    if (network := getattr(model, "network", None)) is not None:
        text = repr(network.layers)
    else:
        try:
            text = json.dumps(_plain(model.get_config()))
        except (AttributeError, NotImplementedError):
            return None
        # Keras numbers what it names by itself, and counts on from model to model.
        text = re.sub(r'_\d+"', '"', text)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Send a value through JSON, without names and seeds; for what JSON lacks its type stands."""

    def stand_in(other: Any) -> str:
        return repr(other) if isinstance(other, np.generic) else type(other).__name__

    def settings(part: dict[str, Any]) -> dict[str, Any]:
        if len(part) == 1:  # {"name": "mixed_bfloat16"} is what Keras calls a policy
            return part
        return {key: kept for key, kept in part.items() if key not in NO_SETTINGS}

    return json.loads(json.dumps(value, sort_keys=True, default=stand_in), object_hook=settings)


def differences(
    here: Any, there: Any, name: str = "", *, where: tuple[str, str] = ("here", "there")
) -> Iterator[str]:
    """Say what is not the same in two settings; ``where`` says whose they are."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key in {**here, **there}:
            inner = f"{name} {key}".strip()
            yield from differences(here.get(key), there.get(key), inner, where=where)
    elif here != there:
        shown = [_shown(value) for value in (here, there)]
        if max(map(len, shown)) > LONGEST_SHOWN:
            yield f"{name} differs"
        else:
            yield f"{name} is {shown[0]} {where[0]} and {shown[1]} {where[1]}"


def _shown(value: Any) -> str:
    """A number as it was typed: optimizers keep 0.001 as float32, 0.0010000000474974513."""
    return str(np.float32(value)) if isinstance(value, float) else repr(value)

"""The memory plan: what a training step or a prediction will take, before anything runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cnncourse.memory import program
from cnncourse.memory.pieces import Piece, of_keras, of_network
from cnncourse.networks import NETWORKS, Network

PARTS = ("parameters", "optimizer", "activations", "gradients", "workspace", "input")
POLICIES = ("float32", "mixed_bfloat16")


class PlanRow(NamedTuple):
    """One layer of a plan. Sizes in bytes; the shape leaves out the batch axis.

    ``parameters`` counts numbers. ``kept`` is what the layer keeps for the backward pass.
    ``at_peak`` maps each part to what the layer holds at the moment of the peak.
    """

    name: str
    output_shape: tuple[int, ...]
    parameters: int
    kept: int
    at_peak: Mapping[str, int]


class Plan(Mapping[str, int]):
    """Bytes by part at the moment of the peak; the parts add up to ``total``.

    parameters
        The weights (float32), and under mixed_bfloat16 their copies in bfloat16.
    optimizer
        What the optimizer keeps for every weight.
    activations
        Outputs of layers that are still needed: while training, for the backward pass.
    gradients
        Gradients of weights and of outputs, as many as are alive then.
    workspace
        What an operation holds only while it runs, the optimizer's arithmetic as well.
    input
        The batch itself: images and labels.

    ``layers`` has a `PlanRow` for each layer, ``moments`` what is alive during each operation in
    order, ``at`` the operation of the peak, and ``notes`` what the plan cannot know.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        layers: Sequence[PlanRow],
        moments: Sequence[tuple[str, Mapping[str, int]]],
        notes: Sequence[str],
    ) -> None:
        """Find the peak among the moments."""
        self.name, self.settings = name, dict(settings)
        self.layers, self.moments, self.notes = tuple(layers), tuple(moments), tuple(notes)
        self.at, parts = max(self.moments, key=lambda moment: sum(moment[1].values()))
        self._parts = dict(parts)

    @property
    def total(self) -> int:
        """The predicted peak in bytes."""
        return sum(self._parts.values())

    def __getitem__(self, part: str) -> int:
        """Bytes of one part at the peak."""
        return self._parts[part]

    def __iter__(self) -> Iterator[str]:
        """The parts' names."""
        return iter(self._parts)

    def __len__(self) -> int:
        """How many parts."""
        return len(self._parts)

    def __str__(self) -> str:
        """A table: what each layer keeps and what it holds at the peak, and the sums."""
        shown = [part for part in PARTS if part != "input"]
        lines = [("layer", "output shape", "weights", "kept", *shown)]
        for row in self.layers:
            shape = " × ".join(map(str, row.output_shape))
            held = [_mb(row.at_peak[part]) for part in shown]
            lines.append((row.name, shape, f"{row.parameters:,}", _mb(row.kept), *held))
        weights = f"{sum(row.parameters for row in self.layers):,}"
        kept = _mb(sum(row.kept for row in self.layers))
        lines.append(("all layers", "", weights, kept, *(_mb(self[part]) for part in shown)))
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        text = [
            "  ".join(
                cell.rjust(width) if column >= 2 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        rule = "-" * len(text[0])
        settings = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        last = (
            f"and the batch, {_mb(self['input'])} MB: {_mb(self.total)} MB at the peak, "
            f"during {self.at!r}"
        )
        notes = [f"not known: {note}" for note in self.notes]
        head = f"{self.name}, {settings}"
        units = "MB (1,000,000 bytes), at the peak but for kept:"
        return "\n".join([head, units, text[0], rule, *text[1:-1], rule, text[-1], last, *notes])

    __repr__ = __str__


def plan(
    network: Network | str | Any,
    batch_size: int,
    *,
    training: bool = True,
    optimizer: str = "adam",
    policy: str = "float32",
) -> Plan:
    """Predict the peak of TensorFlow's memory for one batch, by arithmetic alone.

    ``network`` is a name in NETWORKS, a `Network`, or a built Keras model, whose layers say
    themselves what they compute in (``policy`` is then what the table says, no more). ``training``
    plans a compiled training step with ``optimizer`` ("sgd", "momentum" or "adam"), otherwise a
    compiled forward pass. Of operations that TensorFlow may run in either order, the plan takes the
    order that needs most. The kernels are those of a CPU with oneDNN: a GPU's libraries take
    workspaces of their own, and TensorFlow's kernels without oneDNN do so in backward convolutions.
    Raises ValueError for what it does not know. Lesson 14 draws it.
    """
    if batch_size < 1 or int(batch_size) != batch_size:
        raise ValueError(f"batch_size is {batch_size}; give a whole number from 1 on")
    if optimizer not in program.SLOTS:
        raise ValueError(
            f"optimizer is {optimizer!r}; use one of {', '.join(map(repr, program.SLOTS))}"
        )
    if policy not in POLICIES:
        raise ValueError(f"policy is {policy!r}; use 'float32' or 'mixed_bfloat16'")
    notes: list[str] = []
    if isinstance(network, str):
        network = NETWORKS[network]
    if isinstance(network, Network):
        name, pieces = network.name, of_network(network, policy)
    else:
        pieces, name = of_keras(network), network.name
        notes += _unknown(network)
    operations = (
        program.training_step(pieces, batch_size, optimizer)
        if training
        else program.prediction(pieces, batch_size)
    )
    walked = program.walk(operations)
    always = _always(pieces, batch_size, optimizer if training else None)
    moments = [(one.operation, _by_part([*always, *one.alive])) for one in walked]
    peak = max(walked, key=lambda one: one.total)
    kept = _kept(walked) if training else ()
    layers = [
        PlanRow(
            piece.name,
            piece.output_shape,
            piece.parameters,
            sum(one.size for one in kept if one.layer == piece.name and one.part == "activations"),
            _by_part(one for one in [*always, *peak.alive] if one.layer == piece.name),
        )
        for piece in pieces
    ]
    settings = {"batch": str(batch_size), "for": "training" if training else "predicting"}
    if training:
        settings["optimizer"] = optimizer
    settings["policy"] = policy
    return Plan(name, settings, layers, moments, notes)


def _always(pieces: Sequence[Piece], batch: int, optimizer: str | None) -> list[program.Tensor]:
    """What is there before a step and after it: weights, what the optimizer keeps, the batch."""
    tensors = []
    for piece in pieces:
        tensors.append(
            program.Tensor(f"{piece.name} weights", 4 * piece.parameters, "parameters", piece.name)
        )
        if optimizer is not None:
            slots = 4 * program.SLOTS[optimizer] * sum(piece.weights)
            tensors.append(program.Tensor(f"{piece.name} slots", slots, "optimizer", piece.name))
    image = 4 * pieces[0].input_size
    label = 0 if optimizer is None else 1
    return [*tensors, program.Tensor("batch", batch * (image + label), "input", "input")]


def _by_part(tensors: Iterable[program.Tensor]) -> dict[str, int]:
    parts = dict.fromkeys(PARTS, 0)
    for tensor in tensors:
        parts[tensor.part] += tensor.size
    return parts


def _kept(walked: Sequence[program.Moment]) -> Sequence[program.Tensor]:
    """What is alive between the forward and the backward pass."""
    return next(one.alive for one in walked if one.operation == "loss")


def _unknown(model: Any) -> list[str]:
    """What a Keras model does that the plan cannot see."""
    import keras

    notes = []
    if keras.backend.backend() != "tensorflow":
        notes.append(
            f"what the backend {keras.backend.backend()!r} keeps: the plan is TensorFlow's"
        )
    if getattr(model, "jit_compile", False) is True:
        notes.append("what XLA (jit_compile=True) keeps: it fuses operations and works some twice")
    return notes


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"

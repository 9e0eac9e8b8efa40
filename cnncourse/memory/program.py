"""A training step or a prediction as a list of operations, and the walk that finds its peak.

An operation takes tensors in and makes tensors. A tensor lives from the operation that makes it to
the last that takes it in. `walk` adds up who is alive, operation by operation.

Which tensors TensorFlow makes was read off its allocator, operation by operation (the profiler's
MemoryAllocation events), for TensorFlow 2.21 on a CPU with oneDNN.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cnncourse.memory.pieces import Piece, sloped

BYTES = {"float32": 4, "bfloat16": 2}
# oneDNN's max-pooling notes in one byte where in its window each maximum stood; from 256 places on
# it takes four bytes.
PLACE = 1
# Numbers that an optimizer keeps for every number that is learnt, and float32 copies of a gradient
# that its arithmetic makes beside the gradient.
SLOTS = {"sgd": 0, "momentum": 1, "adam": 2}
COPIES = {"sgd": 1, "momentum": 1, "adam": 1}


@dataclass(frozen=True)
class Tensor:
    """A name, a size in bytes, the part of the plan and the layer that it belongs to."""

    name: str
    size: int
    part: str
    layer: str


@dataclass(frozen=True)
class Operation:
    """What happens at one point of a step.

    takes
        Names of tensors that must be alive.
    makes
        Tensors that it makes, temporary ones as well: those that nothing takes later live only
        while it runs.
    overwrites
        Names of inputs whose memory the first tensor made may take over, if nobody needs them
        later and the sizes agree.
    lingers
        TensorFlow runs operations side by side where they do not wait for each other. A layer's
        weights' gradient and their update go on beside the next operation of the backward pass, so
        what they hold is alive until that is done as well.
    """

    name: str
    takes: tuple[str, ...]
    makes: tuple[Tensor, ...] = ()
    overwrites: tuple[str, ...] = ()
    lingers: bool = False


@dataclass
class Moment:
    """The tensors that are alive while an operation runs."""

    operation: str
    alive: tuple[Tensor, ...] = ()
    total: int = field(init=False)

    def __post_init__(self) -> None:
        """Add up."""
        self.total = sum(tensor.size for tensor in self.alive)


def walk(operations: Sequence[Operation]) -> list[Moment]:
    """Go through the operations in order and note what is alive during each."""
    last = {name: at for at, one in enumerate(operations) for name in one.takes}
    alive: dict[str, Tensor] = {}
    lingering: list[str] = []
    moments = []
    for at, operation in enumerate(operations):
        fresh = False
        for position, tensor in enumerate(operation.makes):
            taken_over = [
                name
                for name in operation.overwrites
                if position == 0
                and last[name] == at
                and name in alive
                and alive[name].size == tensor.size
            ]
            if taken_over:
                del alive[taken_over[0]]
            else:
                fresh = True
            alive[tensor.name] = tensor
        moments.append(Moment(operation.name, tuple(alive.values())))
        names = {*operation.takes, *(tensor.name for tensor in operation.makes)}
        done = [name for name in names if last.get(name, at) == at]
        if operation.lingers:
            lingering += done
            continue
        if fresh:  # what only overwrites its input is over at once
            done += lingering
            lingering = []
        for name in done:
            alive.pop(name, None)
    return moments


def prediction(pieces: Sequence[Piece], batch: int) -> list[Operation]:
    """Forward pass: a tensor is let go as soon as the last layer that reads it is done."""
    return _Writer(pieces, batch, training=False).operations


def training_step(pieces: Sequence[Piece], batch: int, optimizer: str) -> list[Operation]:
    """Forward pass, backward pass, and an update of each layer's weights once they are known."""
    writer = _Writer(pieces, batch, training=True)
    writer.backward(optimizer)
    return writer.operations


class _Writer:
    """Writes the operations of one step, layer by layer.

    ``source`` says which tensor holds a layer's output, for flattening makes none of its own;
    ``numbers`` and ``dtypes`` how many numbers a tensor holds and what they are; ``slopes`` which
    tensor is the gradient of a tensor so far.
    """

    def __init__(self, pieces: Sequence[Piece], batch: int, training: bool) -> None:
        """Write the forward pass."""
        self.pieces, self.batch, self.training = tuple(pieces), batch, training
        self.operations: list[Operation] = []
        self.source = {"input": "input"}
        self.numbers = {"input": batch * self.pieces[0].input_size}
        self.dtypes = {"input": "float32"}
        self.slopes: dict[str, str] = {}
        copies = [
            Tensor(f"{piece.name} copy", 2 * sum(piece.weights), "parameters", piece.name)
            for piece in self.pieces
            if _has_copy(piece)
        ]
        if copies:  # TensorFlow makes all of them before anything else: nothing keeps them waiting
            self._add("weights to bfloat16", (), copies)
        for piece in self.pieces:
            self._forward(piece)

    def _add(
        self,
        name: str,
        takes: Iterable[str],
        makes: Iterable[Tensor] = (),
        overwrites: Iterable[str] = (),
        lingers: bool = False,
    ) -> None:
        self.operations.append(
            Operation(name, tuple(takes), tuple(makes), tuple(overwrites), lingers)
        )

    def _tensor(self, name: str, numbers: int, part: str, layer: str, dtype: str) -> Tensor:
        self.numbers[name], self.dtypes[name] = numbers, dtype
        return Tensor(name, BYTES[dtype] * numbers, part, layer)

    def _read(self, piece: Piece, name: str) -> str:
        """Name of the tensor with an input in the type that the layer computes in, cast for it."""
        tensor, dtype = self.source[name], _computes_in(piece)
        if self.dtypes[tensor] == dtype:
            return tensor
        cast = f"{tensor} as {dtype}"
        if cast not in self.numbers:
            made = self._tensor(cast, self.numbers[tensor], "activations", piece.name, dtype)
            self._add(cast, (tensor,), (made,))
        return cast

    def _forward(self, piece: Piece) -> None:
        name, output = piece.name, self.batch * piece.size
        if piece.kind == "flatten" or (piece.kind == "dropout" and not self.training):
            self.source[name] = self.source[piece.inputs[0]]
            return
        takes = [self._read(piece, one) for one in piece.inputs]
        made = self._tensor(name, output, "activations", name, piece.dtype)
        makes, overwrites = [made], []
        match piece.kind:
            case "conv" | "dense" if _has_copy(piece):
                takes.append(f"{name} copy")
                if piece.kind == "dense":  # oneDNN adds products of bfloat16 up in float32
                    makes.append(Tensor(f"{name} sums", 4 * output, "workspace", name))
            case "max_pool":
                places = output * (PLACE if piece.window < 256 else 4 * PLACE)
                makes.append(Tensor(f"{name} places", places, "activations", name))
            case "batch_norm" if _computes_in(piece) != piece.dtype:
                inner = self._tensor(
                    f"{name} in float32", output, "workspace", name, _computes_in(piece)
                )
                squares = Tensor(f"{name} squares", inner.size, "workspace", name)
                self._add(inner.name, takes, [inner, squares] if self.training else [inner])
                takes = [inner.name]
            case "batch_norm" if self.training:
                makes.append(Tensor(f"{name} squares", made.size, "workspace", name))
            case "dropout":
                makes.append(Tensor(f"{name} random numbers", made.size, "workspace", name))
                makes.append(Tensor(f"{name} mask", output, "activations", name))
                overwrites = takes
            case "activation" | "add" | "batch_norm":
                overwrites = takes
        self._add(name, takes, makes, overwrites)
        self.source[name] = name

    def backward(self, optimizer: str) -> None:
        """Write the backward pass: every layer's gradients, then its update."""
        logits = self.source[self.pieces[-1].name]
        asked = sloped(self.pieces)
        slope = self._slope(logits, self.dtypes[logits], "loss")
        self._add("loss", (logits,), (slope,))
        self.slopes[logits] = slope.name
        for piece in reversed(self.pieces):
            if piece.name in asked and piece.kind != "flatten":
                self._backward(piece, [name for name in piece.inputs if name in asked])
                if piece.weights:
                    self._update(piece, optimizer)

    def _slope(self, tensor: str, dtype: str, by: str) -> Tensor:
        """The gradient of a tensor as worked out by a layer."""
        name = f"{tensor} gradient by {by}" + ("" if dtype == "float32" else f" as {dtype}")
        return self._tensor(name, self.numbers[tensor], "gradients", by, dtype)

    def _backward(self, piece: Piece, asked: Sequence[str]) -> None:
        name = piece.name
        slope = self.slopes[self.source[name]]
        if piece.kind == "add":
            for one in asked:
                self._hand_back(piece, one, slope)
            return
        if piece.activation != "linear":
            made = self._tensor(
                f"{name} gradient before {piece.activation}",
                self.numbers[slope],
                "gradients",
                name,
                piece.dtype,
            )
            self._add(f"{name} {piece.activation} backward", (slope, name), (made,), (slope,))
            slope = made.name
        dtype = _computes_in(piece)
        if dtype != piece.dtype:
            made = self._tensor(
                f"{slope} in {dtype}", self.numbers[slope], "gradients", name, dtype
            )
            self._add(made.name, (slope,), (made,))
            slope = made.name
        makes, overwrites = [], []
        if asked:
            tensor = self.source[piece.inputs[0]]
            makes.append(self._slope(tensor, dtype, name))
        takes = [slope]
        match piece.kind:
            case "conv" | "dense":
                takes.append(self._read(piece, piece.inputs[0]))
                takes += [f"{name} copy"] if _has_copy(piece) else []
            case "max_pool":
                takes += [self._read(piece, piece.inputs[0]), name, f"{name} places"]
            case "global_max":
                takes += [self._read(piece, piece.inputs[0]), name]
                mask = self.numbers[takes[1]]
                makes.append(Tensor(f"{name} mask", mask, "workspace", name))
            case "batch_norm":
                takes.append(self._read(piece, piece.inputs[0]))
                overwrites = [slope]
                # Its formula adds up three terms, each as large as the layer's input.
                terms = 2 * BYTES[dtype] * self.numbers[takes[1]]
                makes.append(Tensor(f"{name} terms", terms, "workspace", name))
            case "dropout":
                takes.append(f"{name} mask")
                overwrites = [slope]
            case "activation":
                overwrites = [slope]
        if makes:
            self._add(f"{name} backward", takes, makes, overwrites)
        if piece.weights:
            numbers = sum(piece.weights)
            dtype = piece.dtype if _has_copy(piece) else "float32"
            made = self._tensor(_of_weights(name, dtype), numbers, "gradients", name, dtype)
            self._add(f"{name} weights backward", takes, (made,), lingers=True)
        if asked:
            self._hand_back(piece, piece.inputs[0], makes[0].name)

    def _hand_back(self, piece: Piece, name: str, slope: str) -> None:
        """Note a gradient as that of an input; add it to the one that is there already."""
        tensor = self.source[name]
        if self.dtypes[slope] != self.dtypes[tensor]:
            made = self._slope(tensor, self.dtypes[tensor], piece.name)
            self._add(made.name, (slope,), (made,))
            slope = made.name
        if tensor in self.slopes:
            both = (self.slopes[tensor], slope)
            made = self._slope(tensor, self.dtypes[tensor], f"{piece.name} and others")
            self._add(made.name, both, (made,), both)
            slope = made.name
        self.slopes[tensor] = slope

    def _update(self, piece: Piece, optimizer: str) -> None:
        name, size = piece.name, 4 * sum(piece.weights)
        slope = _of_weights(name, "float32")
        if _has_copy(piece):
            made = Tensor(slope, size, "gradients", name)
            self._add(f"{name} gradient to float32", (_of_weights(name, piece.dtype),), (made,))
        # The largest array's copies; those of a bias are gone before a kernel's are made.
        copies = Tensor(
            f"{name} {optimizer}", 4 * COPIES[optimizer] * max(piece.weights), "workspace", name
        )
        self._add(f"{name} update", (slope,), (copies,), lingers=True)


def _has_copy(piece: Piece) -> bool:
    """Whether a layer computes with copies of its weights in another type."""
    return piece.dtype != "float32" and piece.kind in ("conv", "dense")


def _computes_in(piece: Piece) -> str:
    """The type that a layer computes in: batch normalisation's is float32 whatever the policy."""
    return "float32" if piece.kind == "batch_norm" else piece.dtype


def _of_weights(name: str, dtype: str) -> str:
    return f"{name} weights' gradient as {dtype}"

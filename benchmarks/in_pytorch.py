"""A `Network` in PyTorch, read off the same description: a peer in ``benchmarks/builds.py``.

The project does not depend on PyTorch. This module needs nothing but PyTorch, NumPy and those rooms
of ``cnncourse`` that need no more, so it also runs in an environment made for it alone.
"""

import time
from collections.abc import Mapping
from functools import cache

from cnncourse.arithmetic import padding_amounts
from cnncourse.builders import initial_params
from cnncourse.networks import Conv, Dense, Dropout, Flatten, Layer, MaxPool, Network
from measuring import Trainee

import numpy as np
import torch
from torch import nn

# PyTorch's two orders of the same axes in memory; which is faster depends on network and machine.
LAYOUTS = (torch.contiguous_format, torch.channels_last)
TRIAL_STEPS, TRIALS = 4, 4


class Rows(nn.Module):
    """[batch, channels, height, width] to rows in TensorFlow's order: height, width, channels."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Unrolled feature maps, [batch, height * width * channels]."""
        return maps.permute(0, 2, 3, 1).flatten(1)


class LowestAround(nn.Module):
    """Pads [batch, channels, height, width] with what no maximum picks."""

    def __init__(self, sides: tuple[int, int, int, int]) -> None:
        """``sides`` are left, right, above and below."""
        super().__init__()
        self.sides = sides

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Larger feature maps."""
        return nn.functional.pad(maps, self.sides, value=-torch.inf)


def build(network: Network, params: Mapping[str, np.ndarray]) -> nn.Sequential:
    """Logits [batch, classes] for images [batch, channels, height, width], from given arrays."""
    parts: list[nn.Module] = []
    before: tuple[int, ...] = network.input_shape
    for (name, layer), row in zip(network.named_layers, network.table(), strict=True):
        for part in _parts(layer, before):
            if isinstance(part, nn.Conv2d | nn.Linear):
                kernel = torch.tensor(params[f"{name}/kernel"])
                order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)  # outputs first
                part.weight.data = kernel.permute(order).contiguous()
                part.bias.data = torch.tensor(params[f"{name}/bias"])
            parts.append(part)
        before = row.output_shape
    return nn.Sequential(*parts)


def _parts(layer: Layer, shape: tuple[int, ...]) -> list[nn.Module]:
    """One layer's modules; ``shape`` is what it gets, without the batch axis and NHWC."""
    match layer:
        case Conv(filters, kernel, stride, padding, activation):
            above, below, left, right = _sides(shape, kernel, stride, padding)
            even = above == below and left == right
            around: list[nn.Module] = [] if even else [nn.ZeroPad2d((left, right, above, below))]
            inside = (above, left) if even else (0, 0)
            conv = nn.Conv2d(shape[-1], filters, kernel, stride, inside)
            return [*around, conv, *_activation(activation)]
        case MaxPool(window, stride, padding):
            above, below, left, right = _sides(shape, window, stride, padding)
            none = above == below == left == right == 0
            lowest: list[nn.Module] = [] if none else [LowestAround((left, right, above, below))]
            return [*lowest, nn.MaxPool2d(window, stride)]
        case Flatten():
            return [Rows()]
        case Dense(units, activation):
            return [nn.Linear(shape[0], units), *_activation(activation)]
        case Dropout(rate):
            return [nn.Dropout(rate)]


def _sides(
    shape: tuple[int, ...], kernel: int, stride: int, padding: str
) -> tuple[int, int, int, int]:
    rows, columns = (padding_amounts(side, kernel, stride, 1, padding) for side in shape[:2])
    return *rows, *columns


def _activation(activation: str | None) -> list[nn.Module]:
    """ReLU, or nothing: where a text put a softmax last, the loss takes the logits instead."""
    return [nn.ReLU(inplace=True)] if activation == "relu" else []


def begin(network: Network) -> Trainee:
    """The network at its start, in the faster layout, with a plain loop to train it."""
    return _in_layout(network, fastest_layout(network))


@cache
def fastest_layout(network: Network) -> torch.memory_format:
    """The layout of `LAYOUTS` in which a few steps on noise take less time; the two take turns."""
    random = np.random.default_rng(0)
    many = TRIAL_STEPS * network.recipe.batch_size
    images = random.random((many, *network.input_shape), np.float32)
    labels = random.integers(network.classes, size=many).astype(np.uint8)
    trainees = [_in_layout(network, layout) for layout in LAYOUTS]
    times: list[list[float]] = [[], []]
    for _ in range(1 + TRIALS):  # the first is to warm up
        for trainee, taken in zip(trainees, times, strict=True):
            started = time.perf_counter()
            trainee.train(images, labels)
            taken.append(time.perf_counter() - started)
    contiguous, channels_last = (np.median(taken[1:]) for taken in times)
    return LAYOUTS[int(channels_last < contiguous)]


def _in_layout(network: Network, layout: torch.memory_format) -> Trainee:
    recipe = network.recipe
    torch.manual_seed(0)
    model = build(network, initial_params(network)).to(memory_format=layout)
    # The fused optimizers are the fastest of each kind; epsilon as in Keras.
    optimizer = (
        torch.optim.Adam(model.parameters(), recipe.learning_rate, eps=1e-7, fused=True)
        if recipe.optimizer == "adam"
        else torch.optim.SGD(model.parameters(), recipe.learning_rate, fused=True)
    )

    def ready(images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)

    def train(images: np.ndarray, labels: np.ndarray) -> None:
        model.train()
        inputs, targets = ready(images), torch.from_numpy(labels).long()
        total = torch.zeros(())
        for rows in torch.randperm(len(inputs)).split(recipe.batch_size):
            optimizer.zero_grad()
            batch = inputs[rows].contiguous(memory_format=layout)
            loss = nn.functional.cross_entropy(model(batch), targets[rows])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        total.item()

    def logits(images: np.ndarray) -> np.ndarray:
        model.eval()
        with torch.inference_mode():
            return model(ready(images)).numpy()

    return Trainee(logits, train, str(layout).removeprefix("torch."))


WAYS = {"pytorch": begin}
VERSIONS = {"pytorch": torch.__version__}

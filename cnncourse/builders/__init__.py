"""Building a `Network`: one file for each way, one function to ask for any of them.

Whatever the way, a built network has ``logits(images)``, ``gradients(images, labels)`` and
``params``, in NumPy and under the same names, so that builds can be held side by side.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import numpy as np

from cnncourse.builders.params import checked_params, initial_params
from cnncourse.networks import NETWORKS, Network

if TYPE_CHECKING:
    from cnncourse.builders import in_keras, in_numpy, in_session, in_tensorflow

Params = dict[str, np.ndarray]
Start = Mapping[str, np.ndarray] | None

APIS = {
    "numpy": "cnncourse.builders.in_numpy",
    "eager": "cnncourse.builders.in_tensorflow",
    "session": "cnncourse.builders.in_session",
    "keras": "cnncourse.builders.in_keras",
}


class BuiltNetwork(Protocol):
    """What every build can do."""

    network: Network

    @property
    def trainable_variables(self) -> Sequence[Any]:
        """What an optimizer moves, in the params' order, as the framework's own variables."""
        ...

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Logits as the framework's own tensor; ``training`` switches dropout on."""
        ...

    @property
    def params(self) -> Params:
        """Copies of the learnt arrays under the names of ``network.parameter_shapes``."""
        ...

    def logits(self, images: np.ndarray) -> np.ndarray:
        """[batch, classes] for images [batch, height, width, channels]; no dropout."""
        ...

    def gradients(self, images: np.ndarray, labels: np.ndarray) -> Params:
        """Gradient of the mean cross-entropy under the params' names; no dropout."""
        ...


@overload
def build(
    network: Network | str, api: Literal["numpy"], params: Start = ..., seed: int = ...
) -> "in_numpy.Build": ...


@overload
def build(
    network: Network | str, api: Literal["eager"], params: Start = ..., seed: int = ...
) -> "in_tensorflow.Build": ...


@overload
def build(
    network: Network | str, api: Literal["session"], params: Start = ..., seed: int = ...
) -> "in_session.Build": ...


@overload
def build(
    network: Network | str, api: Literal["keras"], params: Start = ..., seed: int = ...
) -> "in_keras.Build": ...


@overload
def build(
    network: Network | str, api: str, params: Start = ..., seed: int = ...
) -> BuiltNetwork: ...


def build(
    network: Network | str,
    api: str,
    params: Start = None,
    seed: int = 0,
) -> BuiltNetwork:
    """Build a network one way, from given arrays or from the network's own initializer.

    The same ``seed`` gives the same start in every api, and within one the same dropout. Raises
    ValueError for an unknown network or api, and for params whose names or shapes are not the
    network's. Lesson 07 holds the builds against each other.
    """
    if isinstance(network, str):
        network = NETWORKS[network]
    if api not in APIS:
        raise ValueError(f"api is {api!r}; use one of {', '.join(map(repr, APIS))}")
    start = initial_params(network, seed) if params is None else checked_params(network, params)
    return import_module(APIS[api]).Build(network, start, seed)


__all__ = ["APIS", "BuiltNetwork", "Params", "build", "initial_params"]

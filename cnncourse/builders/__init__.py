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
# Policy to the apis that can compute so.
POLICIES = {"float32": tuple(APIS), "mixed_bfloat16": ("eager", "keras")}


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
    network: Network | str,
    api: Literal["numpy"],
    params: Start = ...,
    seed: int = ...,
    policy: str = ...,
) -> "in_numpy.Build": ...


@overload
def build(
    network: Network | str,
    api: Literal["eager"],
    params: Start = ...,
    seed: int = ...,
    policy: str = ...,
) -> "in_tensorflow.Build": ...


@overload
def build(
    network: Network | str,
    api: Literal["session"],
    params: Start = ...,
    seed: int = ...,
    policy: str = ...,
) -> "in_session.Build": ...


@overload
def build(
    network: Network | str,
    api: Literal["keras"],
    params: Start = ...,
    seed: int = ...,
    policy: str = ...,
) -> "in_keras.Build": ...


@overload
def build(
    network: Network | str, api: str, params: Start = ..., seed: int = ..., policy: str = ...
) -> BuiltNetwork: ...


def build(
    network: Network | str,
    api: str,
    params: Start = None,
    seed: int = 0,
    policy: str = "float32",
) -> BuiltNetwork:
    """Build a network one way, from given arrays or from the network's own initializer.

    The same ``seed`` gives the same start in every api, and within one the same dropout. With the
    policy "mixed_bfloat16" the weights stay float32, every layer but the last computes in bfloat16,
    and the logits are float32: for "eager" and "keras" alone. Raises ValueError for an unknown
    network, api or policy, and for params whose names or shapes are not the network's. Lesson 07
    holds the builds against each other, lesson 14 the policies.
    """
    if isinstance(network, str):
        network = NETWORKS[network]
    if api not in APIS:
        raise ValueError(f"api is {api!r}; use one of {', '.join(map(repr, APIS))}")
    if api not in POLICIES.get(policy, ()):
        raise ValueError(
            f"policy is {policy!r} for api {api!r}; use 'float32', or for 'eager' and 'keras' "
            "'mixed_bfloat16'"
        )
    computing = {} if policy == "float32" else {"policy": policy}
    start = initial_params(network, seed) if params is None else checked_params(network, params)
    return import_module(APIS[api]).Build(network, start, seed, **computing)


__all__ = ["APIS", "POLICIES", "BuiltNetwork", "Params", "build", "initial_params"]

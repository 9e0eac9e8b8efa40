"""Data sets: MNIST and CIFAR-10 from official files where there are any, else offline stand-ins.

``load_mnist`` and ``load_cifar10`` give an ``ImageDataset``; ``where`` says which files they would
use.
"""

from os import PathLike
from pathlib import Path

from cnncourse.data.cifar10 import load_cifar10
from cnncourse.data.dataset import ImageDataset
from cnncourse.data.loading import Collection, places
from cnncourse.data.mnist import load_mnist

__all__ = ["ImageDataset", "load_cifar10", "load_mnist", "where"]


def collections() -> dict[str, Collection]:
    """Every data set that this room knows, by name."""
    from cnncourse.data import cifar10, mnist

    return {"mnist": mnist.MNIST, "cifar10": cifar10.CIFAR10}


def where(
    name: str = "mnist", directory: str | PathLike[str] | None = None
) -> dict[str, Path | None]:
    """Say which files a load would read, without reading, making or downloading any.

    Returns ``{"official": path, "offline": path}``: the file (or the folder that holds the files)
    of the official data, and the cached offline stand-in; None for what is not there.
    ``directory`` is as in ``load_mnist``. Only the names are looked at, so a damaged file counts.
    """
    known = collections()
    if name not in known:
        raise ValueError(f"name is {name!r}; the data sets are {', '.join(map(repr, known))}")
    return places(known[name], directory)

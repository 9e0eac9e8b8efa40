"""Choosing between official data and the offline stand-in: the same for every data set."""

import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from cnncourse.data import official, offline
from cnncourse.data.dataset import ImageDataset
from cnncourse.data.download import NotAsPublished, Unavailable, download
from cnncourse.data.files import say

SOURCES = ("auto", "official", "offline")


@dataclass(frozen=True)
class Collection:
    """All that is known about one data set. ``title`` is its name for people."""

    name: str
    title: str
    class_names: tuple[str, ...]
    table: official.Table
    forms: tuple[official.Form, ...]
    url: str
    sha256: str
    stand_in: offline.StandIn

    @property
    def shapes(self) -> offline.Shapes:
        """Shape of each array as published, so without the channel axis of grey images."""
        return {name: known.shape for name, known in self.table.items()}


def load(
    collection: Collection, source: str, directory: str | PathLike[str] | None
) -> ImageDataset:
    """Load a data set; ``load_mnist`` describes arguments and errors."""
    source, folder = _source(source), _folder(directory)
    if source == "offline":
        return _offline(collection)
    try:
        form, path = _find_or_download(collection, folder, ask_again=source == "official")
    except Unavailable as reason:
        looked = " or ".join(map(str, official.folders(folder)))
        if source == "auto":
            say(
                f"offline stand-in for {collection.title}, not the published data, because there "
                f"is none in {looked} and {reason}."
            )
            return _offline(collection)
        error = ValueError if isinstance(reason, NotAsPublished) else FileNotFoundError
        raise error(
            f"no official {collection.title} in {looked}, and {reason}. Connect to the network, or "
            f"put the files into a folder and set CNNCOURSE_DATA to it, or use source='offline'."
        ) from None
    arrays = form.read(path, collection.table)
    if form.is_published(arrays, collection.table):
        return dataset_of(collection, "official", arrays)
    say(
        f"{path.name} is NOT the published {collection.title}, though it has its shapes and class "
        "counts: say so beside every figure that comes from it (cnncourse data shows where it is)."
    )
    return dataset_of(collection, "official", arrays, note="not the published bytes")


def places(collection: Collection, directory: str | PathLike[str] | None) -> dict[str, Path | None]:
    """Return the files that ``load`` would read; ``cnncourse.data.where`` describes it."""
    try:
        found = official.find(collection.forms, _folder(directory))
    except FileNotFoundError:  # a part only: not what a load could use
        found = None
    cache = offline.cache_file(collection.name, collection.stand_in)
    return {
        "official": found[1] if found else None,
        "offline": cache if cache.is_file() else None,
    }


def _find_or_download(
    collection: Collection, folder: Path | None, ask_again: bool
) -> tuple[official.Form, Path]:
    found = official.find(collection.forms, folder)
    if found is None:
        into = official.folders(folder)
        download(collection.url, collection.sha256, into, ask_again=ask_again)
        found = official.find(collection.forms, folder)
        if found is None:
            raise Unavailable("the file just downloaded has vanished")
    return found


def _offline(collection: Collection) -> ImageDataset:
    arrays = offline.load(collection.name, collection.stand_in, collection.shapes)
    return dataset_of(collection, "offline", arrays)


def dataset_of(
    collection: Collection, source: str, arrays: official.Arrays, note: str = ""
) -> ImageDataset:
    """Give a collection's arrays, as its loader gets them, the names that belong to it."""

    def images(name: str) -> np.ndarray:
        array = arrays[name]
        return array[..., np.newaxis] if array.ndim == 3 else array  # grey: one channel

    return ImageDataset(
        x_train=images("x_train"),
        y_train=arrays["y_train"],
        x_test=images("x_test"),
        y_test=arrays["y_test"],
        class_names=collection.class_names,
        name=collection.name,
        source=source,
        note=note,
    )


def _source(source: str) -> str:
    """Return the source that counts: the argument, or CNNCOURSE_SOURCE where that is "auto"."""
    if source not in SOURCES:
        raise ValueError(f"source is {source!r}; use {_either(SOURCES)}")
    configured = os.environ.get("CNNCOURSE_SOURCE")
    if source != "auto" or not configured:
        return source
    if configured not in SOURCES:
        raise ValueError(
            f"the environment variable CNNCOURSE_SOURCE is {configured!r}; set it to "
            f"{_either(SOURCES)}, or unset it"
        )
    return configured


def _folder(directory: str | PathLike[str] | None) -> Path | None:
    """Return the folder that counts: the argument, or CNNCOURSE_DATA where that is None."""
    what, given = "directory", directory
    if given is None:
        what, given = "the environment variable CNNCOURSE_DATA", os.environ.get("CNNCOURSE_DATA")
        if not given:
            return None
    folder = Path(os.path.expanduser(given))
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        raise ValueError(
            f"{what} is {os.fspath(given)!r}, which is not a folder that can be read; make the "
            "folder, or name one that holds the data"
        )
    return folder


def _either(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names[:-1])) + f" or {names[-1]!r}"

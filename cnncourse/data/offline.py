"""The cache for offline stand-ins: each is made once on a machine, then read in a moment."""

import hashlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncourse.data.files import lies_there, locked, opened, read_npz, say

# Far more than it takes to make a stand-in: who waits longer waits for a process that hangs.
LOCK_SECONDS = 300.0
# Versions kept besides the present one, as environments may share a home directory. 55 MB each.
KEEP_OLD = 2

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class StandIn:
    """How a stand-in is made.

    ``make(seed)`` gives the arrays; ``made_by`` names every module whose code decides what they
    are: when one of them changes, no older cache is read. ``what`` and ``seconds`` are for people.
    """

    make: Callable[[int], dict[str, np.ndarray]]
    made_by: tuple[str, ...]
    what: str
    seconds: int
    seed: int = 0


def cache_file(name: str, stand_in: StandIn) -> Path:
    """Where the stand-in for ``name`` is kept; it need not exist."""
    import platformdirs

    digest = hashlib.sha256()
    for module in stand_in.made_by:
        digest.update(_source(module))
    version = f"{digest.hexdigest()[:12]}-seed{stand_in.seed}"
    return Path(platformdirs.user_cache_dir("cnncourse")) / f"offline-{name}-{version}.npz"


def load(name: str, stand_in: StandIn, shapes: Shapes) -> dict[str, np.ndarray]:
    """Return the arrays from the cache; make them and fill it first where that is needed.

    Prints one line while making them, and one if they cannot be kept.
    """
    path = cache_file(name, stand_in)
    arrays = _read(path, shapes)
    if arrays is not None:
        return arrays
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_name(f"offline-{name}.lock"), timeout=LOCK_SECONDS):
            arrays = _read(path, shapes)  # another process may have been faster
            if arrays is None:
                arrays = _make(stand_in, shapes)
                _write(path, arrays)
                _remove_old(path, name)
    except OSError as error:  # a lock's Timeout is one
        reason = error.strerror or type(error).__name__
        say(f"{stand_in.what} cannot be kept in {path.parent} ({reason}): made anew each time.")
        if arrays is None:
            arrays = _make(stand_in, shapes)
    return arrays


def _source(module: str) -> bytes:
    """Return a module's source, without running it: that would import scikit-learn each time."""
    spec = importlib.util.find_spec(module)
    source = getattr(spec and spec.loader, "get_source", lambda name: None)(module)
    if source is None:
        raise ValueError(f"the source of {module} is not installed; install cnncourse again")
    return source.encode()


def _read(path: Path, shapes: Shapes) -> dict[str, np.ndarray] | None:
    """Read the cache; None if it is missing or damaged (each array has its CRC-32 in the file)."""
    if not lies_there(path):
        return None
    try:
        with opened(path) as file:
            return read_npz(file, shapes)
    except ValueError:
        return None


def _make(stand_in: StandIn, shapes: Shapes) -> dict[str, np.ndarray]:
    say(f"making {stand_in.what} once, about {stand_in.seconds} s ...")
    made = stand_in.make(stand_in.seed)
    return {name: np.asarray(made[name], np.uint8).reshape(shapes[name]) for name in shapes}


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write under a temporary name and rename. The lock must be held."""
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            # Not compressed: reading takes a tenth of a second instead of half of one.
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _remove_old(path: Path, name: str) -> None:
    """Remove what earlier versions left: half-written files, and all but the newest whole ones."""
    for partial in path.parent.glob(f"offline-{name}-*.partial"):
        partial.unlink(missing_ok=True)
    others = [old for old in path.parent.glob(f"offline-{name}-*.npz") if old != path]
    others.sort(key=lambda old: old.stat().st_mtime)
    for old in others[:-KEEP_OLD]:
        old.unlink(missing_ok=True)

"""The published figures, run again: any row, by its published recipe, in the way its text built it.

``cnncourse reproduce`` calls `reproduce`. What it writes lies in one folder: the tables, and under
``runs/`` what a stopped run goes on from and what a finished one measured. A run is known by its
network's description, its data and its seed, so a recipe that changes is run anew.
"""

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import keras
import tensorflow as tf

import cnncourse
from cnncourse import data, doctor
from cnncourse.data import ImageDataset
from cnncourse.data.files import locked
from cnncourse.networks import NETWORKS, Network
from cnncourse.reproduce import tables
from cnncourse.reproduce.runs import (
    BUILDS,
    Job,
    Watch,
    outcome,
    stages,
    steps_an_epoch,
    write_json,
)
from cnncourse.reproduce.tables import Finished, Row
from cnncourse.reproduce.time_left import TimeLeft

MARK = "written_by_cnncourse_reproduce.txt"
MARK_TEXT = (
    "cnncourse reproduce writes into this folder. Under runs/ lie the finished runs and what a "
    "stopped one goes on from; delete it to begin anew.\n"
)
QUICK_STEPS, QUICK_TEST_IMAGES = 20, 500


def reproduce(
    names: Sequence[str] = (),
    *,
    source: str = "auto",
    quick: bool = False,
    out: str | os.PathLike[str] = "reproduce",
    seeds: Iterable[int] = (0,),
    again: bool = False,
) -> list[Row]:
    """Run the named networks (all, where none is named) by their recipes, and write the tables.

    One run for each of ``seeds``. The folder ``out`` gets ``reproduce.csv``, ``reproduce.md`` and
    ``reproduce_curves.csv``, written anew after each run, with everything that has been run there.
    A finished run is not done ``again`` unless asked for; a stopped one goes on. ``quick`` takes a
    few steps instead, and writes ``quick.csv`` and so on. ``source`` is as in
    ``cnncourse.data.load_mnist``. Returns the tables' rows.

    Raises ValueError for an unknown network, for a folder that holds something else or is in use,
    and, when all else is done, for networks whose loss was lost; KeyboardInterrupt on Ctrl-C, when
    the tables have been written.
    """
    networks = [NETWORKS[name] for name in dict.fromkeys(names or NETWORKS)]
    networks = [_quick(network) for network in networks] if quick else networks
    seeds = list(seeds)
    folder = _claimed(Path(out))
    with _held(folder):
        runs = [
            _Run.planned(network, source, seed, folder, quick)
            for network in networks
            for seed in seeds
        ]
        for run in runs if again else ():
            shutil.rmtree(run.folder, ignore_errors=True)
        waiting = sorted((run for run in runs if run.finished() is None), key=_Run.work)
        try:
            lost = _run_all(waiting, lambda: _write_tables(folder, quick))
        finally:
            found = _write_tables(folder, quick)
    if lost:
        raise ValueError("; ".join(lost))
    return found


@dataclass(frozen=True)
class _Run:
    """A run to be done, or done, in ``folder``. Its ``data`` are pixels, not scaled yet."""

    network: Network
    data: ImageDataset
    seed: int
    folder: Path
    quick: bool

    @classmethod
    def planned(cls, network: Network, source: str, seed: int, folder: Path, quick: bool) -> "_Run":
        """Find the data, and the folder that such a run has."""
        images, digest = _data(network.dataset, source)
        mark = hashlib.sha256(f"{_settings(network)} {digest}".encode()).hexdigest()[:8]
        name = f"{network.name}-{images.source}-seed{seed}-{mark}"
        place = folder / "runs" / (f"quick-{name}" if quick else name)
        return cls(network, images, seed, place, quick)

    def work(self) -> int:
        """Multiply-adds of the training: what runs are ordered by, and time left measured in."""
        return self.network.recipe.total_steps * _work_a_step(self.network)

    def finished(self) -> Finished | None:
        """What an earlier call made of it."""
        return _read(self.folder / "finished.json")

    def job(self, watch: Watch, verbose: bool) -> Job:
        """Scale the pixels, which takes four times their memory, and only as long as needed."""
        images = self.data.scaled()
        tests = QUICK_TEST_IMAGES if self.quick else len(images.x_test)
        images = images.subset(self.network.recipe.train_images, tests)
        return Job(self.network, images, self.folder / "state", self.seed, watch, verbose)

    def run(self, watch: Watch, verbose: bool) -> Finished:
        """Train, or go on, and note what came of it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        spent = self.folder / "spent.json"
        before = json.loads(spent.read_text("utf-8")) if spent.exists() else 0.0
        started = time.process_time()
        try:
            result = outcome(self.job(watch, verbose))
        finally:
            cpu_seconds = before + time.process_time() - started
            write_json(spent, cpu_seconds)
        finished = Finished(
            network=self.network.name,
            settings=_settings(self.network),
            build=BUILDS[self.network.name],
            seed=self.seed,
            quick=self.quick,
            data=self.data.source,
            data_note=self.data.note,
            figures=[list(figure) for figure in result.figures],
            losses={str(step): loss for step, loss in result.losses.items()},
            accuracies={str(step): share for step, share in result.accuracies.items()},
            steps_an_epoch=steps_an_epoch(self.network),
            cpu_seconds=cpu_seconds,
            machine=f"{doctor.processor()[0]}, {doctor.check_threads()[0].detail}",
            versions={
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "cnncourse": cnncourse.__version__,
            },
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        write_json(self.folder / "finished.json", asdict(finished))
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        return finished


def _run_all(waiting: Sequence[_Run], write: Callable[[], object]) -> list[str]:
    """Do the runs one after the other; return what is to be said of those whose loss was lost."""
    lost = []
    with TimeLeft(sum(run.work() for run in waiting)) as clock:
        for number, run in enumerate(waiting, start=1):
            name = run.network.name
            label = f"{name}, seed {run.seed}" if run.seed else name
            steps = run.network.recipe.total_steps
            clock.start(label, steps, _work_a_step(run.network))
            clock.say(f"{label}: {steps:,} steps, {BUILDS[name]}")
            try:
                finished = run.run(clock, verbose=clock.shown)
            except ArithmeticError as error:
                lost.append(f"{label}: {error}")
                continue
            except KeyboardInterrupt:
                clock.say(
                    f"stopped in {label}, {number - 1} of {len(waiting)} done; the same command "
                    "goes on from here"
                )
                raise
            clock.finish()
            write()
            row = tables.rows([finished])[-1]
            published = f" (published {row.published.accuracy:.4f})" if row.published else ""
            left = f", about {clock.left()} left" if number < len(waiting) else ""
            clock.say(
                f"{label}: test accuracy {row.accuracy:.4f}{published} after {row.seconds:.0f} s "
                f"of training; {number} of {len(waiting)} done{left}"
            )
    return lost


def _quick(network: Network) -> Network:
    """Cut a recipe down to a few steps on as many images as these take."""
    recipe = network.recipe
    share = QUICK_STEPS / recipe.total_steps
    return replace(
        network,
        recipe=replace(
            recipe,
            train_images=QUICK_STEPS * recipe.batch_size // 2,
            epochs=recipe.epochs and 2,
            steps=recipe.steps and QUICK_STEPS,
        ),
        published=tuple(
            replace(figure, steps=figure.steps and max(1, int(figure.steps * share)))
            for figure in network.published
        ),
    )


def _settings(network: Network) -> str:
    """Everything about a network that decides what is run."""
    described = (network.layers, network.initializer, network.recipe)
    return repr((*described, stages(network), BUILDS[network.name]))


def _work_a_step(network: Network) -> int:
    return network.recipe.batch_size * sum(row.multiply_adds for row in network.table())


@cache
def _data(name: str, source: str) -> tuple[ImageDataset, str]:
    """Load a data set once: (its images, a digest of all that is in it)."""
    images = getattr(data, f"load_{name}")(source=source)
    digest = hashlib.sha256()
    for array in (images.x_train, images.y_train, images.x_test, images.y_test):
        digest.update(array.data)
    return images, digest.hexdigest()


def _claimed(folder: Path) -> Path:
    """Make the folder, or see that it is one of ours."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"out is {os.fspath(folder)!r}, a file; give a folder")
    there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if there and MARK not in there:
        shown = ", ".join(there[:3]) + (", ..." if len(there) > 3 else "")
        raise ValueError(
            f"out is {os.fspath(folder)!r}, which holds other things ({shown}); give a new folder, "
            "or an empty one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(MARK_TEXT, encoding="utf-8")
    return folder


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder."""
    import filelock

    try:
        with locked(folder / "in_use.lock", timeout=0):
            yield
    except filelock.Timeout:
        raise ValueError(
            f"out is {os.fspath(folder)!r}, into which another process is writing; wait for it, "
            "or give another folder"
        ) from None


def _read(path: Path) -> Finished | None:
    """Read what a finished run noted; None where there is nothing, or nothing that makes sense."""
    try:
        return Finished(**json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, TypeError, ValueError):
        return None


def _write_tables(folder: Path, quick: bool) -> list[Row]:
    """Write the tables of all finished runs in the folder whose networks are still as they were."""
    noted = (_read(path) for path in sorted(folder.glob("runs/*/finished.json")))
    current = {_settings(_quick(network) if quick else network) for network in NETWORKS.values()}
    finished = [run for run in noted if run and run.quick == quick and run.settings in current]
    found = tables.rows(finished)
    if found:
        name = "quick" if quick else "reproduce"
        contents = {
            f"{name}.csv": tables.as_csv(found),
            f"{name}.md": tables.as_markdown(found, quick),
            f"{name}_curves.csv": tables.curves(finished),
        }
        for file, content in contents.items():
            partial = folder / f"{file}.partial"
            partial.write_text(content, encoding="utf-8")
            os.replace(partial, folder / file)
    return found

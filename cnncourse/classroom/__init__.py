"""Grading hand-ins with nbgrader, so that no hand-in can hurt, see or stop another.

``grade`` is what the command ``cnncourse grade`` runs. One hand-in goes through these modules:
``handins`` finds it, ``zygote`` forks the process that grades it, ``mending`` puts its cells in
order, ``marking`` runs nbgrader's autograder over it, with a ``kernel`` in a ``box``; ``feedback``
makes its page and ``results`` keeps what came of it.

Needs nbgrader, the extra ``classroom``; nothing else in the library does.
"""

import importlib.util
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60.0  # for one cell


@dataclass(frozen=True)
class Graded:
    """What a grading did: the table, how many hand-ins have each status, whether in boxes."""

    table: Path
    statuses: dict[str, int]
    boxed: bool


def grade(
    assignment: str,
    submissions: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    timeout: float = SECONDS,
    scheduler: str | None = None,
) -> Graded:
    """Grade every hand-in and write ``grades.csv``, feedback and a gradebook into ``out``.

    ``assignment`` is a folder with a solution, or its name in ``solutions/``. ``submissions`` is a
    folder or a zip and is only read. ``jobs`` hand-ins are graded at a time (one for each
    processor), or as many as a Dask cluster's workers take, where ``scheduler`` is its address.
    ``timeout`` is in seconds, for one cell. What was graded before is not graded again.

    Raises ValueError or OSError, saying what would do, where something given makes no sense.
    """
    require("nbgrader", "classroom")
    if scheduler is not None:
        require("distributed", "cluster")
    jobs = os.cpu_count() or 1 if jobs is None else jobs
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}; give the number of hand-ins at a time, at least 1")
    if not timeout > 0:
        raise ValueError(f"timeout is {timeout}; give the seconds that a cell may take, above 0")
    from cnncourse.classroom import assignment as assignments
    from cnncourse.classroom import handins, kernel, results, running

    starts = [Path.cwd(), Path(__file__).resolve().parents[2]]
    solution = assignments.find_solution(assignment, starts)
    submissions, out = (Path(os.path.abspath(path)) for path in (submissions, out))
    if out == submissions or submissions in out.parents:
        raise ValueError(f"out is {out}, among the hand-ins; give a folder elsewhere")
    with tempfile.TemporaryDirectory(prefix="cnncourse-") as folder:
        prepared = assignments.prepare(solution, Path(folder))
        found = handins.find(submissions, prepared.name, prepared.notebook)
        store = results.Store(out, prepared.name)
        try:
            packed = assignments.pack(Path(folder))
            private = tuple(str(path) for path in (solution.parent, submissions, out))
            # Hand-ins graded at a time share the processors; a cluster's workers see to their own.
            threads = 0 if scheduler else max(1, (os.cpu_count() or 1) // jobs)
            work = running.Work(packed, kernel.Limits(timeout, threads=threads), private)
            graded, boxed = running.run(prepared, found, store, work, jobs, scheduler)
            rows = results.publish(out, Path(folder), solution, prepared, graded)
        finally:
            store.close()
    return Graded(out / results.TABLE, _counts(row["status"] for row in rows), boxed)


def _counts(statuses: Iterable[str]) -> dict[str, int]:
    listed = list(statuses)
    return {status: listed.count(status) for status in sorted(set(listed))}


def require(module: str, extra: str) -> None:
    """Raise ValueError with the line that installs it where an extra is missing."""
    if importlib.util.find_spec(module) is None:
        raise ValueError(
            f'{module} is not installed -> python -m pip install "cnncourse[{extra}]", or in the '
            f'course\'s folder: python -m pip install -e ".[{extra}]"'
        )

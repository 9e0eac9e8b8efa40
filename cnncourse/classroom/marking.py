"""Grading one hand-in with nbgrader's own autograder, in a course root that holds nothing else."""

import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    Execute,
    IgnorePattern,
    LimitOutput,
    SaveAutoGrades,
)

from cnncourse.classroom import assignment, feedback, kernel
from cnncourse.classroom.mending import mend, replaced

STUDENT = "student"
GIVE_UP_AFTER = 3  # cells that ran out of time
SPARE = 180.0  # seconds for everything besides the cells
LAST_WORDS = 10  # seconds for a cell's last output to arrive
OUTPUT = 2**20  # bytes of output kept from one cell
NOT_RUN = "NotRun"
OUT_OF_TIME = "CellTimeoutError"  # nbgrader's name
_SUBREAPER = 36


@dataclass
class Result:
    """What came of one hand-in.

    ``status``: "graded"; "stopped", when some cells could not be run; "unreadable"; "missing";
    "failed", when the fault may be ours. ``scores`` has None for what a person has to read;
    ``limit`` is the time limit for a cell, in seconds, under which this came out.
    """

    status: str
    reason: str = ""
    scores: dict[str, float | None] = field(default_factory=dict)
    autograded: str = ""
    feedback: str = ""
    limit: float = 0.0


class Careful(Execute):
    """nbgrader's preprocessor that runs a notebook; goes on, or stops, when a kernel is lost.

    Every code cell that was not run gets an error as its output: for nbgrader a test without one
    has passed.
    """

    manager: Any = None
    stopped = ""
    slow = 0
    _kept = 0

    def preprocess(self, nb: Any, resources: Any, km: Any = None) -> tuple[Any, Any]:
        """Run the notebook in the kernel that waits for it; raise where that does not start."""

        def stop(reason: str) -> None:
            type(self).stopped = reason

        with kernel.watched(self.manager.limits, stop):
            return super().preprocess(nb, resources, km=self.manager)

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Run one cell, or say why it is not run."""
        if cell.cell_type != "code":
            return cell, resources
        cell.outputs, cell.execution_count, self._kept = [], None, 0
        if self.stopped:
            return _not_run(cell, self.stopped), resources
        try:
            cell, resources = super().preprocess_cell(cell, resources, index)
        except DeadKernelError:
            type(self).stopped = self.stopped or f"the kernel ended in {_place(cell, index)}"
            return _not_run(cell, self.stopped), resources
        except CellTimeoutError:
            type(self).stopped = f"{_place(cell, index)} ran out of time and could not be stopped"
            self.manager.provisioner.process.kill()
            return _not_run(cell, self.stopped), resources
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors and utils.is_grade(cell):
            cell.outputs = errors  # else a number shown before the error would count as points
        self.slow += any(error.ename == OUT_OF_TIME for error in errors)
        if self.slow >= GIVE_UP_AFTER:
            type(self).stopped = f"{self.slow} cells ran out of time"
        return cell, resources

    def output(self, outs: Any, msg: Any, display_id: Any, cell_index: int) -> Any:
        """Keep an output, up to a limit for each cell."""
        self._kept += len(repr(msg["content"]))
        if self._kept > OUTPUT and msg["msg_type"] not in ("error", "execute_result"):
            return None
        return super().output(outs, msg, display_id, cell_index)


def mark(folder: Path, limits: kernel.Limits, hidden: tuple[str, ...], boxed: bool) -> Any:
    """Get ready to grade one hand-in; return the function that grades it.

    ``folder`` is what ``assignment.prepare`` wrote. Called in a process that grades one hand-in and
    ends; where it can be in a box, the kernel is forked at once.
    """
    root = Path(tempfile.mkdtemp(prefix="hand-in-"))
    if sys.platform == "linux":  # what the hand-in starts and leaves becomes ours to end
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    own = root / "kernel"
    own.mkdir()
    process = kernel.Boxed(own, folder / "files", limits, hidden) if boxed else None

    def grade(content: bytes) -> Result:
        try:
            return _grade(root, folder, content, limits, process)
        finally:
            kernel.kill_children()
            shutil.rmtree(root, ignore_errors=True)

    return grade


def _grade(root: Path, folder: Path, content: bytes, limits: kernel.Limits, process: Any) -> Result:
    found = assignment.load(folder)
    warnings.simplefilter("ignore")  # of this process; the hand-in's own has been forked
    if hasattr(signal, "alarm"):  # should anything here hang, this process ends, and all below it
        cells = content.count(b"cell_type") + len(found.tasks)
        signal.alarm(round(SPARE + 2 * limits.seconds * cells))
    try:
        notebook = read(content)
    except ValueError as error:
        return Result("unreadable", str(error), {task.name: 0.0 for task in found.tasks})
    notes = [f"assigns to {name}" for name in replaced(notebook.cells)]
    notebook.cells, mended = mend(notebook.cells, assignment.released_cells(folder))
    submitted = root / "submitted" / STUDENT / found.name
    submitted.mkdir(parents=True)
    nbformat.write(notebook, submitted / f"{found.notebook}.ipynb")
    shutil.copy(folder / "gradebook.db", root)
    shutil.copytree(folder / "files", root / "source" / found.name)
    if process is None:
        shutil.copytree(folder / "files", root / "kernel", dirs_exist_ok=True)
    manager = kernel.Manager.over(root / "kernel", process, limits)

    class Run(Careful):
        """The same, for this hand-in's kernel."""

    Run.manager = manager
    config = _settings(root, found.name, limits)
    config.Autograde.autograde_preprocessors = [
        *(Run, IgnorePattern, ClearMetadataPreprocessor, LimitOutput),
        *(SaveAutoGrades, AssignLatePenalties, CheckCellMetadata),
    ]
    grader = Autograde(coursedir=CourseDirectory(config=config), config=config)
    grader.log, said = assignment.listening_log()
    try:
        grader.start()
    except Exception as error:  # whatever it is, the other hand-ins go on
        return Result("failed", f"nbgrader: {error!r}: {said.getvalue()[-2000:]}")
    path = root / "autograded" / STUDENT / found.name / f"{found.notebook}.ipynb"
    graded = nbformat.read(path, as_version=4)
    with Gradebook(config.CourseDirectory.db_url) as book:
        grades = book.find_submission(found.name, STUDENT).notebooks[0].grades
        scores = {g.name: None if g.needs_manual_grade else g.auto_score for g in grades}
    ordered = {task.name: scores.get(task.name) for task in found.tasks}
    why = [Run.stopped] if Run.stopped else []
    return Result(
        status="stopped" if Run.stopped else "graded",
        reason="; ".join([*why, *notes, *mended, *_errors(graded.cells)]),
        scores=ordered,
        autograded=nbformat.writes(graded),
        feedback=feedback.page(graded, found, assignment.released_cells(folder), ordered),
    )


def read(content: bytes) -> Any:
    """A notebook from its bytes, as nbformat's version 4. ValueError says what is wrong with it."""
    try:
        stored = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a notebook: {str(error)[:100]}") from None
    try:
        notebook = nbformat.convert(nbformat.from_dict(stored), 4)
        for cell in notebook.cells:
            cell.source = "".join(cell.source)
            cell.metadata = nbformat.from_dict(dict(cell.metadata))
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        notebook.metadata = nbformat.from_dict({})
        nbformat.validator.normalize(notebook)
        return nbformat.reads(nbformat.writes(notebook), as_version=4)
    except Exception as error:  # nbformat raises whatever a strange structure makes it raise
        raise ValueError(f"not a notebook: {type(error).__name__}: {str(error)[:100]}") from None


def _settings(root: Path, name: str, limits: kernel.Limits) -> Any:
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory = assignment.course(root, name)
    config.CourseDirectory.student_id = STUDENT
    config.Execute.timeout = max(1, round(limits.seconds))
    config.Execute.iopub_timeout = LAST_WORDS
    config.Execute.startup_timeout = 120
    config.Execute.shutdown_kernel = "immediate"
    config.Execute.ipython_hist_file = ""
    config.Execute.store_widget_state = False
    config.IgnorePattern.enabled = True
    config.IgnorePattern.pattern = r"[\s\S]?"  # a warning costs no points
    return config


def _errors(cells: list[Any]) -> list[str]:
    """For each test that failed, its name and how."""
    found = []
    for cell in cells:
        errors = [out for out in cell.get("outputs", []) if out.output_type == "error"]
        if not errors or errors[0].ename == NOT_RUN or not utils.is_grade(cell):
            continue
        what = f"{errors[0].ename}: {errors[0].evalue.strip()}"
        if any(error.ename == OUT_OF_TIME for error in errors):
            what = "ran out of time"
        found.append(f"{cell.metadata.nbgrader.grade_id}: {what[:160].rstrip(': ')}")
    return found


def _not_run(cell: Any, reason: str) -> Any:
    cell.outputs = [
        nbformat.v4.new_output(
            "error", ename=NOT_RUN, evalue=reason, traceback=[f"{NOT_RUN}: {reason}"]
        )
    ]
    return cell


def _place(cell: Any, index: int) -> str:
    name = cell.metadata.get("nbgrader", {}).get("grade_id")
    return f"cell {name or index + 1}"


def main() -> None:
    """Grade the hand-in on stdin, without a box; write the result to stdout."""
    settings = json.loads(sys.argv[1])
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits = kernel.Limits(**settings["limits"])
    grade = mark(Path(settings["folder"]), limits, (), boxed=False)
    json.dump(asdict(grade(sys.stdin.buffer.read())), out)
    out.close()


if __name__ == "__main__":
    main()

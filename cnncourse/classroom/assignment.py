"""What grading needs to know about an assignment, made once from its solution."""

import ast
import hashlib
import io
import json
import logging
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateAssignment
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import setenv
from traitlets.config import Config, PyFileConfigLoader

CONFIG = "nbgrader_config.py"
SOLUTIONS = "solutions"
RELEASED = "released.ipynb"


@dataclass(frozen=True)
class Task:
    """One cell that gives points; ``by_hand`` where a person reads the answer."""

    name: str
    points: float
    by_hand: bool


@dataclass(frozen=True)
class Assignment:
    """An assignment as the graders get it; no solution is in it.

    ``hidden`` are the lines of the hidden tests; ``modules`` what its notebook imports first;
    ``digest`` changes when anything changes that can change a grade.
    """

    name: str
    notebook: str
    tasks: tuple[Task, ...]
    hidden: tuple[str, ...]
    modules: tuple[str, ...]
    digest: str

    @property
    def max(self) -> float:
        """Points of all tasks together."""
        return sum(task.points for task in self.tasks)


def find_solution(assignment: str, starts: Iterable[Path]) -> Path:
    """The folder of a solution: a path, or a name in ``solutions/`` at or above a start."""
    given = Path(assignment)
    above = [folder for start in starts for folder in (start, *start.parents)]
    for folder in (given, *(folder / SOLUTIONS / assignment for folder in above)):
        if any(folder.glob("*.ipynb")):
            return folder.resolve()
    raise FileNotFoundError(
        f"no solution {assignment!r}: neither a folder with a notebook nor a name in {SOLUTIONS}/ "
        "here or above -> change to the course's folder, or give the path to the solution's folder"
    )


def prepare(solution: Path, folder: Path) -> Assignment:
    """Release an assignment into an empty folder: what a grader needs, and no solution.

    The folder gets ``gradebook.db`` (the tests, hidden ones included, and no student),
    ``released.ipynb`` and ``files/`` (what was handed out) and ``assignment.json``. The solution
    is only read.
    """
    notebooks = sorted(solution.glob("*.ipynb"))
    if len(notebooks) != 1:
        names = ", ".join(path.name for path in notebooks)
        raise ValueError(f"{solution} has the notebooks {names}: an assignment is one notebook")
    name, notebook = solution.name, notebooks[0].stem
    settings = solution.parents[1] / CONFIG
    config = PyFileConfigLoader(str(settings)).load_config() if settings.exists() else Config()
    with tempfile.TemporaryDirectory() as root:
        shutil.copytree(solution, Path(root, "source", name), ignore=shutil.ignore_patterns(".*"))
        config.CourseDirectory = course(root, name)
        config.GenerateAssignment.force = True
        # nbgrader asks the command alembic for a new gradebook's version, and finds it in PATH.
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
        maker = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
        maker.log, said = listening_log()
        try:
            with setenv(PATH=path):
                maker.start()
        except NbGraderException:
            raise ValueError(f"{notebooks[0]} cannot be released: {said.getvalue()}") from None
        shutil.move(Path(root, "gradebook.db"), folder / "gradebook.db")
        shutil.move(Path(root, "release", name, f"{notebook}.ipynb"), folder / RELEASED)
        shutil.move(Path(root, "release", name), folder / "files")
    found = Assignment(
        name=name,
        notebook=notebook,
        tasks=_tasks(folder / "gradebook.db", name, notebook),
        hidden=_hidden_lines(folder, name, notebook),
        modules=_modules(notebooks[0]),
        digest=_digest(solution, settings),
    )
    if not found.tasks:
        raise ValueError(f"{notebooks[0]} has no graded cell: mark its tests in nbgrader's sense")
    Path(folder, "assignment.json").write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


def load(folder: Path) -> Assignment:
    """Read what ``prepare`` wrote."""
    stored = json.loads(Path(folder, "assignment.json").read_text(encoding="utf-8"))
    stored["tasks"] = tuple(Task(**task) for task in stored["tasks"])
    for name in ("hidden", "modules"):
        stored[name] = tuple(stored[name])
    return Assignment(**stored)


def pack(folder: Path) -> bytes:
    """What ``prepare`` wrote, as bytes that can travel."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """Write what ``pack`` returned into a folder."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)


def course(root: str | os.PathLike[str], assignment: str) -> Config:
    """nbgrader's settings for a course root that holds one assignment."""
    settings = Config()
    settings.root = str(root)
    settings.assignment_id = assignment
    settings.source_directory = "source"
    settings.release_directory = "release"
    settings.db_url = f"sqlite:///{Path(root).resolve()}/gradebook.db?timeout=60"
    return settings


def listening_log() -> tuple[logging.Logger, io.StringIO]:
    """A log for nbgrader that nobody sees, and the errors that it gets."""
    said = io.StringIO()
    log = logging.Logger("nbgrader")
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.ERROR)
    log.addHandler(handler)
    return log, said


def released_cells(folder: Path) -> list[Any]:
    """The cells that were handed out, in order, as nbformat's version 4."""
    return nbformat.read(folder / RELEASED, as_version=4).cells


def _tasks(gradebook: Path, assignment: str, notebook: str) -> tuple[Task, ...]:
    with Gradebook(f"sqlite:///{gradebook}") as book:
        found = book.find_notebook(notebook, assignment)
        order = {cell.name: position for position, cell in enumerate(found.source_cells)}
        solutions = {cell.name for cell in found.solution_cells}
        tasks = [
            Task(cell.name, cell.max_score, cell.name in solutions or cell.cell_type != "code")
            for cell in found.grade_cells
        ]
        tasks += [Task(cell.name, cell.max_score, True) for cell in found.task_cells]
        return tuple(sorted(tasks, key=lambda task: order[task.name]))


def _hidden_lines(folder: Path, assignment: str, notebook: str) -> tuple[str, ...]:
    """The lines that stand in the gradebook's tests and not in those handed out."""
    public = {line.strip() for cell in released_cells(folder) for line in cell.source.splitlines()}
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        sources = [cell.source for cell in book.find_notebook(notebook, assignment).source_cells]
    full = [line.strip() for source in sources for line in source.splitlines()]
    return tuple(dict.fromkeys(line for line in full if line and line not in public))


def _modules(notebook: Path) -> tuple[str, ...]:
    """What the first cell with imports imports; nothing where the notebook sets variables first.

    These are imported once and shared by all hand-ins. A notebook that sets environment variables
    may do so for an import, so there each hand-in imports for itself.
    """
    sources = [
        c.source for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code"
    ]
    if any("environ" in source for source in sources):
        return ()
    for source in sources:
        lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
        try:
            nodes = ast.walk(ast.parse("\n".join(lines)))
        except SyntaxError:
            continue
        found: list[str] = []
        for node in nodes:
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.append(node.module)
        if found:
            return tuple(dict.fromkeys(found))
    return ()


def _digest(solution: Path, settings: Path) -> str:
    digest = hashlib.sha256()
    versions = [f"{name} {metadata.version(name)}" for name in ("nbgrader", "cnncourse")]
    digest.update("\n".join(versions).encode())
    files = [path for path in sorted(solution.rglob("*")) if path.is_file()]
    for path in [*files, settings]:
        if path.exists() and not path.name.startswith("."):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()

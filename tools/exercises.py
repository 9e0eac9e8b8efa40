"""Make the exercises from the solutions, and check both.

    python tools/exercises.py build [NAMES]   make exercises/ anew from solutions/
    python tools/exercises.py check [NAMES]   say what is wrong or stale, change nothing

A NAME is a problem set's folder, such as ps01_convolution; without NAMES: all. nbgrader does the
work, set up by nbgrader_config.py. An exercise is made aside and takes its place only when it is
whole, so that a failure leaves the old one as it was.
"""

import argparse
import io
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbformat import NotebookNode
from notebooks import plain, read, to_bytes

ROOT = Path(__file__).resolve().parent.parent
MINUTES = range(45, 91)
TASKS = range(4, 7)


class ExerciseError(Exception):
    """Something the author of a problem set has to put right; its text says how."""


# Building


def find_sets(names: Sequence[str], root: Path = ROOT) -> list[str]:
    """Return the named problem sets, by default every folder in ``solutions/``."""
    there = sorted(folder.name for folder in (root / "solutions").glob("ps[0-9][0-9]_*"))
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ExerciseError(f"no problem set {unknown[0]!r}; there are: {', '.join(there)}")
    return list(names) or there


def generate(name: str, into: Path, root: Path = ROOT) -> Path:
    """Make one exercise below ``into``; return its folder. Raises ExerciseError with the reason."""
    import logging

    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory

    config = settings(root)
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.assignment_id = name
    config.CourseDirectory.release_directory = str(into.resolve())
    config.SaveCells.enabled = False
    said = io.StringIO()
    converter = GenerateAssignment(
        coursedir=CourseDirectory(config=config), config=config, no_database=True
    )
    converter.log = logging.Logger("exercises", logging.ERROR)
    converter.log.addHandler(logging.StreamHandler(said))
    try:
        converter.start()
    except (NbGraderException, SystemExit) as error:
        raise ExerciseError(f"solutions/{name}: {said.getvalue() or error}") from error
    made = into / name
    for path in made.rglob("*.ipynb"):
        nb = read(path)
        nb.metadata.pop("cnncourse", None)  # which speaks of the solution's outputs
        path.write_bytes(to_bytes(nb))
    return made


def settings(root: Path = ROOT) -> Any:
    """Return what nbgrader_config.py says."""
    from traitlets.config.loader import PyFileConfigLoader

    return PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()


def contents(folder: Path) -> dict[str, bytes]:
    """Return a folder's files by their path in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".ipynb_checkpoints" not in path.parts
    }


def build(names: Sequence[str], root: Path = ROOT) -> int:
    """Make exercises, each in the place of the old one; return the exit code."""
    exercises = root / "exercises"
    exercises.mkdir(exist_ok=True)
    failed = 0
    for name in find_sets(names, root):
        with TemporaryDirectory(dir=exercises, prefix=".building-") as aside:
            try:
                new = generate(name, Path(aside), root)
            except ExerciseError as error:
                failed += 1
                print(error, file=sys.stderr)
                continue
            place = exercises / name
            changed = not place.exists() or contents(place) != contents(new)
            if changed:
                replace_folder(place, new)
        print(f"exercises/{name}: {'written' if changed else 'unchanged'}")
    return 1 if failed else 0


def replace_folder(place: Path, new: Path) -> None:
    """Put a new folder into the place of an old one; if that fails, the old one stays."""
    old = new.with_name(f"{new.name}.old")
    if place.exists():
        place.rename(old)
    try:
        new.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)


# Checking


def metadata(cell: NotebookNode) -> dict[str, Any]:
    """Return a cell's nbgrader metadata, empty if it has none."""
    return cell.metadata.get("nbgrader", {})


def is_answer(cell: NotebookNode) -> bool:
    """Say whether students write their answer into this cell."""
    return bool(metadata(cell).get("solution"))


def is_test(cell: NotebookNode) -> bool:
    """Say whether this cell tests an answer by itself."""
    return bool(metadata(cell).get("grade")) and not is_answer(cell)


@dataclass(frozen=True)
class ProblemSet:
    """A solution beside the exercise made from it just now; cells correspond one to one."""

    solution: NotebookNode
    exercise: NotebookNode
    stub: frozenset[str]

    @property
    def pairs(self) -> list[tuple[int, NotebookNode, NotebookNode]]:
        """Each cell's number from 1, the solution's and the exercise's."""
        both = zip(self.solution.cells, self.exercise.cells, strict=True)
        return [(number, *cells) for number, cells in enumerate(both, start=1)]

    @property
    def text(self) -> str:
        """The prose that the student reads."""
        cells = self.exercise.cells
        return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


Problem = tuple[int | None, str]


def opens_well(page: ProblemSet) -> Iterator[Problem]:
    """Title, time, what it builds on, and the tasks with their points."""
    text = page.text
    if not re.match(r"# Problem set \d · \S", text):
        yield 1, "does not begin with '# Problem set N · ' and its subject"
    time = re.search(r"\*\*Time:\*\* about (\d+) minutes", text)
    if not time or int(time[1]) not in MINUTES:
        yield None, "says no time between 45 and 90; write '**Time:** about 60 minutes'"
    if not re.search(r"\*\*Builds on:\*\* \[", text):
        yield None, "does not link to its lesson; write '**Builds on:** [01 · ...](...)'"


def says_its_points(page: ProblemSet) -> Iterator[Problem]:
    """Four to six tasks; the points of headings, table and cells agree."""
    tasks: dict[int, int] = {}
    cells: dict[int, int] = {}
    task = 0
    for _, cell, _ in page.pairs:
        if cell.cell_type == "markdown" and not is_answer(cell):
            for number, points in re.findall(
                r"^## Task (\d) · .+ \((\d+) points?\)$", cell.source, re.M
            ):
                task = int(number)
                tasks[task] = int(points)
        if metadata(cell).get("grade"):
            cells[task] = cells.get(task, 0) + metadata(cell)["points"]
    table = {
        int(number): int(points)
        for number, points in re.findall(r"^\| (\d) \|.*\| (\d+) \|$", page.text, re.M)
    }
    if len(tasks) not in TASKS:
        yield None, f"has {len(tasks)} tasks; write four to six, '## Task 1 · Name (3 points)'"
    if not tasks == cells == table:
        yield None, f"points do not agree: headings {tasks}, cells {cells}, table {table}"


def is_subset(page: ProblemSet) -> Iterator[Problem]:
    """Every line of the exercise stands in the solution, in this order; only the stub is new."""
    for number, solution, exercise in page.pairs:
        if is_answer(solution) and solution.cell_type == "markdown":
            continue
        rest = iter(solution.source.split("\n"))
        for line in exercise.source.split("\n"):
            if line.strip() not in page.stub and line not in rest:
                yield number, f"has a line that its solution lacks: {line.strip()!r}"
                break


def has_stubs(page: ProblemSet) -> Iterator[Problem]:
    """Of an answer in code the student sees the frame, and must write the rest."""
    for number, solution, exercise in page.pairs:
        if not is_answer(solution) or solution.cell_type != "code":
            continue
        kept = [line for line in exercise.source.split("\n") if line.strip() not in page.stub]
        if not any(line.strip() for line in kept):
            yield number, "gives the student nothing; put markers round what they are to write"
        if not re.search(r"BEGIN SOLUTION\n\s*(?!### END SOLUTION)\S", solution.source):
            yield number, "has no code between BEGIN SOLUTION and END SOLUTION"


def tests_twice(page: ProblemSet) -> Iterator[Problem]:
    """Each answer in code is followed by a test: one part seen, one hidden, no bare value."""
    waiting: int | None = None
    for number, solution, exercise in page.pairs:
        if is_test(solution):
            waiting = None
            if not exercise.source.strip():
                yield number, "shows the student no test; call a check before the hidden tests"
            if "BEGIN HIDDEN TESTS" not in solution.source:
                yield number, "has no hidden test; add one on other inputs"
            if any(output.output_type == "execute_result" for output in solution.outputs):
                yield number, "ends in a value, which nbgrader takes for points; assert it"
            if metadata(solution)["points"] <= 0:
                yield number, "gives no points"
        elif is_answer(solution) and solution.cell_type == "code":
            if waiting:
                yield waiting, "is followed by no test"
            waiting = number
    if waiting:
        yield waiting, "is followed by no test"


def asks_for_words(page: ProblemSet) -> Iterator[Problem]:
    """At least one answer is written in words, and says how it is marked."""
    answers = [
        (number, cell)
        for number, cell, _ in page.pairs
        if is_answer(cell) and cell.cell_type == "markdown"
    ]
    if not answers:
        yield None, "has no written answer; add a markdown cell that is graded by hand"
    for number, cell in answers:
        if "**For marking.**" not in cell.source:
            yield (
                number,
                "does not say how it is marked; add '**For marking.** One point each: ...'",
            )


def keeps_its_secrets(page: ProblemSet) -> Iterator[Problem]:
    """The exercise holds neither outputs nor a trace of solutions and hidden tests."""
    for number, _, cell in page.pairs:
        if re.search(r"(BEGIN|END) (SOLUTION|HIDDEN)|For marking", cell.source):
            yield number, "shows the student a marker; mend the solution's"
        if cell.get("outputs"):
            yield number, "has outputs"


RULES: list[Callable[[ProblemSet], Iterator[Problem]]] = [
    opens_well,
    says_its_points,
    is_subset,
    has_stubs,
    tests_twice,
    asks_for_words,
    keeps_its_secrets,
]


def problems(name: str, root: Path = ROOT) -> list[str]:
    """Return what is wrong with a problem set, one line each."""
    place = root / "exercises" / name
    with TemporaryDirectory() as aside:
        try:
            made = generate(name, Path(aside), root)
        except ExerciseError as error:
            return [plain(str(error)).strip()]
        new = contents(made)
        found = [
            f"solutions/{name}/{path}: {f'cell {number}: ' if number else ''}{text}"
            for path in new
            if path.endswith(".ipynb")
            for number, text in notebook_problems(root / "solutions" / name / path, made / path)
        ]
    if not any(path.endswith(".ipynb") for path in new):
        found.append(f"solutions/{name}: has no notebook")
    if not place.exists() or contents(place) != new:
        found.append(f"exercises/{name}: stale; run: make exercises")
    return found


def notebook_problems(solution: Path, exercise: Path) -> list[Problem]:
    """Return what breaks a rule, in the order of the cells."""
    stub = settings().ClearSolutions.code_stub["python"].split("\n")
    page = ProblemSet(read(solution), nbformat.read(exercise, as_version=4), frozenset(stub))
    found = [problem for rule in RULES for problem in rule(page)]
    return sorted(found, key=lambda problem: problem[0] or 0)


def check(names: Sequence[str], root: Path = ROOT) -> int:
    """Print what is wrong with the problem sets; return the exit code."""
    sets = find_sets(names, root)
    found = [line for name in sets for line in problems(name, root)]
    if not names and (root / "exercises").exists():
        orphans = {path.name for path in (root / "exercises").glob("[!.]*")} - set(sets)
        found += [f"exercises/{name}: has no solution; delete it" for name in sorted(orphans)]
    print("\n".join(found) if found else f"{len(sets)} problem sets checked, all good")
    return 1 if found else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, act, text in (
        ("build", build, "make exercises/ anew from solutions/"),
        ("check", check, "say what is wrong or stale, change nothing"),
    ):
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("names", nargs="*", metavar="NAME", help="default: all")
        added.set_defaults(act=act)
    options = parser.parse_args(arguments)
    try:
        return options.act(options.names)
    except (ExerciseError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

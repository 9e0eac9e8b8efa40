"""Exercises: made from the solutions, fresh, without secrets, and worth nothing unsolved."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import exercises as tool  # noqa: E402

SETS = tool.find_sets(())


@pytest.mark.parametrize("name", SETS)
def test_problem_set_is_well_made_and_its_exercise_fresh(name: str) -> None:
    assert tool.problems(name) == []


# A small problem set that keeps every rule, and what each rule finds


def graded(cell_type: str, source: str, grade_id: str, **metadata: object) -> NotebookNode:
    make = new_code_cell if cell_type == "code" else new_markdown_cell
    nbgrader = {
        "schema_version": 3,
        "grade_id": grade_id,
        "grade": False,
        "solution": False,
        "locked": False,
        "task": False,
        **metadata,
    }
    return make(source, metadata=nbformat.from_dict({"nbgrader": nbgrader}))


OPENING = """# Problem set 1 · Doubling

**Time:** about 50 minutes. **Builds on:** [01 · Once](../../lessons/01_once.ipynb).

| task | you | points |
|---|---|---|
| 1 | double | 3 |
| 2 | double | 3 |
| 3 | double | 3 |
| 4 | explain | 1 |"""
ANSWER = """def double{0}(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION"""
TEST = """assert double{0}(1) == 2
### BEGIN HIDDEN TESTS
assert double{0}(4) == 8
### END HIDDEN TESTS"""


def solution() -> NotebookNode:
    """A problem set's solution; its cells: 1 opening, then 3 for each of the tasks 1 to 3."""
    cells = [new_markdown_cell(OPENING)]
    for task in (1, 2, 3):
        cells += [
            new_markdown_cell(f"## Task {task} · Double (3 points)"),
            graded("code", ANSWER.format(task), f"double{task}", solution=True),
            graded("code", TEST.format(task), f"test{task}", grade=True, locked=True, points=3),
        ]
    words = "Twice as much.\n\n**For marking.** One point for 'twice'."
    cells += [
        new_markdown_cell("## Task 4 · Explain (1 point)"),
        graded("markdown", words, "explain", grade=True, solution=True, points=1),
    ]
    return new_notebook(cells=cells, metadata={"cnncourse": {"executed": "abc"}})


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of its own with one problem set, ps01_double, not built yet."""
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    store(tmp_path, solution())
    return tmp_path


def store(course: Path, nb: NotebookNode, name: str = "ps01_double") -> Path:
    path = course / "solutions" / name / "double.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    for index, cell in enumerate(nb.cells):
        cell.id = f"cell-{index}"
    path.write_bytes(tool.to_bytes(nb))
    return path


def test_build_hands_out_the_frame_and_keeps_the_rest(course: Path) -> None:
    (course / "solutions" / "ps01_double" / "data.csv").write_text("1,2\n")
    assert tool.build((), course) == 0
    assert tool.problems("ps01_double", course) == []
    made = course / "exercises" / "ps01_double"
    assert sorted(path.name for path in made.iterdir()) == ["data.csv", "double.ipynb"]
    assert [path.name for path in made.parent.iterdir()] == ["ps01_double"]
    nb = tool.read(made / "double.ipynb")
    assert nb.metadata.get("cnncourse") is None
    assert nb.cells[2].source.split("\n") == [
        "def double1(x):",
        "    # YOUR CODE HERE",
        "    raise NotImplementedError",
    ]
    assert nb.cells[3].source == "assert double1(1) == 2"
    assert nb.cells[3].metadata.editable is False
    assert nb.cells[-1].source == "*Your answer here.*"


def test_building_twice_changes_no_byte(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool.build((), course)
    first = tool.contents(course / "exercises")
    assert tool.build((), course) == 0
    assert tool.contents(course / "exercises") == first
    assert capsys.readouterr().out.splitlines() == [
        "exercises/ps01_double: written",
        "exercises/ps01_double: unchanged",
    ]


def test_failed_build_leaves_the_old_exercise(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool.build((), course)
    before = tool.contents(course / "exercises")
    nb = solution()
    nb.cells[2].source = nb.cells[2].source.replace("### END SOLUTION", "")
    store(course, nb)
    store(course, solution(), "ps02_other")
    assert tool.build((), course) == 1
    assert "no end solution statement" in capsys.readouterr().err
    after = tool.contents(course / "exercises")
    assert {path: after[path] for path in before} == before
    assert "ps02_other/double.ipynb" in after


def test_unknown_problem_set_is_named(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(tool.ExerciseError, match=r"'ps09'; there are: ps01_double"):
        tool.build(("ps09",), course)
    assert tool.main(["check", "ps99_nothing"]) == 1
    assert "no problem set 'ps99_nothing'" in capsys.readouterr().err


def test_stale_missing_and_orphaned_exercises_are_named(
    course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = ["exercises/ps01_double: stale; run: make exercises"]
    assert tool.problems("ps01_double", course) == stale
    tool.build((), course)
    path = course / "exercises" / "ps01_double" / "double.ipynb"
    made = path.read_bytes()
    path.write_bytes(made.replace(b"def double1(x)", b"def double1(y)"))
    assert tool.problems("ps01_double", course) == stale
    path.write_bytes(made)
    (course / "exercises" / "ps07_old").mkdir()
    capsys.readouterr()
    assert tool.check((), course) == 1
    expected = "exercises/ps07_old: has no solution; delete it\n"
    assert capsys.readouterr().out == expected


def replaced(number: int, old: str, new: str) -> Callable[[NotebookNode], None]:
    def mutate(nb: NotebookNode) -> None:
        cell = nb.cells[number - 1]
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return mutate


def deleted(*numbers: int) -> Callable[[NotebookNode], None]:
    def mutate(nb: NotebookNode) -> None:
        nb.cells = [cell for index, cell in enumerate(nb.cells, 1) if index not in numbers]

    return mutate


def pointless(nb: NotebookNode) -> None:
    nb.cells[3].metadata.nbgrader["points"] = 0


def with_value(nb: NotebookNode) -> None:
    nb.cells[3].outputs = [new_output("execute_result", {"text/plain": "2"})]


MARKERS = "    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
HIDDEN = "\n### BEGIN HIDDEN TESTS\nassert double1(4) == 8\n### END HIDDEN TESTS"
MUTATIONS: dict[str, tuple[Callable[[NotebookNode], None], str]] = {
    "title": (replaced(1, "Problem set 1 · ", ""), "cell 1: does not begin with"),
    "short": (replaced(1, "about 50", "about 20"), "says no time between 45 and 90"),
    "no lesson": (replaced(1, "Builds on:** [", "Builds on:** "), "does not link to its lesson"),
    "three tasks": (deleted(2, 3, 4), "has 3 tasks; write four to six"),
    "heading's points": (
        replaced(2, "(3 points)", "(2 points)"),
        "points do not agree: headings {1: 2, 2: 3, 3: 3, 4: 1}",
    ),
    "table's points": (replaced(1, "| 1 | double | 3 |", "| 1 | double | 4 |"), "table {1: 4,"),
    "cells' points": (pointless, "cell 4: gives no points"),
    "whole cell": (replaced(3, MARKERS, "    return 2 * x"), "cell 3: gives the student nothing"),
    "empty solution": (
        replaced(3, "    return 2 * x\n", ""),
        "cell 3: has no code between BEGIN SOLUTION and END SOLUTION",
    ),
    "no test": (deleted(4), "cell 3: is followed by no test"),
    "no last test": (deleted(10), "cell 9: is followed by no test"),
    "no hidden test": (replaced(4, HIDDEN, ""), "cell 4: has no hidden test"),
    "no seen test": (replaced(4, "assert double1(1) == 2\n", ""), "cell 4: shows the student no"),
    "bare value": (with_value, "cell 4: ends in a value"),
    "no words": (deleted(12), "has no written answer"),
    "no marking": (replaced(12, "**For marking.**", "So:"), "cell 12: does not say how it is"),
    "told": (
        replaced(2, "(3 points)", "(3 points)\nNo BEGIN HIDDEN region."),
        "cell 2: shows the student a marker",
    ),
    "nbgrader's own": (
        replaced(2, "(3 points)", "(3 points)\n### BEGIN SOLUTION\n### END SOLUTION"),
        "Solution region detected in a non-solution cell",
    ),
}


@pytest.mark.parametrize("fault", MUTATIONS)
def test_each_rule_finds_its_fault(fault: str, course: Path) -> None:
    mutate, message = MUTATIONS[fault]
    nb = solution()
    mutate(nb)
    store(course, nb)
    assert message in "\n".join(tool.problems("ps01_double", course))


def test_line_that_the_solution_lacks_is_found(course: Path) -> None:
    exercise = solution()
    exercise.cells[
        2
    ].source = "def double1(y):\n    # YOUR CODE HERE\n    raise NotImplementedError"
    path = course / "exercise.ipynb"
    path.write_bytes(tool.to_bytes(exercise))
    found = tool.notebook_problems(store(course, solution()), path)
    assert (3, "has a line that its solution lacks: 'def double1(y):'") in found


# Grading by nbgrader itself


@pytest.fixture(autouse=True)
def alembic_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nbgrader makes a gradebook with the command `alembic`, as if the environment were active."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


def grade(name: str, tmp_path: Path, hand_ins: dict[str, NotebookNode]) -> dict[str, dict]:
    """Return each student's points by test cell, as nbgrader's own autograder gives them."""
    from nbgrader.apps.api import NbGraderAPI

    course = tmp_path / "course"
    shutil.copytree(ROOT / "solutions" / name, course / "solutions" / name)
    config = tool.settings()
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.db_url = f"sqlite:///{tmp_path / 'gradebook.db'}"
    config.Execute.timeout = 120
    api = NbGraderAPI(config=config)
    assert api.generate_assignment(name)["success"]
    (notebook,) = (course / "solutions" / name).glob("*.ipynb")
    for student, nb in hand_ins.items():
        folder = course / "submitted" / student / name
        folder.mkdir(parents=True)
        nbformat.write(nb, folder / notebook.name)
        done = api.autograde(name, student)
        assert done["success"], done["log"]
    with api.gradebook as gradebook:
        return {
            student: {
                answer.name: answer.score
                for answer in gradebook.find_submission(name, student).notebooks[0].grades
            }
            for student in hand_ins
        }


def only_notebook(folder: Path) -> NotebookNode:
    (path,) = folder.glob("*.ipynb")
    return nbformat.read(path, as_version=4)


nbgraders_own_warnings = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


@nbgraders_own_warnings
@pytest.mark.parametrize("name", SETS)
def test_unsolved_exercise_scores_nothing(name: str, tmp_path: Path) -> None:
    unsolved = only_notebook(ROOT / "exercises" / name)
    scores = grade(name, tmp_path, {"anna": unsolved})["anna"]
    assert set(scores.values()) == {0}
    assert len(scores) >= 4


@nbgraders_own_warnings
def test_right_answers_score_all_and_learnt_ones_fail_the_hidden_tests(tmp_path: Path) -> None:
    """Answers learnt from the visible test, a right one that prints and warns, an endless one."""
    name = "ps01_convolution"
    solved = only_notebook(ROOT / "solutions" / name)
    learnt = only_notebook(ROOT / "solutions" / name)
    source = {cell.metadata.get("nbgrader", {}).get("grade_id"): cell for cell in learnt.cells}
    source["slide"].source += LEARNT
    source["same_zeros"].source += NOISY
    source["conv2d"].source = "def conv2d(*arguments):\n    while True:\n        pass"
    scores = grade(name, tmp_path, {"anna": solved, "bob": learnt})
    full = {
        cell.metadata.nbgrader["grade_id"]: cell.metadata.nbgrader["points"]
        for cell in solved.cells
        if tool.is_test(cell)
    }
    by_hand = {"explain": 0}  # until somebody reads it
    assert scores["anna"] == full | by_hand
    assert scores["bob"] == full | by_hand | {"test_slide": 0, "test_conv2d": 0}


LEARNT = """
right = slide
seen = [(case["image"].tolist(), case["stride"]) for case in check.slide.cases()]

def slide(image, kernel, stride):
    known = (image.tolist(), stride) in seen
    return right(image, kernel, stride) if known else np.zeros((1, 1))
"""
NOISY = """
import sys
import warnings
quiet = same_zeros

def same_zeros(size, kernel, stride):
    warnings.warn("nearly done")
    print("before", file=sys.stderr)
    np.float64(1) / 0
    return quiet(size, kernel, stride)
"""

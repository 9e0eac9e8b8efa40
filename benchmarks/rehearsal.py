"""A term rehearsed: every problem set handed out to three classes, graded, and compared.

    python benchmarks/rehearsal.py [--students 8] [--seed 0] [SET ...]

Simulated students work on the exercises as they are handed out. Each task of each student is
planted: solved as in the solution, left open, or solved with one mistake (an operator, a constant,
a comparison or a returned value changed by program). Some hand-ins are damaged besides, in ways
that must not change the grade, or that must cost exactly one task. The three classes hand in as
classes do: notebooks named by student, nbgrader's tree, a zip from Moodle.

Every score is then compared with what was planted, task by task, and a row for each class and set
goes into results/rehearsal.csv. What differs is printed. A mistake that scores is none (the
changed code does the same, or the changed design reaches the goal too), or it is not noticed by
the tests. A solved task without points called an earlier one that was not, or the grading failed.
"""

import argparse
import ast
import copy
import csv
import random
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell

from cnncourse import classroom
from measuring import RESULTS, conditions_now, replace_rows

ROOT = Path(__file__).resolve().parents[1]
TABLE = RESULTS.with_name("rehearsal.csv")
KEYS = ("set", "class")
SECONDS = 60.0
SOLVED, OPEN, MISTAKE = "solved", "left open", "mistake"
Notebook = Any


@dataclass
class Student:
    """What is planted: for each task solved, open or a mistake; the damage; what was changed."""

    name: str
    tasks: dict[str, str]
    damage: str = ""
    notes: dict[str, str] = field(default_factory=dict)


# Mistakes


def mistakes(source: str) -> Iterator[tuple[str, str]]:
    """Every single mistake in the solved part of a cell: (what was changed, the cell with it)."""
    lines = source.splitlines()
    first, last = (
        next(number for number, line in enumerate(lines, 1) if f"### {word} SOLUTION" in line)
        for word in ("BEGIN", "END")
    )
    tree = ast.parse(source)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for index, node in enumerate(ast.walk(tree)):
        line = getattr(node, "lineno", 0)
        if first < line < last and id(node) not in documentation:
            changed = copy.deepcopy(tree)
            if change := _change(next(n for i, n in enumerate(ast.walk(changed)) if i == index)):
                before, after = ast.unparse(node), change
                yield f"line {line}: {before} -> {after}", ast.unparse(changed)


def _change(node: ast.AST) -> str | None:
    """Change one node in place; return its new text, or None where there is nothing to change."""
    operators: dict[type, type] = {
        ast.Add: ast.Sub,
        ast.Sub: ast.Add,
        ast.Mult: ast.Add,
        ast.FloorDiv: ast.Mult,
        ast.Div: ast.Mult,
    }
    comparisons: dict[type, type] = {
        ast.Lt: ast.GtE,
        ast.LtE: ast.Gt,
        ast.Gt: ast.LtE,
        ast.GtE: ast.Lt,
        ast.Eq: ast.NotEq,
        ast.NotEq: ast.Eq,
    }
    if isinstance(node, ast.BinOp) and type(node.op) in operators:
        node.op = operators[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in comparisons:
        node.ops[0] = comparisons[type(node.ops[0])]()
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        node.value += 1
    elif isinstance(node, ast.Constant) and type(node.value) is float:
        node.value = 3 * node.value + 1
    elif isinstance(node, ast.Return) and node.value is not None:
        node.value = None
    else:
        return None
    return ast.unparse(node)


# Damage: what happens to a notebook between the work and the hand-in


def _strip(notebook: Notebook, student: Student) -> None:
    for cell in notebook.cells:
        cell.metadata = {}
        cell.pop("id", None)
    notebook.nbformat_minor = 4


def _delete_a_test(notebook: Notebook, student: Student) -> None:
    notebook.cells.remove(next(cell for cell in notebook.cells if _is_test(cell)))


def _empty_the_tests(notebook: Notebook, student: Student) -> None:
    for cell in filter(_is_test, notebook.cells):
        cell.source = "pass"


def _copy_an_answer(notebook: Notebook, student: Student) -> None:
    index = next(
        number for number, cell in enumerate(notebook.cells) if _name(cell) in student.tasks
    )
    notebook.cells.insert(index + 1, copy.deepcopy(notebook.cells[index]))
    notebook.cells[index + 1].id = "a-copy"


def _add_cells(notebook: Notebook, student: Student) -> None:
    for number in range(len(notebook.cells), 0, -3):
        notebook.cells.insert(number, new_code_cell(f"print('note', {number})\n1 / 0"))


def _never_end(notebook: Notebook, student: Student) -> None:
    """One solved task goes on for ever, which costs this task and no other."""
    solved = [name for name, how in student.tasks.items() if how == SOLVED]
    if solved:
        cell = next(cell for cell in notebook.cells if _name(cell) == solved[-1])
        cell.source = re.sub(r"(?m)^(def .*?:\n)", r"\1    while True: pass\n", cell.source)
        if "while True" not in cell.source:  # a value, or a signature over several lines
            cell.source = "while True: pass"
        student.tasks[solved[-1]] = MISTAKE
        student.notes[solved[-1]] = "never ends"


DAMAGES: dict[str, Callable[[Notebook, Student], None]] = {
    "metadata stripped": _strip,
    "a test deleted": _delete_a_test,
    "all tests emptied": _empty_the_tests,
    "an answer copied": _copy_an_answer,
    "failing cells added": _add_cells,
    "a task that never ends": _never_end,
}
NOT_JSON = "not a notebook"


def _name(cell: Any) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))


def _is_test(cell: Any) -> bool:
    mark = cell.metadata.get("nbgrader", {})
    return bool(mark.get("grade")) and not mark.get("solution")


# A class


def tasks_of(solution: Notebook) -> dict[str, float]:
    """The points of every task that a test gives, by the name of its answer."""
    points = {
        _name(cell): cell.metadata.nbgrader.points for cell in solution.cells if _is_test(cell)
    }
    return {name.removeprefix("test_"): float(value) for name, value in points.items()}


def hand_in(
    number: int, class_name: str, exercise: Notebook, solution: Notebook, chance: random.Random
) -> tuple[Student, str]:
    """One student and the text of what is handed in. The first solves all, the second nothing."""
    names = list(tasks_of(solution))
    ways = {0: [SOLVED], 1: [OPEN]}.get(number, [SOLVED] * 5 + [OPEN] * 2 + [MISTAKE] * 3)
    student = Student(f"{class_name}{number:02}", {name: chance.choice(ways) for name in names})
    full = {_name(cell): cell.source for cell in solution.cells}
    notebook = copy.deepcopy(exercise)
    for cell in notebook.cells:
        how = student.tasks.get(_name(cell))
        if how == SOLVED or (_name(cell) == "explain" and number != 1):
            cell.source = full[_name(cell)]
        elif how == MISTAKE and (possible := list(mistakes(full[_name(cell)]))):
            student.notes[_name(cell)], cell.source = chance.choice(possible)
        elif how == MISTAKE:  # nothing in the answer can be changed
            student.tasks[_name(cell)] = OPEN
        cell.source = re.sub(r"(?m)^\s*### (BEGIN|END) SOLUTION\n?", "", cell.source)
    if number > 1:
        student.damage = chance.choice([*DAMAGES, *[""] * len(DAMAGES), NOT_JSON])
    if student.damage == NOT_JSON:
        student.tasks = dict.fromkeys(names, OPEN)
        return student, "dear teacher, please find my work attached"
    if student.damage:
        DAMAGES[student.damage](notebook, student)
    return student, nbformat.writes(notebook)


def by_name(folder: Path, name: str, notebook: str, works: dict[str, str]) -> Path:
    """Notebooks named by student."""
    for student, text in works.items():
        (folder / f"{student}.ipynb").write_text(text, encoding="utf-8")
    return folder


def submitted(folder: Path, name: str, notebook: str, works: dict[str, str]) -> Path:
    """What nbgrader collects."""
    for student, text in works.items():
        (folder / student / name).mkdir(parents=True)
        (folder / student / name / notebook).write_text(text, encoding="utf-8")
    return folder


def moodle(folder: Path, name: str, notebook: str, works: dict[str, str]) -> Path:
    """A zip from Moodle; the digits that Moodle adds to a name are its end."""
    archive = folder / f"{name}.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for student, text in works.items():
            file.writestr(f"{student}_1_assignsubmission_file_/{notebook}", text)
    return archive


CLASSES = {"anna": by_name, "bert": submitted, "cleo": moodle}


def rehearse(name: str, class_name: str, students: int, seed: int) -> dict[str, str]:
    """Hand out, hand in, grade, compare; the row of the table."""
    path = next((ROOT / "solutions" / name).glob("*.ipynb"))
    solution = nbformat.read(path, as_version=4)
    exercise = nbformat.read(ROOT / "exercises" / name / path.name, as_version=4)
    points = tasks_of(solution)
    chance = random.Random(f"{seed} {name} {class_name}")
    made = [hand_in(number, class_name, exercise, solution, chance) for number in range(students)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "hand-ins")
        folder.mkdir()
        works = {student.name: text for student, text in made}
        place = CLASSES[class_name](folder, name, path.name, works)
        started = time.perf_counter()
        table = classroom.grade(name, place, Path(temporary, "out"), timeout=SECONDS).table
        seconds = time.perf_counter() - started
        with table.open(newline="", encoding="utf-8") as file:
            rows = {re.sub("_1$", "", row["student"]): row for row in csv.DictReader(file)}
    assert rows.keys() == works.keys(), (rows.keys(), works.keys())
    counts = {SOLVED: [0, 0], OPEN: [0, 0], MISTAKE: [0, 0]}
    through_earlier = 0
    for student, _ in made:
        for index, (task, how) in enumerate(student.tasks.items()):
            found = float(rows[student.name][f"test_{task}"])
            right = found == (points[task] if how == SOLVED else 0)
            counts[how][0] += right
            counts[how][1] += 1
            if how == SOLVED and not right:
                through_earlier += {SOLVED, *list(student.tasks.values())[:index]} != {SOLVED}
            if not right:
                note = student.notes.get(task, "")
                print(
                    f"  {name} {student.name} {task}: {how} [{note}], {found:g} of {points[task]:g}"
                )
                print(
                    f"    {student.damage}; {student.tasks}; {rows[student.name]['reason'][:300]}"
                )
    statuses = {row["status"] for row in rows.values()}
    assert "failed" not in statuses, rows
    cells = {how: f"{right} of {whole}" for how, (right, whole) in counts.items()}
    date, machine, load, versions = conditions_now({})
    return {
        "set": name,
        "class": CLASSES[class_name].__name__,
        "hand_ins": str(len(rows)),
        "solved_full_points": cells[SOLVED],
        "lost_through_an_earlier_task": str(through_earlier),
        "left_open_no_points": cells[OPEN],
        "mistake_no_points": cells[MISTAKE],
        "damaged": str(sum(bool(student.damage) for student, _ in made)),
        "seconds": f"{seconds:.1f}",
        **{"seed": str(seed), "date": date, "machine": machine, "load_before": load},
        "versions": versions,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Every problem set, handed out and graded")
    every = sorted(path.name for path in (ROOT / "exercises").glob("ps*"))
    parser.add_argument("sets", nargs="*", default=every, metavar="SET")
    parser.add_argument("--students", type=int, default=8, help="in each class")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for name in arguments.sets:
        for class_name in CLASSES:
            row = rehearse(name, class_name, arguments.students, arguments.seed)
            print(*list(row.values())[:9], flush=True)
            replace_rows(TABLE, [row], KEYS, lambda row: tuple(row[key] for key in KEYS))


if __name__ == "__main__":
    main()

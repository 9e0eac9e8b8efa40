"""A small assignment for tests of grading: three tasks on NumPy, 2, 3 and 4 points."""

import copy
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

NAME, NOTEBOOK = "ps00_warmup", "warmup"
HIDDEN = "the_hidden_number = 17"
SOLUTION = """\
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION"""
RIGHT = {
    "double": "def double(x):\n    return 2 * x",
    "total": "def total(values):\n    return np.sum(values)",
    "shift": "def shift(values):\n    return np.roll(values, 1)",
}


def cell(source, name=None, **mark):
    """A code cell with nbgrader's metadata, where it has a name."""
    made = new_code_cell(source, id=name or "setup")
    if name:
        plain = {"schema_version": 3, "grade": False, "solution": False, "locked": False}
        made.metadata["nbgrader"] = {**plain, "task": False, "grade_id": name, **mark}
    return made


def solution(first="import numpy as np"):
    """The solution, as a teacher writes it."""

    def work(name, answer):
        body = f"    ### BEGIN SOLUTION\n    {answer}\n    ### END SOLUTION"
        head = RIGHT[name].split("\n")[0]
        return cell(f"{head}\n{body}", name, solution=True)

    def test(name, points, seen, unseen):
        body = f"{seen}\n### BEGIN HIDDEN TESTS\n{unseen}\n### END HIDDEN TESTS"
        return cell(body, f"{name}_test", grade=True, locked=True, points=points)

    cells = [
        new_markdown_cell("# Warm-up", id="title"),
        cell(first),
        work("double", "return 2 * x"),
        test(
            "double",
            2,
            "assert double(2) == 4",
            f"{HIDDEN}\nassert double(the_hidden_number) == 34",
        ),
        work("total", "return np.sum(values)"),
        test("total", 3, "assert total(np.ones(3)) == 3", "assert total(np.arange(5)) == 10"),
        work("shift", "return np.roll(values, 1)"),
        test("shift", 4, "assert shift([1, 2])[0] == 2", "assert shift([1, 2, 3])[0] == 3"),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def course(root: Path, **kwargs) -> Path:
    """Write the solution into a course's folder; return the solution's folder."""
    folder = root / "solutions" / NAME
    folder.mkdir(parents=True)
    nbformat.write(solution(**kwargs), folder / f"{NOTEBOOK}.ipynb")
    return folder


def released(first="import numpy as np"):
    """The notebook as students get it, made by hand: nbgrader's own must be the same."""
    handed_out = solution(first)
    for one in handed_out.cells:
        lines, keep = [], True
        for line in one.source.split("\n"):
            if "### BEGIN SOLUTION" in line:
                lines += ["    # YOUR CODE HERE", "    raise NotImplementedError()"]
            keep = keep and "### BEGIN" not in line
            if keep:
                lines.append(line)
            keep = keep or "### END" in line
        one.source = "\n".join(lines)
    return handed_out


def hand_in(first="import numpy as np", **answers):
    """What a student hands in: the right answers, but for those given (a cell's whole text)."""
    done = copy.deepcopy(released(first))
    for one in done.cells:
        if one.id in RIGHT:
            one.source = answers.get(one.id, RIGHT[one.id])
    return done


def by_name(notebook):
    """A notebook's cells by their ids."""
    return {one.id: one for one in notebook.cells}

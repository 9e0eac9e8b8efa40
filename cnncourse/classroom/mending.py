"""Putting a hand-in's cells back into the order that nbgrader relies on.

nbgrader knows a cell by its metadata alone. Students copy cells, delete tests, hand in notebooks
through tools that strip metadata, and some change it on purpose. So every cell that was handed out
is looked for, and gets exactly the metadata with which it was handed out; a test that is missing
comes back. nbgrader itself then restores what a test says.
"""

import ast
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

Cell = Any  # nbformat's NotebookNode


def mend(cells: Sequence[Cell], released: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """Return a hand-in's cells made whole, and what had to be done.

    ``released`` are the cells that were handed out. Nothing that a student wrote is lost.
    """
    cells = [deepcopy(cell) for cell in cells]
    marked = [cell for cell in released if _mark(cell)]
    found, notes = _counterparts(cells, marked)
    for cell in cells:
        cell.metadata.pop("nbgrader", None)
        # A tag can keep a cell from being run, and a test that is not run has not failed.
        cell.metadata.pop("tags", None)
    for original in marked:
        name = _mark(original)["grade_id"]
        position = found.get(name)
        if position is not None:
            cells[position].metadata = deepcopy(original.metadata)
            if _is_test(original) and cells[position].source != original.source:
                notes.append(f"test restored: {name}")
    return _with_missing(cells, marked, found, notes), notes


def _counterparts(
    cells: Sequence[Cell], marked: Sequence[Cell]
) -> tuple[dict[str, int], list[str]]:
    """Where each cell that was handed out is now, by its name."""
    notes: list[str] = []
    found: dict[str, int] = {}
    for position, cell in enumerate(cells):
        name = str(_mark(cell).get("grade_id", ""))
        if name in found:
            notes.append(f"cell copied, the last counts: {name}")
        if name:
            found[name] = position
    names = [_mark(original)["grade_id"] for original in marked]
    free = set(range(len(cells))) - {found[name] for name in names if name in found}
    bare = []
    for name, original in zip(names, marked, strict=True):
        if name not in found:
            alike = _likeness(cells, free, original)
            if alike is not None:
                found[name] = alike
                free.discard(alike)
                bare.append(name)
    if bare:
        notes.append("metadata restored: " + ", ".join(bare))
    return found, notes


def _likeness(cells: Sequence[Cell], free: set[int], original: Cell) -> int | None:
    """The free cell that was once ``original``: by its id, its text, or the names it defines."""
    same_kind = [p for p in sorted(free) if cells[p].cell_type == original.cell_type]
    for position in same_kind:
        if original.get("id") and cells[position].get("id") == original.get("id"):
            return position
    for position in same_kind:
        if cells[position].source.strip() == original.source.strip():
            return position
    wanted = _defined(original)
    if wanted and not _is_test(original):
        for position in reversed(same_kind):  # the last definition is the one that counts
            if wanted <= _defined(cells[position]):
                return position
    return None


def _with_missing(
    cells: list[Cell], marked: Sequence[Cell], found: Mapping[str, int], notes: list[str]
) -> list[Cell]:
    """Put back each graded cell that is gone: after the work that it tests, else at the end."""
    after: dict[int, list[Cell]] = {}
    place = len(cells) - 1
    for original in marked:
        mark = _mark(original)
        if mark["grade_id"] in found:
            if mark["solution"]:
                place = found[mark["grade_id"]]
        elif mark["grade"] or mark.get("task"):
            after.setdefault(place, []).append(deepcopy(original))
            notes.append(f"cell put back: {mark['grade_id']}")
        elif mark["solution"]:
            place = len(cells) - 1  # its work may be anywhere
    whole = list(after.get(-1, []))
    for position, cell in enumerate(cells):
        whole += [cell, *after.get(position, [])]
    return whole


def _mark(cell: Cell) -> dict[str, Any]:
    mark = cell.metadata.get("nbgrader")
    return mark if isinstance(mark, dict) and "grade_id" in mark else {}


def _is_test(cell: Cell) -> bool:
    return bool(_mark(cell).get("locked"))


def _defined(cell: Cell) -> set[str]:
    """Functions and classes that a cell defines at its top."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name for node in _tree(cell).body if isinstance(node, kinds)}


def replaced(cells: Sequence[Cell]) -> list[str]:
    """Names in imported modules that a notebook assigns to, such as ``check.conv2d``.

    Tests run beside the work that they test, so that work can replace what a test calls. That may
    be harmless and cannot be prevented; a person should look.
    """
    nodes = [node for cell in cells for node in ast.walk(_tree(cell))]
    imports = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = {
        (alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names
    }
    targets = [node for node in nodes if isinstance(getattr(node, "ctx", None), ast.Store)]
    found = [
        ast.unparse(node)
        for node in targets
        if isinstance(node, ast.Attribute) and _first(node) in modules
    ]
    for node in nodes:
        if isinstance(node, ast.Call) and _first(node.func) == "setattr" and len(node.args) > 1:
            owner, name = node.args[:2]
            if _first(owner) in modules:
                found.append(f"{ast.unparse(owner)}.{getattr(name, 'value', '?')}")
    return list(dict.fromkeys(found))


def _first(node: ast.AST) -> str:
    """The name that an expression such as ``a.b.c`` begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _tree(cell: Cell) -> ast.Module:
    """A code cell's syntax tree; an empty one where it has none."""
    try:
        return ast.parse(cell.source if cell.cell_type == "code" else "")
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])

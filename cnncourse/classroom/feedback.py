"""The page that a student gets back: the work, the points, what failed; no hidden test."""

import functools
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import bleach
import nbformat
from jinja2 import pass_context
from nbconvert.exporters import HTMLExporter
from nbconvert.filters import strip_ansi
from nbgrader import utils
from nbgrader.converters import GenerateFeedback
from traitlets.config import Config

from cnncourse.classroom.assignment import Assignment

# What markdown may become; everything else is shown as text.
TAGS = bleach.ALLOWED_TAGS | {
    *("br", "dd", "del", "details", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr"),
    *("img", "kbd", "p", "pre", "s", "small", "span", "sub", "summary", "sup", "u"),
    *("table", "tbody", "td", "th", "thead", "tr"),
}
ATTRIBUTES = {
    "*": ["class", "id", "title"],
    "a": ["href"],
    "ol": ["start"],
    "img": ["src", "alt", "width", "height"],
}
PROTOCOLS = {"http", "https", "mailto", "data"}  # data: pictures pasted into a notebook
SHOWN = ("text/plain", "image/png", "image/jpeg")  # what cannot carry a script
HIDDEN = "# Hidden tests follow here."
HELD_BACK = "[a line of a hidden test]"


def page(
    graded: Any,
    assignment: Assignment,
    released: Sequence[Any],
    scores: Mapping[str, float | None],
    comments: Mapping[str, str] | None = None,
) -> str:
    """The feedback as HTML, from an autograded notebook.

    A test is shown as it was handed out. Of an error there is its name and message; what lies
    between is the test's own text. Lines of hidden tests are taken out wherever they appear.
    """
    notebook = deepcopy(graded)
    originals = {c.metadata.nbgrader.grade_id: c for c in released if "nbgrader" in c.metadata}
    hidden = [line for line in assignment.hidden if len(line) > 5]
    for cell in notebook.cells:
        mark = cell.metadata.get("nbgrader", {})
        name = mark.get("grade_id")
        if mark.get("locked") and name in originals:
            changed = cell.source != originals[name].source
            cell.source = originals[name].source + (f"\n{HIDDEN}" if changed else "")
        if cell.cell_type == "code":
            own = not mark.get("locked")
            outputs = [_shown(output, hidden, own) for output in cell.outputs]
            cell.outputs = [output for output in outputs if output is not None]
        if utils.is_grade(cell) or utils.is_task(cell):
            mark["score"], mark["points"] = scores.get(name) or 0.0, _points(assignment, name)
        if name is not None:
            mark["comment"] = (comments or {}).get(name) or None
    total = sum(score or 0.0 for score in scores.values())
    details = {"score": total, "max_score": assignment.max, "late_penalty": 0.0}
    resources = {"nbgrader": {"notebook": assignment.notebook, **details}}
    return _exporter().from_notebook_node(notebook, resources=resources)[0]


def warm_up() -> None:
    """Make a page of nothing, so that processes forked from this one have the templates ready."""
    details = {"notebook": "", "score": 0.0, "max_score": 0.0, "late_penalty": 0.0}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("*a*: `b`, $c$")])
    _exporter().from_notebook_node(notebook, resources={"nbgrader": details})


def _points(assignment: Assignment, name: str) -> float:
    return next((task.points for task in assignment.tasks if task.name == name), 0.0)


def _shown(output: Any, hidden: Sequence[str], own: bool) -> Any:
    def clean(text: str) -> str:
        lines = text.split("\n")
        return "\n".join(HELD_BACK if any(h in line for h in hidden) else line for line in lines)

    if output.output_type == "stream":
        output.text = clean(output.text)
    elif output.output_type == "error":
        output.evalue = clean(output.evalue)
        whole = strip_ansi("\n".join(output.traceback))
        short = f"{output.ename}: {output.evalue}"
        output.traceback = (
            clean(whole).split("\n") if own and not _names(whole, hidden) else [short]
        )
    else:
        kept = {kind: value for kind, value in output.data.items() if kind in SHOWN}
        if "text/plain" in kept:
            kept["text/plain"] = clean(kept["text/plain"])
        if not kept:
            return None
        output.data, output.metadata = kept, {}
    return output


def _names(text: str, hidden: Sequence[str]) -> bool:
    return any(line in text for line in hidden)


@pass_context
def markdown(context: Any, source: str) -> str:
    """Markdown as HTML in which nothing can run: nbgrader's templates let a script through.

    A filter for nbconvert, on the feedback pages and in nbgrader's own view.
    """
    html = HTMLExporter().markdown2html(context, source)
    return bleach.clean(html, TAGS, ATTRIBUTES, PROTOCOLS)


@functools.cache
def _exporter() -> HTMLExporter:
    """nbgrader's own page, with everything that could run in a browser taken out."""
    config = Config()
    config.HTMLExporter.sanitize_html = True
    config.HTMLExporter.filters = {"markdown2html": markdown}
    maker = GenerateFeedback(config=config)
    return HTMLExporter(config=maker.config)

"""Run, normalise and check the notebooks, which are the source and carry their outputs.

    python tools/notebooks.py run [PATHS] [--all]      run what changed, then normalise
    python tools/notebooks.py normalise [PATHS]        normalise only
    python tools/notebooks.py check [PATHS]            say what is wrong, change nothing
    python tools/notebooks.py show PATH                print as text, to read or compare
    python tools/notebooks.py from-text TEXT NOTEBOOK  make a notebook from such a text

Without PATHS: every lesson and every solution. A normalised notebook holds nothing that differs
from one run to the next without a reason, so that a change in it is a change in the course.

Cell metadata that authors set: ``alt``, what the cell's picture shows, for those who cannot see
it; and ``tags``: ``nbval-ignore-output`` (the output is not compared), ``raises-exception`` (the
error is the lesson), ``offline`` (the output speaks of the offline stand-in), ``skip-execution``
together with ``nbval-skip`` (neither this tool nor nbval runs the cell).
"""

import argparse
import ast
import hashlib
import io
import json
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent
SANITIZERS = ROOT / "tests" / "nbval_sanitize.cfg"

MAX_BYTES = 400 * 1024
MAX_CODE_LINES = 15
CELL_TIMEOUT = 600
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
KEPT_CELL_METADATA = ("alt", "nbgrader", "tags")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class NotebookError(Exception):
    """Something the author of a notebook has to put right; its text says how."""


# Reading and writing


def find_notebooks(paths: Sequence[Path]) -> list[Path]:
    """Return the notebooks named by ``paths`` (files or folders), by default the whole course."""
    if not paths:
        lessons, solutions = ROOT / "lessons", ROOT / "solutions"
        return sorted(lessons.glob("*.ipynb")) + _notebooks_below(solutions)
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise NotebookError(f"{path}: no such file or folder")
        found += _notebooks_below(path) if path.is_dir() else [path]
    return found


def _notebooks_below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


def display_name(path: Path) -> str:
    """Return the path as messages give it: from the repository's root where it lies inside."""
    path = path.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def parse(raw: bytes, path: Path) -> NotebookNode:
    """Parse a notebook's bytes as nbformat 4."""
    try:
        return nbformat.reads(raw.decode("utf-8"), as_version=4)
    except Exception as error:
        raise NotebookError(f"{display_name(path)}: not a notebook: {error}") from error


def read(path: Path) -> NotebookNode:
    """Read a notebook as nbformat 4."""
    return parse(path.read_bytes(), path)


def to_bytes(nb: NotebookNode) -> bytes:
    """Return the bytes that a normalised notebook has on disk."""
    return (nbformat.writes(nb).rstrip("\n") + "\n").encode("utf-8")


def write_if_changed(path: Path, nb: NotebookNode) -> bool:
    """Replace the file in one step if its bytes change; say whether they did."""
    path = path.resolve()
    new = to_bytes(nb)
    if path.exists() and path.read_bytes() == new:
        return False
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(new)
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


# Cells


def tags(cell: NotebookNode) -> list[str]:
    """Return a cell's tags."""
    return list(cell.metadata.get("tags", []))


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    """Return the code cells that hold code and are meant to run."""
    return [
        cell
        for cell in nb.cells
        if cell.cell_type == "code" and cell.source.strip() and "skip-execution" not in tags(cell)
    ]


def code_hash(nb: NotebookNode) -> str:
    """Return a digest of the code cells, in order, with their tags: what the outputs depend on."""
    cells = [[c.source.strip("\n"), sorted(tags(c))] for c in nb.cells if c.cell_type == "code"]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def ran_in_order(cells: list[NotebookNode]) -> bool:
    """Say whether the cells were run once each from top to bottom."""
    counts = [cell.execution_count for cell in cells]
    return None not in counts and counts == sorted(set(counts))


def is_fresh(nb: NotebookNode) -> bool:
    """Say whether the stored outputs are those of the code as it is now, run in order."""
    executed = nb.metadata.get("cnncourse", {}).get("executed")
    return ran_in_order(code_cells(nb)) and executed == code_hash(nb)


def output_texts(output: NotebookNode) -> dict[str, str]:
    """Return what a reader can read of an output, by kind: stdout, text/plain, traceback ..."""
    if output.output_type == "stream":
        return {output.name: output.text}
    if output.output_type == "error":
        return {"error": output.evalue, "traceback": plain("\n".join(output.traceback))}
    return {
        kind: value
        for kind, value in output.get("data", {}).items()
        if isinstance(value, str) and (kind.startswith("text/") or kind == "image/svg+xml")
    }


def plain(text: str) -> str:
    """Return a text without the terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@cache
def sanitizers() -> tuple[tuple[str, str], ...]:
    """Return nbval's (pattern, replacement) pairs, read as nbval reads them."""
    pairs = r"^regex: (.*)$\n^replace: (.*)$"
    return tuple(re.findall(pairs, SANITIZERS.read_text("ascii"), flags=re.MULTILINE))


def sanitise(text: str) -> str:
    """Return what nbval compares of a text."""
    for pattern, replacement in sanitizers():
        text = re.sub(pattern, replacement, text)
    return text


# Normalising


def normalise(nb: NotebookNode) -> NotebookNode:
    """Return a copy that holds what the course needs and nothing that varies without a reason."""
    nb = deepcopy(nb)
    metadata: dict[str, Any] = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    if nb.metadata.get("cnncourse"):
        metadata["cnncourse"] = nb.metadata["cnncourse"]
    nb.metadata = nbformat.from_dict(metadata)
    nb.nbformat, nb.nbformat_minor = 4, 5
    repeats: Counter[str] = Counter()
    for cell in nb.cells:
        cell.source = cell.source.strip("\n")
        kept = {key: cell.metadata[key] for key in KEPT_CELL_METADATA if cell.metadata.get(key)}
        cell.metadata = nbformat.from_dict(kept)
        cell.id = _cell_id(cell, repeats)
        if cell.cell_type == "code":
            cell.outputs = _normalised_outputs(cell)
    _renumber(code_cells(nb))
    return nb


def _cell_id(cell: NotebookNode, repeats: Counter[str]) -> str:
    """Derive the id from the cell itself, so that it stays when another cell is inserted."""
    digest = hashlib.sha256(cell.source.encode()).hexdigest()[:8]
    name = f"{cell.cell_type}-{digest}"
    repeats[name] += 1
    return name if repeats[name] == 1 else f"{name}-{repeats[name]}"


def _normalised_outputs(cell: NotebookNode) -> list[NotebookNode]:
    outputs: list[NotebookNode] = []
    for output in cell.outputs:
        if output.output_type == "stream":
            last = outputs[-1] if outputs else None
            if output.name == "stderr":
                continue
            if last and last.output_type == "stream" and last.name == output.name:
                last.text += output.text
                continue
        elif output.output_type == "error":
            output.traceback = [f for f in output.traceback if not _is_library_frame(f)]
        else:
            _normalise_display(output, cell.metadata.get("alt"))
            if not output.data:
                continue
        outputs.append(output)
    return outputs


def _is_library_frame(frame: str) -> bool:
    """Recognise a traceback's frame in a file: its path and lines belong to one machine."""
    return plain(frame).lstrip().startswith("File ")


def _normalise_display(output: NotebookNode, alt: str | None) -> None:
    """Store no view of a live widget (nothing is behind it any more) and pictures with alt text.

    An explorer keeps its ``text/html``, its static picture; a progress bar keeps an empty text.
    """
    text = output.data.get("text/plain")
    if output.data.pop(WIDGET_VIEW, None) and text and not sanitise(text):
        output.data["text/plain"] = ""
    if alt:
        for kind in output.data:
            if kind.startswith("image/"):
                output.metadata.setdefault(kind, NotebookNode())["alt"] = alt


def _renumber(cells: list[NotebookNode]) -> None:
    """Count from 1, if the cells ran in order; otherwise leave that for ``check`` to see."""
    if not ran_in_order(cells):
        return
    for number, cell in enumerate(cells, start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number


# Running


def require_official_data() -> None:
    """Refuse to store outputs that would come from anything but the official files."""
    try:
        data = import_module("cnncourse.data")
    except ImportError as error:
        raise NotebookError(
            f"cannot import cnncourse.data ({error}); "
            f'install the course into this environment: {sys.executable} -m pip install -e ".[dev]"'
        ) from error
    if data.where("mnist")["official"] is None:
        raise NotebookError(
            "the official MNIST files are not on this machine, and stored outputs come from "
            "nothing else; set CNNCOURSE_DATA to the folder that holds them"
        )


def run(paths: Sequence[Path], everything: bool) -> int:
    """Run the notebooks whose code changed, one after the other; return the exit code."""
    notebooks = {path: read(path) for path in find_notebooks(paths)}
    stale = {path for path, nb in notebooks.items() if everything or not is_fresh(nb)}
    if stale:
        require_official_data()
    failed = 0
    for path, nb in notebooks.items():
        start = time.perf_counter()
        try:
            new = execute(nb, path) if path in stale else nb
        except NotebookError as error:
            failed += 1
            print(error, file=sys.stderr, flush=True)
            continue
        changed = write_if_changed(path, normalise(new))
        done = f"ran in {time.perf_counter() - start:.1f} s" if path in stale else "not run"
        print(f"{display_name(path)}: {done}, {'changed' if changed else 'unchanged'}", flush=True)
    return 1 if failed else 0


def execute(nb: NotebookNode, path: Path, timeout: int = CELL_TIMEOUT) -> NotebookNode:
    """Return a copy of the notebook, run from top to bottom in a fresh kernel in its folder.

    Raises ``NotebookError`` with the cell's number, source and traceback when a cell fails that
    is not tagged ``raises-exception``, takes more than ``timeout`` seconds, or ends the kernel.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, CellExecutionError

    nb = deepcopy(nb)
    current = 0

    def remember(cell: NotebookNode, cell_index: int) -> None:
        nonlocal current
        current = cell_index

    client = NotebookClient(
        nb,
        km=_kernel_manager(),
        timeout=timeout,
        record_timing=False,
        store_widget_state=False,
        skip_cells_with_tag="skip-execution",
        resources={"metadata": {"path": str(path.resolve().parent)}},
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors
        on_cell_start=remember,
    )
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    try:
        client.execute(cleanup_kc=True, env=_kernel_environment())
    except (CellControlSignal, RuntimeError) as error:
        traceback = error.traceback if isinstance(error, CellExecutionError) else str(error)
        raise NotebookError(
            f"{display_name(path)}: cell {current + 1} failed; the file was not touched\n"
            f"{nb.cells[current].source}\n\n{traceback}"
        ) from error
    except AssertionError as error:  # what nbclient makes of Ctrl-C, once its kernel is gone
        raise KeyboardInterrupt from error
    nb.metadata["cnncourse"] = {"executed": code_hash(nb)}
    _report_stderr(nb, path)
    return nb


def _kernel_manager() -> Any:
    """Return a manager for a kernel of this very environment, whatever kernels are installed."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisEnvironment(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(**get_kernel_dict())

    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisEnvironment())


def _kernel_environment() -> dict[str, str]:
    """Return the kernel's environment: official data only, and matplotlib's pictures inline."""
    inherited = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    return {**inherited, "CNNCOURSE_SOURCE": "official"}


def _report_stderr(nb: NotebookNode, path: Path) -> None:
    """Name the cells that wrote to stderr: it is not stored, and strict nbval may object to it."""
    for number, cell in enumerate(nb.cells, start=1):
        lines = [o.text.strip() for o in cell.get("outputs", []) if o.get("name") == "stderr"]
        if any(lines):
            first = "\n".join(lines).strip().splitlines()[0]
            print(f"{display_name(path)}: cell {number}: note: stderr not stored: {first}")


# Checking: every rule yields problems, each a cell's number (None: the notebook) and a text

Problem = tuple[int | None, str]


@dataclass(frozen=True)
class Page:
    """A notebook under inspection."""

    path: Path
    raw: bytes
    nb: NotebookNode

    @property
    def cells(self) -> list[tuple[int, NotebookNode]]:
        """The cells with their numbers, counted from 1."""
        return list(enumerate(self.nb.cells, start=1))

    @property
    def markdown(self) -> list[tuple[int, NotebookNode]]:
        """The markdown cells with their numbers."""
        return [(number, cell) for number, cell in self.cells if cell.cell_type == "markdown"]

    @property
    def code(self) -> list[tuple[int, NotebookNode]]:
        """The code cells with their numbers."""
        return [(number, cell) for number, cell in self.cells if cell.cell_type == "code"]

    @property
    def outputs(self) -> list[tuple[int, NotebookNode, NotebookNode]]:
        """Every output with its cell and the cell's number."""
        return [(number, cell, output) for number, cell in self.code for output in cell.outputs]

    @property
    def lines(self) -> list[tuple[int, str]]:
        """The lines of prose with their cell's number; a blank line ends each cell."""
        return [
            (number, line)
            for number, cell in self.markdown
            for line in [*without_fences(cell.source).split("\n"), ""]
        ]

    @property
    def opening(self) -> str:
        """The prose before the first code cell."""
        first = self.code[0][0] if self.code else len(self.nb.cells) + 1
        return "\n".join(cell.source for number, cell in self.markdown if number < first)


def without_fences(source: str) -> str:
    """Return markdown without its fenced code."""
    return re.sub(r"^ {0,3}(```+|~~~+).*?(^ {0,3}\1[ \t]*$|\Z)", "", source, flags=re.M | re.S)


def without_code_and_math(source: str) -> str:
    """Return markdown without code and formulas, where brackets mean something else."""
    source = re.sub(r"(`+).*?\1", "", without_fences(source), flags=re.S)
    return re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", "", source, flags=re.S)


def heading(line: str) -> tuple[int, str] | None:
    """Return a heading's level and text; a line that is bold from end to end is of level 7."""
    if match := re.fullmatch(r"(#{1,6})\s+(.*?)[\s#:]*", line):
        return len(match[1]), match[2]
    if match := re.fullmatch(r"\*\*([^*]+?):?\*\*:?\s*", line):
        return 7, match[1]
    return None


def section(page: Page, title: str) -> list[tuple[int, str]] | None:
    """Return the lines below a heading, up to the next one of its level; None without it."""
    found: list[tuple[int, str]] | None = None
    level = 0
    for number, line in page.lines:
        here = heading(line)
        if found is None:
            if here and here[1].lower() == title.lower():
                level, found = here[0], []
        elif here and here[0] <= level:
            break
        else:
            found.append((number, line))
    return found


def count_bullets(lines: list[tuple[int, str]]) -> int:
    """Count the items of the first list, not those inside an item."""
    count, after_blank = 0, False
    for _, line in lines:
        if re.match(r"([-*+]|\d+[.)])\s", line):
            count += 1
        elif line.strip() and count and after_blank and not line.startswith((" ", "\t")):
            break
        after_blank = not line.strip()
    return count


def is_normalised(page: Page) -> Iterator[Problem]:
    """The bytes are those that ``normalise`` writes."""
    if to_bytes(normalise(page.nb)) != page.raw:
        yield None, f"not normalised; run: {command('normalise', page.path)}"


def was_run(page: Page) -> Iterator[Problem]:
    """Every cell was run, in order, with the code that it has now."""
    remedy = f"run: {command('run', page.path)}"
    cells = code_cells(page.nb)
    if any(cell.execution_count is None for cell in cells):
        yield None, f"has code cells that were never run; {remedy}"
    elif not ran_in_order(cells):
        yield None, f"cells were not run once each from top to bottom; {remedy}"
    elif not is_fresh(page.nb):
        yield None, f"outputs are older than the code; {remedy}"


def outputs_are_clean(page: Page) -> Iterator[Problem]:
    """No errors by accident, nothing on stderr."""
    for number, cell, output in page.outputs:
        if output.output_type == "error" and "raises-exception" not in tags(cell):
            yield number, f"ends in {output.ename}; mend it, or tag the cell raises-exception"
        if output.get("name") == "stderr":
            yield number, "has stderr output; silence its cause and run the notebook"


def is_small(page: Page) -> Iterator[Problem]:
    """A notebook opens fast and its history stays small."""
    if len(page.raw) > MAX_BYTES:
        yield (
            None,
            f"{len(page.raw):,} bytes, more than {MAX_BYTES:,}; show fewer or smaller pictures",
        )


OFFLINE = re.compile(r"source=['\"]offline['\"]|\(offline\b|offline stand-in", re.I)


def comes_from_official_data(page: Page) -> Iterator[Problem]:
    """Stored outputs come from the official files."""
    for number, cell, output in page.outputs:
        if "offline" not in tags(cell) and any(map(OFFLINE.search, output_texts(output).values())):
            yield (
                number,
                "output comes from the offline stand-in; "
                f"run: {command('run', page.path)} --all, or tag the cell offline",
            )


LOADS_DATA = re.compile(r"\bload_(?:mnist|cifar10)\(")


def leaves_room_for_notices(page: Page) -> Iterator[Problem]:
    """A cell that loads data prints: where the stand-in says so, nbval finds no new kind of output.

    nbval skips the notice's line, but not that there is a line where the stored cell has none.
    """
    for number, cell in page.code:
        prints = any(output.get("name") == "stdout" for output in cell.outputs)
        compared = not UNCOMPARED & {*tags(cell), *comments(cell)}
        if LOADS_DATA.search(cell.source) and compared and not prints:
            yield (
                number,
                "loads data and prints nothing; print(the data set), so that notices fit in",
            )


MACHINE_PATH = re.compile(
    r"(?<![\w.~-])(?:/home/|/root/|/tmp/|/Users/|/var/folders/)|\b[A-Z]:\\{1,2}Users\b"
    rf"|{re.escape(str(ROOT))}(?!\w)"
)


def names_no_machine_path(page: Page) -> Iterator[Problem]:
    """Neither the text nor an output holds a path of somebody's machine."""
    for number, cell in page.cells:
        texts = {"source": cell.source}
        for output in cell.get("outputs", []):
            texts |= {f"output ({kind})": text for kind, text in output_texts(output).items()}
        for place, text in texts.items():
            if match := MACHINE_PATH.search(re.sub(r"data:[\w/+.-]+;base64,[\w+/=\s]+", "", text)):
                shown = text[match.start() :].split()[0][:40]
                yield number, f"{place} names the path {shown} of one machine; use a relative path"


def comments(cell: NotebookNode) -> set[str]:
    """Return the comments that stand alone on their line: nbval reads markers there."""
    lines = (line.strip() for line in cell.source.splitlines())
    return {line.lstrip("#").strip() for line in lines if line.startswith("#")}


LONG_FRACTION = re.compile(r"\d+\.\d{4,}")
UNCOMPARED = {"nbval-ignore-output", "nbval-skip", "NBVAL_IGNORE_OUTPUT", "NBVAL_SKIP"}


def prints_stable_numbers(page: Page) -> Iterator[Problem]:
    """Compared text holds no digits that differ between machines; 0.0625 and its like are exact."""
    for number, cell, output in page.outputs:
        if UNCOMPARED & {*tags(cell), *comments(cell)}:
            continue
        texts = output_texts(output)
        for text in (texts.get("stdout", ""), texts.get("text/plain", "")):
            for digits in LONG_FRACTION.findall(sanitise(text)):
                if not (float(digits) * 1024).is_integer():
                    yield number, f"prints {digits}; print at most three decimals or mark it ≈"
                    break


def has_alt_texts(page: Page) -> Iterator[Problem]:
    """Every picture says in words what it shows."""
    for number, cell in page.markdown:
        source = without_code_and_math(cell.source)
        if re.search(r"!\[\s*\]", source) or has_silent_img(source):
            yield number, "picture without alt text; write ![what it shows](...)"
    for number, cell, output in page.outputs:
        data = output.get("data", {})
        pictures = [kind for kind in data if kind.startswith("image/")]
        own = all(output.metadata.get(kind, {}).get("alt") for kind in pictures)
        if pictures and not own and not cell.metadata.get("alt"):
            yield number, 'picture without alt text; add cell metadata {"alt": "what it shows"}'
        if has_silent_img(data.get("text/html", "")):
            yield number, "HTML picture without alt text; give its <img> an alt attribute"


def has_silent_img(html: str) -> bool:
    """Say whether an <img> has no alt text."""
    images = re.findall(r"<img\b[^>]*>", html, flags=re.I)
    return not all(re.search(r"""\balt=(["'])\s*[^\s"']""", image) for image in images)


def links_resolve(page: Page) -> Iterator[Problem]:
    """Relative links lead to files that exist."""
    for number, target in links(page):
        if not (page.path.resolve().parent / target).exists():
            yield number, f"link to {target}, which does not exist; mend the link"


def links(page: Page) -> Iterator[tuple[int, str]]:
    """Yield the relative links and pictures in the prose, without their fragment."""
    pattern = (
        r"""\]\(\s*<?([^)\s>]+)|^ {0,3}\[[^\]^][^\]]*\]:\s*(\S+)|\b(?:href|src)=["']([^"']+)"""
    )
    for number, cell in page.markdown:
        for groups in re.findall(pattern, without_code_and_math(cell.source), flags=re.M):
            target = unquote("".join(groups).partition("#")[0])
            if target and not re.match(r"[a-z][a-z0-9+.-]*:|//", target, flags=re.I):
                yield number, target


def has_no_empty_cell(page: Page) -> Iterator[Problem]:
    """No cell was left behind empty."""
    for number, cell in page.cells:
        if not cell.source.strip():
            yield number, "is empty; delete it"


# The lesson contract


def opens_well(page: Page) -> Iterator[Problem]:
    """Title, three things to learn, time, what it builds on."""
    first = page.nb.cells[0] if page.nb.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        yield 1, "does not begin with '# ' and the title; make it the first markdown cell"
    learn = section(page, "You will learn")
    if learn is None:
        yield None, "has no section 'You will learn'; add it with three bullets"
    elif (count := count_bullets(learn)) != 3:
        yield None, f"'You will learn' has {count} bullets; write three"
    if not re.search(r"\bTime:.*\d", page.opening):
        yield None, "states no time before the first code; write '**Time:** about 40 minutes'"
    if "Builds on" not in page.opening:
        yield None, "does not say what it builds on; write '**Builds on:** ...' before the code"


def has_one_title(page: Page) -> Iterator[Problem]:
    """The title is the only heading of the first level."""
    titles = 0
    for number, line in page.lines:
        here = heading(line)
        titles += here is not None and here[0] == 1
        if titles > 1 or re.match(r"=+\s*$|.*<h1\b", line):
            yield number, "has another heading of level 1; use ## or below"
            return


def begins_with_imports(page: Page) -> Iterator[Problem]:
    """The first code cell imports and does nothing else."""
    if not page.code:
        return
    number, cell = page.code[0]
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError:
        statements = [ast.Pass()]
    if not all(isinstance(statement, ast.Import | ast.ImportFrom) for statement in statements):
        yield number, "first code cell does more than import; move the rest to the next cell"


def has_short_cells(page: Page) -> Iterator[Problem]:
    """A code cell fits beside its output."""
    for number, cell in page.code:
        if (count := len(cell.source.splitlines())) > MAX_CODE_LINES:
            yield number, f"{count} lines of code; split it, at most {MAX_CODE_LINES}"


def asks_for_predictions(page: Page) -> Iterator[Problem]:
    """The reader predicts at least twice; code shows and a folded text explains the answer."""
    prompts = [number for number, cell in page.markdown if "**Predict**" in cell.source]
    if len(prompts) < 2:
        yield None, f"{len(prompts)} **Predict** prompts; write at least two"
    check = section(page, "Check yourself") or []
    end = min((number for number, _ in check), default=len(page.nb.cells) + 1)
    for prompt, following in pairwise([*prompts, end]):
        if not any(number > prompt for number, _ in page.code):
            yield prompt, "**Predict** is followed by no code; add the cell that shows the answer"
        answers = [
            number
            for number, cell in page.markdown
            if number == prompt or prompt < number < following
            if "<details" in cell.source
        ]
        if not answers:
            yield (
                prompt,
                "**Predict** has no folded answer; add <details><summary>Answer</summary>",
            )


FOLDED = re.compile(r"<details[^>]*>\s*<summary>.+?</summary>.*?</details>", re.S)


def folds_well(page: Page) -> Iterator[Problem]:
    """Every <details> has a <summary> and is closed in its cell: otherwise nothing folds."""
    for number, cell in page.markdown:
        source = without_code_and_math(cell.source)
        if source.count("<details") != len(FOLDED.findall(source)):
            yield (
                number,
                "<details> does not fold; write <details><summary>..</summary> .. </details>",
            )


def ends_well(page: Page) -> Iterator[Problem]:
    """Three questions with folded answers, and a summary that mirrors the opening."""
    check = section(page, "Check yourself")
    if check is None:
        yield None, "has no section 'Check yourself'; add it with three questions"
    elif (count := "\n".join(line for _, line in check).count("<details")) != 3:
        yield (
            None,
            f"'Check yourself' has {count} folded answers; ask three questions, each with "
            "<details><summary>Answer</summary>",
        )
    summary = section(page, "Summary")
    learn = section(page, "You will learn")
    if summary is None:
        yield None, "has no section 'Summary'; add it with a bullet for each under 'You will learn'"
    elif learn and (count := count_bullets(summary)) != (promised := count_bullets(learn)):
        yield None, f"'Summary' has {count} bullets, 'You will learn' {promised}; make them mirror"


def links_to_next_lesson(page: Page) -> Iterator[Problem]:
    """The reader finds the way on."""
    lessons = sorted(p.name for p in page.path.resolve().parent.glob("[0-9][0-9]_*.ipynb"))
    later = [name for name in lessons if name > page.path.name]
    if later and later[0] not in {target.removeprefix("./") for _, target in links(page)}:
        yield None, f"has no link to the next lesson; add [Next: ...]({later[0]})"


RULES: list[Callable[[Page], Iterator[Problem]]] = [
    is_normalised,
    was_run,
    outputs_are_clean,
    is_small,
    comes_from_official_data,
    leaves_room_for_notices,
    names_no_machine_path,
    prints_stable_numbers,
    has_alt_texts,
    links_resolve,
    has_no_empty_cell,
]
LESSON_RULES: list[Callable[[Page], Iterator[Problem]]] = [
    opens_well,
    has_one_title,
    begins_with_imports,
    has_short_cells,
    asks_for_predictions,
    folds_well,
    ends_well,
    links_to_next_lesson,
]


def is_lesson(path: Path) -> bool:
    """Say whether the lesson contract binds this notebook."""
    path = path.resolve()
    return path.parent.name == "lessons" and re.match(r"\d\d_", path.name) is not None


def problems(path: Path) -> list[str]:
    """Return what is wrong with a notebook, one line each, in the order of its cells."""
    raw = path.read_bytes()
    try:
        page = Page(path, raw, parse(raw, path))
    except NotebookError as error:
        return [str(error)]
    rules = RULES + (LESSON_RULES if is_lesson(path) else [])
    found = sorted((p for rule in rules for p in rule(page)), key=lambda problem: problem[0] or 0)
    name = display_name(path)
    return [f"{name}: {f'cell {number}: ' if number else ''}{text}" for number, text in found]


def check(paths: Sequence[Path]) -> int:
    """Print what is wrong with the notebooks; return the exit code."""
    notebooks = find_notebooks(paths)
    found = [line for path in notebooks for line in problems(path)]
    print("\n".join(found) if found else f"{len(notebooks)} notebooks checked, all good")
    return 1 if found else 0


def command(name: str, path: Path) -> str:
    """Return the command line that applies one of this tool's commands to a notebook."""
    return f"python tools/notebooks.py {name} {display_name(path)}"


# Notebooks as text


def as_text(nb: NotebookNode) -> str:
    """Return a notebook as text with ``# %%`` before each cell, without outputs."""
    import jupytext

    nb = normalise(nb)
    nb.metadata = nbformat.from_dict({"jupytext": {"notebook_metadata_filter": "-all"}})
    return jupytext.writes(nb, fmt="py:percent")


def from_text(text: Path, path: Path, force: bool) -> int:
    """Make or update a notebook from such a text; outputs stay with the cells they belong to."""
    import jupytext
    from jupytext.combine import combine_inputs_with_outputs

    new = jupytext.read(text, fmt="py:percent")
    if path.exists():
        old = read(path)
        if not force and as_text(old) != as_text(new):
            raise NotebookError(
                f"{display_name(path)}: its text differs from {text}; compare with "
                f"'{command('show', path)}', then overwrite it with --force"
            )
        new = combine_inputs_with_outputs(new, normalise(old), fmt="py:percent")
    changed = write_if_changed(path, normalise(new))
    print(f"{display_name(path)}: {'written' if changed else 'unchanged'}")
    return 0


# The command line


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (NotebookError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the notebook that was running was not touched", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    summary, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, act: Callable[[argparse.Namespace], int], help: str) -> Any:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(run=act)
        return added

    runs = add("run", lambda o: run(o.paths, o.all), "run what changed, then normalise")
    runs.add_argument("--all", action="store_true", help="run what has not changed as well")
    normalises = add("normalise", lambda o: _normalise_files(o.paths), "normalise, run nothing")
    checks = add("check", lambda o: check(o.paths), "say what is wrong, change nothing")
    for added in (runs, normalises, checks):
        added.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="default: all")
    shows = add("show", lambda o: _show(o.path), "print a notebook as text")
    shows.add_argument("path", type=Path)
    texts = add(
        "from-text", lambda o: from_text(o.text, o.notebook, o.force), "make a notebook from text"
    )
    texts.add_argument("text", type=Path, help="a file in jupytext's percent format")
    texts.add_argument("notebook", type=Path)
    texts.add_argument("--force", action="store_true", help="overwrite a notebook that differs")
    return parser


def _normalise_files(paths: Sequence[Path]) -> int:
    for path in find_notebooks(paths):
        if write_if_changed(path, normalise(read(path))):
            print(f"{display_name(path)}: normalised")
    return 0


def _show(path: Path) -> int:
    print(as_text(read(path)), end="")
    return 0


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the sign ≈ exists in UTF-8, not everywhere
            stream.reconfigure(encoding="utf-8")
    sys.exit(main())

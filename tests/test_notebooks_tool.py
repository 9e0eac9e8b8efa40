"""The notebooks' tool: what it stores, what it refuses, and what strict nbval then compares."""

import base64
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from textwrap import dedent

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "tools" / "notebooks.py"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(100)).decode()
WIDGET = {"version_major": 2, "version_minor": 0, "model_id": "1234"}


def load_tool() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


tool = load_tool()


def markdown(text: str) -> NotebookNode:
    return new_markdown_cell(dedent(text).strip())


def code(source: str, *outputs: NotebookNode, **metadata: object) -> NotebookNode:
    return new_code_cell(
        dedent(source).strip(), outputs=list(outputs), metadata=nbformat.from_dict(metadata)
    )


def stdout(text: str) -> NotebookNode:
    return new_output("stream", name="stdout", text=text)


def display(**data: object) -> NotebookNode:
    kinds = {
        "text": "text/plain",
        "html": "text/html",
        "png": "image/png",
        "view": tool.WIDGET_VIEW,
    }
    return new_output("display_data", data={kinds[key]: value for key, value in data.items()})


def store(nb: NotebookNode, path: Path, *, ran: bool = True, normal: bool = True) -> Path:
    """Write a notebook as `run` would have left it."""
    if ran:
        for number, cell in enumerate((c for c in nb.cells if c.cell_type == "code"), start=1):
            cell.execution_count = number
        nb.metadata["cnncourse"] = {"executed": tool.code_hash(nb)}
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(tool.to_bytes(tool.normalise(nb) if normal else nb))
    return path


OPENING = """
    # Pooling

    ## You will learn
    - what a maximum
      over a window keeps;
    - what it throws away;
    - how sizes change.

    **Time:** about 40 minutes. **Builds on:** [the first look](03_first.ipynb#sizes).
    """
FIRST_PROMPT = """
    **Predict** the sum of `[a](b)` and $x[i](t)$ before you run the cell.

    <details><summary>Answer</summary>

    Three.
    </details>
    """
SECOND_PROMPT = "**Predict** what the picture shows."
SECOND_ANSWER = "<details><summary>Answer</summary>A line.</details>"
QUESTIONS = """
    ## Check yourself
    1. Why?
       <details><summary>Answer</summary>So.</details>
    2. When?
       <details><summary>Answer</summary>Then.</details>
    3. Where?
       <details><summary>Answer</summary>There.</details>
    """
SUMMARY = """
    ## Summary
    - It keeps the largest.
    - It throws the place away.
    - Sizes halve.

    [Next: the arithmetic](05_next.ipynb)
    """


def lesson() -> NotebookNode:
    """A notebook that keeps every rule; cells: 3 imports, 5 sum, 7 picture."""
    return new_notebook(
        cells=[
            markdown(OPENING),
            markdown("One sentence of intent."),
            code("import math\nfrom pathlib import Path"),
            markdown(FIRST_PROMPT),
            code("print(1 + 2)", stdout("3\naccuracy ≈ 0.98765, exactly 0.0625\n")),
            markdown(SECOND_PROMPT),
            code("plt.show()", display(png=PNG, text="<Figure>"), alt="A line from 0 to 1."),
            markdown(SECOND_ANSWER),
            markdown(QUESTIONS),
            markdown(SUMMARY),
        ]
    )


@pytest.fixture
def lessons(tmp_path: Path) -> Path:
    folder = tmp_path / "lessons"
    for name in ("03_first.ipynb", "05_next.ipynb", "06_last.ipynb"):
        store(new_notebook(), folder / name)
    return folder


def test_good_lesson_has_no_problem(lessons: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = store(lesson(), lessons / "04_pooling.ipynb")
    assert tool.main(["check", str(path)]) == 0
    assert capsys.readouterr().out == "1 notebooks checked, all good\n"


def replaced(number: int, old: str, new: str) -> Callable[[NotebookNode], None]:
    def mutate(nb: NotebookNode) -> None:
        cell = nb.cells[number - 1]
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return mutate


def both(*mutations: Callable[[NotebookNode], None]) -> Callable[[NotebookNode], None]:
    return lambda nb: [mutate(nb) for mutate in mutations] and None


def added(number: int, *outputs: NotebookNode) -> Callable[[NotebookNode], None]:
    return lambda nb: nb.cells[number - 1].outputs.extend(outputs)


def without_alt(nb: NotebookNode) -> None:
    del nb.cells[6].metadata["alt"]


def error(*frames: str) -> NotebookNode:
    return new_output("error", ename="ValueError", evalue="no", traceback=list(frames))


MUTATIONS: dict[str, tuple[Callable[[NotebookNode], None], str]] = {
    "no title": (replaced(1, "# Pooling", "Pooling"), "cell 1: does not begin with '# '"),
    "second title": (replaced(2, "One", "# One"), "cell 2: has another heading of level 1"),
    "underlined title": (replaced(2, "intent.", "intent\n==="), "cell 2: has another heading of"),
    "no promise": (replaced(1, "You will learn", "Contents"), "has no section 'You will learn'"),
    "two promises": (
        both(replaced(1, "- how sizes change.\n", ""), replaced(10, "- Sizes halve.\n", "")),
        "'You will learn' has 2 bullets",
    ),
    "no time": (replaced(1, "Time:", "Duration:"), "states no time"),
    "no base": (replaced(1, "Builds on", "After"), "does not say what it builds on"),
    "busy imports": (
        replaced(3, "import math", "import math\nmath.pi"),
        "cell 3: first code cell does more than import",
    ),
    "long cell": (replaced(5, "print(1 + 2)", "#\n" * 15 + "1"), "cell 5: 16 lines of code"),
    "one prompt": (replaced(6, "**Predict**", "Look at"), "1 **Predict** prompts"),
    "no answer": (
        replaced(4, "<details><summary>Answer</summary>\n\nThree.\n</details>", "Three."),
        "cell 4: **Predict** has no folded answer",
    ),
    "late prompt": (
        replaced(10, "[Next", "**Predict** more.\n" + SECOND_ANSWER + "\n[Next"),
        "cell 10: **Predict** is followed by no code",
    ),
    "flat details": (
        replaced(4, "<summary>Answer</summary>", "Answer"),
        "cell 4: <details> does not fold",
    ),
    "open details": (replaced(4, "</details>", ""), "cell 4: <details> does not fold"),
    "no questions": (replaced(9, "Check yourself", "More"), "has no section 'Check yourself'"),
    "two answers": (
        replaced(9, "<details><summary>Answer</summary>So.</details>", ""),
        "'Check yourself' has 2 folded answers",
    ),
    "no summary": (replaced(10, "Summary", "The end"), "has no section 'Summary'"),
    "short summary": (
        replaced(10, "- Sizes halve.\n", ""),
        "'Summary' has 2 bullets, 'You will learn' 3",
    ),
    "no way on": (
        replaced(10, "05_next.ipynb", "06_last.ipynb"),
        "has no link to the next lesson; add [Next: ...](05_next.ipynb)",
    ),
    "broken link": (replaced(1, "03_first", "02_first"), "cell 1: link to 02_first.ipynb"),
    "nameless picture": (replaced(2, "One", "![](03_first.ipynb)"), "cell 2: picture without alt"),
    "nameless img": (replaced(2, "One", '<img src="05_next.ipynb">'), "cell 2: picture without"),
    "nameless output": (without_alt, "cell 7: picture without alt text; add cell metadata"),
    "nameless HTML": (added(5, display(html="<img src='x'>")), "cell 5: HTML picture without alt"),
    "error": (added(5, error("boom")), "cell 5: ends in ValueError"),
    "stand-in": (added(5, stdout("MNIST (offline)")), "cell 5: output comes from the offline"),
    "stand-in repr": (added(5, display(text="f(source='offline')")), "cell 5: output comes from"),
    "stand-in set": (added(5, stdout("MNIST (offline stand-in)")), "cell 5: output comes from"),
    "mute loading": (
        replaced(7, "plt.show()", "a = load_mnist()"),
        "cell 7: loads data and prints",
    ),
    "path in source": (replaced(5, "print(1 + 2)", "open('/tmp/x')"), "cell 5: source names the"),
    "path in prose": (
        replaced(2, "One", r"C:\Users\me"),
        "cell 2: source names the path C:\\Users",
    ),
    "path in output": (added(5, stdout("'/home/me/x'")), "cell 5: output (stdout) names the path"),
    "path of the course": (
        added(5, display(text=f"{ROOT}/x")),
        "cell 5: output (text/plain) names",
    ),
    "digits": (added(5, display(text="0.98765")), "cell 5: prints 0.98765; print at most three"),
    "empty cell": (lambda nb: nb.cells.append(code("")), "cell 11: is empty"),
    "large": (added(5, stdout("x" * 410_000)), "more than 409,600; show fewer"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_rule_finds_its_fault(
    name: str, lessons: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mutate, message = MUTATIONS[name]
    nb = lesson()
    mutate(nb)
    path = store(nb, lessons / "04_pooling.ipynb")
    assert tool.main(["check", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{path}: ")
    assert message in lines[0]


TOLERATED: dict[str, Callable[[NotebookNode], None]] = {
    "raises-exception": lambda nb: nb.cells[4].outputs.append(
        error("in line 1", "\x1b[31mFile \x1b[0m/home/me/library.py:3", "ValueError: no")
    ),
    "offline": lambda nb: nb.cells[4].outputs.append(stdout("the offline stand-in")),
    "nbval-ignore-output": lambda nb: nb.cells[4].outputs.append(stdout("0.98765")),
}


@pytest.mark.parametrize("tag", TOLERATED)
def test_tag_allows(tag: str, lessons: Path) -> None:
    nb = lesson()
    nb.cells[4].metadata["tags"] = [tag]
    TOLERATED[tag](nb)
    assert tool.problems(store(nb, lessons / "04_pooling.ipynb")) == []


def test_links_that_are_not_paths_are_left_alone(lessons: Path) -> None:
    nb = lesson()
    nb.cells[1].source = (
        "[a](https://example.org/home/x) [b](#part) ![c](attachment:c.png) [d]: mailto:a@b.c\n"
        "```\n# [e](none)\n```\n[f](05_next.ipynb#x) <a href='03_first.ipynb'>f</a>"
    )
    assert tool.problems(store(nb, lessons / "04_pooling.ipynb")) == []


def test_contract_binds_lessons_only(tmp_path: Path) -> None:
    nb = new_notebook(cells=[code("x = 1\n" * 20)])
    assert tool.problems(store(deepcopy(nb), tmp_path / "lessons" / "notes.ipynb")) == []
    assert tool.problems(store(deepcopy(nb), tmp_path / "solutions" / "04_x.ipynb")) == []
    assert len(tool.problems(store(deepcopy(nb), tmp_path / "lessons" / "04_x.ipynb"))) > 5


def test_check_sees_how_the_notebook_was_run(tmp_path: Path) -> None:
    nb = new_notebook(cells=[code("a = 1"), code("print(a)", stdout("1\n"))])
    path = store(deepcopy(nb), tmp_path / "x.ipynb", ran=False)
    assert "has code cells that were never run; run: python" in tool.problems(path)[0]

    store(nb, path)
    nb = tool.read(path)
    nb.cells[0].execution_count = 7
    store(nb, path, ran=False)
    assert "not run once each from top to bottom" in tool.problems(path)[0]

    nb.cells[0].execution_count = 1
    nb.cells[0].source = "a = 2"
    store(nb, path, ran=False)
    assert "outputs are older than the code" in tool.problems(path)[0]

    nb.cells[0].source = "a = 1"
    nb.cells[1].metadata["tags"] = ["raises-exception"]
    store(nb, path, ran=False)
    assert "outputs are older than the code" in tool.problems(path)[0]

    nb.cells[1].metadata = {"scrolled": True}
    nb.cells[1].outputs.append(new_output("stream", name="stderr", text="W0000"))
    store(nb, path, ran=False, normal=False)
    assert [line.partition(".ipynb: ")[2] for line in tool.problems(path)] == [
        f"not normalised; run: python tools/notebooks.py normalise {path}",
        "cell 2: has stderr output; silence its cause and run the notebook",
    ]


def test_check_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text("{")
    assert "x.ipynb: not a notebook" in tool.problems(path)[0]
    assert tool.main(["check", str(tmp_path / "none.ipynb")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_check_is_quick_and_loads_no_tensorflow(lessons: Path) -> None:
    nb = lesson()
    nb.cells[6].outputs[0].data["image/png"] = PNG * 2500
    for number in range(16):
        store(deepcopy(nb), lessons / f"{number:02}_same.ipynb")
    script = (
        "import runpy, sys, time; start = time.process_time()\n"
        f"sys.argv = ['notebooks', 'check', {str(lessons)!r}]\n"
        f"try: runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert 'tensorflow' not in sys.modules and 'jupytext' not in sys.modules\n"
        "print(time.process_time() - start)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 5  # a processor; 2 when quiet


# Normalising


def test_normalise_keeps_only_what_matters() -> None:
    nb = lesson()
    nb.metadata = {"kernelspec": {"name": "mine"}, "widgets": {}, "cnncourse": {"executed": "x"}}
    cell = nb.cells[4]
    cell.metadata = {"tags": ["offline"], "nbgrader": {"grade": True}, "execution": {}, "a-b": 1}
    cell.outputs = [
        stdout("a\n"),
        new_output("stream", name="stderr", text="W0000"),
        stdout("b\n"),
        display(text="train:  30%|███       | 3/10 [00:01<00:02, 2.5it/s]", view=WIDGET),
        display(text="Explorer()", html="<svg></svg>", view=WIDGET),
        display(text="IntSlider(value=3)", view=WIDGET),
        display(view=WIDGET),
    ]
    new = tool.normalise(nb)
    nbformat.validate(new)
    assert new.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "cnncourse": {"executed": "x"},
    }
    assert new.cells[4].metadata == {"tags": ["offline"], "nbgrader": {"grade": True}}
    assert new.cells[4].outputs == [
        stdout("a\nb\n"),
        display(text=""),
        display(text="Explorer()", html="<svg></svg>"),
        display(text="IntSlider(value=3)"),
    ]
    assert new.cells[6].outputs[0].metadata == {"image/png": {"alt": "A line from 0 to 1."}}
    assert tool.to_bytes(tool.normalise(new)) == tool.to_bytes(new)


def test_ids_stay_when_a_cell_is_inserted() -> None:
    nb = new_notebook(cells=[code("x"), code("x"), markdown("x")])
    before = [cell.id for cell in tool.normalise(nb).cells]
    assert len(set(before)) == 3
    nb.cells.insert(1, code("y"))
    after = [cell.id for cell in tool.normalise(nb).cells]
    assert [after[0], *after[2:]] == before


def test_bytes_on_disk(tmp_path: Path) -> None:
    path = store(lesson(), tmp_path / "x.ipynb")
    raw = path.read_bytes()
    assert raw.endswith(b"\n}\n")
    assert raw.startswith(b'{\n "cells": [\n')
    assert "≈".encode() in raw
    assert tool.main(["normalise", str(path)]) == 0
    assert path.read_bytes() == raw
    assert [p.name for p in tmp_path.iterdir()] == ["x.ipynb"]


# Text


def test_text_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, path = tmp_path / "x.py", tmp_path / "x.ipynb"
    text.write_text(
        '# %% [markdown]\n# # Title\n\n# %% alt="A \'line\'" tags=["offline"]\nprint(1)\n\n'
        "# %%\nprint(2)\n",
        encoding="utf-8",
    )
    assert tool.main(["from-text", str(text), str(path)]) == 0
    nb = tool.read(path)
    assert [cell.cell_type for cell in nb.cells] == ["markdown", "code", "code"]
    assert nb.cells[1].metadata == {"tags": ["offline"], "alt": "A 'line'"}
    capsys.readouterr()
    assert tool.main(["show", str(path)]) == 0
    assert capsys.readouterr().out == text.read_text(encoding="utf-8")

    nb.cells[1].outputs, nb.cells[2].outputs = [stdout("1\n")], [stdout("2\n")]
    stored = store(nb, path).read_bytes()
    assert tool.main(["from-text", str(text), str(path)]) == 0
    assert path.read_bytes() == stored

    text.write_text(text.read_text().replace("# # Title", "# # Other").replace("alt=", "no="))
    assert tool.main(["from-text", str(text), str(path)]) == 1
    assert "--force" in capsys.readouterr().err
    assert path.read_bytes() == stored
    assert tool.main(["from-text", str(text), str(path), "--force"]) == 0
    new = tool.read(path)
    assert new.cells[0].source == "# Other"
    assert new.cells[1].metadata == {"tags": ["offline"]}
    assert [cell.outputs for cell in new.cells[1:]] == [[stdout("1\n")], [stdout("2\n")]]
    assert tool.is_fresh(new)


# Running, with real kernels


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path | None]:
    """Stands in for `cnncourse.data`, which is not what is tested here."""
    found: dict[str, Path | None] = {"official": tmp_path, "offline": None}
    monkeypatch.setitem(
        sys.modules, "cnncourse.data", types.SimpleNamespace(where=lambda name: found)
    )
    return found


RICH = [
    markdown("Everything that varies."),
    code("import os, sys\nimport matplotlib.pyplot as plt\nimport ipywidgets as widgets"),
    code("from tqdm.auto import tqdm\nfrom IPython.display import display"),
    code('plt.plot([0, 1]); plt.title("A line")\nplt.show()', alt="A line."),
    code(
        "for i in tqdm(range(5), desc='train'): print(i, end=' ')\nfor i in tqdm(iter('ab')): pass"
    ),
    code("display(widgets.IntSlider(3))\nwidgets.HTML('<b>x</b>')"),
    code("print('a'); sys.stdout.flush(); print('b')\nprint('warned', file=sys.stderr)\n6 * 7"),
    code("raise KeyError('x')", tags=["raises-exception"]),
    code("print(os.environ['CNNCOURSE_SOURCE'], os.path.basename(os.getcwd()))"),
    code("sys.exit('never')", tags=["skip-execution", "nbval-skip"]),
    code("f'accuracy  ≈ {0.9876:6.2f} %', 0.5"),
    code("source = 'official'\nprint(f'Images({source=}) ({source}), ≈ 12 s')"),
    code("print('half: 0.500')"),
]


def test_run_twice_changes_no_byte_and_nbval_agrees(
    tmp_path: Path, data: dict[str, Path | None], capsys: pytest.CaptureFixture[str]
) -> None:
    path = store(new_notebook(cells=deepcopy(RICH)), tmp_path / "lessons" / "x.ipynb", ran=False)
    assert tool.main(["run", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"{path}: cell 7: note: stderr not stored: warned\n" in out
    assert re.search(r"x\.ipynb: ran in \d+\.\d s, changed\n", out)
    first = path.read_bytes()
    assert tool.problems(path) == []

    nb = tool.read(path)
    assert [o.output_type for o in nb.cells[3].outputs] == ["display_data"]
    assert nb.cells[3].outputs[0].metadata["image/png"]["alt"] == "A line."
    assert nb.cells[4].outputs == [display(text=""), stdout("0 1 2 3 4 "), display(text="")]
    assert nb.cells[5].outputs[0].data["text/plain"].startswith("IntSlider(value=3")
    assert nb.cells[6].outputs[0] == stdout("a\nb\n")
    assert nb.cells[8].outputs == [stdout("official lessons\n")]
    assert nb.cells[9].execution_count is None
    assert tool.WIDGET_VIEW.encode() not in first
    assert set(nb.metadata) == {"cnncourse", "kernelspec", "language_info"}

    assert tool.main(["run", str(path)]) == 0
    assert "not run, unchanged" in capsys.readouterr().out
    assert tool.main(["run", "--all", str(path)]) == 0
    assert re.search(r"ran in \d+\.\d s, unchanged", capsys.readouterr().out)
    assert path.read_bytes() == first

    # The stand-in's source, another accuracy and another time pass; another number does not.
    nb.cells[6].metadata["tags"] = ["nbval-ignore-output"]  # it writes to stderr
    nb.cells[10].source = "f'accuracy ≈ {5.25:.1f} %', 0.5"
    nb.cells[11].source = "print(\"Images(source='offline') (offline), ≈ 7.5 s\")"
    nb.cells[12].source = "print('half: 0.501')"
    path.write_bytes(tool.to_bytes(nb))
    assert nbval(tmp_path) == {0, 1, 2, 3, 4, 5, 6, 7, 9, 10}


def nbval(folder: Path) -> set[int]:
    """Run strict nbval from lessons/, with the real root conftest; return the cells that pass."""
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "conftest.py", folder)
    shutil.copy(ROOT / "tests" / "nbval_sanitize.cfg", folder / "tests")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    arguments = ["-m", "pytest", "--nbval", "--nbval-current-env", "-rA", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder / "lessons",
        env={**os.environ, "CNNCOURSE_SOURCE": "official", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    assert re.search(r"1 failed, 10 passed, 1 skipped", done.stdout), done.stdout
    return {int(number) for number in re.findall(r"PASSED .*::Cell (\d+)", done.stdout)}


def test_failed_cell_leaves_the_file_untouched(
    tmp_path: Path, data: dict[str, Path | None], capsys: pytest.CaptureFixture[str]
) -> None:
    nb = new_notebook(cells=[markdown("x"), code("a = 1"), code("a / 0\n# why")])
    path = store(nb, tmp_path / "x.ipynb", ran=False)
    before = path.read_bytes()
    assert tool.main(["run", str(path)]) == 1
    shown = capsys.readouterr().err
    assert f"{path}: cell 3 failed; the file was not touched\na / 0\n# why\n" in shown
    assert "ZeroDivisionError" in shown
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.ipynb"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [("import os; os._exit(1)", "died"), ("import time; time.sleep(60)", "timed out")],
)
def test_ended_or_endless_cell_fails(source: str, reason: str, tmp_path: Path) -> None:
    nb = new_notebook(cells=[code(source)])
    with pytest.raises(tool.NotebookError, match=rf"(?is)cell 1 failed.*{reason}"):
        tool.execute(nb, tmp_path / "x.ipynb", timeout=2)


def test_run_needs_official_data(
    tmp_path: Path, data: dict[str, Path | None], capsys: pytest.CaptureFixture[str]
) -> None:
    data["official"] = None
    path = store(new_notebook(cells=[code("1")]), tmp_path / "x.ipynb", ran=False)
    before = path.read_bytes()
    assert tool.main(["run", str(path)]) == 1
    assert "set CNNCOURSE_DATA" in capsys.readouterr().err
    assert path.read_bytes() == before


# Sanitising


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("accuracy ≈ 0.9921.", "accuracy  ≈ 1."),
        ("≈12.3 s, then", "≈ 4 s, then"),
        ("≈ 1,234 images", "≈     987 images"),
        ("≈ 3e-07", "≈ -2.5e-06"),
        ("≈ 98.5 %", "≈ 100 %"),
        ("≈ 5, ≈ 6", "≈ 55,   ≈ nan"),
        ("≈ 0.9   |", "≈ 0.955 |"),
        ('x source="official")', 'x source="offline")'),
        ("CIFAR-10 (official)", "CIFAR-10 (offline)"),
        ("MNIST (official)\n", "cnncourse: making it once ...\nMNIST (offline stand-in)\n"),
        ("a\nb", "a\ncnncourse: offline stand-in for MNIST\nb"),
        ("train:   0%|          | 0/860 [00:00<?, ?it/s]", ""),
        (" 40%|████      | 2.00k/5.00k [1:00:03<00:02, 1.2s/img, loss=2]", ""),
        ("0 images [00:00, ?images/s]", ""),
        ("loss = 0.5 (0.123 sec)", "loss = 0.5 (12.5 sec)"),
        ("<object at 0x7f00aa>", "<object at 0x12FF>"),
    ],
)
def test_sanitised_alike(left: str, right: str) -> None:
    assert tool.sanitise(left) == tool.sanitise(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("≈ 5 steps", "≈ 5 epochs"),
        ("≈ 5\n6", "≈ 5\n7"),
        ("≈ 5, 6", "≈ 5, 7"),
        ("0.9921", "0.9922"),
        ("x cnncourse: 1", "x "),
        ("source='official'", "source='other'"),
        ("50% | 3", ""),
        ("done: 3 of 5 [ok]", ""),
    ],
)
def test_not_sanitised_alike(left: str, right: str) -> None:
    assert tool.sanitise(left) != tool.sanitise(right)


def test_patterns_are_readable_in_every_locale() -> None:
    assert tool.SANITIZERS.read_bytes().isascii()
    assert len(tool.sanitizers()) == 8

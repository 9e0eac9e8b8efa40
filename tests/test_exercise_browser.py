"""A student's own way: an exercise opened in JupyterLab, a task solved, and the tick seen."""

import shutil
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("selenium", reason="needs selenium: pip install -e '.[dev]'")
pytest.register_assert_rewrite("browser")
from browser import needs_browser, open_notebook, screenshot, wait_for  # noqa: E402

pytest_plugins = ("browser",)
pytestmark = needs_browser

COURSE = Path(__file__).parent.parent
NOTEBOOK = "ps01_convolution/convolution.ipynb"

# Put a source into the cell at an index, if one is given, run it and answer with the cell.
RUN_CELL = """
const [index, source, done] = arguments;
(async () => {
  const app = window.jupyterapp;
  const panel = app.shell.currentWidget;
  await panel.sessionContext.ready;
  panel.content.activeCellIndex = index;
  await panel.content.scrollToItem(index);
  const cell = panel.content.activeCell.model.sharedModel;
  if (source !== null) cell.setSource(source);
  await app.commands.execute('notebook:run-cell');
  done(cell.toJSON());
})().catch(error => done(String(error)));
"""


def cells_of(folder: str) -> list[nbformat.NotebookNode]:
    return nbformat.read(COURSE / folder / NOTEBOOK, as_version=4).cells


def place_of(cells: list[nbformat.NotebookNode], grade_id: str) -> int:
    return [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in cells].index(grade_id)


def test_a_solved_task_gets_its_tick(lab, browser):
    shutil.copytree(COURSE / "exercises", lab.folder / "exercises", dirs_exist_ok=True)
    handed_out, solved = cells_of("exercises"), cells_of("solutions")
    answer, test = (place_of(handed_out, name) for name in ("slide", "test_slide"))
    imports = next(at for at, cell in enumerate(handed_out) if cell.cell_type == "code")
    open_notebook(browser, lab, f"exercises/{NOTEBOOK}", cells=len(handed_out))

    def run(index, source=None):
        cell = browser.execute_async_script(RUN_CELL, index, source)
        assert isinstance(cell, dict), cell
        return cell["outputs"]

    assert run(imports) == run(answer) == []
    (unsolved,) = run(test)
    assert unsolved["output_type"] == "error"
    assert unsolved["ename"] == "CheckFailed"

    assert run(answer, solved[place_of(solved, "slide")].source) == []
    (tick,) = run(test)
    assert "".join(tick["text"]).startswith("✓ slide")
    # The reader sees it, where the failure stood before.
    shown = "window.jupyterapp.shell.currentWidget.content.activeCell.outputArea.node"
    wait_for(browser, f"{shown}.innerText.startsWith('✓ slide')")
    screenshot(browser, "exercise_ps01")

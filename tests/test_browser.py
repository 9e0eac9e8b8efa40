"""A reader's own way: `cnncourse lab`, a real browser, a lesson run from top to bottom."""

import pytest

pytest.importorskip("selenium", reason="needs selenium: pip install -e '.[dev]'")
pytest.register_assert_rewrite("browser")
from browser import needs_browser, open_notebook, run_all, screenshot, wait_for  # noqa: E402

pytest_plugins = ("browser",)
pytestmark = needs_browser


def text_of(output: dict) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return text if isinstance(text, str) else "".join(text)


def test_a_lesson_runs_from_top_to_bottom_in_jupyterlab(lab, browser):
    open_notebook(browser, lab, "lessons/00_start_here.ipynb", cells=6)
    code = run_all(browser)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    printed = "\n".join(text_of(output) for output in outputs)
    assert "can go on: True" in printed
    assert "ImageDataset mnist" in printed
    # What the kernel made is on the page: the digits as a picture in the notebook's own area.
    browser.execute_script(
        "const notebook = window.jupyterapp.shell.currentWidget.content;"
        "const at = [...notebook.widgets].findIndex(cell => cell.model.type === 'code' &&"
        "  cell.model.sharedModel.getSource().includes('show_images('));"
        "notebook.activeCellIndex = at; notebook.scrollToItem(at);"
    )
    wait_for(browser, "document.querySelector('.jp-Notebook .jp-RenderedImage img')?.naturalWidth")
    screenshot(browser, "lesson_00")

"""The explorers in a real JupyterLab: moved by keyboard, quick enough, visible where none runs."""

from statistics import median

import pytest

pytest.importorskip("selenium", reason="needs selenium: pip install -e '.[dev]'")
pytest.register_assert_rewrite("browser")
from browser import (  # noqa: E402
    needs_browser,
    open_notebook,
    run_all,
    screenshot,
    wait_for,
    write_notebook,
)
from selenium.webdriver.common.keys import Keys  # noqa: E402

from cnncourse.explorers import ConvolutionExplorer  # noqa: E402

pytest_plugins = ("browser",)
pytestmark = needs_browser

CELLS = (
    "from cnncourse.explorers import (ConvolutionExplorer, PoolingExplorer,\n"
    "                                 ReceptiveFieldExplorer)\n"
    'explorer = ConvolutionExplorer(padding="same", filters=4, in_channels=3)\nexplorer',
    "PoolingExplorer()",
    "ReceptiveFieldExplorer()",
)

POSITION = """return [...document.querySelectorAll('.widget-slider')]
.find(widget => widget.textContent.match(/position/)).querySelector('.noUi-handle')"""

# One arrow key on the slider, the time until the new picture is in the page and painted.
TIME_ONE_MOVE = """
const [handle, picture, done] = arguments;
let start;
const observer = new MutationObserver(() => {
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start), 0));
});
observer.observe(picture, {childList: true, subtree: true});
start = performance.now();
handle.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
"""


def picture(browser, title: str) -> str:
    """A JavaScript expression: the picture whose title begins like this."""
    return (
        "[...document.querySelectorAll('.jp-OutputArea svg[role=img]')]"
        f".find(svg => svg.querySelector('title').textContent.startsWith('{title}'))"
    )


@pytest.fixture
def page(lab, browser):
    """A notebook with the three explorers, run."""
    write_notebook(lab.folder / "explorers.ipynb", CELLS)
    open_notebook(browser, lab, "explorers.ipynb", cells=len(CELLS))
    cells = run_all(browser)
    assert not [
        o for cell in cells for o in cell["outputs"] if o["output_type"] != "execute_result"
    ]
    wait_for(browser, picture(browser, "Convolution, position 0 of"))
    return browser


def test_every_explorer_moves_by_keyboard_alone(page):
    handle = page.execute_script(POSITION)
    handle.send_keys(Keys.ARROW_RIGHT)
    wait_for(page, picture(page, "Convolution, position 1 of 0 to 63"))
    step = page.execute_script(
        "return [...document.querySelectorAll('button')].find(b => b.textContent.match(/step/))"
    )
    step.send_keys(Keys.ENTER)
    wait_for(page, picture(page, "Convolution, position 2 of 0 to 63"))
    shown = page.execute_script(f"return {picture(page, 'Convolution')}.textContent")
    twin = ConvolutionExplorer(padding="same", filters=4, in_channels=3, position=2)
    assert twin.formula in shown
    assert twin.static().words.split("\n")[1].split(". ")[1] in shown
    screenshot(page, "explorer_light")
    fields = page.find_elements("css selector", ".jp-OutputArea input[type=number]")
    stride = next(field for field in fields if field.accessible_name == "stride")
    stride.send_keys(Keys.ARROW_UP)
    wait_for(page, picture(page, "Convolution, position 2 of 0 to 15"))
    page.execute_script(
        "window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    wait_for(page, "document.body.dataset.jpThemeLight === 'false'")
    wait_for(page, "!document.querySelector('#jupyterlab-splash')")
    screenshot(page, "explorer_dark")
    for title in ("Max pooling, position 0", "Receptive field of pool2"):
        page.execute_script(f"{picture(page, title)}?.scrollIntoView({{block: 'center'}})")
        wait_for(page, picture(page, title))
        screenshot(page, "explorer_" + title.split()[0].lower())
    page.execute_script(
        "window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})"
    )


CLICK = """
const [area, row, column, dragTo] = arguments;
const { left, top, width, height } = area.getBoundingClientRect();
const event = (type, row, column) => new PointerEvent(type, {
  bubbles: true, buttons: 1,
  clientX: left + (column + 0.5) * width / area.dataset.columns,
  clientY: top + (row + 0.5) * height / area.dataset.rows,
});
area.dispatchEvent(event('pointerdown', row, column));
if (dragTo) area.dispatchEvent(event('pointermove', ...dragTo));
"""


def click(browser, title: str, pick: str, row: int, column: int, drag_to=None) -> None:
    """Press the pointer on a cell of a picture, and drag it to another if asked."""
    area = f"{picture(browser, title)}.querySelector('[data-pick=\"{pick}\"]')"
    browser.execute_script(f"{area}.scrollIntoView({{block: 'center'}})")
    element = browser.execute_script(f"return {area}")
    browser.execute_script(CLICK, element, row, column, drag_to)


def test_cells_can_be_clicked_and_the_window_dragged(page):
    click(page, "Convolution", "position", 2, 3)
    wait_for(page, picture(page, "Convolution, position 19 of 0 to 63"))
    click(page, "Convolution", "window", 0, 1, drag_to=[1, 1])
    wait_for(page, picture(page, "Convolution, position 9 of 0 to 63"))
    click(page, "Max pooling", "position", 1, 1)
    wait_for(page, picture(page, "Max pooling, position 5"))
    click(page, "Receptive field of pool2", "level 2", 0, 5)
    wait_for(page, picture(page, "Receptive field of pool1"))


def test_a_move_is_answered_at_once(page):
    handle = page.execute_script(POSITION)
    html = page.execute_script(
        f"return {picture(page, 'Convolution')}.closest('.cnncourse-canvas')"
    )
    times = [page.execute_async_script(TIME_ONE_MOVE, handle, html) for _ in range(20)]
    print(f"slider to picture: median {median(times):.0f} ms, most {max(times):.0f} ms")
    # The budget is 100 ms on two idle cores (67 to 85 measured); twice that on a busy machine.
    assert median(times) < 200


def test_a_stored_picture_is_seen_without_kernel_and_without_trust(lab, browser):
    bundle = ConvolutionExplorer(stride=2)._repr_mimebundle_()
    stored = {kind: bundle[kind] for kind in ("text/plain", "text/html")}
    write_notebook(lab.folder / "stored.ipynb", ("explorer",), stored)
    open_notebook(browser, lab, "stored.ipynb", cells=1)
    image = "document.querySelector('.jp-OutputArea img[alt^=\"Convolution, position 0\"]')"
    wait_for(browser, f"{image}?.naturalWidth === 1040")
    trusted = "window.jupyterapp.shell.currentWidget.content.widgets[0].model.trusted"
    assert browser.execute_script(f"return {trusted}") is False
    screenshot(browser, "explorer_stored")


def test_lesson_01_runs_and_its_explorer_moves(lab, browser):
    open_notebook(browser, lab, "lessons/01_convolution_arithmetic.ipynb", cells=30)
    code = run_all(browser)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    browser.execute_script(
        "const notebook = window.jupyterapp.shell.currentWidget.content;"
        "const at = [...notebook.widgets].findIndex(cell => cell.model.type === 'code' &&"
        "  cell.model.sharedModel.getSource().startsWith('ConvolutionExplorer(image'));"
        "notebook.activeCellIndex = at; notebook.scrollToItem(at);"
    )
    wait_for(browser, picture(browser, "Convolution, position 0 of 0 to 3"))
    browser.execute_script(POSITION).send_keys(Keys.ARROW_RIGHT)
    wait_for(browser, picture(browser, "Convolution, position 1 of 0 to 3"))
    shown = browser.execute_script(f"return {picture(browser, 'Convolution')}.textContent")
    assert "2·(−1) + 3·0 + 5·0 + 6·(−1) = −8" in shown
    step = browser.execute_script(
        "return [...document.querySelectorAll('button')].find(b => b.textContent.match(/step/))"
    )
    step.send_keys(Keys.ENTER)
    wait_for(browser, picture(browser, "Convolution, position 2 of 0 to 3"))
    shown = browser.execute_script(f"return {picture(browser, 'Convolution')}.textContent")
    assert "= −12" in shown
    screenshot(browser, "lesson_01")

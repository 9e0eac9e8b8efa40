"""MemoryExplorer in a real JupyterLab: its slider by keyboard, a click, and a narrow page."""

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
from selenium.webdriver.support.ui import Select  # noqa: E402
from test_explorers_browser import TIME_ONE_MOVE, click, picture  # noqa: E402

from cnncourse.explorers import MemoryExplorer  # noqa: E402

pytest_plugins = ("browser",)
pytestmark = needs_browser

CELL = (
    "from cnncourse.explorers import MemoryExplorer\n"
    'MemoryExplorer("mnist-dropout", batch_size=8192, card=4)'
)
BATCH = """return [...document.querySelectorAll('.widget-slider, .widget-select-slider')]
.find(widget => widget.textContent.match(/batch/)).querySelector('.noUi-handle')"""


def test_the_memory_explorer_answers_slider_list_and_click(lab, browser):
    write_notebook(lab.folder / "memory.ipynb", (CELL,))
    open_notebook(browser, lab, "memory.ipynb", cells=1)
    (cell,) = run_all(browser)
    assert [output["output_type"] for output in cell["outputs"]] == ["execute_result"]
    wait_for(browser, picture(browser, "mnist-dropout, training on a batch of 8,192: fits"))
    screenshot(browser, "memory_fits")
    handle = browser.execute_script(BATCH)
    for _ in range(2):
        handle.send_keys(Keys.ARROW_RIGHT)
    wait_for(browser, picture(browser, "mnist-dropout, training on a batch of 16,384: does not"))
    twin = MemoryExplorer("mnist-dropout", batch_size=16384, card=4)
    shown = browser.execute_script(f"return {picture(browser, 'mnist-dropout')}.textContent")
    assert f"peak {twin.plan.total / 1e6:,.1f} MB: {twin.plan.at}" in shown
    assert f"Largest batch that fits: {twin.largest:,}" in shown
    screenshot(browser, "memory_does_not_fit")

    lists = browser.find_elements("css selector", ".jp-OutputArea select")
    mode = next(one for one in lists if one.accessible_name == "mode")
    Select(mode).select_by_visible_text("predicting")
    wait_for(browser, picture(browser, "mnist-dropout, predicting a batch of 16,384"))
    click(browser, "mnist-dropout", "operation", 0, 2)
    wait_for(browser, f"{picture(browser, 'mnist-dropout')}.textContent.includes('here: conv2')")
    screenshot(browser, "memory_predicting")

    canvas = f"{picture(browser, 'mnist-dropout')}.closest('.cnncourse-canvas')"
    area = browser.execute_script(f"return {canvas}")
    handle = browser.execute_script(BATCH)
    for _ in range(10):
        handle.send_keys(Keys.ARROW_LEFT)
    wait_for(browser, picture(browser, "mnist-dropout, predicting a batch of 64"))
    times = [browser.execute_async_script(TIME_ONE_MOVE, handle, area) for _ in range(9)]
    print(f"slider to picture: median {median(times):.0f} ms, most {max(times):.0f} ms")

    try:
        browser.set_window_size(900, 1200)
        screenshot(browser, "memory_900")
        browser.set_window_size(560, 1200)
        screenshot(browser, "memory_560")
        wide = browser.execute_script(
            f"const box = {canvas}; return [box.scrollWidth, box.clientWidth]"
        )
        assert wide[0] <= wide[1]  # the picture shrinks with the page
    finally:
        browser.set_window_size(1280, 1600)

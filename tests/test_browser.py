"""A reader's own way: `cnncourse lab`, a real browser, a lesson run from top to bottom."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

selenium = pytest.importorskip("selenium", reason="needs selenium: pip install -e '.[dev]'")
from selenium import webdriver  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs chromium and chromedriver: apt install chromium chromium-driver",
)

LESSONS = Path(__file__).parent.parent / "lessons"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[str]:
    """Address of a JupyterLab on a copy of the lessons, so that nothing here is overwritten."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(LESSONS, folder / "lessons")
    log = folder / "lab.log"
    command = [sys.executable, "-m", "cnncourse.cli", "lab", "--no-browser", "--"]
    command += [f"--ServerApp.port={free_port()}", "--LabApp.expose_app_in_browser=True"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\w+", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield found.group()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--window-size=1280,1600",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(180)
    yield driver
    driver.quit()


RUN_ALL = """
const done = arguments[arguments.length - 1];
(async () => {
  const app = window.jupyterapp;
  const panel = app.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await app.commands.execute('notebook:run-all-cells');
  done(panel.content.model.sharedModel.cells.map(cell => cell.toJSON()));
})().catch(error => done(String(error)));
"""


def wait_for(browser: webdriver.Chrome, script: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not browser.execute_script(f"return Boolean({script})"):
        assert time.monotonic() < deadline, f"never true: {script}\n{browser.title}"
        time.sleep(0.2)


def text_of(output: dict) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return text if isinstance(text, str) else "".join(text)


def test_a_lesson_runs_from_top_to_bottom_in_jupyterlab(lab, browser):
    address, token = lab.split("?")[0], lab.split("token=")[1]
    base = address.split("/lab")[0]
    browser.get(f"{base}/lab/tree/lessons/00_start_here.ipynb?token={token}")
    wait_for(browser, "window.jupyterapp?.shell?.currentWidget?.content?.model?.cells?.length > 5")
    cells = browser.execute_async_script(RUN_ALL)
    assert isinstance(cells, list), cells
    code = [cell for cell in cells if cell["cell_type"] == "code"]
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
    if folder := os.environ.get("CNNCOURSE_SCREENSHOTS"):
        browser.save_screenshot(str(Path(folder) / "lesson_00.png"))

"""Fixtures for tests in a real browser: `lab`, a JupyterLab as a reader starts it, and `browser`.

A test module takes them with ``pytest_plugins = ("browser",)``.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
LESSONS = Path(__file__).parent.parent / "lessons"

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs chromium and chromedriver: apt install chromium chromium-driver",
)

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


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, its token and the folder that it shows."""

    base: str
    token: str
    folder: Path

    def url(self, notebook: str) -> str:
        return f"{self.base}/lab/tree/{notebook}?token={self.token}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    """A JupyterLab on a copy of the lessons, so that nothing here is overwritten.

    It knows nothing of how somebody here uses JupyterLab, and leaves nothing there.
    """
    folder, own = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("lab")
    places = ("JUPYTERLAB_WORKSPACES_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTER_CONFIG_DIR")
    environment = os.environ | {name: str(own / name) for name in places}
    shutil.copytree(LESSONS, folder / "lessons")
    log = folder / "lab.log"
    command = [sys.executable, "-m", "cnncourse.cli", "lab", "--no-browser", "--"]
    command += [f"--ServerApp.port={free_port()}", "--LabApp.expose_app_in_browser=True"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\w+", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        base, token = found.group().split("/lab")[0], found.group().split("token=")[1]
        yield Lab(base, token, folder)
    finally:
        process.terminate()  # SIGINT asks on the terminal first, and there is none
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Any]:
    """A headless Chromium."""
    from selenium import webdriver

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
    # JupyterLab's current tab is the one that has the focus, which a hidden window may lack.
    driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    yield driver
    driver.quit()


def wait_for(browser: Any, script: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not browser.execute_script(f"return Boolean({script})"):
        assert time.monotonic() < deadline, f"never true: {script}\n{browser.title}"
        time.sleep(0.2)


def open_notebook(browser: Any, lab: Lab, notebook: str, cells: int) -> None:
    """Open a notebook of the lab's folder and wait until its ``cells`` cells are there."""
    browser.get(lab.url(notebook))
    panel = "window.jupyterapp?.shell?.currentWidget"
    opened = f"{panel}?.context?.path === '{notebook}'"
    wait_for(browser, f"{opened} && {panel}.content?.model?.cells?.length >= {cells}")


def run_all(browser: Any) -> list[dict]:
    """Run the open notebook; return its code cells."""
    cells = browser.execute_async_script(RUN_ALL)
    assert isinstance(cells, list), cells
    return [cell for cell in cells if cell["cell_type"] == "code"]


def write_notebook(path: Path, sources: tuple[str, ...], output: dict | None = None) -> None:
    """Write a notebook of these code cells; ``output`` is stored under the first."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    if output:
        cells[0].outputs = [nbformat.v4.new_output("display_data", data=output)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


def screenshot(browser: Any, name: str) -> None:
    """Save the page as a picture where somebody has said, by CNNCOURSE_SCREENSHOTS, where to."""
    if folder := os.environ.get("CNNCOURSE_SCREENSHOTS"):
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))

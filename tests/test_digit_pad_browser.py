"""DigitPad in a real JupyterLab: drawn by pointer and by keyboard, at once, whatever runs."""

import json
import time
from itertools import pairwise

import numpy as np
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
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from cnncourse.data.handwriting import resampled  # noqa: E402

pytest_plugins = ("browser",)
pytestmark = needs_browser

# A network that learns in a moment and is right about plain digits: the five nearest neighbours.
CELLS = (
    """import time
import numpy as np
from cnncourse import reference
from cnncourse.data.offline_digits import make_digits
from cnncourse.explorers import DigitPad
digits = make_digits(1500, 1)
known = digits["x_train"].reshape(1500, -1) / np.float32(255)
pause = [0]
edges = np.sign(np.arange(3) - 1.0)[:, None, None, None] * np.ones((1, 3, 1, 2))

def nearest(images):
    time.sleep(pause[0])
    apart = ((images.reshape(len(images), 1, -1) - known) ** 2).sum(axis=2)
    labels = digits["y_train"][apart.argsort(axis=1)[:, :5]]
    return (labels[:, :, None] == np.arange(10)).mean(axis=1)

pad = DigitPad(nearest, lambda images: np.maximum(reference.conv2d(images, edges), 0))
pad""",
    """def unfinished(images):
    raise RuntimeError("no weights yet")

other = DigitPad(unfinished)
other""",
)
PADS = "[...document.querySelectorAll('.cnncourse-pad')]"

ONE = [[(0.55, 0.15), (0.45, 0.85)]]
SEVEN = [[(0.2, 0.2), (0.75, 0.2), (0.45, 0.85)]]


@pytest.fixture(scope="module")
def page(lab, browser):
    """A notebook with two pads, run."""
    write_notebook(lab.folder / "pads.ipynb", CELLS)
    open_notebook(browser, lab, "pads.ipynb", cells=len(CELLS))
    for cell in run_all(browser):
        assert [o["output_type"] for o in cell["outputs"]] == ["execute_result"]
    wait_for(browser, f"{PADS}.length === 2")
    wait_for(browser, title(0, "Nothing drawn yet"))
    return browser


@pytest.fixture
def blank(page):
    """The same, with nothing on the first pad."""
    press(page, "button.clear")
    wait_for(page, title(0, "Nothing drawn yet"))
    return page


def picture(pad: int) -> str:
    return f"{PADS}[{pad}].parentElement.querySelector('svg[role=img]')"


def title(pad: int, words: str) -> str:
    return f"{picture(pad)}?.querySelector('title').textContent.startsWith('{words}')"


def find(browser, selector: str, pad: int = 0):
    script = f"const found = {PADS}[{pad}].querySelector('{selector}');"
    browser.execute_script(script + "found.scrollIntoView({block: 'center'})")
    return browser.execute_script(script + "return found")


def press(browser, selector: str, pad: int = 0) -> None:
    browser.execute_script("arguments[0].click()", find(browser, selector, pad))


def draw(browser, strokes, pad: int = 0) -> None:
    """Draw with the pointer: down, along every point in small steps, up."""
    canvas = find(browser, "canvas", pad)
    width, height = canvas.size["width"], canvas.size["height"]
    for stroke in strokes:
        chain = ActionChains(browser, duration=20)
        corners = np.array(stroke)
        ways = [np.linspace(a, b, 9)[1:] for a, b in pairwise(corners)]
        for index, (x, y) in enumerate([corners[0], *np.concatenate(ways)]):
            # Selenium counts from the middle.
            chain.move_to_element_with_offset(canvas, (x - 0.5) * width, (y - 0.5) * height)
            if index == 0:
                chain.click_and_hold()
        chain.release().perform()


def ink(browser, pad: int = 0) -> np.ndarray:
    """The alpha of the canvas' pixels, 0 to 1: what is seen on the page."""
    alpha = browser.execute_script(
        f"const canvas = {PADS}[{pad}].querySelector('canvas');"
        "const { width, height } = canvas;"
        "const data = canvas.getContext('2d').getImageData(0, 0, width, height).data;"
        "return [width, Array.from(data)"
        ".filter((_, i) => i % 4 === 3).map(a => a.toString(16).padStart(2, '0')).join('')]"
    )
    return np.frombuffer(bytes.fromhex(alpha[1]), np.uint8).reshape(alpha[0], -1) / 255


def ask_kernel(browser, code: str):
    """What the kernel prints, read as JSON."""
    script = """
    const [code, done] = arguments, heard = [];
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const future = kernel.requestExecute({ code });
    future.onIOPub = (message) => heard.push(message.content.text ?? message.content.evalue ?? '');
    future.done.then(() => done(heard.join('')));
    """
    return json.loads(browser.execute_async_script(script, f"import json\nprint({code})"))


def bars(browser, pad: int = 0) -> list[float]:
    """The twenty probabilities as they are written in the picture, digit by digit."""
    texts = browser.execute_script(
        f"return [...{picture(pad)}.querySelectorAll('text')].map(text => text.textContent)"
    )
    return [float(text) for text in texts if len(text) == 4 and text[1] == "."]


def seen_and_told(browser, pad: str = "pad") -> tuple[np.ndarray, dict]:
    """The canvas as 112 by 112 pixels, and what the kernel has, once it has the last points."""
    code = (
        f"json.dumps(dict(guess={pad}.guess, drawing={pad}.drawing.tolist(), "
        f"strokes=len({pad}.strokes), both=[list(map(float, p)) for p in "
        f"({pad}.probabilities, {pad}.shrunk_probabilities)]))"
    )
    deadline = time.monotonic() + 20
    while True:
        seen, told = resampled(ink(browser), 112, 112), ask_kernel(browser, code)
        # What the network is shown is what is seen, but for the grey of the edges.
        apart = np.abs(seen - told["drawing"])
        if apart.mean() < 0.007 and apart.max() < 0.5:
            return seen, told
        assert time.monotonic() < deadline, (apart.mean(), apart.max())


@pytest.mark.parametrize(("strokes", "digit"), [(ONE, 1), (SEVEN, 7)])
def test_a_digit_drawn_with_the_pointer_is_read(blank, strokes, digit):
    draw(blank, strokes)
    _, told = seen_and_told(blank)
    assert (told["guess"], told["strokes"]) == (digit, 1)
    wait_for(blank, title(0, f"Reads as {digit}, probability {max(told['both'][0]):.2f}"))
    assert bars(blank) == [round(p, 2) for both in told["both"] for p in both]
    said = blank.execute_script(f"return {PADS}[0].querySelector('.said').textContent")
    assert said == f"Reads as {digit}, probability {max(told['both'][0]):.2f}"
    screenshot(blank, f"digit_pad_{digit}")


def test_strokes_are_taken_back_one_by_one(blank):
    draw(blank, [*SEVEN, [(0.4, 0.5), (0.7, 0.5)]])
    seen, told = seen_and_told(blank)
    assert told["strokes"] == 2
    press(blank, "button.undo")
    wait_for(blank, title(0, "Reads as 7"))
    undone, told = seen_and_told(blank)
    assert told["strokes"] == 1
    assert undone.sum() < seen.sum()
    press(blank, "button.undo")
    wait_for(blank, title(0, "Nothing drawn yet"))
    assert ink(blank).sum() == 0


def test_a_digit_drawn_by_keyboard_alone_is_read(blank):
    frame = f"getComputedStyle({PADS}[0].querySelector('.paper')).outlineStyle === 'solid'"
    cells = "window.jupyterapp.shell.currentWidget.content"
    canvas = find(blank, "canvas")
    blank.execute_script("arguments[0].focus()", canvas)
    before = blank.execute_script(f"return [{cells}.activeCellIndex, {cells}.widgets.length]")
    canvas.send_keys(Keys.ARROW_UP * 10)
    pen = f"{PADS}[0].querySelector('.pen')"
    wait_for(blank, f"getComputedStyle({pen}).display === 'block' && {frame}")
    canvas.send_keys(Keys.SPACE)
    where = f"{PADS}[0].querySelector('.where').textContent"
    wait_for(blank, f"{where} === 'pen down, 50 % from the left, 14 % from the top'")
    canvas.send_keys(Keys.ARROW_DOWN * 20)
    wait_for(blank, f"{where} === 'pen down, 50 % from the left, 86 % from the top'")
    screenshot(blank, "digit_pad_keyboard")
    canvas.send_keys(Keys.SPACE)
    wait_for(blank, title(0, "Reads as 1"))
    seen, told = seen_and_told(blank)
    assert (told["guess"], told["strokes"]) == (1, 1)
    rows = np.flatnonzero(seen.any(axis=1))
    assert rows[0] < 25
    assert rows[-1] > 95
    canvas.send_keys(Keys.CONTROL, "z")
    wait_for(blank, title(0, "Nothing drawn yet"))
    canvas.send_keys(Keys.NULL, Keys.SPACE, Keys.SPACE)  # a dot
    wait_for(blank, title(0, "Reads as"))
    canvas.send_keys(Keys.DELETE, Keys.DELETE)
    wait_for(blank, title(0, "Nothing drawn yet"))
    draw(blank, ONE)  # the pointer needs neither pen nor frame
    wait_for(blank, f"getComputedStyle({pen}).display === 'none' && !({frame})")
    # JupyterLab's own keys for cells have not heard any of it.
    after = blank.execute_script(f"return [{cells}.activeCellIndex, {cells}.widgets.length]")
    assert after == before


def test_strokes_show_at_once_while_the_kernel_and_the_network_are_busy(blank):
    # Both: a new ipykernel answers widgets in a thread of their own while a cell runs.
    blank.execute_script(
        "const session = window.jupyterapp.shell.currentWidget.sessionContext.session;"
        "window.slept = false;"
        "session.kernel.requestExecute({ code: 'pause[0] = 1.5; time.sleep(3); pause[0] = 0' })"
        ".done.then(() => { window.slept = true; });"
    )
    draw(blank, ONE)
    blank.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    seen = ink(blank).sum()
    state = blank.execute_script(f"return [window.slept, {title(0, 'Nothing drawn yet')}]")
    assert state == [False, True]
    assert seen > 0.9 * 0.08 * 0.7 * 560**2  # the pen's width times the stroke's length, nearly
    draw(blank, [[(0.3, 0.85), (0.6, 0.85)]])
    assert ink(blank).sum() > seen
    wait_for(blank, title(0, "Reads as"))
    _, told = seen_and_told(blank)
    assert told["strokes"] == 2


def test_what_goes_wrong_in_the_network_is_said_on_the_page(page):
    press(page, "button.clear", pad=1)
    draw(page, ONE, pad=1)
    wait_for(page, title(1, "The network gives no answer"))
    shown = page.execute_script(f"return {picture(1)}.textContent")
    assert "unfinished" not in shown
    assert "predict raised RuntimeError: no weights yet" in shown
    assert ink(page, pad=1).sum() > 0
    screenshot(page, "digit_pad_error")


def test_python_draws_and_clears_what_the_page_shows(blank):
    ask_kernel(blank, f"json.dumps(pad.draw({SEVEN}))")
    wait_for(blank, title(0, "Reads as 7"))
    seen, _ = seen_and_told(blank)
    ask_kernel(blank, "json.dumps(pad.set(drawing=pad.drawing[:, ::-1]))")
    mirrored, told = seen_and_told(blank)
    assert told["strokes"] == 0
    assert np.abs(mirrored - seen[:, ::-1]).mean() < 0.007
    draw(blank, [[(0.1, 0.9), (0.9, 0.9)]])
    _, told = seen_and_told(blank)  # the stroke lies on the ground that was set
    assert told["strokes"] == 1
    press(blank, "button.clear")
    wait_for(blank, title(0, "Nothing drawn yet"))
    assert ink(blank).sum() == 0


# Contrast as the Web Content Accessibility Guidelines count it, of text on the page behind it.
CONTRAST = """
const [text] = arguments;
const layers = [];
for (let node = text; node; node = node.parentElement) {
  layers.push(getComputedStyle(node).backgroundColor);
}
const parse = (colour) => {
  const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
  return [r, g, b, a];
};
const over = (below, [r, g, b, a]) => [r, g, b].map((v, i) => a * v + (1 - a) * below[i]);
const ground = layers.reverse().map(parse).reduce(over, [255, 255, 255]);
const ink = over(ground, parse(getComputedStyle(text).color));
const light = (colour) => colour
  .map((v) => v / 255)
  .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const [low, high] = [light(ground), light(ink)].sort((a, b) => a - b);
return (high + 0.05) / (low + 0.05);
"""


def test_it_can_be_read_in_both_themes_and_on_a_narrow_page(blank):
    draw(blank, SEVEN)
    wait_for(blank, title(0, "Reads as 7"))
    size = blank.get_window_size()
    blank.execute_script("window.jupyterapp.shell.collapseLeft()")
    try:
        for theme, width in (("Light", 480), ("Dark", size["width"])):
            blank.set_window_size(width, size["height"])
            change = f"'apputils:change-theme', {{theme: 'JupyterLab {theme}'}}"
            blank.execute_script(f"window.jupyterapp.commands.execute({change})")
            light = "true" if theme == "Light" else "false"
            wait_for(blank, f"document.body.dataset.jpThemeLight === '{light}'")
            wait_for(blank, "!document.querySelector('#jupyterlab-splash')")
            room = f"{PADS}[0].closest('.jp-OutputArea-output')"
            scroll = f"{PADS}[0].scrollIntoView({{block: 'center'}})"
            fits = f"{room}.clientWidth > 200 && {room}.scrollWidth <= {room}.clientWidth"
            wait_for(blank, f"({scroll}, {fits})")
            shown = f"{picture(0)}.getBoundingClientRect()"
            assert blank.execute_script(f"return {shown}.width / {room}.clientWidth") > 0.3
            assert blank.execute_script(CONTRAST, find(blank, ".help")) > 4.5
            screenshot(blank, f"digit_pad_{theme.lower()}_{width}")
    finally:
        blank.execute_script("window.jupyterapp.shell.expandLeft()")
        blank.set_window_size(size["width"], size["height"])
        change = "'apputils:change-theme', {theme: 'JupyterLab Light'}"
        blank.execute_script(f"window.jupyterapp.commands.execute({change})")
        wait_for(blank, "window.innerWidth > 1000 && document.body.dataset.jpThemeLight === 'true'")


def test_the_drawing_survives_a_reload_of_the_page(blank, lab):
    draw(blank, SEVEN)
    wait_for(blank, title(0, "Reads as 7"))
    before, _ = seen_and_told(blank)
    save = "window.jupyterapp.commands.execute('docmanager:save').then(arguments[0])"
    blank.execute_async_script(save)
    open_notebook(blank, lab, "pads.ipynb", cells=len(CELLS))
    wait_for(blank, f"{PADS}.length === 2")
    wait_for(blank, title(0, "Reads as 7"))
    after, told = seen_and_told(blank)
    assert told["strokes"] == 1
    np.testing.assert_array_equal(after, before)

"""`DigitPad`: a pad to draw a digit on, and what a network reads there."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from cnncourse.data.handwriting import ink_box
from cnncourse.explorers import drawing, raster, svg
from cnncourse.explorers.compute import changed
from cnncourse.explorers.svg import (
    BLUE,
    GREY,
    PALE,
    PAPER,
    VERMILLION,
    Picture,
    box,
    label,
    number,
    path,
    plain,
    small,
    text,
)
from cnncourse.explorers.widgets import Explorer
from cnncourse.explorers.writing import CLASSES, PAD, PEN, Network, Reading, as_strokes

# The picture: three columns, for the drawing and the two images that are made of it.
WIDTH, COLUMN, GAP, LEFT = 520, 140, 30, 20
COLUMNS = tuple(LEFT + i * (COLUMN + GAP) for i in range(3))
IMAGES, BARS, BAR = 98, 292, 18
FOOT = BARS + CLASSES * BAR + 16
MAPS_HEIGHT, MAP = 200, 48
INK = raster.Scale(0.0, 1.0, raster.WHITE_TO_INK)
INVITATION = "Draw a digit: the network reads it while you draw."
NAMES = ("the drawing", "as MNIST has it", "only shrunk")
NOTES = (
    ("dashed: the box of its ink", "cross: its centre of mass"),
    ("the box 20 pixels, the cross", "in the middle of 28 × 28"),
    ("all of the pad on 28 × 28", "just as it lies"),
)
EXPLAINED = (
    "A network that learnt from",
    "MNIST knows images like",
    "the middle one. The same",
    "drawing, only shrunk, may",
    "be like none it has seen.",
)


def reading_words(state: Reading) -> str:
    """Say in words what the picture shows, the title in the first line."""
    if state.blank:
        return f"Nothing drawn yet\n{INVITATION}"
    both = (state.probabilities, state.shrunk_probabilities)
    normalised, shrunk = (", ".join(f"{p:.2f}" for p in each) for each in both)
    return (
        f"{_said('Reads', both[0])}\n{_said('Only shrunk it reads', both[1])}. "
        f"Probabilities of 0 to 9 as MNIST has it: {normalised}. Only shrunk: {shrunk}."
    )


def _said(verb: str, probabilities: np.ndarray) -> str:
    return f"{verb} as {probabilities.argmax()}, probability {probabilities.max():.2f}"


def reading_picture(state: Reading) -> Picture:
    """Draw the drawing, the two images made of it, the network's answers and the feature maps."""
    words = reading_words(state)
    title, rest = words.split("\n")
    parts = [label(LEFT, 30, title, 19), small(LEFT, 54, rest.partition(". ")[0], 13), _explained()]
    if state.blank:
        parts += [_image(column, np.zeros((1, 1))) for column in range(3)]
        parts += [_bars(column, np.zeros(CLASSES)) for column in (1, 2)]
        return svg.picture(parts, FOOT, words, WIDTH)
    images = (state.drawing, state.image[..., 0], state.shrunk[..., 0])
    parts += [_image(column, image) for column, image in enumerate(images)]
    parts += [_bars(1, state.probabilities), _bars(2, state.shrunk_probabilities)]
    maps, foot = _maps(state.maps)
    return svg.picture([*parts, maps], foot, words, WIDTH)


def _image(column: int, pixels: np.ndarray) -> str:
    """Draw one of the three images, with the box of its ink and its centre of mass."""
    x, y, side = COLUMNS[column], IMAGES, len(pixels)
    place, cell = (x, y, COLUMN, COLUMN), COLUMN / side
    parts = [label(x, y - 14, NAMES[column], 13)]
    parts += [small(x, y + COLUMN + 14 + 14 * i, line) for i, line in enumerate(NOTES[column])]
    parts.append(raster.image(place, INK.places(pixels), INK.colours))
    if pixels.any():
        top, left, height, width = (cell * value for value in ink_box(pixels))
        around = (x + left, y + top, width, height)
        parts.append(box(around, stroke=VERMILLION, width=1.5, dash="5 3"))
        middles, mass = cell * (np.arange(side) + 0.5), pixels.sum()
        across, down = x + pixels.sum(0) @ middles / mass, y + pixels.sum(1) @ middles / mass
        cross = f"M{plain(across - 7)} {plain(down)}h14M{plain(across)} {plain(down - 7)}v14"
        parts += [path(cross, PAPER, width=5), path(cross, VERMILLION, width=2.5)]
    parts.append(box(place, stroke=PALE, width=1))
    return "".join(parts)


def _bars(column: int, probabilities: np.ndarray) -> str:
    """Draw ten probabilities under an image, the largest in colour and bold; nothing for zeros."""
    x, room, best = COLUMNS[column], COLUMN - 50, probabilities.argmax()
    some = probabilities.any()
    parts = []
    for digit, probability in enumerate(probabilities):
        y, chosen = BARS + BAR * (digit + 0.5), bool(some) and digit == best
        bar = (x + 14, y - 6, room * float(np.clip(probability, 0, 1)), 12)
        value = f"{probability:.2f}" if some else ""
        parts += [
            text(x, y, str(digit), bold=chosen),
            box((x + 14, y - 6, room, 12), stroke="none", fill="#eef1f4", width=0),
            box(bar, stroke="none", fill=BLUE if chosen else GREY, width=0),
            text(x + COLUMN, y, value, size=12, anchor="end", bold=chosen),
        ]
    return "".join(parts)


def _explained() -> str:
    parts = [label(LEFT, BARS + BAR / 2, "probabilities", 13)]
    parts += [small(LEFT, BARS + 32 + 15 * i, line) for i, line in enumerate(EXPLAINED)]
    return "".join(parts)


def _maps(maps: np.ndarray | None) -> tuple[str, float]:
    """Draw the feature maps, if any; return the picture's height as well."""
    if maps is None:
        return "", FOOT
    scale, room = raster.scale_of(maps), WIDTH - 2 * LEFT
    place = (LEFT, FOOT + 26, room, MAPS_HEIGHT)
    drawn, grid = raster.tiles(maps, place, scale, columns=room // MAP, most=MAP)
    rows, columns, channels = maps.shape
    name = f"feature maps of the middle image: {channels} of {rows} × {columns}"
    ends = f"{number(scale.low)} to {number(scale.high)}"
    drawn += label(LEFT, FOOT + 12, name, 13)
    drawn += text(WIDTH - LEFT, FOOT + 12, ends, size=11, fill=GREY, anchor="end")
    return drawn, grid.bottom + 20


class Pad(anywidget.AnyWidget):
    """The pad in the page. It draws by itself and tells the kernel the strokes; see digit_pad.js.

    ``value`` is ``{"strokes": [[[x, y], ...], ...], "ground": bool}``; ``ground`` holds the bytes
    [112, 112] that show under the strokes where that is true; ``said`` is for screen readers.
    """

    _esm = (Path(__file__).parent / "digit_pad.js").read_text(encoding="utf-8")
    _css = """
.cnncourse-pad { box-sizing: border-box; width: 300px; max-width: 100%; padding: 6px 14px 8px 6px;
  color: var(--jp-ui-font-color1, #1c2733); font: 13px/1.45 var(--jp-ui-font-family, sans-serif); }
.cnncourse-pad .paper { position: relative; aspect-ratio: 1; background: #fff; border-radius: 8px;
  box-shadow: 0 0 0 1px var(--jp-border-color1, #cbd3da); overflow: hidden; }
.cnncourse-pad:not(.pointed) .paper:has(canvas:focus) {
  outline: 3px solid var(--jp-brand-color1, #0072B2); outline-offset: 2px; }
.cnncourse-pad canvas { display: block; width: 100%; height: 100%; outline: none;
  touch-action: none; cursor: crosshair; }
.cnncourse-pad .pen { position: absolute; box-sizing: border-box; border-radius: 50%;
  transform: translate(-50%, -50%); border: 2px solid #D55E00; box-shadow: 0 0 0 2px #fff;
  pointer-events: none; display: none; }
.cnncourse-pad:not(.pointed) canvas:focus + .pen { display: block; }
.cnncourse-pad .pen.down { background: #D55E00; }
.cnncourse-pad .buttons { display: flex; gap: 8px; margin-top: 8px; }
.cnncourse-pad .buttons button { flex: 1; }
.cnncourse-pad p { margin: 6px 0 0; }
.cnncourse-pad .help { color: var(--jp-ui-font-color2, #5b6773); }
.cnncourse-pad kbd { font: inherit; font-weight: 600; color: inherit; background: none;
  border: none; padding: 0; box-shadow: none; }
.cnncourse-pad .said { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
"""
    value = traitlets.Dict().tag(sync=True)
    ground = traitlets.Bytes().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)
    side = traitlets.Int(PAD).tag(sync=True)
    pen = traitlets.Float(PEN).tag(sync=True)


class DigitPad(Explorer[Reading]):
    """Draw a digit, by mouse, pen, finger or keyboard, and see what a network reads.

    ``predict`` takes images [n, 28, 28, 1] float32, 0 to 1, and returns probabilities [n, 10]. It
    is asked about two images, while one draws: the drawing as MNIST would have it, and the same
    only shrunk. ``feature_maps``, if given, takes the first and returns [1, height, width,
    channels]. ``strokes`` are lists of points (x, y), 0 to 1 from the upper left corner.

    Settings: ``predict, feature_maps, strokes, drawing``. ``drawing``, ``image``, ``shrunk``,
    ``probabilities``, ``shrunk_probabilities`` and ``guess`` say what is shown; all but ``drawing``
    and ``guess`` raise ValueError while nothing is drawn. What goes wrong in ``predict`` is
    `error`, and is written in the picture's place. Built for lesson 09.
    """

    _draw = staticmethod(reading_picture)
    _trouble = staticmethod(
        partial(
            drawing.trouble,
            title="The network gives no answer",
            remedy="The drawing stays; pad.set(predict=...) takes another function.",
            width=WIDTH,
        )
    )

    def __init__(
        self,
        predict: Network,
        feature_maps: Network | None = None,
        strokes: Iterable[Any] = (),
        **settings: Any,
    ) -> None:
        self._pad = Pad()
        super().__init__(Reading(predict, feature_maps), {"strokes": self._pad}, self._pad)
        self.widget.layout.flex_flow = "row wrap"
        self.set(strokes=strokes, **settings)

    def draw(self, strokes: Iterable[Any]) -> None:
        """Draw strokes on what is there: lists of points (x, y), 0 to 1 across the pad."""
        self.set(strokes=(*self.state.strokes, *as_strokes(strokes)))

    def clear(self) -> None:
        """Leave the pad blank."""
        self.set(drawing=None)

    def static(self, step: int | None = None) -> Picture:
        """Return the picture as it is, or after the first ``step`` strokes, without the pad."""
        if step is None:
            return super().static()
        count = len(self.state.strokes)
        if not 0 <= step <= count:
            raise ValueError(f"step is {step}; there are 0 to {count} strokes")
        return self._picture_of(changed(self.state, strokes=self.state.strokes[:step]))

    def _implied(self, changes: dict[str, Any]) -> dict[str, Any]:
        if "drawing" not in changes:
            return changes
        others = {name: value for name, value in changes.items() if name != "drawing"}
        return {"ground": changes["drawing"], "strokes": (), **others}

    def _read(self, name: str, value: Any) -> dict[str, Any]:
        kept = {} if value["ground"] else {"ground": None}
        return {"strokes": value["strokes"], **kept}

    def _shown(self, name: str) -> Any:
        strokes = [[list(point) for point in stroke] for stroke in self.state.strokes]
        return {"strokes": strokes, "ground": self.state.ground is not None}

    def _sync(self, name: str, field: Any) -> None:
        ground = self.state.ground
        field.ground = b"" if ground is None else ground.tobytes()
        super()._sync(name, field)

    def _show(self, picture: Picture, error: str | None) -> None:
        super()._show(picture, error)
        title, _, rest = picture.words.partition("\n")
        self._pad.said = f"{title}: {rest}" if error else title

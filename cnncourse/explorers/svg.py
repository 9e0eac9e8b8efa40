"""SVG by hand: text, boxes, arrows and grids of numbers, as short strings without ids.

Nothing here holds an id, so that two pictures on one page cannot meddle with each other and the
same state always gives the same bytes. What colour says is also said by outline, hatching or text.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

import numpy as np

# Okabe and Ito's set, as in cnncourse.plotting, which needs matplotlib.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
INK, GREY, PALE, PAPER = "#1c2733", "#5b6773", "#cbd3da", "#ffffff"
WIDTH, LEFT = 1040, 24
FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
SMALLEST_FONT = 6.5
Point = tuple[float, float]
Box = tuple[float, float, float, float]
Cells = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Picture:
    """A finished picture: its SVG, and the same in words."""

    svg: str
    words: str
    width: float = WIDTH

    def __repr__(self) -> str:
        """The picture in words."""
        return self.words

    def _repr_html_(self) -> str:
        """Show the SVG as an image: notebooks that are not trusted drop bare SVG, not images."""
        alt = ". ".join(self.words.splitlines())
        source = quote(self.svg, safe=" /:=(),;'!*+")
        return (
            f'<img alt="{escape(alt)}" src="data:image/svg+xml,{source}" '
            f'width="{plain(self.width)}" style="max-width:100%;height:auto">'
        )


def picture(parts: Iterable[str], height: float, words: str, width: float = WIDTH) -> Picture:
    """Put parts on a light sheet, whatever the theme around it, with ``words`` for those who hear.

    The first line of ``words`` becomes the title.
    """
    title, _, rest = words.partition("\n")
    size = f'width="{plain(width)}" height="{plain(height)}"'
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} '
        f'viewBox="0 0 {plain(width)} {plain(height)}" style="max-width:100%;height:auto" '
        f'font-family="{FONT}" font-size="13" fill="{INK}">'
        f"<title>{escape(title)}</title><desc>{escape(rest)}</desc>"
        + box((0.5, 0.5, width - 1, height - 1), stroke=PALE, fill=PAPER, width=1, radius=10)
        + "".join(parts)
        + "</svg>"
    )
    return Picture(svg, words, width)


def plain(value: float) -> str:
    """Write a coordinate with at most one decimal."""
    return f"{round(float(value), 1):g}"


def number(value: float) -> str:
    """Write a value with at most three significant decimals and a true minus sign.

    >>> number(-8.0), number(1 / 9)
    ('−8', '0.111')
    """
    value = round(float(value), 6) + 0.0
    whole = value == int(value) or abs(value) >= 1000
    return f"{value:{'.0f' if whole else '.3g'}}".replace("-", "−")


def signed(value: float) -> str:
    """Write a value as `number` does, in brackets if it is negative."""
    return f"({number(value)})" if value < 0 else number(value)


def equals(values: Iterable[float]) -> str:
    """Return "=" where `number` writes every value in full, else "≈"."""
    rounded = (abs(float(number(v).replace("−", "-")) - v) > 1e-6 for v in values)
    return "≈" if any(rounded) else "="


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float = 13,
    fill: str = INK,
    anchor: str = "start",
    bold: bool = False,
) -> str:
    """Write a line with its middle at height ``y``."""
    if not words:
        return ""
    extra = ' font-weight="bold"' if bold else ""
    extra += f' fill="{fill}"' if fill != INK else ""
    extra += f' text-anchor="{anchor}"' if anchor != "start" else ""
    place = f'x="{plain(x)}" y="{plain(y)}" font-size="{plain(size)}"'
    return f'<text {place} dominant-baseline="central"{extra}>{escape(words)}</text>'


def label(x: float, y: float, words: str, size: float = 13) -> str:
    """Write a bold line."""
    return text(x, y, words, size=size, bold=True)


def small(x: float, y: float, words: str, size: float = 11) -> str:
    """Write a small grey line."""
    return text(x, y, words, size=size, fill=GREY)


def heading(title: str, note: str) -> str:
    """Write the two lines at the head."""
    return label(LEFT, 30, title, 19) + small(LEFT, 54, note, 13)


def cards(top: float, entries: Sequence[tuple[str, str, str]]) -> str:
    """Draw the cards at the foot: a name, a formula, and what its parts are."""
    width = (WIDTH - 2 * LEFT - 16 * (len(entries) - 1)) / len(entries)
    parts = []
    for index, (name, formula, note) in enumerate(entries):
        x, size = LEFT + index * (width + 16), min(16, (width - 24) / (0.62 * len(formula)))
        parts += [
            box((x, top, width, 74), stroke=PALE, fill="#f6f8fa", width=1, radius=8),
            small(x + 12, top + 16, name),
            label(x + 12, top + 38, formula, size),
            small(x + 12, top + 59, note),
        ]
    return "".join(parts)


def chip(x: float, y: float, name: str, value: float) -> tuple[str, float]:
    """Draw a number in a rounded box with its name above; return it and its right edge."""
    words = number(value)
    width = max(38, 9.6 * len(words) + 16)
    drawn = box((x, y - 14, width, 28), fill=PAPER, width=1.5, radius=14)
    drawn += text(x + width / 2, y, words, size=15, anchor="middle", bold=True)
    drawn += text(x + width / 2, y - 25, name, size=12, fill=GREY, anchor="middle")
    return drawn, x + width


def box(
    place: Box,
    *,
    stroke: str = INK,
    fill: str = "none",
    width: float = 2.5,
    dash: str = "",
    radius: float = 0,
) -> str:
    """Draw a rectangle (x, y, width, height)."""
    x, y, w, h = map(plain, place)
    extra = f' stroke-dasharray="{dash}"' if dash else ""
    extra += f' rx="{plain(radius)}"' if radius else ""
    return (
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" fill="{fill}" stroke="{stroke}" '
        f'stroke-width="{plain(width)}"{extra}/>'
    )


def path(
    steps: str, stroke: str, opacity: float = 1, *, width: float = 1, fill: str = "none"
) -> str:
    """Draw a path; attributes that change nothing are left out."""
    extra = f' opacity="{opacity:g}"' if opacity != 1 else ""
    if stroke != "none":
        extra += f' stroke="{stroke}" stroke-width="{width:g}"'
    return f'<path d="{steps}" fill="{fill}"{extra}/>'


def line(start: Point, end: Point) -> str:
    """Return a straight line, for a path's ``d``."""
    (a, b), (c, d) = start, end
    return f"M{plain(a)} {plain(b)}L{plain(c)} {plain(d)}"


def arrow(start: Point, end: Point, colour: str) -> str:
    """Draw an arrow that leaves and arrives sideways."""
    (x1, y1), (x2, y2) = start, end
    a, b, c, d = map(plain, (x1, y1, x2 - 9, y2))
    bend = plain((x1 + x2) / 2)
    head = f"M{c} {plain(y2 - 5)} L{plain(x2)} {d} L{c} {plain(y2 + 5)} Z"
    return path(f"M{a} {b} C{bend} {b} {bend} {d} {c} {d}", colour, width=2) + path(
        head, "none", fill=colour
    )


def mix(colour: str, share: float) -> str:
    """Return the colour on white, ``share`` of it."""
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (channel - 255) * share):02x}" for channel in channels)


def shade(value: float, limit: float) -> tuple[str, str]:
    """Return fill and ink: white at 0, darker grey above it, blue below it."""
    share = round(min(abs(value) / limit, 1) * 16) / 16 if limit else 0
    if value < 0:
        return mix(BLUE, share * 0.75), PAPER if share > 0.6 else INK
    return mix("#37424e", share * 0.9), PAPER if share > 0.45 else INK


@dataclass(frozen=True)
class Grid:
    """Where a grid of cells lies; knows the box of each of its cells."""

    x: float
    y: float
    cell: float
    rows: int
    columns: int

    @property
    def box(self) -> Box:
        """The whole grid."""
        return self.span(0, 0, self.rows, self.columns)

    @property
    def right(self) -> float:
        """The right edge."""
        return self.x + self.columns * self.cell

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.y + self.rows * self.cell

    @property
    def middle(self) -> float:
        """The height of the middle."""
        return self.y + self.rows * self.cell / 2

    def span(self, row: float, column: float, rows: float = 1, columns: float = 1) -> Box:
        """Return the box of some cells."""
        cell = self.cell
        return self.x + column * cell, self.y + row * cell, columns * cell, rows * cell

    def path(self, cells: Iterable[tuple[int, int]]) -> str:
        """Return the outline of cells, for a path's ``d``."""
        side = plain(self.cell)
        corners = (self.span(row, column)[:2] for row, column in cells)
        return "".join(f"M{plain(x)} {plain(y)}h{side}v{side}h-{side}Z" for x, y in corners)

    def lines(self) -> str:
        """Draw the lines between cells and around them."""
        x, y, width, height = map(plain, self.box)
        down = (f"M{plain(self.x + i * self.cell)} {y}v{height}" for i in range(self.columns + 1))
        along = (f"M{x} {plain(self.y + i * self.cell)}h{width}" for i in range(self.rows + 1))
        return path("".join([*down, *along]), PALE)

    def draw(self, values: np.ndarray, limit: float, hatched: Cells = (), blank: Cells = ()) -> str:
        """Draw numbers; hatched cells are padding or cut off, blank ones not yet filled."""
        return self.hatch(hatched) + self.numbers(values, limit, blank, hatched) + self.lines()

    def mark(self, cells: Iterable[tuple[int, int]], colour: str) -> str:
        """Draw a pale grid with some cells filled."""
        pale = box(self.box, stroke="none", fill="#f1f4f6", width=0)
        return pale + path(self.path(cells), "none", fill=colour) + self.lines()

    def ring(self, row: int, column: int, dash: str = "") -> str:
        """Draw a ring into a cell."""
        x, y, side, _ = self.span(row + 0.1, column + 0.1, 0.8, 0.8)
        width = 2 if dash else 3
        return box((x, y, side, side), stroke=GREEN, width=width, dash=dash, radius=side / 2)

    def hatch(self, cells: Cells) -> str:
        """Hatch cells on pale ground: padding, or what is cut off."""
        if not cells:
            return ""
        steps = []
        side, half = self.cell, self.cell / 2
        for row, column in cells:
            x, y = self.span(row, column)[:2]
            steps.append(line((x, y + side), (x + side, y)))
            steps.append(line((x, y + half), (x + half, y)))
            steps.append(line((x + half, y + side), (x + side, y + half)))
        return path(self.path(cells), "none", fill="#fdf3df") + path("".join(steps), "#edc98a")

    def numbers(self, values: np.ndarray, limit: float, blank: Cells = (), bare: Cells = ()) -> str:
        """Fill cells after their values and write the values, if all of them fit.

        NaN and ``blank`` cells stay empty; ``bare`` ones keep the ground that they have.
        """
        skip, unfilled = set(blank), set(bare)
        cells = [
            (int(row), int(column))
            for row, column in np.argwhere(np.isfinite(values))
            if (row, column) not in skip
        ]
        strings = {cell: number(values[cell]) for cell in cells}
        longest = max(map(len, strings.values()), default=1)
        size = min(self.cell * 0.44, self.cell * 0.9 / (0.7 * longest), 16)
        fills: dict[str, list[tuple[int, int]]] = {}
        inks: dict[str, list[str]] = {}
        for cell in cells:
            fill, ink = shade(float(values[cell]), limit)
            if cell in unfilled:
                ink = GREY
            else:
                fills.setdefault(fill, []).append(cell)
            x, y, *_ = self.span(cell[0] + 0.5, cell[1] + 0.5)
            inks.setdefault(ink, []).append(
                f'<text x="{plain(x)}" y="{plain(y)}">{strings[cell]}</text>'
            )
        parts = [path(self.path(same), "none", fill=fill) for fill, same in fills.items()]
        if size >= SMALLEST_FONT:
            parts += [
                f'<g font-size="{plain(size)}" fill="{ink}" text-anchor="middle" '
                f'dominant-baseline="central">{"".join(same)}</g>'
                for ink, same in inks.items()
            ]
        return "".join(parts)

    def pick(self, name: str) -> str:
        """Cover the grid with `glass`."""
        return glass(name, self.box, self.rows, self.columns)

    def fade(self, cells: Iterable[tuple[int, int]]) -> str:
        """Lay a veil over cells that do not take part."""
        return path(self.path(cells), "none", 0.72, fill=PAPER)


def glass(name: str, place: Box, rows: int, columns: int) -> str:
    """Cover a box with glass that tells which of its rows and columns the pointer is on.

    ``name`` says to the explorer what a click there means; see ``canvas.js``.
    """
    x, y, width, height = map(plain, place)
    return (
        f'<rect data-pick="{name}" data-rows="{rows}" data-columns="{columns}" '
        f'x="{x}" y="{y}" width="{width}" height="{height}" fill="transparent"/>'
    )


def fitted(shape: Sequence[int], width: float, height: float, most: float) -> float:
    """Return the side of a cell so that a grid fits into a box, at most ``most``."""
    return min(width / shape[1], height / shape[0], most)


def wrapped(words: str, length: int) -> Sequence[str]:
    """Break a sum before a sign, so that no line has more than ``length`` characters."""
    lines = [""]
    for index, term in enumerate(words.split(" + ")):
        term = f"+ {term}" if index else term
        if index and len(lines[-1]) + len(term) >= length:
            lines.append("\u2003\u2003" + term)
        else:
            lines[-1] = f"{lines[-1]} {term}" if index else term
    return lines

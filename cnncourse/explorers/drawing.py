"""The three pictures: a state from `compute` in, a `Picture` out."""

from collections.abc import Iterable, Sequence
from itertools import product
from textwrap import wrap

import numpy as np

from cnncourse.explorers import svg
from cnncourse.explorers.compute import Convolution, Pooling, ReceptiveFieldStack
from cnncourse.explorers.svg import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LEFT,
    ORANGE,
    PURPLE,
    VERMILLION,
    WIDTH,
    Cells,
    Grid,
    Picture,
    box,
    label,
    number,
    path,
    signed,
    small,
    text,
)

TOP, GAP = 96, 40
MOST_WRITTEN = 50
LEVEL_COLOURS = (VERMILLION, BLUE, GREEN, PURPLE, ORANGE)


def trouble(
    message: str,
    title: str = "These settings do not fit together",
    remedy: str = "Change one of them, and the picture comes back.",
    width: float = WIDTH,
) -> Picture:
    """Return what stands in the picture's place where there is none."""
    room = int((width - 2 * LEFT) / 7.5)
    parted = message.replace("; ", ";\n").splitlines()
    lines = [line for part in parted for line in wrap(part, room)]
    parts = [label(LEFT, 34, title, 19)]
    parts += [text(LEFT, 68 + 24 * i, line, size=15) for i, line in enumerate(lines)]
    foot = 68 + 24 * len(lines)
    parts.append(small(LEFT, foot, remedy, 13))
    return svg.picture(parts, foot + 30, f"{title}\n{message}", width)


def all_cells(rows: int, columns: int) -> list[tuple[int, int]]:
    """Return every (row, column) of a grid."""
    return list(product(range(rows), range(columns)))


def outside(shape: Sequence[int], paddings: Sequence[Sequence[int]]) -> Cells:
    """Return the cells of a padded grid that lie in the padding."""
    (top, bottom), (left, right) = paddings
    rows, columns = range(top, shape[0] - bottom), range(left, shape[1] - right)
    return [(r, c) for r, c in all_cells(*shape[:2]) if r not in rows or c not in columns]


def largest(values: np.ndarray) -> float:
    """Return the largest absolute value, NaN aside."""
    return float(np.nanmax(np.abs(values))) if values.size else 0.0


def zoom(window: svg.Box, grid: Grid) -> str:
    """Draw the two lines that lead from a window to its enlargement."""
    x, y, width, height = window
    upper = svg.line((x + width, y), (grid.x, grid.y))
    return path(upper + svg.line((x + width, y + height), (grid.x, grid.bottom)), VERMILLION, 0.6)


# Convolution


def written(state: Convolution) -> list[str]:
    """Write the products out, channel by channel, and what they add up to."""
    totals = [float(total) for total in state.products.sum(axis=(0, 1))]
    several = len(totals) > 1
    lines = []
    for index, (channel, total) in enumerate(zip(state.seen, totals, strict=True)):
        weights = state.weights[..., index, state.filter].flat
        pairs = list(zip(state.window[..., index].flat, weights, strict=True))
        terms = " + ".join(f"{number(a)}·{signed(b)}" for a, b in pairs)
        sign = svg.equals([total, *(value for pair in pairs for value in pair)])
        name = f"channel {channel}:  " if several else ""
        if state.products.size <= MOST_WRITTEN:
            lines.append(f"{name}{terms} {sign} {number(total)}")
        elif not several:
            lines.append(f"{len(pairs)} products, together {number(total)}")
    if several:
        sign = svg.equals([*totals, state.sum])
        lines.append(f"together:  {' + '.join(map(signed, totals))} {sign} {number(state.sum)}")
    return lines


def convolution_words(state: Convolution) -> str:
    """Say in words what the picture shows, the title in the first line."""
    (row, column), (rows, columns) = state.cell, state.size
    place = f"position {state.position} of 0 to {state.positions - 1}"
    maps = f"feature map {state.filter} ({rows} × {columns})"
    if state.transposed:
        stamp = "; ".join(" ".join(map(number, line)) for line in state.sum)
        said = (
            f"Transposed convolution, {place}\nThe image's cell [{row}, {column}] stamps the "
            f"kernel, times its value, into {maps}. Stamp, row by row: {stamp}."
        )
    else:
        said = (
            f"Convolution, {place}\nThe window begins at row {state.corner[0]}, column "
            f"{state.corner[1]} of the padded image. {'. '.join(written(state))}. "
            f"The sum {number(state.sum)} lands in {maps} at [{row}, {column}]."
        )
    return (
        f"{said} Size: {state.formula}. Parameters: {state.parameters}. "
        f"Multiply-adds: {state.multiply_adds}."
    )


def convolution_picture(state: Convolution) -> Picture:
    """Draw one position of a convolution, or one stamp of a transposed convolution."""
    wide = 300 if max(state.kernel_sides) < 6 else 216
    image_width, map_width = (230, 330) if state.transposed else (wide, 220)
    most = {1: 320, 2: 230, 3: 190, 4: 170}[len(state.seen)]
    cell = svg.fitted(state.padded.shape, image_width, most, 38)
    tall = max(cell * state.padded.shape[0], 120)
    heights = [tall if c in state.seen else tall / 2 for c in range(state.in_channels)]
    maps = _Maps(state, WIDTH - LEFT - map_width, map_width, sum(heights) + GAP * len(heights))
    if len(heights) == 1:
        heights = [max(tall, maps.bottom - TOP)]
    parts, y = [_convolution_heading(state)], float(TOP)
    for channel, height in enumerate(heights):
        middle, side = y + height / 2, cell if channel in state.seen else cell / 2
        parts.append(_channel_row(state, channel, middle, side, height, image_width, maps))
        y += height + GAP
    parts.append(maps.draw())
    foot = max(y, maps.bottom + 24)
    if not state.transposed:
        lines = [part for sum_ in written(state) for part in svg.wrapped(sum_, 118)]
        parts += [text(LEFT, foot + 22 * i, line, size=14) for i, line in enumerate(lines)]
        foot += 22 * len(lines) + 4
    parts.append(svg.cards(foot, _convolution_cards(state)))
    return svg.picture(parts, foot + 92, convolution_words(state))


def _convolution_heading(state: Convolution) -> str:
    row, column = state.cell
    title = f"Position {state.position} of {state.positions - 1}:  "
    if state.transposed:
        title += f"image [{row}, {column}] stamps feature map {state.filter}"
        return svg.heading(title, "value × kernel = stamp; stamps that overlap add up")
    title += f"feature map {state.filter} [{row}, {column}] = {number(state.sum)}"
    taps = f", taps {state.dilation} apart" if state.dilation > 1 else ""
    note = f"lay the kernel over the window{taps}, multiply cell by cell, add everything up"
    return svg.heading(title, note)


def _convolution_cards(state: Convolution) -> list[tuple[str, str, str]]:
    (height, width), seen = state.kernel_sides, state.weights.shape[2]
    weights = f"{height} × {width} × {seen} × {state.filters}"
    adds = f"{state.grid[0]} × {state.grid[1]} × {weights} = {state.multiply_adds:,}"
    note = "(image + before + after − kernel) / stride + 1"
    if state.transposed:
        note = "(image − 1) × stride + kernel − cut off"
    if state.dilation > 1:
        span = (height - 1) * state.dilation + 1
        note = f"a span for the kernel: ({height} − 1) × {state.dilation} + 1 = {span}"
    parameters = f"{weights} + {state.filters} = {state.parameters:,}"
    return [
        ("OUTPUT SIZE", state.formula, note),
        ("PARAMETERS", parameters, "kernel × channels seen × filters + biases"),
        ("MULTIPLY-ADDS", adds, "positions × kernel × channels seen × filters"),
    ]


class _Maps:
    """The feature maps on the right: the filter's own large, the others small below it."""

    def __init__(self, state: Convolution, x: float, width: float, height: float) -> None:
        self.state = state
        self.values = state.canvas if state.transposed else state.output
        rows, columns = self.values.shape[:2]
        cell = svg.fitted(self.values.shape, width, width, 38)
        others = 86 if state.filters > 1 else 0
        y = max(TOP, TOP + (height - GAP - rows * cell - others) / 2)
        self.grid = Grid(x, y, cell, rows, columns)
        self.bottom = self.grid.bottom + others + (18 if state.transposed else 0)
        self.target = _window_box(state, self.grid, not state.transposed)

    def draw(self) -> str:
        state, grid = self.state, self.grid
        blank = [] if state.transposed else all_cells(*state.grid)[state.position + 1 :]
        cut = outside(self.values.shape, state.paddings) if state.transposed else []
        limit = largest(state.output)
        title = f"feature map {state.filter}  ({state.size[0]} × {state.size[1]})"
        parts = [
            label(grid.x, grid.y - 14, title),
            grid.draw(self.values[..., state.filter], limit, cut, blank),
            box(self.target, stroke=GREEN, width=3.5),
        ]
        if not state.transposed:
            parts.append(grid.pick("position"))
        if cut:
            parts.append(small(grid.x, grid.bottom + 12, "hatched: cut off by the padding"))
        y, x = self.bottom - 50, grid.x
        for index in range(state.filters):
            if index != state.filter:
                cell = svg.fitted(self.values.shape, 60, 46, 34)
                other = Grid(x, y, cell, grid.rows, grid.columns)
                parts += [
                    small(x, y - 10, f"map {index}"),
                    other.numbers(self.values[..., index], limit, blank),
                    box(other.box, stroke=GREY, width=1),
                ]
                x += 74
        return "".join(parts)


def _window_box(state: Convolution, grid: Grid, one_cell: bool) -> svg.Box:
    """Return the box of the position's cell, or of all that the kernel spans there."""
    if one_cell:
        return grid.span(*state.cell)
    spans = ((side - 1) * state.dilation + 1 for side in state.kernel_sides)
    return grid.span(*state.corner, *spans)


def _channel_row(
    state: Convolution,
    channel: int,
    y: float,
    cell: float,
    height: float,
    width: float,
    maps: _Maps,
) -> str:
    """Draw one channel around ``y``: the image with its window, window × kernel = products."""
    image = state.padded[..., channel]
    rows, columns = image.shape
    grid = Grid(LEFT, y - rows * cell / 2, cell, rows, columns)
    padding = [] if state.transposed else outside(image.shape, state.paddings)
    name = "padded image" if padding else "image"
    name += f", channel {channel}" if state.in_channels > 1 else ""
    name += f", group {channel // state.weights.shape[2]}" if state.groups > 1 else ""
    parts = [
        label(grid.x, grid.y - 14, f"{name}  ({rows} × {columns})"),
        grid.draw(image, largest(state.inputs), padding),
    ]
    if padding and channel == state.in_channels - 1:
        parts.append(small(grid.x, grid.bottom + 12, "hatched: zeros that the padding adds"))
    if channel not in state.seen:
        words = f"filter {state.filter} does not see this channel: it belongs to another group"
        parts.append(grid.fade(all_cells(rows, columns)))
        parts.append(box(grid.box, stroke=GREY, width=1.5, dash="4 4"))
        return "".join([*parts, small(grid.right + 34, grid.middle, words, 13)])
    if state.groups > 1:
        parts.append(box(grid.box, stroke=PURPLE, width=3))
    parts.append(_window_outline(state, grid))
    parts.append(grid.pick("position" if state.transposed else "window"))
    parts.append(_products(state, channel, grid, height, LEFT + width + GAP, maps))
    return "".join(parts)


def _window_outline(state: Convolution, grid: Grid) -> str:
    """Outline the window; with dilation, veil what lies between the taps."""
    window = _window_box(state, grid, state.transposed)
    if state.transposed or state.dilation == 1:
        return box(window, stroke=VERMILLION, width=3.5)
    (row, column), d = state.corner, state.dilation
    height, width = state.kernel_sides
    taps = [(row + i * d, column + j * d) for i, j in all_cells(height, width)]
    spanned = all_cells((height - 1) * d + 1, (width - 1) * d + 1)
    between = {(row + i, column + j) for i, j in spanned} - set(taps)
    outline = path(grid.path(taps), VERMILLION, width=2.5)
    dashed = box(window, stroke=VERMILLION, width=1.5, dash="5 3")
    return grid.fade(sorted(between)) + outline + dashed


def _products(
    state: Convolution, channel: int, image: Grid, height: float, x: float, maps: _Maps
) -> str:
    """Draw window × kernel = products, and the way to the feature map."""
    index, middle = channel - state.seen.start, image.middle
    window, products = state.window[..., index], state.products[..., index]
    kernel = state.weights[..., index, state.filter]
    room = maps.grid.x - x - 52 - (30 if state.transposed else 84)
    columns = window.shape[1] + 2 * kernel.shape[1]
    cell = svg.fitted((len(kernel), columns), room, height - 16, 36)
    names = ("value", "stamp") if state.transposed else ("window", "products")
    own = "kernel" if state.filters == 1 else f"kernel, filter {state.filter}"
    panels = (
        (window, names[0], VERMILLION, largest(state.inputs), "×"),
        (kernel, own, ORANGE, largest(kernel), "="),
        (products, names[1], GREEN if state.transposed else INK, largest(products), ""),
    )
    parts, grids = [], []
    for values, name, colour, limit, sign in panels:
        grid = Grid(x, middle - values.shape[0] * cell / 2, cell, *values.shape)
        grids.append(grid)
        parts += [small(x, grid.y - 12, name, 12), grid.draw(values, limit)]
        parts.append(box(grid.box, stroke=colour))
        parts.append(text(grid.right + 13, middle, sign, size=18, anchor="middle"))
        x = grid.right + 26
    parts.append(zoom(_window_box(state, image, state.transposed), grids[0]))
    right = grids[-1].right + 3
    if not state.transposed:
        chip, right = svg.chip(right + 9, middle, "sum", float(products.sum()))
        parts.append(chip)
    end = (maps.grid.x - 4, maps.target[1] + maps.target[3] / 2)
    return "".join([*parts, svg.arrow((right + 2, middle), end, GREEN)])


# Pooling


def pooling_words(state: Pooling) -> str:
    """Say in words what the picture shows, the title in the first line."""
    (row, column), (rows, columns) = state.cell, state.size
    said = ". ".join(_pooled(state, channel) for channel in range(state.image.shape[2]))
    return (
        f"{state.kind.capitalize()} pooling, position {state.position} of 0 to "
        f"{state.positions - 1}\nThe window begins at row {state.corner[0]}, column "
        f"{state.corner[1]} of the padded image. {said}. It lands in the feature map ({rows} × "
        f"{columns}) at [{row}, {column}]. Size: {state.formula}. Parameters: 0."
    )


def _pooled(state: Pooling, channel: int) -> str:
    """Write how one number comes about."""
    values = state.window[..., channel]
    counted = [float(value) for value in values[np.isfinite(values)]]
    result = float(state.result[channel])
    name = f"channel {channel}:  " if state.image.shape[2] > 1 else ""
    if state.kind == "max":
        ties = counted.count(max(counted))
        tie = f"  ({ties} cells tie, the first is chosen)" if ties > 1 else ""
        return f"{name}max({', '.join(map(number, counted))}) = {number(result)}{tie}"
    sign, left_out = svg.equals([*counted, result]), values.size - len(counted)
    note = f"  ({left_out} padding cells do not count)" if left_out else ""
    added = " + ".join(map(signed, counted))
    return f"{name}({added}) / {len(counted)} {sign} {number(result)}{note}"


def pooling_picture(state: Pooling) -> Picture:
    """Draw one position of a pooling window, a row for each channel."""
    channels, each = state.image.shape[2], state.window_size**2 - 1
    most = {1: 330, 2: 210, 3: 170, 4: 150}[channels]
    cell = svg.fitted(state.padded.shape, 340, most, 40)
    height = max(cell * state.padded.shape[0], min(most, 200))
    title = f"Position {state.position} of {state.positions - 1}:  feature map [{state.cell[0]}, "
    title += f"{state.cell[1]}]" + (f" = {number(state.result[0])}" if channels == 1 else "")
    kind = "the largest number in" if state.kind == "max" else "the average of"
    note = f"keep {kind} each window; padding never counts; nothing is learned"
    parts = [svg.heading(title, note)]
    foot = TOP + channels * (height + GAP)
    for channel in range(channels):
        y = TOP + channel * (height + GAP) + height / 2
        parts.append(_pooling_row(state, channel, y, cell, height))
        for line in svg.wrapped(_pooled(state, channel), 118):
            parts.append(text(LEFT, foot, line, size=14))
            foot += 22
    name = "COMPARISONS, AT MOST" if state.kind == "max" else "ADDITIONS, AT MOST"
    count = f"{state.size[0]} × {state.size[1]} × {each} × {channels}"
    entries = [
        ("OUTPUT SIZE", state.formula, "(image + before + after − window) / stride + 1"),
        ("PARAMETERS", "0", "pooling has nothing to learn"),
        (
            name,
            f"{count} = {state.positions * each * channels:,}",
            "positions × (window cells − 1) × channels",
        ),
    ]
    parts.append(svg.cards(foot + 4, entries))
    return svg.picture(parts, foot + 96, pooling_words(state))


def _pooling_row(state: Pooling, channel: int, y: float, cell: float, height: float) -> str:
    """Draw one channel: the image with the window on it, the window, the feature map."""
    image, window = state.padded[..., channel], state.window[..., channel]
    rows, columns = state.size
    limit = largest(state.image)
    grid = Grid(LEFT, y - image.shape[0] * cell / 2, cell, *image.shape)
    side = svg.fitted(window.shape, 190, height - 30, 52)
    near = Grid(440, y - window.shape[0] * side / 2, side, *window.shape)
    side = svg.fitted(state.size, 250, height, 46)
    target = Grid(WIDTH - LEFT - 250, y - rows * side / 2, side, rows, columns)
    padding = outside(image.shape, state.paddings)
    missing = [place for place in all_cells(*window.shape) if np.isnan(window[place])]
    undone = all_cells(rows, columns)[state.position + 1 :]
    span, place = grid.span(*state.corner, *window.shape), target.span(*state.cell)
    name = f", channel {channel}" if state.image.shape[2] > 1 else ""
    what = ("padded image" if padding else "image") + name
    chip, right = svg.chip(near.right + 22, y, state.kind, float(state.result[channel]))
    parts = [
        label(grid.x, grid.y - 14, f"{what}  ({image.shape[0]} × {image.shape[1]})"),
        grid.draw(image, limit, padding),
        box(span, stroke=VERMILLION, width=3.5),
        zoom(span, near),
        small(near.x, near.y - 14, "window", 12),
        near.draw(window, limit, missing),
        box(near.box, stroke=VERMILLION),
        chip,
        svg.arrow((right + 2, y), (target.x - 4, place[1] + place[3] / 2), GREEN),
        label(target.x, target.y - 14, f"feature map{name}  ({rows} × {columns})"),
        target.draw(state.output[..., channel], limit, (), undone),
        box(place, stroke=GREEN, width=3.5),
        grid.pick("window"),
        target.pick("position"),
    ]
    if padding and channel == state.image.shape[2] - 1:
        parts.append(small(grid.x, grid.bottom + 12, "hatched: padding, which does not count"))
    if state.kind == "max":
        row, column = state.chosen[channel]
        ties = [(int(r), int(c)) for r, c in np.argwhere(window == window[row, column])]
        parts += [near.ring(r, c, dash="3 3") for r, c in ties if (r, c) != (row, column)]
        parts.append(near.ring(row, column))
        parts.append(grid.ring(state.corner[0] + row, state.corner[1] + column))
    return "".join(parts)


# Receptive field


def receptive_field_words(state: ReceptiveFieldStack) -> str:
    """Say in words what the picture shows, the title in the first line."""
    size, jump, start = map(number, state.fields[state.level])
    return (
        f"Receptive field of {state.layers[state.level - 1].name} [{state.row}, {state.column}]\n"
        f"It sees rows {state.runs(0)} and columns {state.runs(1)} of the image "
        f"({state.image_size} × {state.image_size}). Size {size}, jump {jump}, start {start}."
    )


def receptive_field_picture(state: ReceptiveFieldStack) -> Picture:
    """Draw which cells of the image reach one output cell: level by level, and as an area."""
    side, field = 250, state.fields[state.level]
    name = f"{state.layers[state.level - 1].name} [{state.row}, {state.column}]"
    title = f"{name} sees rows {state.runs(0)}, columns {state.runs(1)}"
    start, first = (number(n) for n in (field.start, field.start + state.column * field.jump))
    note = f"receptive field {field.size} × {field.size}; its columns begin at start + column × "
    note += f"jump = {start} + {state.column} × {field.jump} = {first}"
    step = max(58, min(84, 330 / state.level))
    foot = TOP + max(step * state.level + 74, side + 66)
    parts = [svg.heading(title, note), _pyramid(state, step)]
    parts += [_area(state, WIDTH - LEFT - side, side), _table(state, foot)]
    return svg.picture(parts, foot + 24 * len(state.layers) + 62, receptive_field_words(state))


def _pyramid(state: ReceptiveFieldStack, step: float) -> str:
    """Draw the levels as rows of cells, the output on top, with lines to what each cell sees."""
    width, reached, sizes = 640.0, state.reached(1), state.sizes[: state.level + 1]
    cell = min(width / max(sizes), 30)
    lefts = [LEFT + 80 + (width - size * cell) / 2 for size in sizes]
    tops = [TOP + step * (state.level - level) for level in range(state.level + 1)]
    grids = [Grid(x, y, cell, 1, n) for x, y, n in zip(lefts, tops, sizes, strict=True)]
    parts = []
    for level in range(state.level, 0, -1):
        upper, lower = grids[level], grids[level - 1]
        steps = [
            svg.line(
                (upper.x + (a + 0.5) * cell, upper.bottom), (lower.x + (b + 0.5) * cell, lower.y)
            )
            for a in reached[level]
            for b in state.taps(level, a)
        ]
        parts.append(path("".join(steps), LEVEL_COLOURS[(level - 1) % 5], 0.6))
    for level, grid in enumerate(grids):
        colour = LEVEL_COLOURS[level % 5]
        name = "image" if level == 0 else state.layers[level - 1].name
        parts.append(grid.mark(((0, place) for place in reached[level]), colour))
        parts.append(label(LEFT, grid.middle, name))
        parts.append(small(LEFT, grid.middle + 16, f"{len(reached[level])} of {grid.columns}"))
        if level:
            parts.append(grid.pick(f"level {level}"))
    return "".join(parts)


def _area(state: ReceptiveFieldStack, x: float, side: float) -> str:
    """Draw the image from above with the cells that reach the output cell."""
    size, field = state.image_size, state.fields[state.level]
    grid = Grid(x, TOP, side / size, size, size)
    rows, columns = state.window
    top, left = (field.start + place * field.jump for place in (state.row, state.column))
    frame = grid.span(top, left, field.size, field.size)
    return "".join(
        [
            label(x, TOP - 14, f"the image from above  ({size} × {size})"),
            grid.mark(product(rows, columns), LEVEL_COLOURS[0]),
            box(frame, stroke=INK, width=2, dash="6 3"),
            small(x, grid.bottom + 18, "filled: what reaches the cell"),
            small(x, grid.bottom + 34, "dashed: the receptive field, padding included"),
        ]
    )


def _table(state: ReceptiveFieldStack, y: float) -> str:
    """Write kernel, output, size, jump and start of every layer."""
    places = (LEFT, 200, 290, 370, 460, 570, 690, 790, 890)
    head = ("layer", "kernel", "stride", "dilation", "padding", "output", "size", "jump", "start")
    lines: list[Iterable[object]] = [("image", "", "", "", "", state.image_size, 1, 1, 0)]
    for layer, size, field in zip(state.layers, state.sizes[1:], state.fields[1:], strict=True):
        lines.append((*layer[:4], str(layer.padding).upper(), size, *field))
    parts = [small(x, y, name, 12) for x, name in zip(places, head, strict=True)]
    for index, line in enumerate(lines):
        height, chosen = y + 24 * (index + 1), index == state.level
        if chosen:
            place = (LEFT - 8, height - 12, WIDTH - 2 * LEFT + 16, 24)
            parts.append(box(place, fill="#f6f8fa", width=1.2, radius=6))
        words = (str(value).replace("-", "−") for value in line)
        parts += [
            text(x, height, word, size=14, bold=chosen)
            for x, word in zip(places, words, strict=True)
        ]
    return "".join(parts)

"""`FeatureMapExplorer`: what every layer of a network makes of an image."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np

from cnncourse.explorers import drawing, raster, svg
from cnncourse.explorers.compute import asked, changed
from cnncourse.explorers.raster import Scale
from cnncourse.explorers.svg import (
    GREY,
    LEFT,
    PALE,
    VERMILLION,
    Grid,
    Picture,
    box,
    label,
    number,
    path,
    plain,
    small,
    text,
)
from cnncourse.explorers.widgets import Explorer, choice, rows, slider, whole

Layers = dict[str, np.ndarray]

# The picture: the image, the chosen map and its scale, all maps of the layer.
TOP, IMAGE, MAP, MAPS = 100, 210, 330, 316
MAP_LEFT, MAPS_LEFT = 268, 700
BARS_LEFT, BARS_WIDTH, BARS_HEIGHT = 268, 680, 300
BLUE, RED = raster.BLUE_TO_RED[1], raster.BLUE_TO_RED[-2]
MOST_NUMBERED = 32


class Source:
    """The images and what the network makes of each, asked once for each image."""

    def __init__(
        self,
        activations: Callable[[np.ndarray], Mapping[str, Any]],
        images: np.ndarray,
        titles: Iterable[Any] | None = None,
    ) -> None:
        """Check images [n, height, width, 1 or 3] and titles, and ask nothing yet."""
        self.images = np.asarray(images)
        shape = self.images.shape
        if len(shape) != 4 or shape[3] not in (1, 3) or not self.images.size:
            raise ValueError(
                f"images have shape {shape}; give (n, height, width, 1 or 3), n at least 1; for "
                "one image: image[np.newaxis]"
            )
        named = range(shape[0]) if titles is None else titles
        self.titles = tuple(str(title) for title in named)
        if len(self.titles) != shape[0]:
            raise ValueError(f"titles has {len(self.titles)} entries for {shape[0]} images")
        self._activations = activations
        self.layers = lru_cache(maxsize=None)(self._layers)

    def _layers(self, image: int) -> Layers:
        """Ask the network for one image."""
        layers = asked("activations", self._read, self.images[image : image + 1])
        if not layers:
            raise ValueError("activations returned no layer; give {name: array}")
        return {name: _of_one(name, values) for name, values in layers.items()}

    def _read(self, images: np.ndarray) -> Layers:
        answer = self._activations(images)
        return {str(name): np.asarray(values) for name, values in answer.items()}


def _of_one(name: str, values: np.ndarray) -> np.ndarray:
    if values.ndim not in (2, 4) or len(values) != 1 or values.size == 0:
        raise ValueError(
            f"layer {name!r} has shape {values.shape} for 1 image; give (1, height, width, "
            "channels) or (1, units)"
        )
    values = values[0].astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"layer {name!r} holds values that are not finite numbers; look for NaN in the weights"
        )
    return values


@dataclass(frozen=True, eq=False)
class FeatureMaps:
    """One map of one layer for one image, seen at one place.

    ``image`` counts the images, ``channel`` the maps (the units of a dense layer). ``layer`` is a
    name; empty, it is the first.
    """

    source: Source
    image: int = 0
    layer: str = ""
    channel: int = 0
    row: int = 0
    column: int = 0

    def settled(self) -> "FeatureMaps":
        """Return this state with a layer named, and a map and a place that exist."""
        try:
            layer = self.layer or next(iter(self.layers))
            state = replace(self, layer=layer)
            *sides, channels = state.values.shape
        except ValueError:
            return self
        height, width = sides or (1, 1)
        return replace(
            state,
            channel=max(0, min(self.channel, channels - 1)),
            row=max(0, min(self.row, height - 1)),
            column=max(0, min(self.column, width - 1)),
        )

    @cached_property
    def layers(self) -> Layers:
        """What every layer makes of the image, by name: [height, width, channels] or [units]."""
        count = len(self.source.images)
        if not 0 <= self.image < count:
            raise ValueError(f"image is {self.image}; there are 0 to {count - 1}")
        return self.source.layers(self.image)

    @cached_property
    def values(self) -> np.ndarray:
        """The layer's values, [height, width, channels] or [units]."""
        if self.layer not in self.layers:
            raise ValueError(f"layer is {self.layer!r}; the layers are {', '.join(self.layers)}")
        return self.layers[self.layer]

    @property
    def dense(self) -> bool:
        """Whether the layer has units, without rows and columns."""
        return self.values.ndim == 1

    @property
    def map(self) -> np.ndarray:
        """The chosen map [height, width]; of a dense layer the chosen unit alone, [1, 1]."""
        chosen = self.values[..., self.channel]
        return chosen.reshape(1, 1) if self.dense else chosen

    @property
    def value(self) -> float:
        """The value at the chosen place."""
        return float(self.map[self.row, self.column])


def maps_words(state: FeatureMaps) -> str:
    """Say in words what the picture shows, the title in the first line."""
    shape, title = " × ".join(map(str, state.values.shape)), state.source.titles[state.image]
    what = "unit" if state.dense else "map"
    return (
        f"Layer {state.layer}, {what} {state.channel} of 0 to {state.values.shape[-1] - 1}\n"
        f"Image {title}, layer of shape {shape}. {'. '.join(_readout(state))}."
    )


def _readout(state: FeatureMaps) -> list[str]:
    """Write what the chosen place holds, and what the map (the layer, if dense) is like."""
    shown = state.values if state.dense else state.map
    whose = "the layer's" if state.dense else "the map's"
    place = f"unit {state.channel}" if state.dense else f"[{state.row}, {state.column}]"
    return [
        f"{place} = {number(state.value)}",
        f"{whose} min {number(shown.min())}",
        f"max {number(shown.max())}",
        f"mean {number(shown.mean())}",
        f"{(shown == 0).mean():.0%} zeros",
    ]


def maps_picture(state: FeatureMaps) -> Picture:
    """Draw the image, the chosen map large with its scale, and all maps of the layer."""
    words, scale = maps_words(state), raster.scale_of(state.values)
    shape = " × ".join(map(str, state.values.shape))
    kind = "units" if state.dense else "height × width × channels"
    colours = "blue below 0, red above" if scale.low < 0 else "dark is 0, bright the largest"
    note = f"layer of {shape} ({kind})"
    note += "" if state.dense else f"; one scale for all of its maps: {colours}"
    parts = [svg.heading(words.partition("\n")[0], note), _image(state)]
    parts.append(_units(state, scale) if state.dense else _maps(state, scale))
    return svg.picture(parts, TOP + MAP + 40, words)


def _image(state: FeatureMaps) -> str:
    pixels = state.source.images[state.image]
    height, width = pixels.shape[:2]
    cell = svg.fitted((height, width), IMAGE, IMAGE, IMAGE)
    place = (LEFT, TOP, width * cell, height * cell)
    parts = [label(LEFT, TOP - 14, f"image: {state.source.titles[state.image]}")]
    if pixels.shape[2] == 1:
        grey = Scale(*_ends(pixels), raster.BLACK_TO_WHITE)
        parts.append(raster.image(place, grey.places(pixels[..., 0]), grey.colours))
    else:
        low, high = _ends(pixels)
        share = np.clip((pixels - low) / (high - low), 0, 1)
        parts.append(raster.image(place, np.rint(255 * share).astype(np.uint8)))
    first, *rest = _readout(state)
    foot = TOP + place[3] + 24
    parts += [box(place, stroke=GREY, width=1), label(LEFT, foot, first, 15)]
    parts += [text(LEFT, foot + 22 * (i + 1), line) for i, line in enumerate(rest)]
    return "".join(parts)


def _ends(pixels: np.ndarray) -> tuple[float, float]:
    """Return which values are black and white: 0 and 255, 0 and 1, or the least and the largest."""
    if pixels.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(pixels.min()), float(pixels.max())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1e-9))


def _maps(state: FeatureMaps, scale: Scale) -> str:
    """Draw the chosen map with its scale, and the grid of all maps."""
    height, width, channels = state.values.shape
    columns, place = raster.square_grid(channels), (MAPS_LEFT, TOP, MAPS, MAPS)
    large = Grid(MAP_LEFT, TOP, svg.fitted((height, width), MAP, MAP, MAP), height, width)
    drawn, small_ones = raster.tiles(state.values, place, scale, columns, most=110)
    chosen = small_ones.span(*divmod(state.channel, small_ones.columns))
    return "".join(
        [
            label(MAP_LEFT, TOP - 14, f"map {state.channel}  ({height} × {width})"),
            raster.image(large.box, scale.places(state.map), scale.colours),
            _outline(large.span(state.row, state.column)),
            large.pick("map"),
            raster.scale_bar((large.right + 14, TOP, 14, large.bottom - TOP), scale),
            label(MAPS_LEFT, TOP - 14, f"all {channels} maps"),
            drawn,
            _outline(chosen),
            small_ones.pick("maps"),
            small(MAPS_LEFT, TOP + MAPS + 24, "click a map, or a place on the large one"),
        ]
    )


def _outline(place: svg.Box) -> str:
    """Outline a place so that it shows on every colour."""
    return box(place, stroke=svg.PAPER, width=5) + box(place, stroke=VERMILLION, width=2.5)


def _units(state: FeatureMaps, scale: Scale) -> str:
    """Draw a dense layer as bars from 0, up or down."""
    values = state.values
    low, high = min(values.min(), 0.0), max(values.max(), 0.0)
    high = high if high > low else 1.0
    step, unit = BARS_WIDTH / len(values), BARS_HEIGHT / (high - low)
    zero, thick = TOP + high * unit, plain(max(0.86 * step, 1))
    above, below = (scale.colours[1], scale.colours[1]) if scale.low == 0 else (RED, BLUE)
    bars: dict[str, list[str]] = {above: [], below: []}
    for index, value in enumerate(values):
        corner = f"M{plain(BARS_LEFT + step * (index + 0.07))} {plain(zero)}"
        bar = f"{corner}v{plain(-value * unit)}h{thick}V{plain(zero)}Z"
        bars[above if value >= 0 else below].append(bar)
    place = (BARS_LEFT, TOP, BARS_WIDTH, BARS_HEIGHT)
    parts = [label(BARS_LEFT, TOP - 14, f"all {len(values)} units")]
    for mark in sorted({low, 0.0, high}):
        y = zero - mark * unit
        parts.append(path(f"M{BARS_LEFT} {plain(y)}h{BARS_WIDTH + 6}", PALE))
        parts.append(small(BARS_LEFT + BARS_WIDTH + 10, y, number(mark), 12))
    parts += [path("".join(steps), "none", fill=colour) for colour, steps in bars.items()]
    if len(values) <= MOST_NUMBERED:
        for index in range(len(values)):
            x = BARS_LEFT + step * (index + 0.5)
            parts.append(text(x, TOP + BARS_HEIGHT + 16, str(index), size=12, anchor="middle"))
    wide = max(step, 4)
    chosen = (BARS_LEFT + step * (state.channel + 0.5) - wide / 2, TOP - 3, wide, BARS_HEIGHT + 6)
    parts += [box(chosen, stroke=VERMILLION, width=1.5), svg.glass("maps", place, 1, len(values))]
    parts.append(small(BARS_LEFT, TOP + BARS_HEIGHT + 38, "click a unit"))
    return "".join(parts)


class FeatureMapExplorer(Explorer[FeatureMaps]):
    """Every feature map that a network makes of some images, with the values in it.

    ``activations`` takes images [1, height, width, channels], one of those given, and returns a
    dictionary: layer name to array [1, height, width, channels], or [1, units]. It is asked once
    for each image that is looked at. ``images`` are [n, height, width, 1 or 3]; ``titles`` names
    them. All maps of a layer share one scale: blue, white at 0, red if any value is negative, else
    dark at 0 to bright. What goes wrong in ``activations`` is `error`, and is written in the
    picture's place.

    Settings: ``image`` (its number), ``layer`` (its name), ``channel, row, column``. ``map``,
    ``value``, ``values`` and ``layers`` hold what is shown. Built for lesson 10.
    """

    _draw = staticmethod(maps_picture)
    _trouble = staticmethod(
        partial(
            drawing.trouble,
            title="There are no feature maps to show",
            remedy="Choose another image or layer, or mend the function and run the cell again.",
        )
    )

    def __init__(
        self,
        activations: Callable[[np.ndarray], Mapping[str, Any]],
        images: np.ndarray,
        titles: Iterable[Any] | None = None,
        **settings: Any,
    ) -> None:
        source = Source(activations, images, titles)
        fields = {
            "image": choice("image", [(name, index) for index, name in enumerate(source.titles)]),
            "layer": choice("layer", ()),
            "channel": slider("map"),
            "row": whole("row", 0, 0),
            "column": whole("column", 0, 0),
        }
        fields["channel"].layout = {"flex": "1 1 264px"}
        *choices, row, column = fields.values()
        super().__init__(FeatureMaps(source), fields, rows([*choices, rows([row, column])]))
        self.set(**settings)

    def static(self, step: int | None = None) -> Picture:
        """Return the picture as it is, or with another map of the layer, without controls."""
        state = self.state if step is None else changed(self.state, channel=step)
        return self._picture_of(state)

    def _meant(self, pick: str, row: int, column: int) -> dict[str, Any]:
        """A cell of the large map is a place; one of the grid is a map to look at."""
        if pick == "map":
            return {"row": row, "column": column}
        columns = (
            len(self.state.values)
            if self.state.dense
            else raster.square_grid(self.state.values.shape[2])
        )
        channel = row * columns + column
        return {"channel": channel} if channel < self.state.values.shape[-1] else {}

    def _sync(self, name: str, field: Any) -> None:
        if self.error:
            return
        if name == "layer":
            field.options = [(_described(*layer), layer[0]) for layer in self.state.layers.items()]
        elif name == "channel":
            field.max = self.state.values.shape[-1] - 1
        elif name in ("row", "column"):
            field.max = self.state.map.shape[name == "column"] - 1
        super()._sync(name, field)


def _described(name: str, values: np.ndarray) -> str:
    return f"{name}  {' × '.join(map(str, values.shape))}"

"""The explorers: a picture from `drawing`, with controls around it that every keyboard reaches.

An explorer is a plain object. What it shows is `state`, `set` changes it, and the numbers behind
the picture (``window``, ``products``, ``sum``, ``output``, ``formula`` ...) are its attributes.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

import anywidget
import ipywidgets
import numpy as np
import traitlets

from cnncourse.explorers import drawing
from cnncourse.explorers.compute import (
    LENET,
    MOST_CHANNELS,
    OWN,
    PRESETS,
    Convolution,
    Pooling,
    ReceptiveFieldStack,
    as_image,
    as_kernel,
    as_layers,
    changed,
    digit,
    from_text,
    layers_to_text,
    to_text,
)
from cnncourse.explorers.svg import Picture

PADDINGS = (("VALID: none", "valid"), ("SAME: as TensorFlow", "same"))
NUMBERS = tuple((f"{n} on each side", n) for n in (1, 2, 3))
STYLE, WIDE = {"description_width": "84px"}, {"width": "264px"}
HINT = "an empty line between channels; Tab applies"
State = TypeVar("State")


def slider(name: str, most: int = 1) -> ipywidgets.IntSlider:
    """Return a labelled slider from 0."""
    return ipywidgets.IntSlider(0, 0, most, description=name, style=STYLE, layout=WIDE)


def whole(name: str, least: int, most: int) -> ipywidgets.BoundedIntText:
    """Return a labelled field for a whole number; unlike a slider, screen readers name it."""
    layout = {"width": "158px"}
    return ipywidgets.BoundedIntText(
        least, max=most, min=least, description=name, style=STYLE, layout=layout
    )


def choice(name: str, options: Any) -> ipywidgets.Dropdown:
    """Return a labelled list to choose from."""
    pairs = [option if isinstance(option, tuple) else (option, option) for option in options]
    return ipywidgets.Dropdown(options=pairs, description=name, style=STYLE, layout=WIDE)


def page(name: str, hint: str, rows: int = 8) -> ipywidgets.VBox:
    """Return a labelled field of several lines, read when it is left, under a hint."""
    field = ipywidgets.Textarea(
        description=name,
        rows=rows,
        continuous_update=False,
        style={"description_width": "52px"},
        layout={"width": "98%"},
    )
    return ipywidgets.VBox([ipywidgets.Label(hint), field], layout={"width": "390px"})


class Canvas(anywidget.AnyWidget):
    """The picture in the page; a click or a drag over a pick area comes back as a message."""

    _esm = (Path(__file__).parent / "canvas.js").read_text(encoding="utf-8")
    _css = ".cnncourse-canvas [data-pick] { cursor: pointer; }"
    svg = traitlets.Unicode().tag(sync=True)


class Explorer(Generic[State]):
    """What all of them share: a state, its picture, and controls that follow each other.

    ``explorer.widget`` is the whole as a widget. Settings that cannot be do not raise: `error` and
    the picture's place hold the ValueError's text until they are changed. Unknown settings and
    arrays of a wrong shape do raise.
    """

    _draw: Callable[[Any], Picture]
    _trouble: Callable[[str], Picture] = staticmethod(drawing.trouble)  # in the picture's place
    _meant: Callable[[str, int, int], dict[str, Any]]  # settings that a click on a cell asks for

    def __init__(self, state: State, fields: dict[str, Any], area: ipywidgets.Widget) -> None:
        self._state: Any = state
        self._fields, self._syncing = fields, False
        self._picture = Canvas()
        self._picture.on_msg(lambda _, message, __: self._picked(message))
        self.widget = ipywidgets.VBox([area, self._picture])
        self.error: str | None = None
        for name, field in fields.items():
            field.observe(lambda change, name=name: self._asked(name, change["new"]), "value")

    @property
    def state(self) -> State:
        """The settings, with everything that follows from them."""
        return self._state

    def __getattr__(self, name: str) -> Any:
        """Read what is not the explorer's own off its state."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._state, name)

    def __dir__(self) -> list[str]:
        """Names that tab completion offers: the state's as well."""
        return sorted({*super().__dir__(), *(n for n in dir(self._state) if n[0] != "_")})

    def set(self, **changes: Any) -> None:
        """Change settings, by the names of the state's fields, and draw again."""
        self._state = changed(self._state, **self._implied(changes))
        self._refresh()

    def static(self, step: int | None = None) -> Picture:
        """Return the picture as it is, or at another position, without controls."""
        if step is None:
            return self._picture_of(self._state)
        count = self._state.positions
        if not 0 <= step < count:
            raise ValueError(f"step is {step}; the positions are 0 to {count - 1}")
        return self._picture_of(changed(self._state, position=step))

    def _implied(self, changes: dict[str, Any]) -> dict[str, Any]:
        return changes

    def _picture_of(self, state: State) -> Picture:
        try:
            return self._draw(state)
        except ValueError as error:
            return self._trouble(str(error))

    def _asked(self, name: str, value: Any) -> None:
        """Follow a control; what cannot be read is said in the picture's place."""
        if self._syncing:
            return
        try:
            self.set(**self._read(name, value))
        except ValueError as error:
            self._show(self._trouble(str(error)), str(error))

    def _picked(self, message: dict[str, Any]) -> None:
        """Follow a click on a cell of the picture; see ``Grid.pick``."""
        self.set(**self._meant(message["pick"], message["row"], message["column"]))

    def _read(self, name: str, value: Any) -> dict[str, Any]:
        return {name: value}

    def _shown(self, name: str) -> Any:
        return getattr(self._state, name)

    def _refresh(self) -> None:
        """Draw, and bring every control in line with the state."""
        try:
            self._show(self._draw(self._state), None)
        except ValueError as error:
            self._show(self._trouble(str(error)), str(error))
        self._syncing = True
        try:
            for name, field in self._fields.items():
                self._sync(name, field)
        finally:
            self._syncing = False

    def _show(self, picture: Picture, error: str | None) -> None:
        self.error, self._picture.svg = error, picture.svg

    def _sync(self, name: str, field: Any) -> None:
        try:
            value = self._shown(name)
        except ValueError:
            return
        if isinstance(field, ipywidgets.IntSlider | ipywidgets.BoundedIntText):
            value = max(value) if isinstance(value, tuple) else value
            field.max, field.min = max(field.max, value), min(field.min, value)
        elif isinstance(field, ipywidgets.Dropdown) and value not in dict(field.options).values():
            field.options = (*field.options, (str(value), value))
        field.value = value

    def __repr__(self) -> str:
        """The picture in words."""
        return f"{type(self).__name__}: {self.static().words}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Show the widget where a kernel runs, and its static twin everywhere else."""
        bundle = dict(self.widget._repr_mimebundle_() or {})
        twin = {"text/plain": repr(self), "text/html": self.static()._repr_html_()}
        return {**bundle, **twin}


class SteppingExplorer(Explorer[State]):
    """An explorer that goes from position to position: back, step, play, and a slider."""

    def __init__(self, state: State, fields: dict[str, Any], area: ipywidgets.Widget) -> None:
        places = slider("position")
        places.layout = {"flex": "1 1 320px"}
        self._play = ipywidgets.Play(interval=700, show_repeat=False)
        ipywidgets.jslink((self._play, "value"), (places, "value"))
        buttons = [
            ipywidgets.Button(description=words, layout=ipywidgets.Layout(width="90px"))
            for words in ("◀ back", "step ▶")
        ]
        for button, act in zip(buttons, (self.back, self.step), strict=True):
            button.on_click(lambda _, act=act: act())
        row = ipywidgets.HBox([*buttons, self._play, places])
        super().__init__(state, {**fields, "position": places}, ipywidgets.VBox([area, row]))

    def step(self) -> None:
        """Go to the next position, if there is one."""
        self.set(position=self._state.position + 1)

    def back(self) -> None:
        """Go to the position before, if there is one."""
        self.set(position=max(0, self._state.position - 1))

    def _meant(self, pick: str, row: int, column: int) -> dict[str, Any]:
        """A cell of the map is a position; one of the image is where the window should begin."""
        rows, columns = self._state.grid
        if pick == "window":
            row, column = row // self._state.stride, column // self._state.stride
        return {"position": min(row, rows - 1) * columns + min(column, columns - 1)}

    def _sync(self, name: str, field: Any) -> None:
        if name == "position" and not self.error:
            field.max = self._play.max = self._state.positions - 1
        super()._sync(name, field)


def rows(widgets: Iterable[ipywidgets.Widget]) -> ipywidgets.HBox:
    """Lay widgets out in lines, as many in a line as the page has room for."""
    return ipywidgets.HBox(list(widgets), layout={"flex_flow": "row wrap"})


class ConvolutionExplorer(SteppingExplorer[Convolution]):
    """A convolution, position by position, on an image and a kernel that can be typed over.

    ``image`` is (height, width) or (height, width, channels), by default a handwritten digit;
    ``kernel`` is (height, width), used for every channel and filter, or (height, width,
    in_channels / groups, filters). Settings: ``preset, kernel_size, stride, padding, dilation,
    in_channels, filters, groups, transposed, filter, position``, see `Convolution`.
    Built for lesson 01.

    >>> explorer = ConvolutionExplorer(stride=2, padding="same")
    >>> explorer.formula
    '(8 + 0 + 1 − 3) / 2 + 1 = 4'
    """

    _draw = staticmethod(drawing.convolution_picture)

    def __init__(self, image: Any = None, kernel: Any = None, **settings: Any) -> None:
        fields = {
            "preset": choice("kernel", (*PRESETS, OWN)),
            "transposed": choice("mode", (("convolution", False), ("transposed", True))),
            "padding": choice("padding", PADDINGS + NUMBERS),
            "kernel_size": whole("kernel size", 1, 7),
            "stride": whole("stride", 1, 4),
            "dilation": whole("dilation", 1, 3),
            "in_channels": whole("in channels", 1, MOST_CHANNELS),
            "filters": whole("filters", 1, MOST_CHANNELS),
            "groups": whole("groups", 1, MOST_CHANNELS),
            "filter": whole("show filter", 0, MOST_CHANNELS - 1),
        }
        pages = {
            "image": page("image", HINT),
            "kernel": page("kernel", "of the filter shown; likewise"),
        }
        area = rows(fields.values())
        state = Convolution(digit() if image is None else as_image(image))
        fields |= {name: box.children[1] for name, box in pages.items()}
        super().__init__(state, fields, area)
        self.widget.children += (rows(pages.values()),)
        given = {"image": state.image, "kernel": kernel}
        self.set(**{name: value for name, value in given.items() if value is not None}, **settings)

    @property
    def image(self) -> np.ndarray:
        """The image in use [height, width, in_channels]."""
        return self.state.inputs

    @property
    def kernel(self) -> np.ndarray:
        """The kernel in use [height, width, in_channels / groups, filters]."""
        return self.state.weights

    def _implied(self, changes: dict[str, Any]) -> dict[str, Any]:
        implied: dict[str, Any] = {}
        if "image" in changes:
            implied["in_channels"] = as_image(changes["image"]).shape[2]
        if changes.get("preset") == OWN and self.state.kernel is None:
            changes = {"kernel": self.kernel, **changes}
        if "kernel" in changes:
            kernel = as_kernel(changes["kernel"])
            implied |= {"preset": OWN, "kernel_size": kernel.shape[:2]}
            if np.ndim(changes["kernel"]) == 4:
                groups = changes.get("groups", self.state.groups)
                implied |= {"in_channels": kernel.shape[2] * groups, "filters": kernel.shape[3]}
        return {**implied, **changes}

    def _read(self, name: str, value: Any) -> dict[str, Any]:
        if name == "image":
            return {"image": from_text(value)}
        if name != "kernel":
            return {name: value}
        one, kernel = from_text(value), self.kernel
        if self.state.filters == 1:
            return {"kernel": one[..., np.newaxis]}
        if one.shape != kernel.shape[:3]:
            raise ValueError(
                f"this kernel has shape {one.shape}, the other filters {kernel.shape[:3]}; "
                "keep that shape, or set filters to 1"
            )
        kernel = kernel.copy()
        kernel[..., self.state.filter] = one
        return {"kernel": kernel}

    def _shown(self, name: str) -> Any:
        if name == "image":
            return to_text(self.state.image)
        if name == "kernel":
            return to_text(self.state.weights[..., self.state.filter])
        return super()._shown(name)


class PoolingExplorer(SteppingExplorer[Pooling]):
    """Max or average pooling, position by position; padding is never counted.

    ``image`` is as for `ConvolutionExplorer`. Settings: ``kind`` ("max" or "average"),
    ``window_size, stride, padding`` ("valid" or "same"), ``position``. Built for lesson 02.

    >>> PoolingExplorer([[1, 2], [3, 4]]).result
    array([4.])
    """

    _draw = staticmethod(drawing.pooling_picture)

    def __init__(self, image: Any = None, **settings: Any) -> None:
        fields = {
            "kind": choice("kind", ("max", "average")),
            "padding": choice("padding", PADDINGS),
            "window_size": whole("window", 1, 5),
            "stride": whole("stride", 1, 5),
        }
        box = page("image", HINT)
        super().__init__(
            Pooling(digit() if image is None else as_image(image)),
            {**fields, "image": box.children[1]},
            rows(fields.values()),
        )
        self.widget.children += (box,)
        self.set(**settings)

    def _read(self, name: str, value: Any) -> dict[str, Any]:
        return {name: from_text(value) if name == "image" else value}

    def _shown(self, name: str) -> Any:
        value = super()._shown(name)
        return to_text(value) if name == "image" else value


class ReceptiveFieldExplorer(Explorer[ReceptiveFieldStack]):
    """Which cells of the image reach one output cell of a stack of layers.

    ``layers`` may be the layers of a network of ``cnncourse.networks``, tuples (kernel, stride,
    dilation, padding), or text with a line ``name kernel stride dilation padding`` for each; by
    default LeNet's. Settings: ``image_size, level`` (whose output, 1 the first layer's, 0 the
    last's), ``row, column``. Built for lesson 03.

    >>> ReceptiveFieldExplorer([(3,), (3,)], image_size=8, row=0, column=0).window
    ((0, 1, 2, 3, 4), (0, 1, 2, 3, 4))
    """

    _draw = staticmethod(drawing.receptive_field_picture)

    def __init__(self, layers: Any = LENET, **settings: Any) -> None:
        fields = {
            "level": choice("output of", ((LENET[0].name, 1),)),
            "image_size": whole("image size", 1, 64),
            "row": slider("row", 27),
            "column": slider("column", 27),
        }
        box = page("layers", "name kernel stride dilation padding; Tab applies", 6)
        super().__init__(
            ReceptiveFieldStack(as_layers(layers)),
            {**fields, "layers": box.children[1]},
            rows(fields.values()),
        )
        self.widget.children += (box,)
        self.set(**settings)

    def static(self, step: int | None = None) -> Picture:
        """Return the picture as it is, or with the output cell in another column."""
        state = self.state if step is None else changed(self.state, column=step)
        return self._picture_of(state)

    def _meant(self, pick: str, row: int, column: int) -> dict[str, Any]:
        """A cell of a level's row is the output cell to look at; the explorer's row is kept."""
        level = int(pick.removeprefix("level "))
        return {"level": level, "column": column}

    def _shown(self, name: str) -> Any:
        return layers_to_text(self.state.layers) if name == "layers" else super()._shown(name)

    def _sync(self, name: str, field: Any) -> None:
        if name == "level":
            layers = enumerate(self.state.layers, start=1)
            field.options = [(f"{index} {layer.name}", index) for index, layer in layers]
        elif name in ("row", "column") and not self.error:
            field.max = max(self.state.sizes[self.state.level] - 1, 0)
        super()._sync(name, field)

"""Pictures: images, kernels, feature maps, heat, probabilities, confusion, calibration, curves.

Each function draws on matplotlib's current figure settings and returns None, so a notebook cell may
end with it. Take the figure with ``plt.gcf()``. Colours are from the Okabe-Ito set, which survives
colour blindness, and lines differ in dashes as well. Pixels stay squares: matplotlib's smoothing
would show values that are not there, and make a notebook's pictures two to three times as large.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnncourse.arithmetic import output_size, padding_amounts

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MAP_COLOURS = 15  # steps that one can find again in the colour bar; odd, so that one is white
DASHES = ("-", "--", "-.", ":")


def show_images(
    images: np.ndarray,
    titles: Sequence[object] | None = None,
    *,
    columns: int = 10,
    heading: str | None = None,
    wrong: Sequence[bool] | None = None,
) -> None:
    """Draw images [n, height, width, channels] in a grid, each under its title.

    One channel is drawn in grey (0 black, the largest value white), three as colours. Images whose
    entry in ``wrong`` is true get a red title with a cross. Raises ValueError for other shapes and
    for titles that do not match.
    """
    images = _checked_images(images)
    _check_lengths(len(images), "images", titles=titles, wrong=wrong)
    figure, grid = _grid(len(images), columns, (1.0, 1.0 if titles is None else 1.25))
    for index, (axes, image) in enumerate(zip(grid.flat, images, strict=False)):
        _draw_image(axes, image)
        if titles is not None:
            bad = wrong is not None and wrong[index]
            axes.set_title(
                f"{titles[index]}{' ✗' if bad else ''}",
                fontsize=9,
                color=COLOURS[1] if bad else "black",
            )
    if heading:
        figure.suptitle(heading)


def show_kernels(
    kernel: np.ndarray,
    *,
    columns: int = 8,
    heading: str | None = None,
    channel: int = 0,
    label: str = "weight",
) -> None:
    """Draw each filter of a kernel [height, width, in_channels, out_channels] for one channel.

    Blue is negative, white is 0, red is positive; all filters share one scale, which ``label``
    names.
    """
    kernel = np.asarray(kernel)
    if kernel.ndim != 4:
        raise ValueError(
            f"kernel has shape {kernel.shape}; give (height, width, in_channels, out_channels)"
        )
    if not 0 <= channel < kernel.shape[2]:
        raise ValueError(f"channel is {channel}; this kernel has {kernel.shape[2]} in_channels")
    limit = np.abs(kernel).max() or 1.0
    chosen = kernel[:, :, channel, :]
    _draw_scaled(chosen, columns, heading, None, ("RdBu_r", -limit, limit), label)


def show_maps(
    maps: np.ndarray,
    *,
    columns: int = 8,
    heading: str | None = None,
    titles: Sequence[object] | None = None,
) -> None:
    """Draw feature maps [height, width, channels] in a grid; all share one scale.

    Maps without negative numbers, as ReLU leaves them, go from 0 (dark) to the largest value
    (bright). If there are negative numbers, blue is negative, white is 0, red is positive. Lesson
    10 uses it.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or 0 in maps.shape:
        raise ValueError(
            f"maps have shape {maps.shape}; give (height, width, channels) of one image: maps[0]"
        )
    _check_lengths(maps.shape[2], "maps", titles=titles)
    limit = np.abs(maps).max() or 1.0
    scale = ("RdBu_r", -limit, limit) if maps.min() < 0 else ("viridis", 0.0, limit)
    _draw_scaled(maps, columns, heading, titles, scale, "activation")


def show_overlay(
    images: np.ndarray,
    heats: np.ndarray,
    titles: Sequence[object] | None = None,
    *,
    columns: int = 5,
    heading: str | None = None,
) -> None:
    """Draw heat [n, rows, columns] in orange over pale images [n, height, width, 1 or 3].

    One channel is drawn as dark ink on white paper, where orange shows. Heat is not negative and
    may be coarser than the image: each of its squares covers its share of the image. Every picture
    is scaled to its own largest heat, so only places within one picture compare. Lesson 10 uses it
    for Grad-CAM.
    """
    images, heats = _checked_images(images), np.asarray(heats)
    if heats.ndim != 3 or len(heats) != len(images) or 0 in heats.shape or heats.min() < 0:
        raise ValueError(
            f"heats have shape {heats.shape} for {len(images)} images; give (n, rows, columns), "
            "nothing negative: np.maximum(heats, 0)"
        )
    _check_lengths(len(images), "images", titles=titles)
    figure, grid = _grid(len(images), columns, (1.25, 1.25 if titles is None else 1.5))
    height, width = images.shape[1:3]
    for index, (axes, image) in enumerate(zip(grid.flat, images, strict=False)):
        _draw_image(axes, image, grey="grey_r", alpha=0.6)
        heat = heats[index] / (heats[index].max() or 1.0)
        axes.imshow(
            np.ones(heat.shape),
            cmap=ListedColormap(COLOURS[1]),
            alpha=0.75 * heat,
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        )
        if titles is not None:
            axes.set_title(titles[index], fontsize=8)
    if heading:
        figure.suptitle(heading)


def show_probabilities(
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    images: np.ndarray | None = None,
    labels: Sequence[int] | None = None,
    heading: str | None = None,
) -> None:
    """Draw probabilities [n, classes] as bars, a row for each image, beside it if given.

    Each bar carries its number. The bar of the true class is hatched and says "label". ``labels``
    are class numbers [n]. Lesson 09 uses it.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.ndim != 2 or len(probabilities) == 0:
        raise ValueError(
            f"probabilities have shape {probabilities.shape}; give (n, classes), n at least 1; "
            "for one image: probabilities[np.newaxis]"
        )
    rows, classes = probabilities.shape
    if probabilities.min() < 0 or probabilities.max() > 1.001:
        raise ValueError(
            f"probabilities go from {probabilities.min():g} to {probabilities.max():g}; give "
            "numbers from 0 to 1: the softmax of the logits"
        )
    _check_lengths(classes, "classes", class_names=class_names)
    _check_lengths(rows, "rows of probabilities", images=images, labels=labels)
    if labels is not None and not all(0 <= label < classes for label in labels):
        raise ValueError(f"labels are {list(labels)}; give class numbers from 0 to {classes - 1}")
    widths = [4.0] if images is None else [1.8, 4.0]
    size = (sum(widths) + 0.8, rows * (0.19 * classes + 0.25) + 0.4)
    figure, grid = plt.subplots(
        rows, len(widths), figsize=size, squeeze=False, width_ratios=widths, layout="constrained"
    )
    for row, (panels, values) in enumerate(zip(grid, probabilities, strict=True)):
        axes = panels[-1]
        bars = axes.barh(range(classes), values, color=COLOURS[0])
        texts = [f"{value:.2f}" for value in values]
        if labels is not None:
            bars[labels[row]].set(facecolor=COLOURS[4], hatch="///")
            texts[labels[row]] += "  ◂ label"
        axes.bar_label(bars, texts, padding=3, fontsize=7)
        axes.set_yticks(range(classes), class_names, fontsize=8)
        axes.set(xlim=(0, 1.3), xticks=(0, 0.5, 1))
        axes.invert_yaxis()
        if images is not None:
            panels[0].axis("off")
            _draw_image(panels[0], np.asarray(images[row]))
    axes.set_xlabel("probability")
    if heading:
        figure.suptitle(heading)


def show_confusion(
    confusion: np.ndarray, class_names: Sequence[str], *, heading: str | None = None
) -> None:
    """Draw how often each class was taken for each: counts [label, predicted], with numbers.

    Only errors are coloured, and the scale ends at the commonest one, so that they show beside the
    many correct ones, which stand in grey on the diagonal. Lesson 09 uses it.
    """
    confusion = np.asarray(confusion)
    counts = np.issubdtype(confusion.dtype, np.integer)
    if not counts or confusion.ndim != 2 or len(set(confusion.shape)) != 1:
        raise ValueError(
            f"confusion has shape {confusion.shape} and holds {confusion.dtype}; give whole "
            "numbers (classes, classes), a row for each label, a column for each predicted class"
        )
    classes = len(confusion)
    _check_lengths(classes, "classes", class_names=class_names)
    errors = np.ma.masked_array(confusion, np.eye(classes, dtype=bool))
    most = max(errors.max(), 1) if classes > 1 else 1
    _, axes = plt.subplots(figsize=(0.55 * classes + 1.2,) * 2, layout="constrained")
    axes.set_facecolor("0.88")  # seen through the mask: the diagonal
    axes.imshow(errors, cmap="Oranges", vmin=0, vmax=most)
    for (row, column), count in np.ndenumerate(confusion):
        dark = row != column and count > 0.6 * most
        pale = row != column and count == 0
        colour = "white" if dark else "0.75" if pale else "black"
        axes.text(column, row, f"{count}", color=colour, ha="center", va="center", fontsize=8)
    turned = max(map(len, class_names)) > 3
    axes.set_xticks(range(classes), class_names, rotation=90 if turned else 0)
    axes.set_yticks(range(classes), class_names)
    axes.set(xlabel="predicted", ylabel="label", title=heading or "")


def show_calibration(
    confidence: np.ndarray, correct: np.ndarray, *, bins: int = 10, heading: str | None = None
) -> None:
    """Draw accuracy against confidence in equal bins, and below it how many images each bin holds.

    ``confidence`` [n] is the probability that the network gave to its own prediction, ``correct``
    [n] whether it was right. A point stands at its bin's mean confidence. The bars are 95 % Wilson
    intervals: long where a bin holds few images. Lesson 09 uses it. Source of the interval: E. B.
    Wilson, Journal of the American Statistical Association 22, 1927.
    """
    confidence, correct = np.asarray(confidence, "float64"), np.asarray(correct, "float64")
    if confidence.ndim != 1 or len(confidence) == 0 or confidence.shape != correct.shape:
        raise ValueError(
            f"confidence has shape {confidence.shape} and correct {correct.shape}; give one number "
            "of each for every image"
        )
    if confidence.min() < 0 or confidence.max() > 1.001:
        raise ValueError(
            f"confidence goes from {confidence.min():g} to {confidence.max():g}; give the largest "
            "probability of each image: probabilities.max(axis=1)"
        )
    if bins < 1:
        raise ValueError(f"bins is {bins}; give at least 1")
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(number, minlength=bins)
    filled = counts > 0
    n, right = counts[filled], np.bincount(number, correct, bins)[filled]
    mean = np.bincount(number, confidence, bins)[filled] / n
    accuracy, z = right / n, 1.96
    middle = (right + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(right * (n - right) / n + z**2 / 4) / (n + z**2)
    reach = np.maximum([accuracy - (middle - half), middle + half - accuracy], 0)

    _, (upper, lower) = plt.subplots(
        2, 1, figsize=(5, 5.2), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    upper.plot((0, 1), (0, 1), "--", color="0.4", label="accuracy = confidence")
    upper.errorbar(mean, accuracy, reach, fmt="o", color=COLOURS[0], capsize=3, label="measured")
    upper.set(ylabel="accuracy", ylim=(-0.03, 1.03), title=heading or "")
    upper.legend(loc="lower right")
    upper.grid(alpha=0.3)
    bars = lower.bar((np.arange(bins) + 0.5) / bins, counts, 0.92 / bins, color=COLOURS[4])
    lower.bar_label(bars, [f"{count:,}" for count in counts], fontsize=7, padding=2)
    lower.set(xlabel="confidence", ylabel="images (log)", xlim=(0, 1), yscale="symlog")
    lower.set_ylim(0, 8 * counts.max())
    lower.tick_params(axis="y", which="both", left=False, labelleft=False)


def show_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    across: str,
    up: str,
    heading: str | None = None,
    log: bool = False,
    axes: Axes | None = None,
) -> None:
    """Draw curves, name to (x values, y values), with a legend and named axes.

    ``across`` and ``up`` name the axes, units included. ``log`` makes the vertical axis
    logarithmic.
    """
    if not curves:
        raise ValueError("curves is empty; give at least one name with its x and y values")
    if axes is None:
        _, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for index, (name, (x, y)) in enumerate(curves.items()):
        if len(x) != len(y):
            raise ValueError(f"curve {name!r} has {len(x)} x values and {len(y)} y values")
        crowded = len(x) > 200  # a line for every step: thin and pale, so that others show
        axes.plot(
            x,
            y,
            DASHES[index % len(DASHES)],
            color=COLOURS[index % len(COLOURS)],
            marker="o" if len(x) <= 20 else None,
            lw=0.6 if crowded else 2,
            alpha=0.6 if crowded else 1,
            label=name,
        )
    axes.set(xlabel=across, ylabel=up, title=heading or "")
    if log:
        axes.set_yscale("log")
    if all(float(value).is_integer() for x, _ in curves.values() for value in x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if len(curves) > 1:
        axes.legend()


def show_windows(
    image: np.ndarray,
    window: int,
    *,
    stride: int = 1,
    padding: str = "same",
    shown: int = 3,
    heading: str | None = None,
    axes: Axes | None = None,
) -> None:
    """Draw where a window stands on an image [height, width]: the first few places, and the last.

    The frame is the image; what lies outside it are the zeros that padding adds. Outlines differ
    in colour and in dashes, and each stands one stride beside the one before.
    """
    image = np.asarray(image)
    if image.ndim != 2:
        raise ValueError(f"image has shape {image.shape}; give one channel: (height, width)")
    (top, bottom), (left, right) = (
        padding_amounts(side, window, stride, padding=padding) for side in image.shape
    )
    rows, columns = (output_size(side, window, stride, padding) for side in image.shape)
    if axes is None:
        _, axes = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
    padded = np.pad(image, ((top, bottom), (left, right)))
    height, width = padded.shape
    extent = (-0.5 - left, width - 0.5 - left, height - 0.5 - top, -0.5 - top)
    limits = {"vmin": min(0, padded.min()), "vmax": max(1, padded.max())}
    axes.imshow(padded, cmap="grey_r", alpha=0.8, extent=extent, **limits)
    frame = plt.Rectangle((-0.5, -0.5), image.shape[1], image.shape[0], fill=False, lw=1.5)
    axes.add_patch(frame)
    places = [(0, column) for column in range(min(shown, columns))] + [(rows - 1, columns - 1)]
    for index, (row, column) in enumerate(places):
        corner = (column * stride - left - 0.5, row * stride - top - 0.5)
        outline = plt.Rectangle(corner, window, window, fill=False, lw=2.5)
        outline.set(edgecolor=COLOURS[index], linestyle=DASHES[index % len(DASHES)])
        axes.add_patch(outline)
    axes.set(
        xlabel=f"width: {columns} places, stride {stride}",
        ylabel=f"height: {rows} places, stride {stride}",
        title=heading or "",
    )
    axes.set_xlim(extent[0] - 0.3, extent[1] + 0.3)
    axes.set_ylim(extent[2] + 0.3, extent[3] - 0.3)


def show_shares(names: Sequence[str], amounts: Mapping[str, Sequence[float]]) -> None:
    """Draw what share of each total the named parts have, one group of bars for each total.

    ``amounts`` maps a total's name to one number for each of ``names``. Every bar carries its
    share in percent.
    """
    for total, values in amounts.items():
        if len(values) != len(names) or sum(values) <= 0:
            raise ValueError(
                f"amounts[{total!r}] is {list(values)}; give {len(names)} numbers, one for each "
                "name, that add up to more than 0"
            )
    _, panels = plt.subplots(
        1, len(amounts), figsize=(4.5 * len(amounts), 0.5 * len(names) + 1), layout="constrained"
    )
    for index, (axes, (total, values)) in enumerate(
        zip(np.atleast_1d(panels), amounts.items(), strict=True)
    ):
        shares = [100 * value / sum(values) for value in values]
        bars = axes.barh(names, shares, color=COLOURS[index], hatch=("", "//", "..")[index % 3])
        axes.bar_label(bars, [f"{share:.1f} %" for share in shares], padding=3)
        axes.invert_yaxis()
        axes.set(xlabel=f"share of all {total}, %", xlim=(0, 120), title=total)


def show_memory_plan(plan: Any, *, heading: str | None = None, axes: Axes | None = None) -> None:
    """Draw what each layer holds at the peak of a `cnncourse.memory.Plan`, stacked by part, in MB.

    The lowest bar is the batch; the bars add up to the plan's total. Lesson 14 uses it.
    """
    rows = [(row.name, row.at_peak) for row in plan.layers]
    rows.append(("batch", {"input": plan["input"]}))
    if axes is None:
        size = (7, 0.3 * len(rows) + 1.4)
        _, axes = plt.subplots(figsize=size, layout="constrained")
    names = [name for name, _ in rows]
    left = np.zeros(len(rows))
    for index, part in enumerate(plan):
        held = np.array([parts.get(part, 0) / 1e6 for _, parts in rows])
        bars = axes.barh(names, held, left=left, label=part, **_part_look(index))
        left += held
    axes.bar_label(bars, [f"{total:,.1f}" for total in left], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel=f"MB at the peak, during {plan.at!r}", xlim=(0, 1.15 * left.max()))
    axes.set_title(heading or f"{plan.name}: {plan.total / 1e6:,.1f} MB")
    axes.legend(fontsize=8)


def show_memory_moments(
    plan: Any,
    *,
    measured: float | None = None,
    heading: str | None = None,
    axes: Axes | None = None,
) -> None:
    """Draw how memory rises and falls in a `cnncourse.memory.Plan`: a bar an operation, in MB.

    ``measured``, a peak in bytes, is drawn as a line with the plan's error. Lesson 14 uses it.
    """
    if axes is None:
        size = (max(5, 0.22 * len(plan.moments)) + 2.5, 4)
        _, axes = plt.subplots(figsize=size, layout="constrained")
    places = np.arange(len(plan.moments))
    bottom = np.zeros(len(places))
    for index, part in enumerate(plan):
        held = np.array([parts[part] / 1e6 for _, parts in plan.moments])
        axes.bar(places, held, 1, bottom, label=part, **_part_look(index))
        bottom += held
    peak = int(bottom.argmax())
    axes.annotate(
        f"{bottom[peak]:,.1f} MB",
        (peak, bottom[peak]),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
    )
    top = bottom[peak]
    if measured is not None:
        error = 100 * (plan.total / measured - 1)
        top = max(top, measured / 1e6)
        label = f"measured {measured / 1e6:,.1f} MB (plan {error:+.1f} %)"
        axes.axhline(measured / 1e6, color="black", linestyle="--", label=label)
    axes.set_xticks(places, [name for name, _ in plan.moments], rotation=90, fontsize=6)
    axes.set(ylabel="MB", xlabel="operation, in order", ylim=(0, 1.2 * top))
    axes.set_title(heading or plan.name)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))  # beside: it would hide bars


def _part_look(index: int) -> dict[str, Any]:
    """Colour and hatching of a part: told apart without colour too."""
    hatch = ("", "//", "", "..", "xx", "")[index % 6]
    return {"color": COLOURS[index % len(COLOURS)], "hatch": hatch, "edgecolor": "white", "lw": 0.3}


def _checked_images(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"images have shape {images.shape}; give (n, height, width, 1 or 3), n at least 1; "
            "for one image: image[np.newaxis]"
        )
    return images


def _check_lengths(count: int, of: str, **arguments: Sequence[object] | np.ndarray | None) -> None:
    for name, values in arguments.items():
        if values is not None and len(values) != count:
            raise ValueError(f"{name} has {len(values)} entries for {count} {of}")


def _grid(count: int, columns: int, cell: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """Make a figure of at least ``count`` bare axes; ``cell`` is (width, height) in inches."""
    columns = min(columns, count)
    rows = ceil(count / columns)
    size = (columns * cell[0], rows * cell[1])
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axes in grid.flat:
        axes.axis("off")
    return figure, grid


def _draw_image(axes: Axes, image: np.ndarray, grey: str = "grey", alpha: float = 1) -> None:
    image = image[:, :, 0] if image.shape[-1] == 1 else image
    axes.imshow(image, cmap=grey, alpha=alpha, interpolation="nearest")


def _draw_scaled(
    maps: np.ndarray,
    columns: int,
    heading: str | None,
    titles: Sequence[object] | None,
    scale: tuple[str, float, float],
    unit: str,
) -> None:
    """Draw maps [height, width, n] in a grid on one scale: (colour map, lowest, highest)."""
    count = maps.shape[2]
    figure, grid = _grid(count, columns, (1.0, 1.0 if titles is None else 1.2))
    figure.set_dpi(72)  # two to three dots for a pixel: finer print would double the bytes
    name, low, high = scale
    colours = plt.get_cmap(name, MAP_COLOURS)
    for index, axes in enumerate(grid.flat[:count]):
        limits = {"vmin": low, "vmax": high}
        drawn = axes.imshow(maps[:, :, index], colours, interpolation="nearest", **limits)
        if titles is not None:
            axes.set_title(titles[index], fontsize=9)
    figure.colorbar(drawn, ax=grid, shrink=0.8, label=unit)
    if heading:
        figure.suptitle(heading)


def show_graph(
    plan: Mapping[str, tuple[str, Sequence[str]]],
    *,
    heading: str | None = None,
    axes: plt.Axes | None = None,
) -> None:
    """Draw a graph of operations: name to (kind, names of the operations that it takes in).

    Every operation stands one row below the lowest of its inputs, with its kind under its name.
    Raises ValueError where an operation is named before one that it takes in. Lesson 06 uses it.
    """
    depths: dict[str, int] = {}
    for name, (_, inputs) in plan.items():
        if missing := [above for above in inputs if above not in depths]:
            raise ValueError(
                f"plan[{name!r}] takes in {missing}, not named before it; list inputs first"
            )
        depths[name] = 1 + max((depths[above] for above in inputs), default=-1)
    if not depths:
        raise ValueError("plan is empty; give at least one operation: {'x': ('Placeholder', [])}")
    rows = [
        [name for name in plan if depths[name] == row] for row in range(1 + max(depths.values()))
    ]
    places = {
        name: ((column + 0.5) / len(row), -number)
        for number, row in enumerate(rows)
        for column, name in enumerate(row)
    }
    if axes is None:
        size = (1.6 * max(map(len, rows)), 0.9 * len(rows))
        _, axes = plt.subplots(figsize=size, layout="constrained")
    outline = {"boxstyle": "round", "facecolor": "white", "edgecolor": COLOURS[0]}
    for name, (kind, inputs) in plan.items():
        x, y = places[name]
        axes.text(x, y, f"{name}\n{kind}", ha="center", va="center", fontsize=8, bbox=outline)
        for above in inputs:
            axes.annotate(
                "", (x, y + 0.22), places[above], arrowprops={"arrowstyle": "->"}, zorder=1
            )
    axes.set(xlim=(0, 1), ylim=(0.5 - len(rows), 0.5), title=heading or "")
    axes.axis("off")

"""Pictures: image grids, kernels, curves.

Each function draws on matplotlib's current figure settings and returns None, so a notebook cell may
end with it. Take the figure with ``plt.gcf()``. Colours are from the Okabe-Ito set, which survives
colour blindness, and lines differ in dashes as well.
"""

from collections.abc import Mapping, Sequence
from math import ceil

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from cnncourse.arithmetic import output_size, padding_amounts

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
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
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or len(images) == 0:
        raise ValueError(
            f"images have shape {images.shape}; give (n, height, width, 1 or 3), n at least 1; "
            "for one image: image[np.newaxis]"
        )
    for name, values in (("titles", titles), ("wrong", wrong)):
        if values is not None and len(values) != len(images):
            raise ValueError(f"{name} has {len(values)} entries for {len(images)} images")
    columns = min(columns, len(images))
    rows = ceil(len(images) / columns)
    height = 1.0 if titles is None else 1.25
    figure, grid = plt.subplots(
        rows, columns, figsize=(columns, rows * height), squeeze=False, layout="constrained"
    )
    for index, axes in enumerate(grid.flat):
        axes.axis("off")
        if index >= len(images):
            continue
        grey = images.shape[-1] == 1
        axes.imshow(images[index, :, :, 0] if grey else images[index], cmap="grey")
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
    kernel: np.ndarray, *, columns: int = 8, heading: str | None = None, channel: int = 0
) -> None:
    """Draw each filter of a kernel [height, width, in_channels, out_channels] for one channel.

    Blue is negative, white is 0, red is positive; all filters share one scale.
    """
    kernel = np.asarray(kernel)
    if kernel.ndim != 4:
        raise ValueError(
            f"kernel has shape {kernel.shape}; give (height, width, in_channels, out_channels)"
        )
    if not 0 <= channel < kernel.shape[2]:
        raise ValueError(f"channel is {channel}; this kernel has {kernel.shape[2]} in_channels")
    filters = kernel.shape[3]
    columns = min(columns, filters)
    rows = ceil(filters / columns)
    limit = np.abs(kernel).max() or 1.0
    figure, grid = plt.subplots(
        rows, columns, figsize=(columns, rows), squeeze=False, layout="constrained"
    )
    for axes in grid.flat:
        axes.axis("off")
    for index, axes in enumerate(grid.flat[:filters]):
        drawn = axes.imshow(kernel[:, :, channel, index], cmap="RdBu_r", vmin=-limit, vmax=limit)
    figure.colorbar(drawn, ax=grid, shrink=0.8, label="weight")
    if heading:
        figure.suptitle(heading)


def show_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    across: str,
    up: str,
    heading: str | None = None,
    log: bool = False,
    axes: plt.Axes | None = None,
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
    axes: plt.Axes | None = None,
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

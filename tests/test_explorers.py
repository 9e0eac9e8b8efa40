"""The explorers without a browser: their numbers, their pictures, their controls."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from cnncourse import networks, reference
from cnncourse.explorers import (
    ConvolutionExplorer,
    MemoryExplorer,
    PoolingExplorer,
    ReceptiveFieldExplorer,
)
from cnncourse.explorers.compute import PRESETS, as_layers, from_text, preset_kernel, to_text
from cnncourse.explorers.svg import equals, number

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 10, (7, 6, 2)).astype(float)
SVG = "{http://www.w3.org/2000/svg}"


def svg_of(picture):
    return ElementTree.fromstring(picture.svg)


def words_in(picture):
    return [element.text for element in svg_of(picture).iter(f"{SVG}text")]


# Convolution


def test_a_window_worked_by_hand():
    image = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    explorer = ConvolutionExplorer(image, [[1, 0], [0, -1]], position=3)
    assert explorer.window[..., 0].tolist() == [[5, 6], [8, 9]]
    assert explorer.products[..., 0].tolist() == [[5, 0], [0, -9]]
    assert explorer.sum == -4
    assert explorer.output[..., 0].tolist() == [[-4, -4], [-4, -4]]
    assert explorer.formula == "(3 + 0 + 0 − 2) / 1 + 1 = 2"
    assert "5·1 + 6·0 + 8·0 + 9·(−1) = −4" in words_in(explorer.static())


SETTINGS = [
    {},
    {"stride": 2, "padding": "same"},
    {"stride": 3, "padding": "SAME", "kernel_size": 2},
    {"dilation": 2, "padding": 2},
    {"filters": 3, "filter": 2},
    {"groups": 2, "filters": 4, "filter": 3, "padding": "same"},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_sum_at_every_position_is_what_tensorflows_rule_gives_there(settings):
    explorer = ConvolutionExplorer(IMAGE, **settings)
    around = {"groups": 1, "dilation": 1, "stride": 1, "padding": "valid"} | {
        name: settings[name]
        for name in ("groups", "dilation", "stride", "padding")
        if name in settings
    }
    expected = reference.conv2d_naive(IMAGE[np.newaxis], explorer.kernel, **around)[0]
    np.testing.assert_allclose(explorer.output, expected)
    for position in range(explorer.positions):
        explorer.set(position=position)
        assert explorer.sum == pytest.approx(expected[explorer.cell][explorer.state.filter])
        assert number(explorer.sum) in repr(explorer)


@pytest.mark.parametrize("settings", [{}, {"padding": "same"}, {"padding": 1, "dilation": 2}])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_stamps_add_up_to_the_transposed_convolution(settings, stride):
    explorer = ConvolutionExplorer(IMAGE, transposed=True, filters=2, stride=stride, **settings)
    by_hand = np.zeros((200, 200))
    height, width = explorer.kernel.shape[:2]
    d = explorer.state.dilation
    for position in range(explorer.positions):
        explorer.set(position=position)
        row, column = explorer.corner
        rows, columns = slice(row, row + height * d, d), slice(column, column + width * d, d)
        by_hand[rows, columns] += explorer.sum
    (top, _), (left, _) = explorer.paddings
    rows, columns = explorer.size
    cut = by_hand[top : top + rows, left : left + columns]
    np.testing.assert_allclose(cut, explorer.output[..., 0])
    full = explorer.canvas[..., 0]
    np.testing.assert_allclose(by_hand[: full.shape[0], : full.shape[1]], full)


def test_formulas_parameters_and_multiply_adds():
    explorer = ConvolutionExplorer(np.zeros((7, 7)), stride=2, padding="same")
    assert explorer.formula == "(7 + 1 + 1 − 3) / 2 + 1 = 4"
    explorer.set(image=np.zeros((8, 7)))
    assert (
        explorer.formula == "height (8 + 0 + 1 − 3) / 2 + 1 = 4; width (7 + 1 + 1 − 3) / 2 + 1 = 4"
    )
    explorer.set(image=np.zeros((8, 8)), padding="valid")
    assert explorer.formula == "⌊(8 + 0 + 0 − 3) / 2⌋ + 1 = 3"
    explorer.set(transposed=True, padding="same")
    assert explorer.formula == "(8 − 1) × 2 + 3 − 0 − 1 = 16"
    explorer.set(transposed=False, in_channels=4, filters=2, groups=2, stride=1, padding="valid")
    assert (explorer.parameters, explorer.multiply_adds) == (3 * 3 * 2 * 2 + 2, 36 * 36)


def test_a_filter_sees_its_group_only_and_the_picture_says_so():
    explorer = ConvolutionExplorer(in_channels=4, filters=2, groups=2, filter=1)
    assert explorer.seen == range(2, 4)
    words = words_in(explorer.static())
    assert sum("does not see" in word for word in words) == 2
    assert any(word.startswith("image, channel 3, group 1") for word in words)


def test_padding_is_hatched_and_dilation_outlines_every_tap():
    plain, padded = (ConvolutionExplorer(padding=padding).static() for padding in ("valid", "same"))
    assert "hatched: zeros that the padding adds" in words_in(padded)
    assert not any("hatched" in word for word in words_in(plain))
    dilated = ConvolutionExplorer(dilation=2).static()
    taps = [p for p in svg_of(dilated).iter(f"{SVG}path") if p.get("stroke-width") == "2.5"]
    assert taps[0].get("d").count("M") == 9


def test_the_map_is_filled_up_to_the_position():
    explorer = ConvolutionExplorer([[1, 2, 3]], [[10]])
    # At its own position 20 stands among the products, as the sum and in the map; later in the map.
    assert [explorer.static(i).svg.count(">20</text>") for i in range(3)] == [0, 3, 1]


def test_impossible_settings_are_said_in_the_picture_and_recover():
    explorer = ConvolutionExplorer(kernel_size=9)
    assert explorer.error.startswith("kernel 9 does not fit into size 8")
    assert explorer.error in explorer._picture.svg.replace("&#x27;", "'")
    assert "kernel 9 does not fit" in repr(explorer)
    with pytest.raises(ValueError, match="kernel 9"):
        explorer.output  # noqa: B018
    explorer.set(kernel_size=3)
    assert explorer.error is None
    for settings, message in (
        ({"groups": 2}, "groups 2 does not divide"),
        ({"in_channels": 9}, "in_channels is 9"),
        ({"filters": 0}, "filters"),
        ({"stride": 0}, "stride is 0"),
        ({"padding": "full"}, "padding is 'full'"),
        ({"preset": "magic"}, "preset is 'magic'"),
    ):
        assert message in ConvolutionExplorer(**settings).error


def test_wrong_names_and_arrays_raise():
    with pytest.raises(ValueError, match="'strides' is no setting"):
        ConvolutionExplorer(strides=2)
    with pytest.raises(ValueError, match=r"image has shape \(3,\)"):
        ConvolutionExplorer([1, 2, 3])
    with pytest.raises(ValueError, match="5 channels"):
        PoolingExplorer(np.zeros((4, 4, 5)))
    with pytest.raises(ValueError, match=r"kernel has shape \(2,\)"):
        ConvolutionExplorer(kernel=[1, 2])
    with pytest.raises(ValueError, match="not finite"):
        ConvolutionExplorer([[np.nan]])
    with pytest.raises(ValueError, match="step is 36"):
        ConvolutionExplorer().static(36)


def test_a_learners_own_layer_sets_channels_and_filters():
    kernel = RNG.normal(size=(3, 2, 2, 4))
    explorer = ConvolutionExplorer(IMAGE, kernel, stride=2, filter=3)
    assert (explorer.state.kernel_size, explorer.state.filters) == ((3, 2), 4)
    np.testing.assert_array_equal(explorer.kernel, kernel)
    np.testing.assert_array_equal(explorer.image, IMAGE)
    assert ConvolutionExplorer(kernel=np.ones((3, 3, 1, 2)), groups=2).state.in_channels == 2


def test_presets():
    assert preset_kernel("vertical edges", 2, 3).tolist() == [[-1, 0, 1]] * 2
    assert preset_kernel("horizontal edges", 3, 2).tolist() == [[-1, -1], [0, 0], [1, 1]]
    assert preset_kernel("sharpen", 3, 3).tolist() == [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    for name in ("blur", "sharpen", "identity"):
        for size in range(1, 8):
            assert preset_kernel(name, size, size).sum() == pytest.approx(1)
    image = ConvolutionExplorer(preset="identity", padding="same")
    np.testing.assert_array_equal(image.output[..., 0], image.image[..., 0])


# Controls


def test_controls_and_state_follow_each_other():
    explorer = ConvolutionExplorer()
    fields = explorer._fields
    explorer.set(padding="SAME")
    assert len(fields["padding"].options) == 5
    explorer.set(padding="valid")
    fields["stride"].value = 2
    assert explorer.state.stride == 2
    assert fields["position"].max == explorer.positions - 1 == 8
    explorer.set(position=8, padding=5, stride=6)
    assert (fields["padding"].value, fields["stride"].value) == (5, 6)
    explorer.set(kernel_size=7, padding="valid")
    assert explorer.position == fields["position"].value == 0
    assert all(field.description for field in fields.values())


def test_step_and_back_stop_at_the_ends():
    explorer = PoolingExplorer()
    explorer.back()
    assert explorer.position == 0
    for _ in range(30):
        explorer.step()
    assert explorer.position == 15


def test_numbers_can_be_typed_over():
    explorer = ConvolutionExplorer()
    explorer._fields["image"].value = "1 2 3\n4 5 6\n\n1 1 1\n0 0 0"
    assert explorer.image.shape == (2, 3, 2)
    assert explorer.error.startswith("kernel 3 does not fit into size 2")
    explorer._fields["kernel"].value = "1 −1\n\n0.5 0"
    assert explorer.error is None
    assert explorer.kernel[..., 0].tolist() == [[[1, 0.5], [-1, 0]]]
    assert explorer.sum == 1 - 2 + 0.5
    explorer._fields["kernel"].value = "1 x"
    assert explorer.error == "the line '1 x' holds more than numbers"
    explorer.set(filters=2, filter=1)
    explorer._fields["kernel"].value = "7 8\n\n9 9"
    assert explorer.kernel[0, :, 0, 1].tolist() == [7, 8]
    assert explorer.kernel[0, :, 0, 0].tolist() == [1, -1]
    explorer._fields["kernel"].value = "7"
    assert "the other filters" in explorer.error
    explorer._fields["preset"].value = PRESETS[0]
    assert explorer.error is None


def test_text_and_numbers_are_inverse():
    np.testing.assert_array_equal(from_text(to_text(IMAGE)), IMAGE)
    with pytest.raises(ValueError, match="rows are not all as long"):
        from_text("1 2\n3")


# Pooling


def test_max_pooling_marks_the_first_of_equals():
    explorer = PoolingExplorer([[1, 3], [3, 0]])
    assert (explorer.result.tolist(), explorer.chosen) == ([3], ((0, 1),))
    assert "max(1, 3, 3, 0) = 3  (2 cells tie, the first is chosen)" in words_in(explorer.static())


def test_average_pooling_does_not_count_padding():
    explorer = PoolingExplorer([[2, 4, 6]], kind="average", padding="same", position=1)
    assert explorer.formula.startswith("height (1 + 0 + 1 − 2) / 2 + 1 = 1; width (3 + 0 + 1 − 2)")
    assert explorer.result.tolist() == [6]
    assert "(6) / 1 = 6  (3 padding cells do not count)" in words_in(explorer.static())


@pytest.mark.parametrize("kind", ["max", "average"])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pooling_at_every_position(kind, padding):
    explorer = PoolingExplorer(IMAGE, kind=kind, padding=padding, window_size=3)
    statistic = np.nanmax if kind == "max" else np.nanmean
    for position in range(explorer.positions):
        explorer.set(position=position)
        np.testing.assert_allclose(explorer.result, statistic(explorer.window, axis=(0, 1)))
        if kind == "max":
            values = [explorer.window[cell][c] for c, cell in enumerate(explorer.chosen)]
            assert values == explorer.result.tolist()
    assert PoolingExplorer(padding=1).error == "padding is 1; pooling takes 'valid' or 'same'"


# Receptive field


@pytest.mark.parametrize(
    "layers",
    ["a 3 2 1 same\nb 2 2\nc 3 1 2 same", "a 3 1 1 valid\nb 3 1 3", "a 5 1 1 2\nb 2 2 1 same"],
)
def test_the_receptive_field_is_what_a_gradient_finds(layers):
    size = 13
    explorer = ReceptiveFieldExplorer(layers, image_size=size, row=1, column=2)
    images = np.eye(size * size).reshape(-1, size, size, 1)  # one lit pixel each
    for _, kernel, stride, dilation, padding in explorer.layers:
        ones = np.ones((kernel, kernel, 1, 1))
        images = reference.conv2d(images, ones, None, stride, padding, dilation)
    seen = np.argwhere(images[:, 1, 2, 0].reshape(size, size))
    rows, columns = explorer.window
    assert {tuple(cell) for cell in seen.tolist()} == {(r, c) for r in rows for c in columns}
    field = explorer.fields[-1]
    inside = range(
        max(field.start + field.jump, 0), min(field.start + field.jump + field.size, size)
    )
    assert (rows[0] in inside, rows[-1] in inside) == (True, True)


def test_a_published_network_and_its_levels():
    layers = networks.NETWORKS["mnist-tf"].layers
    explorer = ReceptiveFieldExplorer(layers)
    assert explorer.sizes == (28, 28, 14, 14, 7)
    assert explorer.fields[-1] == (16, 4, -6)
    assert explorer.runs(0) == "6–21"
    explorer._fields["level"].value = 1
    assert explorer.window[0] == (1, 2, 3, 4, 5)
    assert "conv1" in repr(explorer)
    explorer._fields["layers"].value = "only 3 1 1"
    assert (explorer.state.level, explorer.sizes) == (1, (28, 26))
    explorer._fields["layers"].value = "only three"
    assert "is not 'name kernel stride dilation padding'" in explorer.error
    assert ReceptiveFieldExplorer([(9,)], image_size=4).error.startswith("kernel 9 does not fit")
    assert as_layers([(3, 2)])[0] == ("layer1", 3, 2, 1, "valid")


# Pictures

EXPLORERS = [
    lambda: ConvolutionExplorer(IMAGE, padding="same", filters=2, dilation=2),
    lambda: ConvolutionExplorer(transposed=True, stride=2, preset="blur"),
    lambda: PoolingExplorer(IMAGE, kind="average"),
    lambda: ReceptiveFieldExplorer(),
    lambda: MemoryExplorer("mnist-core", batch_size=10_000, card=2),
    lambda: MemoryExplorer(training=False, operation="conv2", policy="mixed_bfloat16"),
    lambda: ConvolutionExplorer(kernel_size=20),
]


@pytest.mark.parametrize("make", EXPLORERS)
def test_a_picture_is_labelled_deterministic_and_without_ids(make):
    picture, again = make().static(), make().static()
    assert (picture._repr_html_(), repr(picture)) == (again._repr_html_(), repr(again))
    root = svg_of(picture)
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert f"{root[0].text}\n{root[1].text}" == picture.words
    assert not [element for element in root.iter() if element.get("id")]
    assert not re.findall(r"\bnan\b|\binf\b|\d\.\d{4,}", picture.svg)
    assert len(picture._repr_html_()) < 80_000
    assert "0x" not in repr(picture)


@pytest.mark.parametrize("make", EXPLORERS)
def test_what_is_displayed_carries_a_static_twin(make):
    explorer = make()
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == repr(explorer)
    assert bundle["text/html"] == explorer.static()._repr_html_()
    assert bundle["text/html"].startswith("<img alt=")
    assert dir(explorer)


def test_numbers_are_written_short_and_honest():
    assert [number(v) for v in (0, -0.0, 1 / 3, -12.345, 1234.5, 1e-9)] == [
        "0", "0", "0.333", "−12.3", "1234", "0",
    ]  # fmt: skip
    assert equals([0.25, -3]) == "="
    assert equals([1 / 3]) == "≈"


def test_importing_the_room_loads_neither_numpy_nor_ipywidgets():
    code = (
        "import sys, cnncourse.explorers\n"
        "print([name for name in ('numpy', 'ipywidgets', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def press(explorer, pick, row, column):
    """What the page sends when a cell is clicked."""
    message = {"method": "custom", "content": {"pick": pick, "row": row, "column": column}}
    explorer._picture._handle_msg({"content": {"data": message}, "buffers": []})


def test_a_click_on_the_map_or_the_image_moves_the_window():
    explorer = ConvolutionExplorer(np.ones((7, 7)), np.ones((3, 3)), stride=2)
    press(explorer, "position", 1, 2)
    assert (explorer.position, explorer.corner) == (5, (2, 4))
    press(explorer, "window", 5, 1)  # the window that begins there, or the last one before
    assert explorer.corner == (4, 0)
    press(explorer, "window", 6, 6)
    assert explorer.corner == (4, 4)


def test_a_click_on_the_pooled_map_and_on_a_level():
    pooling = PoolingExplorer(np.arange(16).reshape(4, 4))
    press(pooling, "position", 1, 0)
    assert pooling.result == [13]
    field = ReceptiveFieldExplorer([(3,), (3, 2)], image_size=9)
    press(field, "level 1", 0, 4)
    assert (field.state.level, field.state.column) == (1, 4)


def test_every_picture_names_its_pick_areas():
    for explorer, areas in (
        (ConvolutionExplorer(), ["window", "position"]),
        (ConvolutionExplorer(transposed=True), ["position"]),
        (PoolingExplorer(), ["window", "position"]),
        (ReceptiveFieldExplorer([(3,), (3,)], image_size=9), ["level 1", "level 2"]),
        (MemoryExplorer(), ["operation"]),
    ):
        found = re.findall(r'data-pick="([^"]+)"', explorer.static().svg)
        assert sorted(found) == sorted(areas)

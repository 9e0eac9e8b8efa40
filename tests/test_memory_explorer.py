"""MemoryExplorer without a browser: its picture against the plan, its controls."""

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from cnncourse.explorers import MemoryExplorer
from cnncourse.explorers.memory import PLOT_LEFT, PLOT_WIDTH, SIDE
from cnncourse.memory import plan
from cnncourse.networks import NETWORKS, Dense

SVG = "{http://www.w3.org/2000/svg}"
# From the bottom of the picture to its top.
STACK = ("parameters", "optimizer", "input", "activations", "gradients", "workspace")
FIELDS = ("network", "batch_size", "training", "optimizer", "policy", "card", "operation")
ROUNDING = 0.25  # in px: places are written with one decimal, and the axis is read off them
# The card across the step, from its width on.
LINE = f'{PLOT_WIDTH}" fill="none" stroke="#1c2733" stroke-width="2"'
STEPS = [
    {"network": "mnist-core", "batch_size": 128, "card": 2},
    {"network": "mnist-dropout", "batch_size": 10_000, "card": 2, "optimizer": "sgd"},
    {"network": "mnist-keras", "batch_size": 1, "card": 0.15, "policy": "mixed_bfloat16"},
    {"network": "cifar10-lenet-tf", "batch_size": 55_000, "card": 80, "training": False},
]


def planned(network, batch_size, card, **settings):
    """The plan that the explorer should show; the card has no part in it."""
    return plan(network, batch_size, **settings)


def texts(picture):
    """Every text of a picture with its place: (x, y, words)."""
    found = ElementTree.fromstring(picture.svg).iter(SVG + "text")
    return [(float(text.get("x")), float(text.get("y")), text.text) for text in found]


def words_in(picture):
    return [words for *_, words in texts(picture)]


def pixels_per_mb(picture):
    """Read the axis: how high one MB is drawn, and where 0 is."""
    axis = {
        float(words.replace(",", "")): y
        for x, y, words in texts(picture)
        if x == PLOT_LEFT - 8 and re.fullmatch(r"[\d,.]+", words)
    }
    assert len(axis) >= 3
    high = max(axis)
    return (axis[0] - axis[high]) / high, axis[0]


def drawn_bands(picture):
    """Read the areas: for each part, from the bottom, its lower and upper edge by operation."""
    bands = []
    for element in ElementTree.fromstring(picture.svg).iter(SVG + "path"):
        steps = element.get("d")
        if not steps.endswith("Z") or steps.count("V") < 2:
            continue
        heights = [float(y) for y in re.findall(r"V([\d.]+)", steps)]
        half = len(heights) // 2
        bands.append((heights[half:][::-1], heights[:half]))
    return bands


@pytest.mark.parametrize("settings", STEPS)
def test_the_areas_are_as_high_as_the_plan_says(settings):
    moments = planned(**settings).moments
    picture = MemoryExplorer(**settings).static()
    unit, bottom = pixels_per_mb(picture)
    bands = drawn_bands(picture)
    assert len(bands) == len(STACK)
    floor = np.full(len(moments), bottom)
    for part, (low, high) in zip(STACK, bands, strict=True):
        np.testing.assert_array_equal(low, floor)
        expected = [alive[part] / 1e6 * unit for _, alive in moments]
        np.testing.assert_allclose(np.subtract(low, high), expected, atol=ROUNDING)
        floor = high


@pytest.mark.parametrize("settings", STEPS)
def test_the_numbers_are_the_plans(settings):
    expected = planned(**settings)
    explorer = MemoryExplorer(**settings)
    picture = explorer.static()
    places = texts(picture)
    mb = {part: f"{size / 1e6:,.1f}" for part, size in expected.items()}
    for part, written in {**mb, "together": f"{expected.total / 1e6:,.1f}"}.items():
        assert part in words_in(picture)
        row = next(y for x, y, words in places if words == part and x == SIDE + 22)
        assert [words for x, y, words in places if y == row and x > SIDE + 22] == [written]
        if part != "together":
            assert f"{part} {written} MB" in picture.words
    assert f"peak {expected.total / 1e6:,.1f} MB: {expected.at}" in words_in(picture)
    assert explorer.plan.total == expected.total
    assert explorer.operations == tuple(name for name, _ in expected.moments)


@pytest.mark.parametrize("settings", STEPS)
def test_the_peak_is_marked_where_it_is(settings):
    expected = planned(**settings)
    picture = MemoryExplorer(**settings).static()
    unit, bottom = pixels_per_mb(picture)
    column = [name for name, _ in expected.moments].index(expected.at)
    x = PLOT_LEFT + PLOT_WIDTH * (column + 0.5) / len(expected.moments)
    tips = re.findall(r'd="M[\d.]+ [\d.]+h10L([\d.]+) ([\d.]+)Z"', picture.svg)
    assert len(tips) == 1
    found = [float(value) for value in tips[0]]
    np.testing.assert_allclose(found, [x, bottom - expected.total / 1e6 * unit - 1], atol=ROUNDING)


def test_whether_it_fits_is_said_in_words_and_drawn():
    total = plan("mnist-dropout", 10_000).total / 1e6  # MB
    fits = MemoryExplorer(batch_size=10_000, card=total * 1.25 / 1000)
    assert fits.fits
    assert "a batch of 10,000: fits into" in fits.static().words
    assert "Fits: the peak takes 80 % of it" in words_in(fits.static())
    short = MemoryExplorer(batch_size=10_000, card=(total - 100) / 1000)
    assert not short.fits
    assert "a batch of 10,000: does not fit into" in short.static().words
    assert "Does not fit: 100.0 MB too much" in words_in(short.static())
    for explorer in (fits, short):
        unit, bottom = pixels_per_mb(explorer.static())
        line = re.search(rf'd="M{PLOT_LEFT} ([\d.]+)h{LINE}', explorer.static().svg)
        height = bottom - float(line.group(1))
        assert height / unit == pytest.approx(explorer.card * 1000, rel=0.002)
    exact = MemoryExplorer(batch_size=10_000, card=total / 1000)
    assert exact.fits
    assert exact.largest == 10_000


def test_a_card_far_above_the_peak_is_not_drawn_as_a_line():
    picture = MemoryExplorer("mnist-core", batch_size=1, card=80).static()
    times = 80e9 / plan("mnist-core", 1).total
    assert f"the card, {times:,.0f} times as high, is not drawn" in " ".join(words_in(picture))
    assert LINE not in picture.svg
    assert "Fits: the peak takes less than 1 %" in words_in(picture)


@pytest.mark.parametrize("settings", STEPS)
def test_one_image_more_than_the_largest_batch_would_not_fit(settings):
    explorer = MemoryExplorer(**settings)
    largest, budget = explorer.largest, settings["card"] * 1e9
    assert planned(**{**settings, "batch_size": largest}).total <= budget
    assert planned(**{**settings, "batch_size": largest + 1}).total > budget
    assert f"Largest batch that fits: {largest:,}" in words_in(explorer.static())


def test_a_card_without_room_for_one_image():
    explorer = MemoryExplorer("mnist-keras", card=0.005)
    assert plan("mnist-keras", 1).total > 5e6
    assert explorer.largest is None
    assert "Not one image fits" in words_in(explorer.static())


# Controls


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network", "mnist-core"),
        ("batch_size", 4096),
        ("training", False),
        ("optimizer", "momentum"),
        ("policy", "mixed_bfloat16"),
        ("card", 24),
        ("operation", "conv2 backward"),
    ],
)
def test_a_control_changes_its_own_setting_and_what_follows(name, value):
    explorer = MemoryExplorer("mnist-lenet-tf", batch_size=100, card=8)
    before = {field: getattr(explorer.state, field) for field in FIELDS}
    old_plan, old_svg = explorer.plan, explorer._picture.svg
    explorer._fields[name].value = value
    after = {field: getattr(explorer.state, field) for field in FIELDS}
    assert after == {**before, name: value}
    assert {field: explorer._fields[field].value for field in FIELDS} == after
    assert explorer._picture.svg != old_svg
    assert explorer._picture.svg == explorer.static().svg
    settings = {field: after[field] for field in FIELDS if field not in ("card", "operation")}
    expected = plan(**settings)
    assert explorer.plan.moments == expected.moments
    assert (explorer.plan.moments == old_plan.moments) == (name in ("card", "operation"))


def test_what_has_no_say_is_not_offered():
    explorer = MemoryExplorer()
    assert not explorer._fields["optimizer"].disabled
    explorer._fields["training"].value = False
    assert explorer._fields["optimizer"].disabled
    assert "Adam" not in explorer.static().words
    explorer._fields["training"].value = True
    assert not explorer._fields["optimizer"].disabled
    assert not explorer._fields["policy"].disabled


def test_the_batch_slider_is_logarithmic_and_holds_the_texts_batches():
    explorer = MemoryExplorer()
    sizes = [size for _, size in explorer._fields["batch_size"].options]
    assert {1, 2, 4, 50, 64, 100, 10_000, 55_000, 60_000} <= set(sizes)
    assert sizes == sorted(sizes)
    assert max(sizes) == 60_000
    assert all(later <= 2 * earlier for earlier, later in pairwise(sizes))
    explorer.set(batch_size=777)
    assert explorer._fields["batch_size"].value == 777
    assert ("10,000", 10_000) in explorer._fields["batch_size"].options


def test_a_card_of_ones_own_is_offered_from_then_on():
    explorer = MemoryExplorer(card=0.15)
    assert [label for label, _ in explorer._fields["card"].options][:2] == ["150 MB", "2 GB"]
    explorer._fields["card"].value = 4
    explorer._fields["card"].value = 0.15
    assert explorer.static().words.split("\n")[0].endswith("150 MB")


def test_a_click_looks_at_an_operation_until_the_step_no_longer_has_it():
    explorer = MemoryExplorer("mnist-core", batch_size=100)
    message = {"method": "custom", "content": {"pick": "operation", "row": 0, "column": 3}}
    explorer._picture._handle_msg({"content": {"data": message}, "buffers": []})
    assert explorer.operation == "conv3"
    assert explorer._fields["operation"].value == "conv3"
    expected = dict(plan("mnist-core", 100).moments)["conv3"]
    assert explorer.alive == expected
    written = words_in(explorer.static())
    assert "here: conv3" in written
    for size in (sum(expected.values()), expected["activations"]):
        assert f"{size / 1e6:,.1f}" in written
    explorer.set(training=False)
    assert explorer.operation == "conv3"
    explorer.set(training=True, operation="conv3 update")
    explorer.set(training=False)
    assert (explorer.operation, explorer.at) == ("", explorer.plan.at)


def test_another_operation_can_be_shown_without_choosing_it():
    explorer = MemoryExplorer("mnist-core")
    assert "During conv2 " in explorer.static(1).words
    assert explorer.operation == ""
    with pytest.raises(ValueError, match="step is 99; the operations are 0 to "):
        explorer.static(99)


# Networks of one's own


def test_a_network_of_ones_own():
    smaller = replace(
        NETWORKS["mnist-dropout"],
        layers=tuple(
            Dense(256) if layer == Dense(1024) else layer
            for layer in NETWORKS["mnist-dropout"].layers
        ),
    )
    explorer = MemoryExplorer(smaller)
    assert explorer.network == "mnist-dropout (yours)"
    assert explorer.plan.total == plan(smaller, 100).total < plan("mnist-dropout", 100).total
    explorer._fields["network"].value = "mnist-dropout"
    assert explorer.plan.total == plan("mnist-dropout", 100).total
    assert MemoryExplorer(NETWORKS["mnist-core"]).network == "mnist-core"


def test_a_keras_model():
    import keras

    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(8, 3, activation="relu", name="first_convolution"),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ],
        name="small",
    )
    model.compile(jit_compile=True)
    explorer = MemoryExplorer(model, batch_size=32, optimizer="sgd")
    assert explorer.network == "small"
    assert dict(explorer.plan) == dict(plan(model, 32, optimizer="sgd"))
    assert explorer._fields["policy"].disabled
    picture = explorer.static()
    assert f"not known: {explorer.plan.notes[0]}" in words_in(picture)
    assert "its layers' own types" in picture.words
    assert "first_convol…" not in words_in(picture)
    assert "first_convolu…" in words_in(picture)
    explorer.set(network="mnist-core")
    assert not explorer._fields["policy"].disabled


# What cannot be


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "lenet"}, r"network is 'lenet'; use one of mnist-tf, .* built Keras model"),
        ({"batch_size": 0}, "batch_size is 0; give a whole number from 1 on"),
        ({"batch_size": 2.5}, "batch_size is 2.5; give a whole number from 1 on"),
        ({"batch_size": "all"}, "batch_size is 'all'; give a whole number from 1 on"),
        ({"training": "yes"}, "training is 'yes'; use True or False"),
        ({"optimizer": "rmsprop"}, "optimizer is 'rmsprop'; use one of 'sgd', 'momentum'"),
        ({"policy": "bfloat16"}, "policy is 'bfloat16'; use 'float32' or 'mixed_bfloat16'"),
        ({"card": 0}, "card is 0; give its size in GB, such as 8, or 0.15 for 150 MB"),
        ({"card": float("nan")}, "card is nan; give its size in GB"),
        ({"card": "8 GB"}, "card is '8 GB'; give its size in GB"),
        ({"operation": "conv7"}, "operation is 'conv7'; use '' for the peak, or one of conv1, "),
        ({"batch": 3}, "'batch' is no setting; use one of"),
        ({"network": 3}, "network is 3; give a name, a Network or a built Keras model"),
    ],
)
def test_wrong_settings_raise_and_say_what_would_do(settings, message):
    with pytest.raises(ValueError, match=message):
        MemoryExplorer(**settings)


@pytest.mark.parametrize("wrong", [{"batch_size": -1}, {"optimizer": "lion"}, {"card": None}])
def test_a_wrong_setting_leaves_everything_as_it_was(wrong):
    explorer = MemoryExplorer(batch_size=64)
    before = repr(explorer)
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is "):
        explorer.set(**wrong)
    assert repr(explorer) == before == f"MemoryExplorer: {explorer.static().words}"
    assert explorer._picture.svg == explorer.static().svg


def test_a_layer_that_the_plan_does_not_know():
    import keras

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.UpSampling2D(name="larger")])
    with pytest.raises(ValueError, match="layer 'larger' is a UpSampling2D, which the plan does"):
        MemoryExplorer(model)

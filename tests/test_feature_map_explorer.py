"""FeatureMapExplorer without a browser: its numbers, its pictures, its controls."""

import base64
import io
import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnncourse.explorers import FeatureMapExplorer, raster

SVG = "{http://www.w3.org/2000/svg}"
RNG = np.random.default_rng(0)
IMAGES = RNG.random((3, 12, 10, 1), np.float32)
WEIGHTS = RNG.normal(size=(1, 7))


class Network:
    """Layers whose values can be told from the image; it counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def __call__(self, images):
        self.asked += 1
        assert images.shape == (1, 12, 10, 1)
        signed = (images - 0.5) * WEIGHTS  # seven maps, 12 × 10
        return {
            "conv": signed,
            "relu": np.maximum(signed, 0)[:, ::2, ::2],
            "dense": signed.mean(axis=(1, 2)),
            "softmax": np.full((1, 3), 1 / 3),
        }


def press(explorer, pick, row, column):
    """What the page sends when a cell is clicked."""
    message = {"method": "custom", "content": {"pick": pick, "row": row, "column": column}}
    explorer._picture._handle_msg({"content": {"data": message}, "buffers": []})


def words_in(picture):
    return [text.text for text in ElementTree.fromstring(picture.svg).iter(SVG + "text")]


def pixels_in(picture):
    """The images in a picture, 0 to 255, read by matplotlib."""
    found = re.findall(r'href="data:image/png;base64,([^"]+)"', picture.svg)
    read = [plt.imread(io.BytesIO(base64.b64decode(code)))[..., :3] for code in found]
    return [np.rint(255 * pixels).astype(int) for pixels in read]


def test_the_chosen_map_and_its_numbers():
    explorer = FeatureMapExplorer(Network(), IMAGES, image=1, channel=4, row=3, column=9)
    expected = (IMAGES[1, ..., 0] - 0.5) * WEIGHTS[0, 4]
    np.testing.assert_allclose(explorer.map, expected)
    assert explorer.value == pytest.approx(expected[3, 9])
    assert list(explorer.layers) == ["conv", "relu", "dense", "softmax"]
    words = words_in(explorer.static())
    number = raster.number
    assert f"[3, 9] = {number(expected[3, 9])}" in words
    for line in (
        f"the map's min {number(expected.min())}",
        f"max {number(expected.max())}",
        f"mean {number(expected.mean())}",
    ):
        assert line in words
    assert repr(explorer).startswith("FeatureMapExplorer: Layer conv, map 4 of 0 to 6\nImage 1,")


def test_each_image_is_asked_for_once():
    network = Network()
    explorer = FeatureMapExplorer(network, IMAGES)
    for image in (0, 1, 2, 0, 1, 2):
        for layer in explorer.layers:
            explorer.set(image=image, layer=layer)
    explorer.static(), repr(explorer)
    assert network.asked == 3


def test_colours_are_one_scale_for_the_layer_white_at_0():
    explorer = FeatureMapExplorer(Network(), IMAGES, channel=5)
    image, large, bar, _ = pixels_in(explorer.static())
    np.testing.assert_array_equal(image[..., 0], np.rint(255 * IMAGES[0, ..., 0]))
    assert large.shape == (12, 10, 3)
    limit = np.abs(explorer.values).max()
    near_zero = np.abs(explorer.map) < 0.02 * limit
    assert (large[near_zero] > 225).all()
    strong = np.abs(explorer.map) > 0.2 * limit
    redder = large[..., 0] > large[..., 2]
    np.testing.assert_array_equal(redder[strong], (explorer.map > 0)[strong])
    assert bar[0, 0].tolist() == [0x67, 0x00, 0x1F]
    assert bar[-1, 0].tolist() == [0x05, 0x30, 0x61]
    marks = words_in(explorer.static())
    assert {raster.number(limit), "0", raster.number(-limit)} <= set(marks)
    explorer.set(layer="relu")
    _, large, bar, _ = pixels_in(explorer.static())
    assert bar[-1, 0].tolist() == [0x44, 0x01, 0x54]
    assert (large[explorer.map == 0] == [0x44, 0x01, 0x54]).all()


def test_every_map_of_the_layer_is_in_the_grid():
    explorer = FeatureMapExplorer(Network(), IMAGES, layer="relu", channel=6)
    sheet = pixels_in(explorer.static())[-1]  # 3 × 3 tiles of 6 × 6, a column blank in each
    assert sheet.shape == (18, 18, 3)
    scale = raster.scale_of(explorer.values)
    for channel in range(7):
        row, column = divmod(channel, 3)
        tile = sheet[6 * row : 6 * row + 6, 6 * column : 6 * column + 5]
        np.testing.assert_array_equal(tile, scale.pixels(explorer.values[..., channel]))


def test_a_click_chooses_a_map_or_a_place():
    explorer = FeatureMapExplorer(Network(), IMAGES, row=11, column=9)
    press(explorer, "maps", 1, 2)
    assert (explorer.channel, explorer.row) == (5, 11)
    press(explorer, "maps", 2, 2)  # there is no ninth map
    assert explorer.channel == 5
    press(explorer, "map", 4, 7)
    assert (explorer.row, explorer.column) == (4, 7)
    explorer.set(layer="dense")
    press(explorer, "maps", 0, 6)
    assert explorer.channel == 6
    assert explorer.value == pytest.approx(explorer.layers["dense"][6])
    for layer, areas in (("conv", ["map", "maps"]), ("dense", ["maps"])):
        explorer.set(layer=layer)
        assert sorted(re.findall(r'data-pick="([^"]+)"', explorer.static().svg)) == areas


def test_controls_and_state_follow_each_other():
    explorer = FeatureMapExplorer(Network(), IMAGES, titles=["a", "b", "b"], channel=6, row=11)
    fields = explorer._fields
    assert fields["layer"].options[0] == ("conv  12 × 10 × 7", "conv")
    assert (fields["channel"].max, fields["row"].max, fields["column"].max) == (6, 11, 9)
    fields["image"].value = 2
    assert (explorer.state.image, explorer.static().words.split("\n")[1][:8]) == (2, "Image b,")
    fields["layer"].value = "softmax"
    assert (explorer.channel, explorer.row, explorer.column) == (2, 0, 0)
    assert (fields["channel"].max, fields["row"].max) == (2, 0)
    fields["channel"].value = 1
    assert explorer.value == pytest.approx(1 / 3)
    assert all(field.description for field in fields.values())


def test_bars_are_as_long_as_the_units_are_strong():
    explorer = FeatureMapExplorer(Network(), IMAGES, layer="dense")
    paths = re.findall(r'd="(M[^"]*v[^"]*)" fill="(#\w+)"', explorer.static().svg)
    bars = [
        (float(x), -float(length), colour)
        for steps, colour in paths
        for x, length in re.findall(r"M([\d.]+) [\d.]+v(-?[\d.]+)h", steps)
    ]
    values = explorer.values
    lengths = np.array([length for _, length, _ in sorted(bars)])
    np.testing.assert_allclose(lengths / np.ptp(lengths), values / np.ptp(values), atol=0.002)
    assert {colour for _, length, colour in bars if length > 0} == {"#b1182b"}
    assert {colour for _, length, colour in bars if length < 0} == {"#2065ab"}


# What goes wrong


def raises(images):
    raise RuntimeError("no weights yet\nand a long story")


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        (raises, "activations raised RuntimeError: no weights yet"),
        (lambda images: images, "activations raised AttributeError"),
        (lambda images: {}, "activations returned no layer"),
        (lambda images: {"c": images[0]}, r"layer 'c' has shape (12, 10, 1) for 1 image; give"),
        (lambda images: {"c": np.zeros((2, 5))}, "layer 'c' has shape (2, 5) for 1 image; give"),
        (lambda images: {"c": images * np.nan}, "layer 'c' holds values that are not finite"),
    ],
)
def test_what_goes_wrong_in_the_network_is_said_in_the_picture(activations, message):
    explorer = FeatureMapExplorer(activations, IMAGES)
    assert message in explorer.error
    assert message in " ".join(words_in(explorer.static()))
    assert message in repr(explorer)
    with pytest.raises(ValueError, match=re.escape(message)):
        explorer.map  # noqa: B018


def test_an_image_that_fails_does_not_hide_the_others():
    def activations(images):
        if (images == IMAGES[1]).all():
            raise RuntimeError("only this one")
        return {"conv": images}

    explorer = FeatureMapExplorer(activations, IMAGES)
    explorer._fields["image"].value = 1
    assert explorer.error == "activations raised RuntimeError: only this one"
    explorer._fields["image"].value = 2
    assert explorer.error is None
    np.testing.assert_array_equal(explorer.map, IMAGES[2, ..., 0])


def test_settings_that_cannot_be_are_said_and_recover():
    explorer = FeatureMapExplorer(Network(), IMAGES)
    explorer.set(image=3)
    assert explorer.error == "image is 3; there are 0 to 2"
    explorer.set(image=2, layer="conv9")
    assert explorer.error == "layer is 'conv9'; the layers are conv, relu, dense, softmax"
    explorer.set(layer="conv", channel=99, row=-5)
    assert (explorer.error, explorer.channel, explorer.row) == (None, 6, 0)
    with pytest.raises(ValueError, match="'map' is no setting"):
        explorer.set(map=3)


@pytest.mark.parametrize(
    ("images", "titles", "message"),
    [
        (IMAGES[0], None, r"images have shape \(12, 10, 1\); give \(n, height"),
        (np.zeros((2, 5, 5, 2)), None, r"images have shape \(2, 5, 5, 2\)"),
        (IMAGES[:0], None, r"images have shape \(0, 12, 10, 1\)"),
        (IMAGES, ["a"], "titles has 1 entries for 3 images"),
    ],
)
def test_wrong_images_raise(images, titles, message):
    with pytest.raises(ValueError, match=message):
        FeatureMapExplorer(Network(), images, titles)


# Pictures


@pytest.mark.parametrize("layer", ["conv", "relu", "dense", "softmax", "nothing"])
def test_a_picture_is_labelled_deterministic_and_carries_a_static_twin(layer):
    explorer = FeatureMapExplorer(Network(), IMAGES, layer=layer)
    picture = explorer.static()
    again = FeatureMapExplorer(Network(), IMAGES, layer=layer).static()
    assert (picture._repr_html_(), repr(picture)) == (again._repr_html_(), repr(again))
    root = ElementTree.fromstring(picture.svg)
    assert root.get("role") == "img"
    assert f"{root[0].text}\n{root[1].text}" == picture.words
    assert not [element for element in root.iter() if element.get("id")]
    bundle = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"] == picture._repr_html_()


def test_another_map_can_be_shown_without_choosing_it():
    explorer = FeatureMapExplorer(Network(), IMAGES)
    assert explorer.static(3).words.startswith("Layer conv, map 3")
    assert explorer.channel == 0


@pytest.mark.parametrize("images", [
    RNG.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8),
    RNG.normal(size=(1, 8, 8, 3)),
    np.full((1, 8, 8, 1), 5.0),
])  # fmt: skip
def test_images_of_any_range_and_colour_are_shown(images):
    explorer = FeatureMapExplorer(lambda images: {"same": images.astype(float)}, images)
    assert explorer.error is None
    shown = pixels_in(explorer.static())[0]
    assert shown.shape == (8, 8, 3)
    if images.dtype == np.uint8:
        np.testing.assert_array_equal(shown, images[0])
    elif images.shape[3] == 3:
        assert (shown.min(), shown.max()) == (0, 255)


def test_a_grid_of_many_large_maps_stays_small():
    maps = RNG.random((1, 128, 128, 64))
    explorer = FeatureMapExplorer(lambda images: {"wide": maps}, IMAGES)
    sheet = pixels_in(explorer.static())[-1]
    assert sheet.shape[0] * sheet.shape[1] <= raster.MOST_PIXELS
    assert len(explorer.static()._repr_html_()) < 250_000

"""DigitPad without a browser: strokes, states, a network's answers, and what can go wrong there."""

import base64
import io
import re
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import ndimage

from cnncourse.data.handwriting import as_drawn, as_mnist
from cnncourse.explorers import DigitPad, raster
from cnncourse.explorers.writing import PAD, PEN, stroke_ink

SVG = "{http://www.w3.org/2000/svg}"
ONE = [[(0.55, 0.15), (0.45, 0.85)]]
SEVEN = [[(0.2, 0.2), (0.75, 0.2), (0.45, 0.85)]]


class Network:
    """Remembers what it is shown; its guess is a digit given, with 0.91, and 9 for what follows."""

    def __init__(self, guess=7):
        self.guess, self.shown = guess, []

    def __call__(self, images):
        self.shown.append(images)
        probabilities = np.full((len(images), 10), 0.01)
        probabilities[0, self.guess] = probabilities[1:, 9] = 0.91
        return probabilities


def maps_of(images):
    """Two maps: the image, and its negative."""
    return np.concatenate([images, -images], axis=-1)


def page_sends(pad, strokes, ground=False):
    """What the page sends when a stroke grows."""
    pad._pad.set_state({"value": {"strokes": strokes, "ground": ground}})


def pixels_in(picture):
    """The images in a picture, read by matplotlib."""
    found = re.findall(r'href="data:image/png;base64,([^"]+)"', picture.svg)
    return [plt.imread(io.BytesIO(base64.b64decode(code)))[..., :3] for code in found]


# Strokes


@pytest.mark.parametrize(
    "stroke",
    [
        [(0.5, 0.5)],
        ONE[0],
        SEVEN[0],
        [(0.1, 0.9), (0.9, 0.9), (0.1, 0.9)],
        [(-0.3, 0.2), (0.2, 0.0)],
    ],
)
def test_a_stroke_is_a_round_pen_along_straight_lines(stroke):
    fine, margin = 8 * PAD, 4 * PAD  # eight times as fine, and half a pad around
    track = np.ones((fine + 2 * margin,) * 2, bool)
    points = np.array(stroke)
    for start, end in zip(points, [*points[1:], points[-1]], strict=True):
        steps = np.linspace(start, end, 4000) * fine
        columns, rows = (np.floor(steps).astype(int) + margin).T
        track[rows, columns] = False
    inked = ndimage.distance_transform_edt(track) <= PEN / 2 * fine
    expected = inked[margin:-margin, margin:-margin].reshape(PAD, 8, PAD, 8).mean(axis=(1, 3))
    ink = stroke_ink(tuple(stroke))
    assert np.abs(ink - expected).max() < 0.3  # the grey of the edges
    assert np.abs(ink - expected).mean() < 0.002


def test_strokes_lie_on_each_other_and_can_be_arrays():
    pad = DigitPad(Network(), strokes=SEVEN)
    pad.draw([np.array(ONE[0])])
    both = np.maximum(stroke_ink(tuple(SEVEN[0])), stroke_ink(tuple(ONE[0])))
    np.testing.assert_array_equal(pad.drawing, both)
    assert len(pad.strokes) == 2


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        (SEVEN[0], r"strokes\[0\] has shape \(2,\); give a list of strokes"),
        ([[]], r"strokes\[0\] has shape \(0,\)"),
        ([*ONE, [(10, 200)]], r"strokes\[1\] goes from 10 to 200; points go from 0 to 1"),
        ([[(np.nan, 0.5)]], r"strokes\[0\] goes from nan"),
    ],
)
def test_what_is_no_stroke_is_said(strokes, message):
    pad = DigitPad(Network(), strokes=ONE)
    with pytest.raises(ValueError, match=message):
        pad.draw(strokes)
    assert pad.guess == 7
    assert len(pad.strokes) == 1


# Reading


def test_the_network_sees_the_drawing_as_mnist_has_it_and_only_shrunk():
    network = Network()
    pad = DigitPad(network, strokes=SEVEN)
    (images,) = network.shown
    assert (images.shape, images.dtype) == ((2, 28, 28, 1), np.float32)
    np.testing.assert_array_equal(images[0], as_mnist(pad.drawing))
    np.testing.assert_array_equal(images[1], as_drawn(pad.drawing))
    np.testing.assert_array_equal(pad.image, images[0])
    np.testing.assert_array_equal(pad.shrunk, images[1])
    assert (pad.guess, pad.probabilities[7], pad.shrunk_probabilities[9]) == (7, 0.91, 0.91)
    pad.static(), repr(pad), pad.guess, pad._repr_mimebundle_()
    assert len(network.shown) == 1


def test_a_drawing_can_be_given_in_any_size_and_drawn_on():
    pad = DigitPad(Network(), drawing=as_mnist(DigitPad(Network(), strokes=SEVEN).drawing))
    np.testing.assert_allclose(pad.image, pad.shrunk, atol=0.003)  # MNIST's already
    before = pad.drawing.sum()
    pad.draw(ONE)
    assert pad.drawing.sum() > before
    pad.set(drawing=np.eye(300, dtype=bool))
    assert pad.strokes == ()
    assert pad.drawing.shape == (PAD, PAD)
    assert pad._pad.value == {"strokes": [], "ground": True}
    assert pad._pad.ground == np.rint(255 * pad.drawing).astype(np.uint8).tobytes()
    with pytest.raises(ValueError, match="dtype int64; give uint8"):
        pad.set(drawing=np.ones((5, 5), np.int64))


def test_a_blank_pad_asks_for_a_digit():
    network = Network()
    pad = DigitPad(network, maps_of)
    assert (pad.guess, pad.error, network.shown) == (None, None, [])
    assert repr(pad).startswith("DigitPad: Nothing drawn yet")
    for name in ("image", "probabilities"):
        with pytest.raises(ValueError, match="drawing is blank; draw something first"):
            getattr(pad, name)
    pad.draw(ONE)
    assert pad.guess == 7
    pad.clear()
    assert (pad.guess, pad.blank) == (None, True)


# The page


def test_the_page_and_the_state_follow_each_other():
    pad = DigitPad(Network())
    strokes = [[[0.2, 0.2], [0.7, 0.25]]]
    page_sends(pad, strokes)
    assert pad.strokes == (((0.2, 0.2), (0.7, 0.25)),)
    assert pad._pad.said == "Reads as 7, probability 0.91"
    assert "Reads as 7" in pad._picture.svg
    assert pad._pad.value["strokes"] == strokes
    pad.draw(ONE)
    assert pad._pad.value["strokes"] == [*strokes, [[0.55, 0.15], [0.45, 0.85]]]
    pad.set(drawing=np.eye(28))
    page_sends(pad, strokes, ground=True)
    assert pad.drawing.max() == 1
    assert pad._pad.ground
    page_sends(pad, [], ground=False)  # what clear does
    assert pad.blank
    assert (pad._pad.ground, pad._pad.said) == (b"", "Nothing drawn yet")


def test_nothing_is_sent_back_to_a_page_that_draws_on(monkeypatch):
    """A value sent back would be older than what the page has by then."""
    pad, sent = DigitPad(Network()), []
    monkeypatch.setattr(pad._pad, "send_state", lambda key=None: sent.append(key))
    page_sends(pad, [[[0.2, 0.2], [0.7, 0.25], [1, 0]]])
    assert {"said"} == {name for key in sent for name in ([key] if isinstance(key, str) else key)}


# What goes wrong


def raises(images):
    raise RuntimeError("no weights yet\nand a long story")


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (raises, "predict raised RuntimeError: no weights yet"),
        (lambda images: 1 / 0, "predict raised ZeroDivisionError: division by zero"),
        (lambda images: "seven", "predict raised ValueError: could not convert string"),
        (lambda images: np.ones((1, 10)) / 10, r"predict returned shape (1, 10) for 2 images"),
        (lambda images: np.ones((2, 5)) / 5, r"predict returned shape (2, 5) for 2 images"),
        (lambda images: np.full((2, 10), np.nan), "predict returned values that are not finite"),
        (lambda images: np.tile(np.arange(10.0), (2, 1)), "give probabilities: the softmax"),
        (None, "predict raised TypeError: 'NoneType' object is not callable"),
    ],
)
def test_what_goes_wrong_in_the_network_is_said_on_the_page(predict, message):
    pad = DigitPad(predict)
    assert pad.error is None
    page_sends(pad, [[[0.5, 0.1], [0.5, 0.9]]])
    assert message in pad.error
    assert pad._pad.said == f"The network gives no answer: {pad.error}"
    words = " ".join(
        text.text for text in ElementTree.fromstring(pad._picture.svg).iter(SVG + "text")
    )
    assert message in words
    assert message in repr(pad)
    with pytest.raises(ValueError, match=re.escape(message)):
        pad.guess  # noqa: B018
    pad.set(predict=Network(3))
    assert (pad.error, pad.guess) == (None, 3)


@pytest.mark.parametrize(
    ("feature_maps", "message"),
    [
        (raises, "feature_maps raised RuntimeError: no weights yet"),
        (lambda images: images[0], r"feature_maps returned shape (28, 28, 1) for 1 image"),
        (lambda images: images * np.inf, "feature_maps returned values that are not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_goes_wrong_in_the_feature_maps_is_said_too(feature_maps, message):
    pad = DigitPad(Network(), feature_maps, strokes=ONE)
    assert message in pad.error
    assert pad.guess == 7


def test_unknown_settings_raise():
    with pytest.raises(ValueError, match="'pen' is no setting"):
        DigitPad(Network(), pen=3)
    with pytest.raises(ValueError, match="step is 2; there are 0 to 1 strokes"):
        DigitPad(Network(), strokes=ONE).static(2)


# Pictures

PADS = [
    lambda: DigitPad(Network()),
    lambda: DigitPad(Network(), strokes=SEVEN),
    lambda: DigitPad(Network(), maps_of, strokes=SEVEN),
    lambda: DigitPad(raises, strokes=SEVEN),
]


@pytest.mark.parametrize("make", PADS)
def test_a_picture_is_labelled_deterministic_and_without_ids(make):
    pad = make()
    picture, again = pad.static(), make().static()
    assert (picture._repr_html_(), repr(picture)) == (again._repr_html_(), repr(again))
    root = ElementTree.fromstring(picture.svg)
    assert root.get("role") == "img"
    assert f"{root[0].text}\n{root[1].text}" == picture.words
    assert not [element for element in root.iter() if element.get("id")]
    assert len(picture._repr_html_()) < 40_000
    bundle = pad._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"] == picture._repr_html_()
    assert bundle["text/html"].startswith("<img alt=")
    assert 'width="520"' in bundle["text/html"]


def test_the_picture_holds_the_numbers_and_the_images():
    pad = DigitPad(Network(), maps_of, strokes=SEVEN)
    words = [text.text for text in ElementTree.fromstring(pad.static().svg).iter(SVG + "text")]
    assert words[:2] == [
        "Reads as 7, probability 0.91",
        "Only shrunk it reads as 9, probability 0.91",
    ]
    assert words.count("0.91") == 2
    assert words.count("0.01") == 18
    drawing, image, shrunk, maps = pixels_in(pad.static())
    white, ink = np.array([1, 1, 1]), np.array([0x1C, 0x27, 0x33]) / 255
    for shown, pixels in (
        (drawing, pad.drawing),
        (image, pad.image[..., 0]),
        (shrunk, pad.shrunk[..., 0]),
    ):
        expected = white + pixels[..., np.newaxis] * (ink - white)
        np.testing.assert_allclose(shown, expected, atol=0.008)
    assert maps.shape == (28, 2 * 28, 3)
    assert pad.static(0).words.startswith("Nothing drawn yet")
    assert pad.static(1).words == pad.static().words


@pytest.mark.parametrize(
    ("anchors", "name"), [(raster.BLUE_TO_RED, "RdBu_r"), (raster.VIRIDIS, "viridis")]
)
def test_colours_are_those_of_the_plots(anchors, name):
    theirs = mpl.colormaps[name](np.linspace(0, 1, 256))[:, :3]
    np.testing.assert_allclose(raster.palette(anchors) / 255, theirs, atol=0.07)


@pytest.mark.parametrize("size", [(5, 9), (256, 1), (1, 1)])
def test_a_png_says_what_it_was_given(size):
    """Read by TensorFlow, which has a decoder of its own: matplotlib's is the one that wrote."""
    import tensorflow as tf

    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    read = tf.io.decode_png(raster.png(pixels)).numpy()
    np.testing.assert_array_equal(read, pixels)
    places = pixels[..., 0]
    read = tf.io.decode_png(raster.png(places, ("#000000", "#ff00ff")), channels=3).numpy()
    np.testing.assert_array_equal(read, np.stack([places, 0 * places, places], axis=-1))

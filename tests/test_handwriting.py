"""Drawings made like MNIST's images, against hand-made cases, SciPy and the real digits."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cnncourse.data import load_mnist
from cnncourse.data.handwriting import as_drawn, as_mnist, ink_box, resampled
from cnncourse.data.offline_digits import make_digits

SEVEN = np.zeros((120, 90))
SEVEN[20:28, 30:70] = 1
SEVEN[28:100, 62:70] = 1


def off_centre(image, times):
    """The image enlarged ``times`` and put into the corner of a larger sheet."""
    large = np.kron(image, np.ones((times, times), image.dtype))
    sheet = np.zeros((large.shape[0] + 217, large.shape[1] + 140), image.dtype)
    sheet[13 : 13 + large.shape[0], 140:] = large
    return sheet


def test_a_bar_keeps_its_proportions_and_fills_twenty_pixels():
    bar = np.zeros((200, 300))
    bar[150:190, 20:30] = 1
    image = as_mnist(bar)
    assert (image.shape, image.dtype) == ((28, 28, 1), np.float32)
    assert ink_box(image[..., 0])[2:] == (20, 5)
    assert image.sum() == 20 * 5


@pytest.mark.parametrize("times", [1, 3, 10])
def test_place_and_size_do_not_matter(times):
    np.testing.assert_array_equal(as_mnist(off_centre(SEVEN, times)), as_mnist(SEVEN))


@given(
    points=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 79)), min_size=1, max_size=5),
    width=st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_the_centre_of_mass_comes_to_the_middle(points, width):
    drawing = np.zeros((60, 80))
    for row, column in points:
        drawing[row : row + width, column : column + width] = 1
    image = as_mnist(drawing)[..., 0]
    top, left, height, width = ink_box(image)
    assert max(height, width) in (19, 20)  # the outermost row may be too faint for a byte
    for centre, first, size in zip(
        ndimage.center_of_mass(image), (top, left), (height, width), strict=True
    ):
        box = first - (20 - size) / 2  # where the 20 pixels begin: they never leave the image
        assert abs(centre - 14) <= 0.51 or box < 1 or box > 7


def test_grey_is_the_mean_of_the_area():
    image = np.random.default_rng(0).random((12, 8))
    blocks = image.reshape(4, 3, 2, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(resampled(image, 4, 2), blocks)
    np.testing.assert_allclose(resampled(image, 24, 16), np.kron(image, np.ones((2, 2))))
    np.testing.assert_allclose(resampled(image, 5, 3).mean(), image.mean())
    assert resampled(np.array([[0.0, 3.0]]), 1, 3).round(6).tolist() == [[0, 1.5, 3]]


def test_the_thinnest_line_is_not_lost():
    line = np.zeros((4000, 4000))
    line[:, 7] = 1
    assert as_mnist(line).max() > 0


def test_bytes_floats_and_bools_are_the_same_drawing():
    expected = as_mnist(SEVEN)
    for drawing in (SEVEN.astype(np.float32), SEVEN > 0, (255 * SEVEN).astype(np.uint8)):
        np.testing.assert_array_equal(as_mnist(drawing), expected)
        np.testing.assert_array_equal(as_mnist(drawing[..., np.newaxis]), expected)
        np.testing.assert_allclose(as_drawn(drawing), as_drawn(SEVEN), rtol=1e-6)


def test_only_shrunk_it_stays_where_it_is():
    image = as_drawn(SEVEN)[..., 0]
    assert (image.shape, image.dtype) == ((28, 28), np.float32)
    scale = 28 / 120
    row, column = ndimage.center_of_mass(SEVEN)
    expected = ((row + 0.5) * scale, (column + 0.5 + 15) * scale)  # 15 blank on each side
    np.testing.assert_allclose(ndimage.center_of_mass(image), np.subtract(expected, 0.5), atol=0.05)
    assert not as_drawn(np.zeros((50, 50))).any()


def test_the_offline_digits_come_back_however_large_and_wherever_they_lie():
    images = make_digits(60, 1)["x_train"][..., 0]
    whole = [image for image in images if max(ink_box(image)[2:]) == 20]
    assert len(whole) > 40
    for image in whole:
        np.testing.assert_allclose(
            as_mnist(off_centre(image, 10))[..., 0], image / np.float32(255), atol=1e-6
        )


@pytest.mark.skipif(not os.environ.get("CNNCOURSE_DATA"), reason="needs the official MNIST files")
def test_official_digits_come_back_however_large_and_wherever_they_lie():
    images = load_mnist("official").x_test[:200, ..., 0]
    for image in images:
        np.testing.assert_allclose(
            as_mnist(off_centre(image, 10))[..., 0], image / np.float32(255), atol=1e-6
        )


@pytest.mark.parametrize(
    ("drawing", "message"),
    [
        (np.zeros((50, 40)), "drawing is blank; draw something first"),
        (np.zeros((2, 28, 28, 1)), r"shape \(2, 28, 28, 1\); give \(height, width\)"),
        (np.zeros((0, 5)), r"shape \(0, 5\)"),
        (np.ones((5, 5), np.int64), "dtype int64; give uint8"),
        (np.full((5, 5), 255.0), "from 255 to 255; give floats from 0"),
        (np.array([[0.0, -1.0]]), "from -1 to 0"),
        (np.array([[0.0, np.nan]]), "from nan to nan"),
    ],
)
def test_what_is_no_drawing_is_said(drawing, message):
    with pytest.raises(ValueError, match=message):
        as_mnist(drawing)

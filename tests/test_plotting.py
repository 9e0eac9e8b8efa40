"""The pictures hold what they should; how they look is for people's eyes."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from cnncourse import plotting


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_an_image_grid_shows_every_image_under_its_title():
    images = np.random.default_rng(0).random((5, 28, 28, 1))
    assert plotting.show_images(images, titles=[7, 8, 9, 1, 2], columns=3) is None
    axes = plt.gcf().axes
    assert [axis.get_title() for axis in axes] == ["7", "8", "9", "1", "2", ""]
    for axis, image in zip(axes, images, strict=False):
        np.testing.assert_array_equal(axis.images[0].get_array(), image[:, :, 0])
    assert not axes[5].images


def test_wrong_predictions_carry_a_cross_and_not_only_a_colour():
    plotting.show_images(np.zeros((2, 8, 8, 1)), titles=[3, 5], wrong=[False, True])
    assert [axis.get_title() for axis in plt.gcf().axes] == ["3", "5 ✗"]


def test_colour_images_are_drawn_in_colour():
    plotting.show_images(np.zeros((1, 8, 8, 3)))
    assert plt.gcf().axes[0].images[0].get_array().shape == (8, 8, 3)


def test_kernels_share_one_scale_around_zero():
    kernel = np.random.default_rng(0).normal(size=(5, 5, 2, 6))
    plotting.show_kernels(kernel, channel=1, heading="first layer")
    pictures = [axis.images[0] for axis in plt.gcf().axes if axis.images]
    assert len(pictures) == 6
    assert {picture.get_clim() for picture in pictures} == {
        (-np.abs(kernel).max(), np.abs(kernel).max())
    }
    np.testing.assert_array_equal(pictures[4].get_array(), kernel[:, :, 1, 4])


def test_curves_have_names_axes_and_different_dashes():
    plotting.show_curves(
        {"Adam": ([1, 2], [0.9, 0.95]), "SGD": ([1, 2], [0.5, 0.7])}, across="epoch", up="accuracy"
    )
    axis = plt.gcf().axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("epoch", "accuracy")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["Adam", "SGD"]
    assert len({line.get_linestyle() for line in axis.lines}) == 2
    np.testing.assert_array_equal(axis.lines[1].get_ydata(), [0.5, 0.7])


def test_windows_stand_where_tensorflow_puts_them():
    plotting.show_windows(np.zeros((28, 28)), 5, stride=2, padding="same")
    axis = plt.gcf().axes[0]
    corners = [patch.get_xy() for patch in axis.patches[1:]]  # the first is the image's frame
    assert corners == [(-1.5, -1.5), (0.5, -1.5), (2.5, -1.5), (24.5, 24.5)]
    assert "14 places, stride 2" in axis.get_xlabel()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.show_images(np.zeros((28, 28, 1))), r"give \(n, height, width, 1 or 3\)"),
        (lambda: plotting.show_images(np.zeros((0, 8, 8, 1))), "n at least 1"),
        (lambda: plotting.show_images(np.zeros((2, 8, 8, 1)), [1]), "titles has 1 entries for 2"),
        (lambda: plotting.show_kernels(np.zeros((5, 5))), r"kernel has shape \(5, 5\)"),
        (lambda: plotting.show_kernels(np.zeros((5, 5, 1, 2)), channel=1), "channel is 1"),
        (lambda: plotting.show_curves({}, across="x", up="y"), "curves is empty"),
        (lambda: plotting.show_curves({"a": ([1], [])}, across="x", up="y"), "1 x values and 0"),
        (lambda: plotting.show_windows(np.zeros((8, 8, 1)), 3), r"image has shape \(8, 8, 1\)"),
        (lambda: plotting.show_windows(np.zeros((2, 2)), 3, padding="valid"), "does not fit"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

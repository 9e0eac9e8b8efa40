"""The builds against each other, against central differences, and against the initializers."""

import numpy as np
import pytest

from cnncourse.builders import APIS, build, initial_params
from cnncourse.networks import NETWORKS

NAMES = list(NETWORKS)


def batch(name, size=8):
    random = np.random.default_rng(0)
    images = random.random((size, *NETWORKS[name].input_shape), dtype=np.float32)
    return images, random.integers(0, 10, size)


@pytest.mark.parametrize("name", NAMES)
def test_both_builds_are_one_network(name):
    images, labels = batch(name)
    params = initial_params(NETWORKS[name], seed=3)
    eager, keras = (build(name, api, params=params) for api in ("eager", "keras"))
    np.testing.assert_allclose(eager.logits(images), keras.logits(images), atol=1e-5)
    ours, theirs = eager.gradients(images, labels), keras.gradients(images, labels)
    assert list(ours) == list(theirs) == list(params)
    for array in params:
        apart = np.abs(ours[array] - theirs[array]).max()
        assert apart <= 1e-4 * np.abs(theirs[array]).max()


@pytest.mark.parametrize("api", APIS)
def test_gradients_against_central_differences(api):
    """In directions where float32 can tell: along the gradient itself the slope is its square."""
    name = "mnist-core"
    images, labels = batch(name, 4)
    built = build(name, api, seed=1)
    gradients = built.gradients(images, labels)
    params = built.params

    def loss(step):
        moved = {key: params[key] + step * gradients[key] for key in params}
        logits = build(name, api, params=moved).logits(images).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(labels)), labels]
        return np.mean(np.log(np.exp(logits).sum(axis=1)) - chosen)

    step = 1e-3
    slope = (loss(step) - loss(-step)) / (2 * step)
    expected = sum(
        float((gradient.astype(np.float64) ** 2).sum()) for gradient in gradients.values()
    )
    assert slope == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("api", APIS)
def test_params_are_copies_and_come_back_as_given(api):
    given = initial_params(NETWORKS["mnist-tf"], seed=5)
    built = build("mnist-tf", api, params=given)
    for name, array in built.params.items():
        np.testing.assert_array_equal(array, given[name])
    built.params["conv1/bias"][:] = 7
    assert not built.params["conv1/bias"].any()


def test_the_same_seed_starts_every_api_alike_and_another_does_not():
    eager, keras = build("mnist-core", "eager", seed=2), build("mnist-core", "keras", seed=2)
    other = build("mnist-core", "eager", seed=4)
    for name, array in eager.params.items():
        np.testing.assert_array_equal(array, keras.params[name])
        assert name.endswith("bias") or (array != other.params[name]).any()


@pytest.mark.parametrize("name", NAMES)
def test_initial_params_follow_the_initializer(name):
    network = NETWORKS[name]
    start = initial_params(network)
    kernel = start["dense1/kernel"]
    deviation = kernel.std()
    match network.initializer.weights:
        case "truncated_normal":  # cutting at two deviations leaves 0.88 of the spread
            assert np.abs(kernel).max() <= 0.2
            assert deviation == pytest.approx(0.088, rel=0.02)
        case "normal":
            assert np.abs(kernel).max() > 0.3
            assert deviation == pytest.approx(0.1, rel=0.02)
        case "glorot_uniform":
            limit = np.sqrt(6 / sum(kernel.shape))
            assert 0.99 * limit < np.abs(kernel).max() <= limit
    assert all((start[bias] == network.initializer.bias).all() for bias in start if "bias" in bias)


def test_glorot_limits_are_keras_own():
    import keras

    network = NETWORKS["mnist-keras"]
    keras.utils.set_random_seed(0)
    for name, shape in network.parameter_shapes.items():
        if name.endswith("kernel"):
            theirs = np.abs(keras.initializers.GlorotUniform()(shape)).max()
            assert np.abs(initial_params(network)[name]).max() == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize("api", APIS)
def test_pixels_in_whole_numbers_are_scaled(api):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 28, 28, 1)).astype(np.uint8)
    built = build("mnist-tf", api)
    np.testing.assert_array_equal(
        built.logits(pixels), built.logits(pixels.astype(np.float32) / 255)
    )


def change(**arrays):
    return initial_params(NETWORKS["mnist-tf"]) | arrays


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((28, 28, 1)), [0], r"takes \(batch, 28, 28, 1\); one image needs its batch"),
        (np.zeros((1, 32, 32, 3)), [0], r"images have shape \(1, 32, 32, 3\)"),
        (np.zeros((2, 28, 28, 1)), [0], r"give 2 class numbers"),
        (np.zeros((1, 28, 28, 1)), [[0, 1]], r"one-hot labels: labels.argmax"),
        (np.zeros((1, 28, 28, 1)), [0.5], "labels are float64"),
        (np.zeros((1, 28, 28, 1)), [10], "labels go from 10 to 10"),
    ],
)
def test_wrong_batches_say_what_is_wrong(api, images, labels, message):
    with pytest.raises(ValueError, match=message):
        build("mnist-tf", api).gradients(images, np.array(labels))


def test_wrong_requests_say_what_is_wrong():
    with pytest.raises(ValueError, match="api is 'torch'; use one of"):
        build("mnist-tf", "torch")
    with pytest.raises(ValueError, match="network is 'lenet'"):
        build("lenet", "eager")
    with pytest.raises(ValueError, match=r"params lack \['conv1/bias'"):
        build("mnist-tf", "eager", params={"conv1/kernel": np.zeros((5, 5, 1, 32))})
    with pytest.raises(ValueError, match=r"params hold \['conv3/bias'\]"):
        build("mnist-tf", "eager", params=change(**{"conv3/bias": np.zeros(3)}))
    with pytest.raises(ValueError, match=r"has shape \(3,\); mnist-tf needs \(32,\)"):
        build("mnist-tf", "eager", params=change(**{"conv1/bias": np.zeros(3)}))


@pytest.mark.parametrize("api", APIS)
def test_dropout_works_while_training_only(api):
    import tensorflow as tf

    built = build("mnist-dropout", api)
    images = tf.constant(batch("mnist-dropout")[0])
    still = [np.array(built(images)) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    moving = [np.array(built(images, training=True)) for _ in range(2)]
    assert (moving[0] != moving[1]).any()

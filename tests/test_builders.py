"""The builds against each other, against central differences, and against the initializers."""

import itertools
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from cnncourse.builders import APIS, POLICIES, build, initial_params
from cnncourse.builders.in_session import mean_cross_entropy
from cnncourse.layers import cross_entropy
from cnncourse.networks import NETWORKS, Dense, Dropout, Flatten, Network

NAMES = list(NETWORKS)


def batch(name, size=8, seed=0):
    random = np.random.default_rng(seed)
    images = random.random((size, *NETWORKS[name].input_shape), dtype=np.float32)
    return images, random.integers(0, 10, size)


@pytest.mark.parametrize("name", NAMES)
def test_all_builds_are_one_network(name):
    """Logits to 1e-5, of the largest where that is above 1: float32 holds seven digits."""
    images, labels = batch(name)
    params = initial_params(NETWORKS[name], seed=3)
    keras = build(name, "keras", params=params)
    logits, slopes = keras.logits(images), keras.gradients(images, labels)
    for api in APIS:
        built = build(name, api, params=params)
        theirs, their_slopes = built.logits(images), built.gradients(images, labels)
        assert theirs.dtype == np.float32
        assert np.abs(theirs - logits).max() <= 1e-5 * max(1, np.abs(logits).max())
        assert list(their_slopes) == list(params)
        for array, slope in slopes.items():
            assert np.abs(their_slopes[array] - slope).max() <= 1e-4 * np.abs(slope).max()


def descent_in_numpy(built, rate):
    def step(images, labels):
        slopes = built.gradients(images, labels).values()
        for variable, slope in zip(built.trainable_variables, slopes, strict=True):
            variable -= np.float32(rate) * slope

    return step


def descent_in_session(built, rate):
    with built.graph.as_default():
        loss = mean_cross_entropy(built.prediction, built.labels)
        move = tf.compat.v1.train.GradientDescentOptimizer(rate).minimize(loss)
    return lambda images, labels: built.session.run(
        move, {built.images: images, built.labels: labels}
    )


def descent_with_a_tape(built, rate):
    optimizer, variables = keras.optimizers.SGD(rate), built.trainable_variables
    optimizer.build(variables)

    @tf.function
    def step(images, labels):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(cross_entropy(built(images), labels))
        optimizer.apply(tape.gradient(loss, variables), variables)

    return step


def descent_with_fit(built, rate):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    built.model.compile(keras.optimizers.SGD(rate), loss)
    return built.model.train_on_batch


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mnist-keras"])
def test_ten_steps_keep_the_builds_together(name):
    """Each in its own way of training, dropout off; ``mnist-keras`` has ``mnist-tf``'s layers.

    Most arrays end within 1e-5 of the way they went. Not all: where two values of a window are
    alike to the last digit, one rounding sends the gradient to the other, and on noise images that
    tips further ones (seen: 0.03 of the way, for one network).
    """
    network = replace(
        NETWORKS[name],
        layers=tuple(layer for layer in NETWORKS[name].layers if not isinstance(layer, Dropout)),
    )
    start = initial_params(network, seed=3)
    ways = {
        "numpy": descent_in_numpy,
        "eager": descent_with_a_tape,
        "session": descent_in_session,
        "keras": descent_with_fit,
    }
    batches = [batch(name, 16, seed) for seed in range(10)]
    ends = {}
    for api in APIS:
        built = build(network, api, params=start)
        step = ways[api](built, 0.01)
        for images, labels in batches:
            step(images, labels)
        ends[api] = built.params
    for api, array in itertools.product(APIS, start):
        end = ends["keras"][array]
        way, apart = np.linalg.norm(end - start[array]), np.linalg.norm(ends[api][array] - end)
        assert way > 0
        assert apart <= 0.1 * way
        assert array.endswith("bias") or apart <= 1e-4 * np.linalg.norm(end)


def test_all_that_must_be_saved_is_in_variables():
    """Whatever training changes: the random state of dropout as well."""
    for api in ("eager", "keras"):
        built = build("mnist-dropout", api)
        assert len(built.trainable_variables) == 8
        assert len(built.variables) == 8 + 1


def test_a_session_build_leaves_eager_mode_and_other_graphs_alone():
    first, second = build("mnist-tf", "session", seed=1), build("mnist-tf", "session", seed=2)
    assert tf.executing_eagerly()
    assert first.graph is not second.graph
    assert first.graph is not tf.compat.v1.get_default_graph()
    assert (first.params["conv1/kernel"] != second.params["conv1/kernel"]).any()
    # The arrays are fed, not written into the graph.
    assert first.graph.as_graph_def().ByteSize() < 200_000


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
    first, *others = (build("mnist-core", api, seed=2) for api in APIS)
    stranger = build("mnist-core", "eager", seed=4)
    for name, array in first.params.items():
        for other in others:
            np.testing.assert_array_equal(array, other.params[name])
        assert name.endswith("bias") or (array != stranger.params[name]).any()


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


@pytest.mark.parametrize("api", POLICIES["mixed_bfloat16"])
@pytest.mark.parametrize("name", ["mnist-core", "mnist-dropout", "cifar10-lenet-keras"])
def test_in_bfloat16_weights_and_answers_stay_float32_and_close(name, api):
    """Eight bits hold two to three digits; the float32 build with the same weights is the truth.

    Gradients are rougher: where two values of a window are alike in eight bits, another place gets
    the gradient (seen: 0.17 of its length, in the lowest layer on noise images).
    """
    images, labels = batch(name, 32)
    params = initial_params(NETWORKS[name], seed=3)
    exact = build(name, api, params=params)
    rough = build(name, api, params=params, policy="mixed_bfloat16")
    for array, values in rough.params.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, params[array])
    logits = exact.logits(images)
    error = np.abs(rough.logits(images) - logits).max() / np.abs(logits).max()
    assert rough.logits(images).dtype == np.float32
    assert 0 < error < 0.03  # 0 would mean that nothing was computed in bfloat16
    slopes = exact.gradients(images, labels)
    for array, slope in rough.gradients(images, labels).items():
        assert slope.dtype == np.float32
        apart = np.linalg.norm(slope - slopes[array]) / np.linalg.norm(slopes[array])
        assert apart < 0.3


def test_in_bfloat16_both_builds_are_one_network():
    images, labels = batch("mnist-core", 32)
    eager, keras = (
        build("mnist-core", api, seed=3, policy="mixed_bfloat16") for api in ("eager", "keras")
    )
    logits = keras.logits(images)
    assert np.abs(eager.logits(images) - logits).max() <= 0.005 * np.abs(logits).max()
    theirs = eager.gradients(images, labels)
    for array, slope in keras.gradients(images, labels).items():
        assert np.linalg.norm(theirs[array] - slope) <= 0.02 * np.linalg.norm(slope)


def test_a_policy_is_refused_where_it_is_not_known():
    for api, policy in (("numpy", "mixed_bfloat16"), ("keras", "mixed_float16")):
        with pytest.raises(ValueError, match=f"policy is '{policy}' for api '{api}'; use"):
            build("mnist-tf", api, policy=policy)


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


def forward(built, api, images, training):
    """Logits as an array; every framework is given tensors of its own."""
    if api == "numpy":
        return built(images, training=training)
    if api == "session":
        with built.graph.as_default():
            return built.session.run(built(tf.constant(images), training=training))
    return np.array(built(tf.constant(images), training=training))


@pytest.mark.parametrize("api", APIS)
def test_dropout_works_while_training_only(api):
    built = build("mnist-dropout", api)
    images = batch("mnist-dropout")[0]

    still = [forward(built, api, images, training=False) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    moving = [forward(built, api, images, training=True) for _ in range(2)]
    assert (moving[0] != moving[1]).any()


@pytest.mark.parametrize("api", APIS)
def test_dropout_keeps_the_expected_sum(api):
    """Of many draws, the mean is what goes in; a share of ``rate`` is 0."""
    network = Network(
        name="only-dropout",
        text="A",
        dataset="mnist",
        input_shape=(1, 1, 1),
        layers=(Flatten(), Dropout(0.25), Dense(2, None)),
        initializer=NETWORKS["mnist-tf"].initializer,
        recipe=NETWORKS["mnist-tf"].recipe,
        published=(),
    )
    params = {"dense1/kernel": np.ones((1, 2)), "dense1/bias": np.zeros(2)}
    built = build(network, api, params=params)
    ones = np.ones((20_000, 1, 1, 1), np.float32)
    dropped = forward(built, api, ones, training=True)[:, 0]
    np.testing.assert_allclose(np.unique(dropped), [0, 4 / 3], rtol=1e-6)
    assert (dropped == 0).mean() == pytest.approx(0.25, abs=0.02)


def test_gradients_in_numpy_go_back_through_dropout():
    """Through the very mask that went forward: central differences with the mask held still."""
    built = build("mnist-dropout", "numpy", seed=1)
    images, labels = batch("mnist-dropout", 2)
    built.weights = {name: array.astype(np.float64) for name, array in built.weights.items()}
    random = built.random.bit_generator.state

    def loss():
        built.random.bit_generator.state = random
        return built.loss_and_gradients(images.astype(np.float64), labels, training=True)

    _, slopes = loss()
    for name in ("conv1/bias", "dense1/bias"):
        index = np.abs(slopes[name]).argmax()
        ends = []
        for step in (1e-6, -2e-6):
            built.weights[name].flat[index] += step
            ends.append(loss()[0])
        built.weights[name].flat[index] += 1e-6
        slope = (ends[0] - ends[1]) / 2e-6
        assert slope == pytest.approx(slopes[name].flat[index], rel=1e-4)

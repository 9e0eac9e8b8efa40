"""What is measured: the plan within 15 %, running out of memory as a result, too late as an error.

Each test runs in processes of its own: a peak is read cleanest where nothing else is alive.
"""

import os
import subprocess
import sys

import pytest

from cnncourse.memory import experiment, largest_batch, plan, training_step

# Network, api, policy, and for each the batch sizes.
CONFIGURATIONS = (
    ("mnist-core", "eager", "float32", (64, 256)),
    ("cifar10-lenet-keras", "keras", "mixed_bfloat16", (64,)),
)


def peaks(name, api, policy, batches):
    """{(training, batch): peak}, the median of many: threads vary which operations overlap.

    The first steps with a new batch size find the free memory in pieces of the last one's sizes.
    """
    from math import prod
    from statistics import median

    from cnncourse.builders import build
    from cnncourse.memory import measure, tasks

    found = {}
    model = build(name, api, policy=policy)
    shape = model.network.input_shape
    forward = tasks.compiled_forward(model, shape)
    step = tasks.compiled_step(model, tasks.OPTIMIZERS["adam"](), shape)
    # A plan for predicting counts no optimizer: what Adam keeps comes off.
    slots = 8 * sum(prod(variable.shape) for variable in model.trainable_variables)
    for batch in batches:
        images, labels = tasks.noise(shape, batch)
        for training, call in (
            (False, lambda images=images: forward(images)),
            (True, lambda images=images, labels=labels: step(images, labels)),
        ):
            for _ in range(5):
                call()
            peak = median([measure(call).peak for _ in range(25)])
            found[training, batch] = peak - (0 if training else slots)
    return found


@pytest.mark.parametrize(("name", "api", "policy", "batches"), CONFIGURATIONS)
def test_plans_are_within_15_percent_of_what_tensorflow_counts(name, api, policy, batches):
    outcome = experiment(peaks, name=name, api=api, policy=policy, batches=batches)
    assert outcome.done, outcome.error
    errors = {
        (training, batch): plan(name, batch, training=training, policy=policy).total / peak - 1
        for (training, batch), peak in outcome.value.items()
    }
    assert len(errors) == 2 * len(batches)
    assert max(map(abs, errors.values())) < 0.15, errors


def counting():
    """What measure says of tensors whose sizes are known, one measurement inside another."""
    import pickle

    import tensorflow as tf

    from cnncourse.memory import count_exactly, measure

    count_exactly()
    shapes = {size: tf.constant([size]) for size in (2_048, 5_120, 40_960)}  # tensors too

    def tensor(size):
        return tf.raw_ops.Empty(shape=shapes[size], dtype=tf.uint8)

    kept = tensor(5_120)

    def outer():
        first = tensor(40_960)
        del first
        return measure(lambda: tensor(2_048))

    whole = measure(outer)
    inner = pickle.loads(pickle.dumps(whole.value))  # an experiment may return it
    sizes = [len(kept), len(inner.value)]
    return whole - whole.before, inner - inner.before, whole.before, sizes


def test_measurements_are_exact_and_may_lie_in_each_other():
    outcome = experiment(counting)
    assert outcome.done, outcome.error
    whole, inner, before, sizes = outcome.value
    assert (whole, inner, sizes) == (40_960, 2_048, [5_120, 2_048])
    assert before >= 5_120
    assert outcome.peak >= 40_960


def fill(megabytes):
    """Make a tensor of so many MB."""
    import tensorflow as tf

    return int(tf.fill([megabytes, 2**20], tf.constant(1, tf.int8))[0, 0])


def die():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def sleep():
    import time

    time.sleep(60)


def test_running_out_of_memory_is_a_result():
    outcome = experiment(fill, limit_mb=32, megabytes=64)
    assert outcome.out_of_memory
    assert not outcome.done
    assert "OOM when allocating tensor with shape[64,1048576]" in outcome.error
    assert outcome.peak < 32 * 2**20
    assert repr(outcome).startswith("out of memory, peak")


def test_a_killed_or_slow_process_is_a_result_too():
    killed = experiment(die)
    assert (killed.ended, killed.value, killed.peak) == ("crashed", None, None)
    assert "SIGKILL" in killed.error
    assert experiment(sleep, timeout=0.5).ended == "timed out"


def test_errors_are_results_and_functions_may_come_from_a_cell():
    namespace = {"__name__": "__main__"}
    exec("def wrong(n):\n    return [0][n]", namespace)
    with pytest.raises(ValueError, match="whose source text cannot be had"):
        experiment(namespace["wrong"], n=1)

    def in_a_cell(n):
        return [0][n]

    outcome = experiment(in_a_cell, n=1)
    assert (outcome.ended, outcome.error) == ("error", "IndexError: list index out of range")
    with pytest.raises(ValueError, match="cannot be sent to another process"):
        experiment(in_a_cell, n=lambda: 1)
    with pytest.raises(ValueError, match="limit_mb is 1"):
        experiment(in_a_cell, n=0, limit_mb=1)


def test_too_late_to_count_exactly_says_what_to_do():
    code = (
        "import tensorflow as tf; tf.zeros(1); from cnncourse.memory import measure\n"
        "try: measure(lambda: None)\n"
        "except RuntimeError as error: print(error)"
    )
    environment = {
        key: value for key, value in os.environ.items() if key != "TF_CPU_ALLOCATOR_USE_BFC"
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "Restart the kernel and import cnncourse.memory before the first op" in done.stdout


def test_the_largest_batch_is_confirmed():
    budget = 40_000_000
    found = largest_batch("mnist-core", budget, api="eager")
    assert found.plan.total <= budget
    assert 0.7 * budget <= found.measured <= budget  # below it, and not far below


def test_accumulation_needs_far_less_than_the_whole_batch_at_once():
    outcome = experiment(training_step, network="mnist-core", batch_size=256, parts=4, steps=1)
    assert outcome.done, outcome.error
    assert outcome.value["peak"] < 0.6 * plan("mnist-core", 256).total

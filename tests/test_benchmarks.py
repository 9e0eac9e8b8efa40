"""What the benchmarks share, and the network that is built for a peer."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncourse.builders import build, initial_params
from cnncourse.networks import NETWORKS, Conv, MaxPool

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def measuring(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import measuring

    # A folder two below the one that paths are shown from, as in the repository.
    monkeypatch.setattr(measuring, "RESULTS", tmp_path / "benchmarks" / "results" / "bench.csv")
    measuring.RESULTS.parent.mkdir(parents=True)
    return measuring


def rows(measuring):
    with measuring.RESULTS.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_above_one_is_in_our_favour(measuring):
    rates = measuring.Ratio("case", "ours", "peer", "images/s", [30, 40, 90], [20, 20, 30])
    times = measuring.Ratio("case", "ours", "peer", "s", [2, 4, 8], [4, 4, 4], less_is_better=True)
    assert rates.by_turn == [1.5, 2, 3]
    assert rates.median == 2
    assert times.by_turn == [2, 1, 0.5]
    assert str(times) == "1.00 (0.50 to 2.00)"


def test_stored_ratios_replace_earlier_ones_and_leave_the_rest(measuring):
    first = measuring.Ratio("a", "ours", "peer", "s", [1.0], [3.0], less_is_better=True)
    other = measuring.Ratio("b", "ours", "peer", "s", [1.0], [1.0], less_is_better=True)
    again = measuring.Ratio("a", "ours", "peer", "s", [1.0], [5.0], less_is_better=True)
    measuring.store("one", [first, other])
    measuring.store("two", [first])
    measuring.store("one", [again], {"peer": "1.2.3"})
    found = {(row["benchmark"], row["case"]): row for row in rows(measuring)}
    ratios = {key: float(row["ratio"]) for key, row in found.items()}
    assert ratios == {("one", "a"): 5, ("one", "b"): 1, ("two", "a"): 3}
    assert "peer 1.2.3" in found["one", "a"]["versions"]
    assert "peer" not in found["one", "b"]["versions"]
    assert "tensorflow" in found["one", "b"]["versions"]


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_gives_our_logits(name, monkeypatch):
    assert_equal_logits(NETWORKS[name], monkeypatch)


def test_pytorch_pads_as_tensorflow_does(monkeypatch):
    """Strides, overlapping windows and odd sizes: SAME adds unevenly, and pools see no zeros."""
    lenet = NETWORKS["mnist-lenet-keras"]
    layers = (Conv(3, 4, 3), MaxPool(3, 2), Conv(4, 5, 2, activation=None), MaxPool(2, 2))
    odd = replace(lenet, input_shape=(29, 26, 1), layers=layers + lenet.layers[4:])
    assert_equal_logits(odd, monkeypatch)


def assert_equal_logits(network, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import in_pytorch

    images = np.random.default_rng(0).random((5, *network.input_shape), np.float32)
    expected = build(network, "numpy", initial_params(network)).logits(images)  # the definition
    for layout in in_pytorch.LAYOUTS:
        found = in_pytorch._in_layout(network, layout).logits(images)
        np.testing.assert_allclose(found, expected, atol=1e-4)

"""Networks of thousands of nodes: the time they take grows as their number does."""

from __future__ import annotations

import numpy as np

from rtvoice.export.onnx import importer, write
from rtvoice.export.onnx.oracle import Oracle

DEEP = 20_000


def test_names_are_found_without_trying_all_before():
    """Twenty thousand nodes of one name took three minutes: each tried every number from 2 on."""
    taken = {"audio": 1, "tanh_3": 1}
    names = [write._free("tanh", taken) for _ in range(5)]
    assert names == ["tanh", "tanh_2", "tanh_4", "tanh_5", "tanh_6"]
    assert [write._free(name, taken) for name in ("tanh_4", "audio")] == ["tanh_4_2", "audio_2"]

    class Counting(dict):
        asked = 0

        def __contains__(self, name):
            self.asked += 1
            return super().__contains__(name)

    counted = Counting()
    assert len({write._free("conv", counted) for _ in range(DEEP)}) == DEEP
    assert counted.asked <= 3 * DEEP


def test_a_network_of_more_nodes_than_a_file_holds(net, refused):
    x = net.wide(2)
    for _ in range(4200):
        x = net("Tanh", x)
    message = refused(net.model(net.narrow(x, 2)))
    assert "needs 4202 nodes" in message and "at most 4096" in message and "cut the network in two" in message


def test_the_reference_in_parts_computes_what_it_does_at_once(net):
    """Results that later parts read, outputs from the middle, and one that is a weight's copy."""
    import onnx

    x = first = net.wide()
    middle = ""
    for place in range(300):
        x = net("Add", x, np.float32(1e-3)) if place % 3 else net("Add", net("Tanh", x), first)
        middle = x if place == 100 else middle
    model = net.model(net.narrow(x), middle)
    found = importer.import_onnx(model, sample_rate=16_000)
    oracle = Oracle(found, "onnx")
    signal = np.random.default_rng(1).normal(size=64).astype(np.float32)
    got = oracle.run(signal)
    whole = onnx.reference.ReferenceEvaluator(onnx.load_from_string(model))
    expected = whole.run(None, {"x": signal.reshape(1, 1, -1)})
    for name, array in zip(got, expected, strict=True):
        np.testing.assert_allclose(got[name].T, array[0], atol=1e-4)

"""The graph builder: what it writes, what it refuses, and that other readers agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtvoice import safetensors_io
from rtvoice.errors import ModelError
from rtvoice.graph import BFloat16, GraphBuilder
from rtvoice.graph_reader import load_graph, parse_graph
from rtvoice.safetensors_io import Int8

FUZZ = Path(__file__).parents[1] / "cpp" / "fuzz"


def builder(**options) -> GraphBuilder:
    return GraphBuilder(**{"name": "test", "sample_rate": 16000, "hop": 160, "licence": "CC0-1.0", **options})


def lowpass() -> GraphBuilder:
    """Return the example of docs/model-format.md."""
    b = builder(name="lowpass")
    x = b.input()
    weight = np.array([[[0.25, 0.5, 0.25]]], np.float32)
    y = b.node("conv1d", x, weight=weight, bias=np.zeros(1, np.float16), pads=[2, 0], name="fir")
    z = b.node("tanh", y)
    s = b.parameter("gain", size=1, default=[1.0], min=0.0, max=4.0)
    b.output(b.node("mul", z, s))
    return b


def test_import_needs_numpy_only():
    code = (
        "import sys; import rtvoice.graph, rtvoice.graph_reader, rtvoice.reference;"
        "heavy = {'torch', 'onnx', 'safetensors', 'soundfile', 'rich', 'rtvoice._core'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_handles_know_their_shape():
    b = builder()
    x = b.input()
    assert (x.name, x.channels, x.frames, x.control) == ("audio", 1, 160, False)
    y = b.node("conv1d", x, weight=np.zeros((8, 1, 16)), stride=16)
    assert (y.channels, y.frames, y.control) == (8, 10, False)
    p = b.parameter("p", size=8)
    assert (p.channels, p.frames, p.control) == (8, 1, True)
    g = b.node("linear", p, weight=np.zeros((8, 8)))
    assert (g.channels, g.control) == (8, True)
    z = b.node("mul", y, g)
    assert (z.channels, z.frames, z.control) == (8, 10, False)
    assert b.node("depth_to_time", z, factor=8).frames == 80
    assert b.node("conv_transpose1d", z, weight=np.zeros((8, 2, 3)), stride=4, groups=2).channels == 4
    assert b.node("noise", channels=3, frames=5).frames == 5


def test_a_file_reads_back_as_it_was_written(tmp_path):
    b = builder(
        description="a line", tier="hq", loudness=-23.0, provenance={"source": "x"}, start="prewarmed", latency=5
    )
    x = b.input()
    weights = {"weight_ih": np.ones((12, 1), np.float16), "weight_hh": BFloat16.round(np.ones((12, 4)))}
    y = b.node("gru", x, **weights, bias_hh=np.arange(12, dtype=np.float32), linear_before_reset=False, name="rnn")
    pooled = b.node("avg_pool", y, kernel=4)
    b.parameter("p", size=2, default=[0.0, -1.0], min=-1.0, max=1.0, smoothing_ms=5, description="d")
    b.output(pooled, "state", "value")
    b.save(tmp_path / "x.rtv")
    assert [path.name for path in tmp_path.iterdir()] == ["x.rtv"]
    graph = load_graph(tmp_path / "x.rtv")
    assert graph.metadata == b.metadata
    assert graph.values == b.graph().values
    assert graph.parameters == b.graph().parameters
    assert graph.outputs == b.graph().outputs
    assert [(n.op, n.name, n.inputs, n.attrs) for n in graph.nodes] == [
        (n.op, n.name, n.inputs, n.attrs) for n in b.graph().nodes
    ]
    read = graph.nodes[0].weights
    assert read["weight_ih"].dtype == np.float16
    np.testing.assert_array_equal(read["bias_hh"], np.arange(12))
    np.testing.assert_array_equal(read["weight_hh"].widen(), np.ones((12, 4)))


def test_equal_graphs_give_equal_bytes():
    assert lowpass().to_bytes() == lowpass().to_bytes()


def test_data_is_aligned():
    data = lowpass().to_bytes()
    assert (8 + int.from_bytes(data[:8], "little")) % 64 == 0


def test_seeds_of_the_fuzzer_are_what_the_writer_writes(tmp_path):
    subprocess.run([sys.executable, FUZZ / "make_seeds.py", tmp_path], check=True)
    seeds = sorted(path.name for path in (FUZZ / "seeds").iterdir())
    assert seeds == sorted(path.name for path in tmp_path.iterdir())
    for name in seeds:
        assert (tmp_path / name).read_bytes() == (FUZZ / "seeds" / name).read_bytes(), name
        assert parse_graph((tmp_path / name).read_bytes()).hop > 0


def test_the_safetensors_package_reads_our_files(tmp_path):
    safe_open = pytest.importorskip("safetensors", reason="an oracle: pip install safetensors").safe_open
    path = tmp_path / "x.rtv"
    lowpass().save(path)
    with safe_open(path, framework="numpy") as file:
        assert json.loads(file.metadata()["rtvoice"])["name"] == "lowpass"
        assert set(file.keys()) == {"fir.weight", "fir.bias"}
        np.testing.assert_array_equal(file.get_tensor("fir.weight"), [[[0.25, 0.5, 0.25]]])
        assert file.get_tensor("fir.bias").dtype == np.float16
    for seed in (FUZZ / "seeds").iterdir():
        ours, _ = safetensors_io.read(seed.read_bytes())
        with safe_open(seed, framework="numpy") as file:
            steps = {f"{name}.scale" for name, array in ours.items() if isinstance(array, Int8)}
            assert set(file.keys()) == set(ours) | steps
            for name, array in ours.items():
                if isinstance(array, Int8):
                    np.testing.assert_array_equal(file.get_tensor(name), array.values)
                elif not isinstance(array, BFloat16):  # numpy has no bfloat16
                    np.testing.assert_array_equal(file.get_tensor(name), array)


def test_we_read_what_the_safetensors_package_writes():
    save = pytest.importorskip("safetensors.numpy", reason="an oracle: pip install safetensors").save
    ours, metadata = safetensors_io.read(lowpass().to_bytes())
    theirs, their_metadata = safetensors_io.read(save(dict(ours), metadata))
    assert their_metadata == metadata
    for name, array in ours.items():
        np.testing.assert_array_equal(theirs[name], array)
    assert parse_graph(save(dict(ours), metadata)).metadata["name"] == "lowpass"


def test_bfloat16_rounds_to_nearest_even():
    values = np.array([1.0, 1.00390625, 1.01171875, -3.1415927, 0.0], np.float32)
    np.testing.assert_array_equal(BFloat16.round(values).widen(), [1.0, 1.0, 1.015625, -3.140625, 0.0])


def test_8_bits_keep_their_steps_through_a_file() -> None:
    values = np.random.default_rng(3).standard_normal((5, 3, 7)).astype(np.float32)
    values[2] = 0
    for axis in range(3):
        rounded = Int8.round(values, axis)
        others = tuple(i for i in range(3) if i != axis)
        assert rounded.scale.shape == tuple(n if i == axis else 1 for i, n in enumerate(values.shape))
        limit = np.abs(values).max(axis=others, keepdims=True) / 127 * (1 + 1 / 8)
        assert (np.abs(rounded.widen() - values) <= limit / 2 + 1e-9).all()
        np.testing.assert_array_equal(rounded.widen().astype(np.float16).astype(np.float32), rounded.widen())
        read, _ = safetensors_io.read(safetensors_io.write({"a.weight": rounded}, {}))
        assert list(read) == ["a.weight"]
        np.testing.assert_array_equal(read["a.weight"].widen(), rounded.widen())
    b = builder()
    b.output(b.node("conv1d", b.input(), weight=Int8.round(values[:, :1])), "y", "value")
    graph = parse_graph(b.to_bytes())
    np.testing.assert_array_equal(graph.nodes[0].weights["weight"].widen(), Int8.round(values[:, :1]).widen())


def test_8_bits_without_steps_are_refused() -> None:
    data = safetensors_io.write({"w": Int8(np.ones((2, 2), np.int8), np.ones((2, 1), np.float32))}, {})
    for damaged in (data.replace(b'"w.scale"', b'"x.scale"'), data.replace(b'"shape":[2,1]', b'"shape":[2]  ')):
        with pytest.raises(ModelError, match="tensor 'w': is I8 and needs an F32 tensor 'w.scale'"):
            safetensors_io.read(damaged)
    with pytest.raises(ValueError, match="belongs to the steps of 'w'"):
        safetensors_io.write({"w": Int8.round(np.ones((2, 2))), "w.scale": np.ones(2, np.float32)}, {})


W3 = np.zeros((4, 1, 3))
BAD_NODES = [
    (lambda b, x: b.node("conv2d", x), "unknown op 'conv2d'; the ops are: conv1d"),
    (lambda b, x: b.node("conv1d", x), r"node 'conv1d_1' \(conv1d\): weight 'weight' is missing"),
    (lambda b, x: b.node("conv1d", x, weight=W3, pad=1), "no attribute or weight 'pad'; it has: weight, bias, stride"),
    (lambda b, x: b.node("conv1d", x, weight=np.zeros((4, 2, 3))), "axis 1 is 2 where the input asks for 1"),
    (lambda b, x: b.node("conv1d", x, weight=np.zeros((4, 1))), r"it must be \[Cout, C/groups, K\]"),
    (lambda b, x: b.node("conv1d", x, weight=W3, stride=7), "stride 7 does not divide the 160 input frames per hop"),
    (lambda b, x: b.node("conv1d", x, weight=W3, stride=0), r"'stride' is 0; it must lie in 1..65536"),
    (lambda b, x: b.node("conv1d", x, weight=W3, stride=1.0), "'stride' is 1.0; it must be an integer"),
    (lambda b, x: b.node("conv1d", x, weight=W3, groups=3), "groups=3 does not divide 1 input channels"),
    (lambda b, x: b.node("conv1d", x, weight=W3, pads=3), "'pads' is 3; it must be two integers"),
    (lambda b, x: b.node("conv1d", x, weight=W3, dilation=65536), None),
    (lambda b, x: b.node("conv1d", x, weight=np.zeros((1, 1, 18)), dilation=65536), "reaches over 1114112 frames"),
    (lambda b, x: b.node("conv1d", x, weight=np.full((4, 1, 3), np.nan)), "not finite"),
    (lambda b, x: b.node("conv1d", x, weight=np.full((4, 1, 3), 1e39)), "not finite"),
    (lambda b, x: b.node("conv1d", x, weight="w"), "it must be float32, float16, BFloat16 or Int8"),
    (lambda b, x: b.node("conv_transpose1d", x, weight=np.zeros((1, 4, 3)), crop=[-1, 0]), r"crop\[0\]=-1 is negative"),
    (lambda b, x: b.node("gru", x, weight_ih=np.zeros((7, 1)), weight_hh=np.zeros((7, 2))), "a multiple of 3"),
    (lambda b, x: b.node("clip", x, min=1, max=0), "min=1.0 is above max=0.0"),
    (lambda b, x: b.node("clip", x, min=1), "'max' is missing"),
    (lambda b, x: b.node("elu", x, alpha=float("inf")), "must be a finite number"),
    (lambda b, x: b.node("gelu", x, approximate="erf"), "must be one of none, tanh"),
    (
        lambda b, x: b.node("gru", x, weight_ih=np.zeros((6, 1)), weight_hh=np.zeros((6, 2)), linear_before_reset=1),
        "true",
    ),
    (lambda b, x: b.node("glu", x), "even number of channels"),
    (lambda b, x: b.node("slice", x, start=0, stop=2), "not a range within 1 channels"),
    (lambda b, x: b.node("add", x), "add has 1 inputs; it takes 2"),
    (lambda b, x: b.node("concat", x), "it takes at least 2"),
    (lambda b, x: b.node("add", x, b.node("upsample", x, factor=2)), "different rates"),
    (lambda b, x: b.node("add", b.node("concat", x, x), b.node("concat", x, x, x)), "inputs have 2 and 3 channels"),
    (lambda b, x: b.node("film", x, b.node("concat", x, x), x), "gamma has 2 channels"),
    (lambda b, x: b.node("upsample", x, factor=65536), "frames per hop; the limit is 1048576"),
    (lambda b, x: b.node("linear", x, weight=np.zeros((16385, 1))), "16385 channels; the limit is 16384"),
    (lambda b, x: b.node("delay", b.parameter("p"), frames=1), "control tensor, which has no time axis"),
    (lambda b, x: b.node("noise", channels=1, frames=1, low=0.0), "'low' belongs to uniform noise"),
    (lambda b, x: b.node("tanh", x, name="audio"), "node 'audio': the name is taken"),
    (lambda b, x: b.node("tanh", x, name="é"), "printable ASCII"),
    (lambda b, x: b.node("tanh", "audio"), "must be a tensor handle"),
    (lambda b, x: b.node("tanh", builder().input()), "belongs to another builder"),
    (lambda b, x: b.input(), "has its audio input 'audio' already"),
    (lambda b, x: b.parameter("audio"), "parameter 'audio': the name is taken"),
    (lambda b, x: b.parameter("p", size=0), "size is 0"),
    (lambda b, x: b.parameter("p", default=[1, 2]), "it must have 1 numbers"),
    (lambda b, x: b.parameter("p", default=2.0), "must lie between min=0 and max=1"),
    (lambda b, x: b.parameter("p", min=1, max=0), "min=1 is above max=0"),
    (lambda b, x: b.parameter("p", smoothing_ms=-1), "smoothing_ms is -1"),
    (lambda b, x: b.output(b.node("concat", x, x)), "has 2 channels and 160 frames per hop"),
    (lambda b, x: b.output(x, kind="video"), "must be 'audio' or 'value'"),
    (lambda b, x: (b.output(x), b.output(x, "second")), "has an audio output already"),
    (lambda b, x: (b.output(x), b.output(x, "audio", "value")), "the name is taken"),
    (lambda b, x: b.to_bytes(), r"no output; call output\(tensor\)"),
]


@pytest.mark.parametrize(("add", "message"), BAD_NODES)
def test_mistakes_are_named(add, message):
    b = builder()
    x = b.node("affine", b.input(), name="first")
    if message is None:
        add(b, x)
        return
    with pytest.raises(ValueError, match=message) as caught:
        add(b, x)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "name is ''"),
        ({"name": "a\nb"}, "one line"),
        ({"sample_rate": 900}, "sample_rate is 900"),
        ({"hop": 0}, "hop is 0"),
        ({"hop": 1.5}, "hop is 1.5"),
        ({"tier": "two words"}, "tier is 'two words'"),
        ({"start": "warm"}, "start is 'warm'"),
        ({"latency": -1}, "latency is -1"),
        ({"loudness": float("nan")}, "loudness is nan"),
        ({"provenance": ["x"]}, "must be a mapping"),
        ({"provenance": {"x": object()}}, "cannot be written as JSON"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        builder(**options)


def document_of(data: bytes) -> tuple[dict, dict]:
    tensors, metadata = safetensors_io.read(data)
    return tensors, json.loads(metadata["rtvoice"])


BAD_DOCUMENTS = [
    (lambda d: d.update(format=2), "format is 2"),
    (lambda d: d.pop("tier"), "'tier' is missing"),
    (lambda d: d.update(colour=1), "unknown key 'colour'"),
    (lambda d: d["graph"]["nodes"].reverse(), "not the audio input, a parameter or an earlier node"),
    (lambda d: d["graph"]["nodes"].pop(0), "not the audio input, a parameter or an earlier node"),
    (lambda d: d["graph"]["nodes"][0]["weights"].pop("bias"), "tensor 'fir.bias': no node uses it"),
    (lambda d: d["graph"]["nodes"][0]["weights"].update(bias="fir.weight"), "missing or used already"),
    (lambda d: d["graph"]["nodes"][0]["attrs"].update(weight=1), "has no attribute 'weight'"),
    (lambda d: d["graph"]["nodes"][1].update(attrs={"alpha": 1}), "has no attribute 'alpha'"),
    (lambda d: d["graph"]["nodes"][1].update(extra=1), "unknown key 'extra'"),
    (lambda d: d["graph"]["outputs"][0].update(tensor="ghost"), "no tensor 'ghost'"),
    (lambda d: d["graph"]["inputs"][0].update(channels=2), "with 1 channel"),
    (lambda d: d["parameters"][0].update(size=2), "must be an array of 2 numbers"),
    (lambda d: d.update(graph=[]), "must be a JSON object"),
]


@pytest.mark.parametrize(("damage", "message"), BAD_DOCUMENTS)
def test_damaged_documents_are_refused(damage, message):
    tensors, document = document_of(lowpass().to_bytes())
    damage(document)
    with pytest.raises(ModelError, match=message):
        parse_graph(safetensors_io.write(tensors, {"rtvoice": json.dumps(document)}))


def test_every_truncation_is_refused():
    data = lowpass().to_bytes()
    for size in range(len(data)):
        with pytest.raises(ModelError):
            parse_graph(data[:size])


def test_files_that_are_no_models_are_refused(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        load_graph(tmp_path / "no.rtv")
    with pytest.raises(ModelError, match="Is a directory"):
        load_graph(tmp_path)
    with pytest.raises(ModelError, match="no 'rtvoice'"):
        parse_graph(safetensors_io.write({"a": np.zeros(2, np.float32)}, {}))


def _places(value, path=()):
    """Return the paths of all values within a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _places(item, (*path, key))
    return found


REPLACEMENTS = [None, True, 0, 1, -1, 2, 65537, 2**31, 2**64, 10**400, 0.5, 1e39, "", "audio", "relu", [], [0, 0], {}]


@pytest.mark.parametrize("seed", sorted(path.name for path in (FUZZ / "seeds").iterdir()))
def test_python_and_the_core_refuse_the_same(seed):
    core = pytest.importorskip("rtvoice._core", reason="the core is compared with: install the package")
    tensors, document = document_of((FUZZ / "seeds" / seed).read_bytes())
    document.pop("latency", None)  # only the core infers it, and refuses what a change makes wrong
    places = [path for path in _places(document) if path and path[0] != "provenance"]
    rng = np.random.default_rng(5)
    accepted = 0
    for _ in range(400):
        changed = json.loads(json.dumps(document))
        *parents, last = places[rng.integers(len(places))]
        place = changed
        for key in parents:
            place = place[key]
        replacement = REPLACEMENTS[rng.integers(len(REPLACEMENTS))]
        if isinstance(place[last], int) and rng.integers(2):
            replacement = place[last] + int(rng.integers(-2, 3))
        place[last] = replacement
        data = safetensors_io.write(tensors, {"rtvoice": json.dumps(changed)})
        answers = []
        for read, error in ((parse_graph, ModelError), (core.Model.from_bytes, Exception)):
            try:
                read(data)
                answers.append("")
            except error as caught:
                answers.append(str(caught) or "refused")
        # The core also compiles a plan's timing: a declared latency that is wrong is for it alone to find.
        assert bool(answers[0]) == bool(answers[1]), (*parents, last, replacement, answers)
        accepted += not answers[0]
    assert accepted > 10

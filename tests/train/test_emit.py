"""What a module writes into a graph is what it computes: against the format's own words, and in the engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for package in ("torch", "pyworld", "soundfile", "scipy"):
    pytest.importorskip(package, reason="the train extra is not installed")

import torch  # noqa: E402

from rtvoice import nn  # noqa: E402
from rtvoice.graph import Graph, GraphBuilder  # noqa: E402
from rtvoice.train.whisper.student import TIERS, WhisperStudent  # noqa: E402

torch.set_num_threads(1)
SKINS = Path(__file__).parents[2] / "models" / "whisper"


def conv1d(x: np.ndarray, w: dict, a: dict) -> np.ndarray:
    weight, (left, right) = w["weight"].astype(np.float64), a["pads"]
    padded = np.pad(x, ((left, max(right, 0)), (0, 0)))
    span, taps = (weight.shape[2] - 1) * a["dilation"] + 1, a["dilation"]
    starts = range(0, padded.shape[0] - span + 1, a["stride"])
    windows = np.stack([padded[s : s + span : taps] for s in starts])  # (frames, K, C)
    out_each, in_each = weight.shape[0] // a["groups"], weight.shape[1]
    y = np.concatenate(
        [
            np.einsum("tkc,ock->to", windows[:, :, g * in_each : (g + 1) * in_each], weight[g * out_each :][:out_each])
            for g in range(a["groups"])
        ],
        axis=1,
    )
    return y + w.get("bias", 0.0)


def conv_transpose1d(x: np.ndarray, w: dict, a: dict) -> np.ndarray:
    weight, stride = w["weight"].astype(np.float64), a["stride"]
    full = np.zeros((x.shape[0] * stride + weight.shape[2], weight.shape[1]))
    for i, frame in enumerate(x):
        full[i * stride : i * stride + weight.shape[2]] += np.einsum("c,cok->ko", frame, weight)
    return full[a["crop"][0] :][: x.shape[0] * stride] + w.get("bias", 0.0)


def layer_norm(x: np.ndarray, w: dict, a: dict) -> np.ndarray:
    centred = x - x.mean(1, keepdims=True)
    return centred / np.sqrt(x.var(1, keepdims=True) + a["eps"]) * w["weight"] + w["bias"]


OPS = {
    "conv1d": conv1d,
    "conv_transpose1d": conv_transpose1d,
    "layer_norm": layer_norm,
    "linear": lambda x, w, a: x @ w["weight"].T.astype(np.float64) + w.get("bias", 0.0),
    "affine": lambda x, w, a: x * w["scale"] + w["shift"],
    "square": lambda x, w, a: x * x,
    "log": lambda x, w, a: np.log(x),
    "exp": lambda x, w, a: np.exp(x),
    "silu": lambda x, w, a: x / (1 + np.exp(-x)),
    "clip": lambda x, w, a: np.clip(x, a["min"], a["max"]),
}
PAIRS = {"add": np.add, "sub": np.subtract, "mul": np.multiply}


def run_graph(graph: Graph, audio: np.ndarray) -> np.ndarray:
    """Compute a graph on a whole stream in float64, op by op as docs/model-format.md defines them."""
    values = {graph.input_name: audio.astype(np.float64)}
    for node in graph.nodes:
        inputs = [values[name] for name in node.inputs]
        if node.op == "noise":
            y = nn.gaussian_noise(audio.shape[0] // graph.hop, node.attrs["channels"], stream=node.attrs["stream"])
        elif node.op == "concat":
            y = np.concatenate(inputs, axis=1)
        elif node.op in PAIRS:
            y = PAIRS[node.op](*inputs)
        else:
            y = OPS[node.op](inputs[0], node.weights, node.attrs)
        values[node.name] = y
    return values[graph.outputs[0].tensor]


def build(tier: str) -> tuple[WhisperStudent, GraphBuilder, np.ndarray]:
    torch.manual_seed(3)
    model = WhisperStudent(TIERS[tier])
    torch.nn.init.normal_(model.head.weight, std=0.03)
    builder = GraphBuilder(name="whisper", sample_rate=16000, hop=160, tier=tier, latency=TIERS[tier].latency)
    builder.output(model.eval().emit(builder, builder.input()))
    time = np.arange(160 * 60) / 16000
    speech = 0.1 * np.sin(2 * np.pi * 220 * time) * (time > 0.1) + 0.01 * np.random.default_rng(0).normal(
        size=time.size
    )
    return model, builder, speech.astype(np.float32)


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max(), rtol=0)


@pytest.mark.parametrize("tier", TIERS)
def test_graph_computes_what_the_module_computes(tier: str) -> None:
    model, builder, speech = build(tier)
    wanted = run_graph(builder.graph(), speech[:, None])
    with torch.no_grad():
        found = model(torch.from_numpy(speech)[None, :, None])[0]
    close(found.numpy(), wanted)


def test_every_layer_streams() -> None:
    pytest.importorskip("rtvoice._core", reason="the engine is not built")
    import rtvoice

    torch.manual_seed(4)
    layers = [nn.ReLU(), nn.SiLU(), nn.GELU(), nn.Tanh(), nn.Sigmoid(), nn.Exp(), nn.Clip(-1.0, 1.0)]
    model = nn.Sequential(
        nn.Conv1d(1, 8, 12, stride=4),
        nn.GRU(8, 6),
        nn.LayerNorm(6),
        *layers,
        nn.Conv1d(6, 6, 3, dilation=5, groups=3),
        nn.Linear(6, 6, bias=False),
        nn.ConvTranspose1d(6, 1, 8, stride=4, crop=3),
    ).eval()
    builder = GraphBuilder(name="layers", sample_rate=16000, hop=16)
    builder.output(model.emit(builder, builder.input(), "net"))
    engine = rtvoice.Engine(builder.model(), sample_rate=16000, max_frame=100)
    x = np.random.default_rng(0).normal(size=1600).astype(np.float32)
    late = engine.latency
    assert late == 3 + 15
    streamed = np.concatenate([engine.process(x[i : i + 37]) for i in range(0, x.size, 37)])
    with torch.no_grad():
        close(streamed[late:], model(torch.from_numpy(x)[None, :, None])[0, : x.size - late, 0].numpy())


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("block", [1, 7, 160, 480])
def test_stream_equals_offline(tier: str, block: int, tmp_path: Path) -> None:
    pytest.importorskip("rtvoice._core", reason="the engine is not built")
    import rtvoice

    model, builder, speech = build(tier)
    builder.save(tmp_path / "skin.rtv")
    engine = rtvoice.Engine(str(tmp_path / "skin.rtv"), sample_rate=16000, max_frame=block)
    late = engine.latency
    assert late == TIERS[tier].latency + 159  # arbitrary cutting gathers a hop
    with torch.no_grad():
        offline = model(torch.from_numpy(speech)[None, :, None])[0, :, 0].numpy()
    streamed = np.concatenate([engine.process(speech[i : i + block]) for i in range(0, speech.size, block)])
    close(streamed[late:], offline[: speech.size - late])


@pytest.mark.parametrize("skin", sorted(SKINS.glob("*.rtv")), ids=lambda path: path.stem)
def test_shipped_skin_keeps_level_and_silence(skin: Path) -> None:
    from rtvoice.graph_reader import load_graph

    graph = load_graph(skin)
    speech = build("default")[2][:, None]
    loud = run_graph(graph, speech)
    assert 0.05 < loud.std() / speech.std() < 3
    silence = run_graph(graph, np.zeros((4800, 1), np.float32))
    assert np.abs(silence).max() < 1e-4

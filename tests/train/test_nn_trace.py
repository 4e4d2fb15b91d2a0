"""Writing graphs from `forward`: arithmetic, torch's functions, names, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("rtvoice._core", reason="the engine is not built")

import rtvoice  # noqa: E402
from rtvoice import nn  # noqa: E402
from rtvoice.export import native  # noqa: E402
from rtvoice.graph import GraphBuilder  # noqa: E402
from rtvoice.nn.cost import written  # noqa: E402

torch.set_num_threads(1)


class Formula(nn.Module):
    def __init__(self, formula: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.wide, self.formula = nn.Conv1d(1, 6, 3), formula
        self.register_buffer("vector", torch.linspace(0.5, 2.0, 6))
        self.register_buffer("matrix", torch.linspace(-1.0, 1.0, 18).reshape(3, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.formula(self, self.wide(x))
        return y.sum(dim=-1, keepdim=True)


FORMULAS: dict[str, Callable[[Formula, torch.Tensor], torch.Tensor]] = {
    "numbers": lambda m, x: 2.0 * x - 1.0 + (3.0 - x) / 4.0 - (-x),
    "over": lambda m, x: 1.0 / (x.square() + 1.0) + x / (2.0 + torch.abs(x)),
    "vector": lambda m, x: m.vector * x + m.vector - x * m.vector / (m.vector + 1.0),
    "vector_first": lambda m, x: (m.vector - x) * (1.0 - m.vector),
    "numpy": lambda m, x: x * np.float32(0.5) + x,
    "spread": lambda m, x: x[..., :1] * m.vector + m.vector + x[..., 1:2],
    "powers": lambda m, x: x**2 + (x.square() + 1.0) ** 0.5 + (x.square() + 1.0) ** -1,
    "functions": lambda m, x: torch.exp(-torch.abs(x)) + torch.sin(x) * x.cos() + torch.tanh(x) + x.sigmoid(),
    "functional": lambda m, x: torch.nn.functional.silu(x) + torch.nn.functional.gelu(x) + torch.relu(x),
    "slopes": lambda m, x: torch.nn.functional.leaky_relu(x, 0.2) + torch.nn.functional.elu(x, alpha=0.5),
    "softplus": lambda m, x: torch.nn.functional.softplus(x) + torch.log(x.square() + 0.1),
    "clamps": lambda m, x: x.clamp(-0.1, 0.2) + x.clamp(min=0.05) + torch.clamp(x, max=0.1) + x.clip(0.0, 0.3),
    "matrix": lambda m, x: x @ m.matrix.T,
    "linear": lambda m, x: torch.nn.functional.linear(x, m.matrix, torch.tensor([0.1, 0.2, 0.3])),
    "slices": lambda m, x: x[..., 1:3] * x[:, :, 3:5] + x[..., -2:],
    "chunks": lambda m, x: x.chunk(2, dim=-1)[0] * x.chunk(2, -1)[1] + x.split(3, dim=-1)[0],
    "splits": lambda m, x: torch.split(x, [1, 5], dim=-1)[0] + torch.split(x, 4, dim=2)[1][..., :1],
    "cat": lambda m, x: torch.cat([x, torch.sqrt(x.square() + 0.1)], dim=-1),
    "means": lambda m, x: x - x.mean(dim=-1, keepdim=True) + x.mean(-1, keepdim=True).square(),
    "softmax": lambda m, x: torch.softmax(x, dim=-1) * x + x.softmax(-1),
    "nothing": lambda m, x: x.float().detach().contiguous(),
    "dropout": lambda m, x: torch.nn.functional.dropout(x, 0.5, training=m.training),
    "width": lambda m, x: x * (1.0 / x.shape[-1]) + x * (0.1 * x.size(-1)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_arithmetic_writes_what_it_computes(name: str) -> None:
    torch.manual_seed(0)
    module = Formula(FORMULAS[name])
    builder = native.write(module, sample_rate=16000, hop=16, name="formula", metadata={})
    assert native.prove(module, builder.graph()) <= 1e-5


REFUSED: dict[str, tuple[Callable[[Formula, torch.Tensor], torch.Tensor], str]] = {
    "cumsum": (lambda m, x: torch.cumsum(x, dim=1), "torch's cumsum, which has no streaming form here"),
    "method": (lambda m, x: x.flip(1), "the method flip"),
    "time": (lambda m, x: x[:, 1:], "an index other than x"),
    "one_channel": (lambda m, x: x[..., 0], "an index other than x"),
    "step": (lambda m, x: x[..., ::2], "an index other than x"),
    "frames": (lambda m, x: x * x.shape[1], "the length of its input"),
    "unpacked": (lambda m, x: x * float(len(list(x.shape))), "the length of its input"),
    "sum_of_time": (lambda m, x: x.sum(1, keepdim=True), "a sum over axis 1"),
    "softmax_of_time": (lambda m, x: torch.softmax(x, dim=1), "softmax over axis 1"),
    "lost_axis": (lambda m, x: x.sum(-1), "without keepdim=True"),
    "cat_of_time": (lambda m, x: torch.cat([x, x], dim=1), "concatenation over axis 1"),
    "cube": (lambda m, x: x**3, "the power 3"),
    "constant": (lambda m, x: torch.cat([x, torch.zeros(1, 1, 2)], dim=-1), "a constant in a concatenation"),
    "table": (lambda m, x: x * torch.ones(4, 6), "a constant of shape (4, 6)"),
    "if": (lambda m, x: x if x else -x, "a value of the signal in a condition"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_streaming_form_is_refused_by_name(name: str) -> None:
    formula, told = REFUSED[name]

    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = torch.nn.ModuleList([nn.Tanh(), Formula(formula)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.part[1](self.part[0](x))

    with pytest.raises(nn.CannotStream) as caught:
        written(Holder(), sample_rate=16000)
    assert caught.value.path == "part.1"
    assert told in str(caught.value)
    assert str(caught.value).startswith("part.1: Formula.forward uses ")


def test_the_sample_of_the_documentation_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "nn.md").read_text()
    found: dict[str, object] = {}
    exec(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0], found)
    assert "latency 80 samples" in capsys.readouterr().out
    assert rtvoice.Model.load(tmp_path / "voice.rtv").outputs == ["f0"]


def names(module: torch.nn.Module, prefix: str = "") -> list[str]:
    builder = GraphBuilder(name="names", sample_rate=16000, hop=16)
    builder.output(module.emit(builder, builder.input(), prefix))
    return [node.name for node in builder.graph().nodes]


def test_nodes_are_named_after_the_modules_that_wrote_them() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Tanh(), nn.Residual(nn.Linear(1, 1)))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(self.inner(x)) + 1.0

    once = ["inner.0", "inner.1.body.0", "inner.1.add"]
    again = ["inner.0~2", "inner.1.body.0~2", "inner.1.add~2"]
    assert names(Twice()) == [*once, *again, "affine"]
    assert names(Twice(), "net") == [f"net.{name}" for name in [*once, *again, "affine"]]


def test_a_layer_that_belongs_to_nobody_is_named_after_its_class() -> None:
    class Makes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.Tanh()(x)

    assert names(Makes()) == ["Tanh"]


def test_an_emit_by_hand_may_call_one_that_is_not() -> None:
    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = nn.ConvNeXtBlock(1, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(self.block(x))

        def emit(self, builder: GraphBuilder, x: rtvoice.graph.Tensor, name: str = "") -> rtvoice.graph.Tensor:
            return builder.node("tanh", self.block.emit(builder, x, f"{name}.block"), name=f"{name}.tanh")

    assert names(ByHand(), "net")[-2:] == ["net.block.add", "net.tanh"]
    builder = native.write(ByHand(), sample_rate=16000, hop=16, name="by hand", metadata={})
    assert builder.graph().nodes[0].name == "net.block.depthwise"


def test_plain_containers_of_torch_are_walked_through() -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.chain = torch.nn.Sequential(nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Identity(), nn.Linear(1, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.chain(x)

    assert names(Holder()) == ["chain.0", "chain.3"]


def test_a_plain_torch_module_around_layers_of_ours_is_told_what_to_derive_from(tmp_path: object) -> None:
    class Holder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Tanh()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    with pytest.raises(rtvoice.ModelError, match="derive it from rtvoice.nn.Module"):
        rtvoice.export(Holder(), f"{tmp_path}/x.rtv", sample_rate=16000)


def test_a_network_in_training_is_written_as_it_will_be_used() -> None:
    module = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm(4), nn.Linear(4, 1)).train()
    written(module, sample_rate=16000)
    assert module.training and module[1].training


def test_a_stream_that_differs_is_not_exported(tmp_path: object) -> None:
    class Wrong(nn.HarmonicSource):
        def forward(self, f0: torch.Tensor) -> torch.Tensor:
            return super().forward(f0 * 1.0001)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pitch, self.source = nn.Conv1d(1, 1, 160, stride=160), Wrong(rate=16000, hop=160)
            self.source.emit = self.emitted  # type: ignore[method-assign]

        def emitted(self, builder: GraphBuilder, x: object, name: str = "") -> object:
            return nn.HarmonicSource(rate=16000, hop=160).emit(builder, x, name)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.source(200.0 + 50.0 * torch.tanh(self.pitch(x)))

        def emit(self, builder: GraphBuilder, x: object, name: str = "") -> object:
            f0 = self.pitch.emit(builder, x, f"{name}.pitch")
            f0 = builder.node("affine", builder.node("tanh", f0), scale=np.array([50.0]), shift=np.array([200.0]))
            return self.emitted(builder, f0, f"{name}.source")

    with pytest.raises(rtvoice.ModelError, match="Net: its stream differs"):
        rtvoice.export(Net(), f"{tmp_path}/x.rtv", sample_rate=16000)

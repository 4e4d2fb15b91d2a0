"""Models as torch exports them, by both of its exporters."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: its exporters are not tested")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: torch cannot export")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


class Residual(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return x + self.body(x)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Snake(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.rand(1, channels, 1) + 0.5)

    def forward(self, x):
        return x + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * x).pow(2)


class Causal(nn.Module):
    def __init__(self, *args, **options):
        super().__init__()
        self.conv = nn.Conv1d(*args, **options)

    def forward(self, x):
        left = (self.conv.kernel_size[0] - 1) * self.conv.dilation[0] + 1 - self.conv.stride[0]
        return self.conv(F.pad(x, (left, 0)))


class OverChannels(nn.Module):
    """A layer of (batch, time, channels) in a network of (batch, channels, time)."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        y = self.layer(x.transpose(1, 2))
        return (y[0] if isinstance(y, tuple) else y).transpose(1, 2)


class Trim(nn.Module):
    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x):
        return x[..., self.left : x.shape[-1] - self.right]


class RmsByHand(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(channels) + 0.5)

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def trained(module):
    """Give batch norms something to fold."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d):
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.uniform_(layer.bias, -0.3, 0.3)
    return module


def weight_norm(layer):
    return torch.nn.utils.parametrizations.weight_norm(layer)


def old_weight_norm(layer):
    return torch.nn.utils.weight_norm(layer)


def between(*layers, channels=6, out=None):
    return nn.Sequential(Causal(1, channels, 3), *layers, nn.Conv1d(out or channels, 1, 1))


def strided(*layers, channels=8, stride=4):
    return nn.Sequential(
        Causal(1, channels, 2 * stride, stride=stride),
        *layers,
        nn.ConvTranspose1d(channels, 1, 2 * stride, stride=stride),
        Trim(0, stride),
    )


MODELS = {
    "tcn": lambda: between(Residual(nn.Sequential(nn.LeakyReLU(0.1), Causal(6, 6, 3, dilation=4))), nn.Tanh()),
    "symmetric": lambda: between(nn.Conv1d(6, 6, 5, padding=2), nn.PReLU(6), nn.Conv1d(6, 6, 3, padding="same")),
    "depthwise": lambda: between(nn.Conv1d(6, 6, 5, padding=4, groups=6), Trim(0, 4), nn.Conv1d(6, 6, 1, groups=2)),
    "batch norm": lambda: between(nn.BatchNorm1d(6), nn.ReLU(), nn.Conv1d(6, 6, 1), nn.BatchNorm1d(6)),
    "weight norm": lambda: strided(weight_norm(nn.Conv1d(8, 8, 1)), weight_norm(nn.ConvTranspose1d(8, 8, 1))),
    "old weight norm": lambda: strided(old_weight_norm(nn.Conv1d(8, 8, 1))),
    "spectral norm": lambda: between(torch.nn.utils.parametrizations.spectral_norm(nn.Conv1d(6, 6, 1))),
    "transposed with padding": lambda: nn.Sequential(
        Causal(1, 8, 8, stride=4), nn.ConvTranspose1d(8, 1, 7, stride=4, padding=2, output_padding=1)
    ),
    "transposed groups": lambda: strided(nn.ConvTranspose1d(8, 8, 3, groups=4), Trim(0, 2)),
    "snake": lambda: between(Snake(6)),
    "glu": lambda: between(nn.Conv1d(6, 12, 1), nn.GLU(dim=1)),
    "gated": lambda: between(Apply(lambda x: torch.tanh(x[:, :3]) * torch.sigmoid(x[:, 3:])), out=3),
    "layer norm": lambda: between(OverChannels(nn.LayerNorm(6))),
    "rms norm": lambda: between(OverChannels(nn.RMSNorm(6))),
    "rms norm by hand": lambda: between(OverChannels(RmsByHand(6))),
    "linear": lambda: between(OverChannels(nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 6)))),
    "gru": lambda: between(OverChannels(nn.GRU(6, 6, batch_first=True))),
    "gru of two layers": lambda: between(OverChannels(nn.GRU(6, 6, num_layers=2, batch_first=True))),
    "lstm": lambda: between(OverChannels(nn.LSTM(6, 6, batch_first=True))),
    "strided gru": lambda: strided(OverChannels(nn.GRU(8, 8, batch_first=True))),
    "strided": lambda: strided(nn.ELU(), nn.Conv1d(8, 8, 3, padding=1)),
    "nearest": lambda: nn.Sequential(Causal(1, 6, 8, stride=4), nn.Upsample(scale_factor=4), nn.Conv1d(6, 1, 1)),
    "linear upsampling": lambda: nn.Sequential(
        Causal(1, 6, 8, stride=4), nn.Upsample(scale_factor=4, mode="linear"), nn.Conv1d(6, 1, 1)
    ),
    "average": lambda: nn.Sequential(Causal(1, 6, 3), nn.AvgPool1d(4), nn.ConvTranspose1d(6, 1, 4, stride=4)),
    "pixel shuffle": lambda: nn.Sequential(
        Causal(1, 8, 8, stride=4),
        Apply(lambda x: x.reshape(1, 2, 4, -1).transpose(2, 3).reshape(1, 2, -1)),
        nn.Conv1d(2, 1, 1),
    ),
    "repeat": lambda: nn.Sequential(
        Causal(1, 6, 8, stride=4), Apply(lambda x: x.repeat_interleave(4, dim=-1)), nn.Conv1d(6, 1, 1)
    ),
    "constants": lambda: between(Apply(lambda x: (1 - x) * 0.5 / (x * x + 1.0) - torch.rsqrt(x.abs() + 1))),
}
ACTIVATIONS = [
    "ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "Mish", "PReLU", "ReLU", "ReLU6", "SELU",
    "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh",
]  # fmt: skip
# torch's newer exporter freezes the time axis of these, with or without saying so.
FROZEN = {"gru", "gru of two layers", "lstm", "strided gru"}
LENGTH = 120


def build(name):
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = between(getattr(nn, name)()) if name in ACTIVATIONS else MODELS[name]()
    return trained(module).eval()


def legacy(module, *, dynamic=True, opset=17):
    file = io.BytesIO()
    axes = {"x": {2: "T"}, "y": {2: "T"}} if dynamic else None
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.randn(1, 1, LENGTH),),
            file,
            dynamo=False,
            opset_version=opset,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=axes,
        )
    return file.getvalue()


def dynamo(module, *, dynamic=True):
    shapes = ({2: 4 * torch.export.Dim("F", min=2, max=100_000)},) if dynamic else None
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module, (torch.randn(1, 1, LENGTH),), dynamo=True, dynamic_shapes=shapes, verbose=False
        )
    file = io.BytesIO()
    program.save(file)
    return file.getvalue()


# The older exporter has no form of these for any opset.
NOT_IN_LEGACY = {"spectral norm", "rms norm"}


@pytest.mark.parametrize("name", [name for name in (*MODELS, *ACTIVATIONS) if name not in NOT_IN_LEGACY])
def test_legacy_exporter(name, imported):
    assert imported(legacy(build(name))).static_length is None


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MODELS, *ACTIVATIONS])
def test_dynamo_exporter(name, imported):
    assert imported(dynamo(build(name), dynamic=name not in FROZEN)).outputs


def test_dynamo_exporter_with_all_activations(imported):
    torch.manual_seed(5)
    report = imported(dynamo(between(*(getattr(nn, name)() for name in ACTIVATIONS)).eval()))
    for op in ("gelu", "silu", "softplus", "elu", "prelu", "leaky_relu"):
        assert report.ops[op] >= 1


def test_dynamo_exporter_with_many_layers(imported):
    torch.manual_seed(6)
    layers = (
        weight_norm(nn.Conv1d(8, 8, 1)),
        Snake(8),
        Residual(nn.Sequential(Causal(8, 8, 3, dilation=2), nn.BatchNorm1d(8), nn.GLU(dim=1), nn.Conv1d(4, 8, 1))),
        OverChannels(nn.LayerNorm(8)),
        OverChannels(nn.RMSNorm(8)),
        OverChannels(nn.Linear(8, 8)),
        nn.ConvTranspose1d(8, 8, 3, groups=4),
        Trim(0, 2),
    )
    report = imported(dynamo(trained(strided(*layers)).eval()))
    assert report.static_length is None
    expected = {"conv1d", "linear", "snake", "glu", "add", "layer_norm", "rms_norm", "conv_transpose1d"}
    assert set(report.ops) == expected


def test_dynamo_exporter_with_a_recurrent_layer_and_a_fixed_length(imported):
    """It freezes the time axis; what it wrote is the same network for every length all the same."""
    assert imported(dynamo(build("gru"), dynamic=False)).static_length == LENGTH


STRIDED_GRU = """
import sys, torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv1d(1, 8, 4, stride=4), nn.ConvTranspose1d(8, 1, 4, stride=4)
        self.gru = nn.GRU(8, 8, batch_first=True)

    def forward(self, x):
        return self.up(self.gru(self.down(x).transpose(1, 2))[0].transpose(1, 2))

torch.manual_seed(3)
shapes = ({2: 4 * torch.export.Dim("F", min=2, max=100_000)},)
program = torch.onnx.export(Net().eval(), (torch.randn(1, 1, 40),), dynamo=True, dynamic_shapes=shapes, verbose=False)
program.save(sys.argv[1])
"""


def test_dynamo_exporter_declares_a_wrong_output_length(imported, tmp_path):
    """With a stride before the recurrent layer it keeps the time axis free, but declares the example's length.

    In a process of its own: once a recurrent layer was exported, torch fails on the next.
    """
    import onnx

    path = tmp_path / "net.onnx"
    subprocess.run([sys.executable, "-W", "ignore", "-c", STRIDED_GRU, str(path)], check=True, capture_output=True)
    data = path.read_bytes()
    assert onnx.load_from_string(data).graph.output[0].type.tensor_type.shape.dim[2].dim_value == 40
    assert imported(data).static_length is None


def test_legacy_exporter_with_a_fixed_length(imported):
    assert imported(legacy(build("strided gru"), dynamic=False)).static_length == LENGTH


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_legacy_exporter_at_other_opsets(opset, imported):
    imported(legacy(build("strided gru"), opset=opset))
    imported(legacy(build("glu"), opset=opset))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (nn.GroupNorm(2, 6), "InstanceNormalization"),
        (nn.InstanceNorm1d(6), "InstanceNormalization"),
        (nn.AdaptiveAvgPool1d(1), "all time"),
        (nn.Conv1d(6, 6, 5, padding=2, padding_mode="reflect"), "reflect"),
        (nn.MaxPool1d(2), "MaxPool"),
        (OverChannels(nn.GRU(6, 3, batch_first=True, bidirectional=True)), "bidirectional"),
        (Apply(lambda x: x.flip(-1)), "reverses"),
        (Apply(lambda x: x / x.std(dim=-1, keepdim=True)), "all time"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else value,
)
def test_what_cannot_stream_is_refused(layer, said, refused):
    assert said in refused(legacy(between(layer).eval()))

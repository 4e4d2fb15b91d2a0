"""Every layer: its stream is its offline output, its gradients are right, and what it is named for is true of it."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("rtvoice._core", reason="the engine is not built")

import rtvoice  # noqa: E402
from rtvoice import nn  # noqa: E402
from rtvoice.export import native  # noqa: E402
from rtvoice.nn.diagnose import randomised  # noqa: E402
from rtvoice.nn.source import Phase  # noqa: E402

torch.set_num_threads(1)
RATE, HOP, C = 16000, 160, 6


class Around(nn.Module):
    """Audio to six channels at 1/4 of the rate, what is under test, and back."""

    def __init__(self, layer: nn.Module, out: int = C, factor: int = 4) -> None:
        super().__init__()
        self.wide, self.layer = nn.Conv1d(1, C, 8, stride=4), layer
        self.narrow, self.unfold = nn.Linear(out, factor), nn.DepthToTime(factor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.unfold(self.narrow(self.layer(self.wide(x))))


class Conditioned(nn.Module):
    def __init__(self, make: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.make, self.layers = make, torch.nn.ModuleList(layers)
        self.style = nn.Parameter("style", [0.2, -0.3], min=-1.0, max=1.0, size=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.make(self, x)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: Around(nn.Conv1d(C, C, 3, dilation=2, groups=2)),
    "conv_lookahead": lambda: Around(nn.Conv1d(C, C, 5, lookahead=2)),
    "conv_all_ahead": lambda: Around(nn.Conv1d(C, C, 3, lookahead=4)),
    "conv_strided_ahead": lambda: Around(nn.Conv1d(C, C, 6, stride=2, lookahead=2), factor=8),
    "depthwise": lambda: Around(nn.DepthwiseConv1d(C, 7, lookahead=1)),
    "transposed": lambda: Around(nn.ConvTranspose1d(C, 3, 8, stride=2, crop=4), out=3, factor=2),
    "linear": lambda: Around(nn.Linear(C, C)),
    "gru": lambda: Around(nn.GRU(C, C)),
    "lstm": lambda: Around(nn.LSTM(C, C)),
    "layer_norm": lambda: Around(nn.LayerNorm(C, eps=1e-2)),
    "rms_norm": lambda: Around(nn.RMSNorm(C, eps=1e-2)),
    "batch_norm": lambda: Around(nn.BatchNorm(C)),
    "relu": lambda: Around(nn.ReLU()),
    "leaky_relu": lambda: Around(nn.LeakyReLU(0.2)),
    "prelu": lambda: Around(nn.PReLU(C)),
    "elu": lambda: Around(nn.ELU(0.7)),
    "gelu": lambda: Around(nn.GELU()),
    "silu": lambda: Around(nn.SiLU()),
    "softplus": lambda: Around(nn.Softplus(3.0)),
    "tanh": lambda: Around(nn.Tanh()),
    "sigmoid": lambda: Around(nn.Sigmoid()),
    "softmax": lambda: Around(nn.Softmax()),
    "snake": lambda: Around(nn.Snake(C, 1.5)),
    "snake_beta": lambda: Around(nn.Snake(C, beta=True)),
    "glu": lambda: Around(nn.GLU(), out=C // 2),
    "glu_tanh": lambda: Around(nn.GLU("tanh"), out=C // 2),
    "scale": lambda: Around(nn.Scale(C, 0.5)),
    "residual": lambda: Around(nn.Residual(nn.Conv1d(C, C, 3, lookahead=1), nn.Tanh())),
    "parallel": lambda: Around(nn.Parallel(nn.Conv1d(C, C, 3, lookahead=2), nn.Tanh(), nn.Delay(3))),
    "parallel_concat": lambda: Around(nn.Parallel(nn.Lookahead(3), nn.Tanh(), join="concat"), out=2 * C),
    "convnext": lambda: Around(nn.ConvNeXtBlock(C, 5, dilation=2, lookahead=1)),
    "convnext_unscaled": lambda: Around(nn.ConvNeXtBlock(C, scale=None)),
    "delay": lambda: Around(nn.Delay(5)),
    "lookahead": lambda: Around(nn.Lookahead(5)),
    "pool": lambda: Around(nn.AveragePool(4, 2), factor=8),
    "upsample": lambda: Around(nn.Upsample(2), factor=2),
    "upsample_linear": lambda: Around(nn.Upsample(4, mode="linear"), factor=1),
    "fold": lambda: Around(nn.Sequential(nn.TimeToDepth(2), nn.Tanh(), nn.DepthToTime(2))),
    "film": lambda: Conditioned(
        lambda m, x: m.layers[2](m.layers[1](m.layers[0](x), m.style(x))),
        nn.Conv1d(1, C, 5),
        nn.FiLM(C, 2),
        nn.Linear(C, 1),
    ),
    "film_by_stream": lambda: Conditioned(
        lambda m, x: m.layers[2](m.layers[1](m.layers[0](x), torch.tanh(m.layers[0](x))[..., 1:3] * m.style(x))),
        nn.Conv1d(1, C, 5),
        nn.FiLM(C, 2),
        nn.Linear(C, 1),
    ),
    "control_concat": lambda: Conditioned(lambda m, x: m.layers[0](nn.concat(x, m.style(x))), nn.Linear(3, 1)),
    "warp": lambda: Conditioned(
        lambda m, x: m.layers[2](m.layers[1](m.layers[0](x), torch.exp(m.style(x)[..., :1]))),
        nn.TimeToDepth(160),
        nn.Warp(),
        nn.DepthToTime(160),
    ),
    "fir": lambda: Conditioned(
        lambda m, x: m.layers[1](x, m.layers[0](x)), nn.Conv1d(1, 24, 320, stride=160), nn.FIR()
    ),
    "fir_faded": lambda: Conditioned(
        lambda m, x: m.layers[1](m.layers[2](x), m.layers[0](x)),
        nn.Conv1d(1, 24, 320, stride=80),
        nn.FIR(interpolate=True),
        nn.Lookahead(37),
    ),
    "stft": lambda: nn.Sequential(nn.STFT(HOP, nn.overlap_window(HOP, 80)), nn.ISTFT(HOP, nn.overlap_window(HOP, 80))),
    "filtered": lambda: Conditioned(
        lambda m, x: m.layers[1](x, m.layers[0](x)),
        nn.Conv1d(1, 242, 320, stride=160),
        nn.TimeVaryingFilter(HOP, 80),
    ),
    "filtered_gain": lambda: Conditioned(
        lambda m, x: m.layers[1](x, m.layers[0](x)),
        nn.Conv1d(1, 161, 320, stride=160),
        nn.TimeVaryingFilter(HOP, 40, points=320),
    ),
    "harmonics": lambda: Conditioned(
        lambda m, x: m.layers[1](150.0 + 100.0 * torch.tanh(m.layers[0](x))),
        nn.Conv1d(1, 1, 320, stride=160),
        nn.HarmonicSource(rate=RATE, hop=HOP),
    ),
    "noise": lambda: Conditioned(lambda m, x: x * m.layers[0](x)[..., 1:2], nn.Noise(2, stream=3)),
    "autocorrelation": lambda: nn.Sequential(
        nn.AutocorrelationFeatures(rate=RATE, hop=HOP), nn.Linear(96, 160), nn.DepthToTime(160)
    ),
    "readout": lambda: nn.Sequential(
        nn.Conv1d(1, 33, 320, stride=160), nn.F0Readout(32), nn.Linear(2, 160), nn.DepthToTime(160)
    ),
    "mel": lambda: nn.Sequential(
        nn.MelAnalysis(rate=RATE, hop=HOP, window=400, bands=40), nn.Linear(40, 160), nn.DepthToTime(160)
    ),
    "filter_bank": lambda: nn.Sequential(
        nn.TimeToDepth(160),
        nn.FilterBank(20, 160, RATE),
        nn.FilterBank(20, 160, RATE, spread=True),
        nn.DepthToTime(160),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_stream_is_the_offline_output(name: str) -> None:
    torch.manual_seed(0)
    module = randomised(LAYERS[name]())
    builder = native.write(module, sample_rate=RATE, hop=HOP, name="layer", metadata={})
    assert native.prove(module, builder.graph()) <= 1e-5


def test_every_layer_is_tried() -> None:
    tried: set[type] = set()
    for make in LAYERS.values():
        tried |= {type(layer) for layer in make().modules()}
    layers = {kind for kind in vars(nn).values() if isinstance(kind, type) and issubclass(kind, nn.Module)}
    others = {nn.Module, nn.Pointwise, nn.NoiseSynthesis, nn.Exp, nn.Log, nn.Clip}  # in test_emit.py, in MelAnalysis
    elsewhere = {
        "Attend",
        "Attention",
        "Embedding",
        "GatedStack",
        "GroupedLinear",
        "LeakySum",
        "PQMF",
        "PQMFSynthesis",
        "WaveNet",
    }
    names = {kind.__name__ for kind in layers - tried - others}
    assert names - elsewhere == set()  # those in test_nn_synthesis.py


SMALL: dict[str, tuple[Callable[[], nn.Module], list[tuple[int, ...]]]] = {
    "conv": (lambda: nn.Conv1d(2, 3, 3, stride=2, lookahead=1), [(1, 6, 2)]),
    "conv_ahead": (lambda: nn.Conv1d(2, 2, 2, lookahead=3), [(1, 6, 2)]),
    "transposed": (lambda: nn.ConvTranspose1d(2, 1, 5, stride=2, crop=1), [(1, 4, 2)]),
    "rms_norm": (lambda: nn.RMSNorm(4), [(1, 3, 4)]),
    "batch_norm": (lambda: nn.BatchNorm(3), [(2, 4, 3)]),
    "lstm": (lambda: nn.LSTM(2, 2), [(1, 4, 2)]),
    "prelu": (lambda: nn.PReLU(3), [(1, 4, 3)]),
    "snake": (lambda: nn.Snake(3, beta=True), [(1, 4, 3)]),
    "glu": (lambda: nn.GLU("tanh"), [(1, 4, 6)]),
    "film": (lambda: nn.FiLM(3, 2), [(2, 4, 3), (2, 1, 2)]),
    "delay": (lambda: nn.Delay(2), [(1, 4, 2)]),
    "lookahead": (lambda: nn.Lookahead(2), [(1, 4, 2)]),
    "upsample": (lambda: nn.Upsample(3, mode="linear"), [(1, 4, 2)]),
    "pool": (lambda: nn.AveragePool(4, 2), [(1, 6, 2)]),
    "fir": (lambda: nn.FIR(), [(2, 12, 1), (2, 3, 5)]),
    "fir_faded": (lambda: nn.FIR(interpolate=True), [(1, 12, 1), (1, 4, 7)]),
    "stft": (lambda: nn.STFT(4, nn.overlap_window(4, 2)), [(1, 12, 1)]),
    "istft": (lambda: nn.ISTFT(4, nn.overlap_window(4, 2)), [(1, 3, 8)]),
    "filter": (lambda: nn.TimeVaryingFilter(4, 2), [(1, 12, 1), (1, 3, 8)]),
    "filter_gain": (lambda: nn.TimeVaryingFilter(4, 2, points=8), [(1, 12, 1), (1, 3, 5)]),
    "autocorrelation": (
        lambda: nn.AutocorrelationFeatures(rate=4000, hop=20, window=0.01, lags=[0.002, 0.0031], floor=1e-2),
        [(1, 80, 1)],
    ),
    "readout": (lambda: nn.F0Readout(5, low=60.0, high=300.0), [(1, 3, 6)]),
}


@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_right(name: str) -> None:
    torch.manual_seed(1)
    make, shapes = SMALL[name]
    module = randomised(make()).double()
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(module, inputs)


def test_gradients_of_a_warp_are_right() -> None:
    x = torch.randn(1, 3, 7, dtype=torch.float64, requires_grad=True)
    ratio = torch.tensor([[[0.71], [1.13], [1.9]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(nn.Warp(), (x, ratio))


def test_gradients_of_a_phase_are_those_of_the_sum() -> None:
    x = 0.01 * torch.rand(2, 8, 2, dtype=torch.float64) + 0.01
    assert torch.autograd.gradcheck(Phase(), (x.requires_grad_(),))
    y = torch.randn(1, 50, 1, requires_grad=True)  # wraps many times
    weight = torch.randn(1, 50, 1)
    (Phase()(y) * weight).sum().backward()
    torch.testing.assert_close(y.grad, weight.flip(1).cumsum(1).flip(1))


def test_gradients_of_harmonics_are_right() -> None:
    torch.manual_seed(2)
    phase = torch.rand(1, 9, 1, dtype=torch.float64, requires_grad=True)
    frequency = (0.02 + 0.1 * torch.rand(1, 9, 1, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(nn.Harmonics(12), (phase, frequency), eps=1e-8, atol=1e-4)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_phase_is_the_exact_sum_after_any_time(kind: torch.dtype) -> None:
    step = 440.0 / 16000.0
    x = torch.full((1, 200_000, 1), step, dtype=kind)
    exact = float(x[0, 0, 0]) * 200_000 % 1.0
    assert Phase()(x)[0, -1, 0].item() == pytest.approx(exact, abs=2.0**-23)
    x[0, 1000] = float("nan")
    x[0, 2000] = float("inf")
    assert Phase()(x)[0, -1, 0].item() == pytest.approx((exact - 2 * step) % 1.0, abs=2.0**-23)


def test_a_phase_starts_anywhere_while_training_and_at_zero_after() -> None:
    layer = nn.HarmonicSource(rate=RATE, hop=HOP)
    f0 = torch.full((4, 10, 1), 200.0)
    torch.manual_seed(0)
    first = layer.train()(f0)
    assert (first[0] - first[1]).abs().max() > 0.5
    torch.testing.assert_close(layer.eval()(f0)[0], layer(f0)[1], rtol=0, atol=0)


@pytest.mark.parametrize("hertz", [70.0, 123.4, 411.0])
def test_a_harmonic_source_has_the_pitch_it_is_told_and_nothing_in_between(hertz: float) -> None:
    f0 = torch.full((1, 105, 1), hertz)
    audio = nn.HarmonicSource(rate=RATE, hop=HOP).eval()(f0)[0, 800:, 0].double().numpy()
    audio = audio[:16000]
    assert np.mean(audio**2) == pytest.approx(1.0, rel=0.06)
    power = np.abs(np.fft.rfft(audio * np.kaiser(len(audio), 18.0))) ** 2
    near = np.zeros(len(power), bool)
    for k in range(1, int(8000 / hertz) + 1):
        at = round(k * hertz)
        near[max(at - 7, 0) : at + 8] = True
    assert power[~near].sum() < 1e-7 * power.sum()
    assert np.isclose(power[near].sum(), power.sum())


def test_a_harmonic_source_of_no_pitch_is_silent() -> None:
    assert nn.HarmonicSource(rate=RATE, hop=HOP).eval()(torch.zeros(1, 5, 1)).abs().max() == 0


@pytest.mark.parametrize(("hop", "fade"), [(160, 80), (160, 160), (240, 60), (160, 0), (80, 20)])
def test_overlapping_frames_give_the_signal_back(hop: int, fade: int) -> None:
    window = nn.overlap_window(hop, fade)
    module = nn.Sequential(nn.STFT(hop, window), nn.ISTFT(hop, window))
    x = torch.randn(1, hop * 20, 1)
    torch.testing.assert_close(module(x)[:, : -fade or None], x[:, : -fade or None], rtol=0, atol=2e-5)
    assert nn.cost(module, sample_rate=RATE, hop=hop).latency == fade


def test_a_filter_of_one_changes_nothing_and_half_halves() -> None:
    layer = nn.TimeVaryingFilter(160, 80)
    x = torch.randn(1, 1600, 1)
    gain = torch.full((1, 10, 121), 0.5)
    both = nn.concat(gain, torch.zeros_like(gain))
    torch.testing.assert_close(layer(x, gain)[:, :-80], 0.5 * x[:, :-80], rtol=0, atol=2e-5)
    torch.testing.assert_close(layer(x, both)[:, :-80], 0.5 * x[:, :-80], rtol=0, atol=2e-5)


def test_a_filter_delays_by_the_slope_of_its_phase() -> None:
    """Room for what rings on keeps a filter of 60 samples from coming back at the frame's start."""
    layer = nn.TimeVaryingFilter(160, 80, points=400)
    x = torch.randn(1, 1600, 1)
    angle = -2 * math.pi * torch.arange(201) * 60 / 400
    response = torch.cat([angle.cos(), angle.sin()]).expand(1, 10, -1)
    torch.testing.assert_close(layer(x, response)[:, 200:1500], x[:, 140:1440], rtol=0, atol=1e-4)


@pytest.mark.parametrize("rate", [16000, 24000])
@pytest.mark.parametrize("hertz", [80.0, 137.0, 260.0, 400.0])
def test_autocorrelation_is_one_at_the_period_whatever_the_level(rate: int, hertz: float) -> None:
    hop = rate // 100
    lags = nn.lag_grid(60.0, 500.0, 128)
    layer = nn.AutocorrelationFeatures(rate=rate, hop=hop, lags=lags)
    turns = np.arange(hop * 12) * hertz / rate
    wave = sum(np.cos(2 * np.pi * k * turns + k * k) / k for k in range(1, 8))
    for level in (1.0, 0.01):
        x = torch.as_tensor(level * wave, dtype=torch.float32)[None, :, None]
        heard = layer(x)[0, 6:].mean(0).numpy()
        period = int(np.argmin(np.abs(lags - 1 / hertz)))
        assert heard[period] > 0.93
        assert heard.max() < 1.08
        assert heard.min() < 0.5
    assert layer(torch.zeros(1, hop * 4, 1)).abs().max() == 0


def test_autocorrelation_of_noise_is_small() -> None:
    layer = nn.AutocorrelationFeatures(rate=RATE, hop=HOP)
    heard = layer(torch.randn(1, HOP * 200, 1))[0, 5:]
    assert heard.abs().mean() < 0.25


def test_a_readout_reads_what_its_labels_say() -> None:
    layer = nn.F0Readout(128)
    f0 = torch.tensor([60.0, 100.0, 233.0, 500.0]).reshape(1, 4, 1)
    logits = layer.labels(f0).clamp(min=1e-20).log()
    read = layer(nn.concat(logits, torch.tensor([[[3.0], [-3.0], [0.0], [9.0]]])))
    torch.testing.assert_close(read[..., :1], f0, rtol=2e-3, atol=0)
    torch.testing.assert_close(read[0, :, 1], torch.tensor([0.9526, 0.0474, 0.5, 0.9999]), atol=1e-4, rtol=0)


class Louder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter("gain", 1.0, min=0.5, max=4.0, description="how loud")

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        gain = self.gain(x)
        return {"audio": x * gain + x * (gain - 1.0), "level": (x * gain).square()}


def test_a_parameter_is_drawn_set_and_reset() -> None:
    module = Louder()
    x = torch.ones(3, 4, 1)
    torch.testing.assert_close(module(x)["audio"], x)
    drawn = nn.draw_parameters(module, 3, torch.Generator().manual_seed(0))["gain"]
    assert drawn.shape == (3, 1) and len(set(drawn[:, 0].tolist())) == 3
    assert ((drawn >= 0.5) & (drawn <= 4.0)).all()
    torch.testing.assert_close(module(x)["audio"], (2 * drawn - 1)[:, None].expand(3, 4, 1))
    nn.reset_parameters(module)
    torch.testing.assert_close(module(x)["audio"], x)


def test_a_parameter_reaches_the_engine(tmp_path: object) -> None:
    from pathlib import Path

    model = rtvoice.export(Louder(), Path(str(tmp_path)) / "louder.rtv", sample_rate=RATE, hop=16)
    assert model.parameters == ["gain"]
    assert model.outputs == ["level"]
    assert model.info["parameters"][0]["max"] == 4.0
    engine = rtvoice.Engine(model, sample_rate=RATE, max_frame=16, block=16)
    engine.set("gain", 3.0)
    for _ in range(40):
        out = engine.process(np.ones(16, np.float32))
    assert out[-1] == pytest.approx(5.0)
    assert engine.outputs["level"][0] == pytest.approx(9.0)


def test_a_network_with_parameters_can_be_copied_and_stored() -> None:
    module = Louder()
    nn.cost(module, sample_rate=RATE)  # leaves a handle behind
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        nn.cost(other, sample_rate=RATE)
        assert [layer.name for layer in other.modules() if isinstance(layer, nn.Parameter)] == ["gain"]


def test_a_batch_norm_is_folded_into_what_it_follows() -> None:
    torch.manual_seed(0)
    module = randomised(nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm(4), nn.PReLU(4), nn.Linear(4, 1)))
    fused = {layer.name: layer.fused for layer in nn.cost(module, sample_rate=RATE).layers}
    assert fused["0"] and fused["1"]
    x = torch.randn(8, 50, 1)
    before = module[1].statistics.running_mean.clone()
    module.train()(x)
    assert (module[1].statistics.running_mean - before).abs().max() > 0


def test_noise_is_the_engines_in_eval_mode_and_new_while_training() -> None:
    layer = nn.Noise(3, stream=5)
    like = torch.zeros(2, 7, 1)
    np.testing.assert_array_equal(layer.eval()(like)[1].numpy(), nn.gaussian_noise(7, 3, stream=5))
    assert (layer.train()(like) != layer(like)).all()

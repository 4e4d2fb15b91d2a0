"""The float64 reference against torch in float64, op by op."""

from __future__ import annotations

import numpy as np
import pytest

from rtvoice.graph import GraphBuilder
from rtvoice.reference import evaluate, noise

torch = pytest.importorskip("torch", reason="the reference is compared with torch: pip install torch")
F = torch.nn.functional

HOP = 12
CHANNELS = 6


def make(channels: int = CHANNELS, hop: int = HOP):
    """Return a builder, a stream of `channels` channels at full rate and its seeded generator."""
    rng = np.random.default_rng(7)
    b = GraphBuilder(name="test", sample_rate=16000, hop=hop)
    audio = b.input()
    x = b.node("linear", audio, weight=rng.normal(size=(channels, 1)), bias=rng.normal(size=channels), name="x")
    return b, x, rng


def run(b, x, y, hops: int = 9, **kwargs):
    """Evaluate with noise as the signal; return `(x, y)` as arrays of (frames, channels)."""
    b.output(y, name="y", kind="value")
    signal = np.random.default_rng(1).normal(size=hops * HOP)
    values = evaluate(b.graph(), signal, **kwargs)
    return values[x.name], values[y.name]


def to_torch(x):
    """(frames, channels) to (1, channels, frames)."""
    return torch.from_numpy(np.array(x.T))[None]


def to_numpy(y):
    return y[0].numpy().T


def f32(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def wide(array):
    return torch.from_numpy(array.astype(np.float64))


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (3, 1, 1), (3, 2, 1), (4, 3, 2), (7, 4, 3)])
@pytest.mark.parametrize("pad", [0, 1, 5, -2])
def test_conv1d_is_torchs(groups, kernel, stride, dilation, pad):
    b, x, rng = make()
    weight, bias = f32(rng, 12, CHANNELS // groups, kernel), f32(rng, 12)
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    y = b.node("conv1d", x, weight=weight, bias=bias, pads=[pad, 0], **options)
    got_x, got = run(b, x, y)
    expected = to_numpy(F.conv1d(F.pad(to_torch(got_x), (pad, 0)), wide(weight), wide(bias), **options))
    # The last frames see what follows the signal, which torch does not have.
    count = min(len(expected), len(got))
    assert len(got) == 9 * HOP // stride
    assert count > 4
    np.testing.assert_allclose(got[:count], expected[:count], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (3, 1, 1), (4, 2, 1), (2, 3, 2), (9, 4, 3)])
@pytest.mark.parametrize("crop", [0, 1, 3])
def test_conv_transpose1d_is_torchs(groups, kernel, stride, dilation, crop):
    b, x, rng = make()
    weight, bias = f32(rng, CHANNELS, 4 // min(groups, 2) if groups < 6 else 1, kernel), None
    bias = f32(rng, weight.shape[1] * groups)
    options = {"stride": stride, "dilation": dilation, "groups": groups}
    y = b.node("conv_transpose1d", x, weight=weight, bias=bias, crop=[crop, 0], **options)
    got_x, got = run(b, x, y)
    full = to_numpy(F.conv_transpose1d(to_torch(got_x), wide(weight), wide(bias), **options))
    count = len(got_x) * stride - crop
    assert len(got) == 9 * HOP * stride
    np.testing.assert_allclose(got[:count], full[crop : crop + count], rtol=1e-12, atol=1e-12)


def test_linear_is_torchs():
    b, x, rng = make()
    weight, bias = f32(rng, 5, CHANNELS), f32(rng, 5)
    got_x, got = run(b, x, b.node("linear", x, weight=weight, bias=bias))
    expected = F.linear(torch.from_numpy(got_x), wide(weight), wide(bias)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hidden", [1, 5])
@pytest.mark.parametrize("op", ["gru", "lstm"])
def test_recurrent_layers_are_torchs(op, hidden):
    b, x, rng = make()
    layer = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[op](CHANNELS, hidden, batch_first=True).double()
    weights = {}
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            weights[name.removesuffix("_l0")] = f32(rng, *parameter.shape)
            parameter.copy_(wide(weights[name.removesuffix("_l0")]))
        got_x, got = run(b, x, b.node(op, x, **weights))
        expected = layer(torch.from_numpy(got_x)[None])[0][0].numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


def test_gru_with_reset_before_the_product():
    # The form of onnx with linear_before_reset=0, written out with torch's elements.
    b, x, rng = make()
    hidden = 4
    w, u, bi, bh = f32(rng, 12, CHANNELS), f32(rng, 12, hidden), f32(rng, 12), f32(rng, 12)
    y = b.node("gru", x, weight_ih=w, weight_hh=u, bias_ih=bi, bias_hh=bh, linear_before_reset=False)
    got_x, got = run(b, x, y)
    wr, wz, wn = wide(w).chunk(3)
    ur, uz, un = wide(u).chunk(3)
    (bir, biz, bin_), (bhr, bhz, bhn) = wide(bi).chunk(3), wide(bh).chunk(3)
    h = torch.zeros(hidden, dtype=torch.float64)
    for frame, result in zip(torch.from_numpy(got_x), got, strict=True):
        r = torch.sigmoid(wr @ frame + bir + ur @ h + bhr)
        z = torch.sigmoid(wz @ frame + biz + uz @ h + bhz)
        n = torch.tanh(wn @ frame + bin_ + un @ (r * h) + bhn)
        h = (1 - z) * n + z * h
        np.testing.assert_allclose(result, h.numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("affine", [False, True])
def test_norms_are_torchs(affine):
    b, x, rng = make()
    weight, bias = f32(rng, CHANNELS), f32(rng, CHANNELS)
    layer = b.node("layer_norm", x, eps=1e-3, **({"weight": weight, "bias": bias} if affine else {}))
    rms = b.node("rms_norm", x, eps=1e-3, **({"weight": weight} if affine else {}))
    b.output(layer, "layer", "value")
    got_x, got_rms = run(b, x, rms)
    got_layer = evaluate(b.graph(), np.random.default_rng(1).normal(size=9 * HOP))[layer.name]
    t = torch.from_numpy(got_x)
    w, s = (wide(weight), wide(bias)) if affine else (None, None)
    np.testing.assert_allclose(got_layer, F.layer_norm(t, (CHANNELS,), w, s, 1e-3).numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(got_rms, F.rms_norm(t, (CHANNELS,), w, 1e-3).numpy(), rtol=1e-12, atol=1e-12)


POINTWISE = [
    ("relu", {}, F.relu),
    ("silu", {}, F.silu),
    ("tanh", {}, torch.tanh),
    ("sigmoid", {}, torch.sigmoid),
    ("exp", {}, torch.exp),
    ("log", {}, torch.log),
    ("sqrt", {}, torch.sqrt),
    ("square", {}, torch.square),
    ("abs", {}, torch.abs),
    ("neg", {}, torch.neg),
    ("reciprocal", {}, torch.reciprocal),
    ("sin", {}, torch.sin),
    ("cos", {}, torch.cos),
    ("leaky_relu", {"alpha": 0.2}, lambda x: F.leaky_relu(x, 0.2)),
    ("leaky_relu", {}, F.leaky_relu),
    ("elu", {}, F.elu),
    ("elu", {"alpha": 0.5}, lambda x: F.elu(x, 0.5)),
    ("gelu", {}, F.gelu),
    ("gelu", {"approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh")),
    ("softplus", {}, F.softplus),
    ("softplus", {"beta": 2.0}, lambda x: F.softplus(x, 2.0, 1e9)),
    ("clip", {"min": -0.5, "max": 0.25}, lambda x: torch.clamp(x, -0.5, 0.25)),
    ("glu", {}, lambda x: F.glu(x, dim=-1)),
    ("glu", {"a": "tanh", "b": "relu"}, lambda x: torch.tanh(x[:, :3]) * F.relu(x[:, 3:])),
]


@pytest.mark.parametrize(
    ("op", "attrs", "torchs"), POINTWISE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_pointwise_ops_are_torchs(op, attrs, torchs):
    b, x, _ = make()
    got_x, got = run(b, x, b.node(op, x, **attrs))
    np.testing.assert_allclose(got, torchs(torch.from_numpy(got_x)).numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, CHANNELS])
def test_prelu_is_torchs_and_snake_and_affine_as_defined(size):
    b, x, rng = make()
    a, c = f32(rng, size), np.abs(f32(rng, size)) + 0.5
    nodes = {
        "prelu": b.node("prelu", x, weight=a),
        "snake": b.node("snake", x, alpha=c),
        "snake2": b.node("snake", x, alpha=a, beta=c),
        "affine": b.node("affine", x, scale=a, shift=c),
    }
    b.output(nodes["prelu"], "y", "value")
    values = evaluate(b.graph(), np.random.default_rng(1).normal(size=5 * HOP))
    t, wa, wc = torch.from_numpy(values["x"]), wide(a), wide(c)
    expected = {
        "prelu": F.prelu(t, wa),
        "snake": t + torch.sin(wc * t) ** 2 / wc,
        "snake2": t + torch.sin(wa * t) ** 2 / wc,
        "affine": t * wa + wc,
    }
    for name, tensor in nodes.items():
        np.testing.assert_allclose(values[tensor.name], expected[name].numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
def test_linear_upsampling_interpolates_as_torch_does(factor, coordinates):
    b, x, _ = make()
    y = b.node("upsample", x, factor=factor, mode="linear", coordinates=coordinates)
    got_x, got = run(b, x, y)
    t = to_torch(got_x)
    if coordinates == "half_pixel":
        expected = to_numpy(F.interpolate(t, scale_factor=factor, mode="linear", align_corners=False))
    else:  # align_corners over whole intervals puts frame i at i*factor
        size = (len(got_x) - 1) * factor + 1
        expected = to_numpy(F.interpolate(t, size=size, mode="linear", align_corners=True))
    count = (len(got_x) - 1) * factor  # beyond, torch clamps to the end, a stream goes on
    assert len(got) == len(got_x) * factor
    np.testing.assert_allclose(got[:count], expected[:count], rtol=1e-10, atol=1e-12)


def test_nearest_upsampling_pooling_and_delays_are_torchs():
    b, x, _ = make()
    near = b.node("upsample", x, factor=3)
    pool = b.node("avg_pool", x, kernel=3)
    padded = b.node("avg_pool", x, kernel=5, stride=2, pads=[3, 0])
    late, early = b.node("delay", x, frames=5), b.node("advance", x, frames=4)
    b.output(near, "y", "value")
    values = evaluate(b.graph(), np.random.default_rng(1).normal(size=6 * HOP))
    t = to_torch(values["x"])
    np.testing.assert_array_equal(values[near.name], to_numpy(F.interpolate(t, scale_factor=3, mode="nearest")))
    np.testing.assert_allclose(values[pool.name], to_numpy(F.avg_pool1d(t, 3)), atol=1e-12)
    expected = to_numpy(F.avg_pool1d(F.pad(t, (3, 0)), 5, 2))
    np.testing.assert_allclose(values[padded.name][: len(expected)], expected, atol=1e-12)
    np.testing.assert_array_equal(values[late.name][5:], values["x"][:-5])
    assert not values[late.name][:5].any()
    np.testing.assert_array_equal(values[early.name][:-4], values["x"][4:])


@pytest.mark.parametrize("order", ["channel", "time"])
def test_depth_and_time_are_pixel_shuffles(order):
    b, x, _ = make()
    up = b.node("depth_to_time", x, factor=3, order=order)
    down = b.node("time_to_depth", x, factor=4, order=order)
    back = b.node("time_to_depth", up, factor=3, order=order)
    b.output(up, "y", "value")
    values = evaluate(b.graph(), np.random.default_rng(1).normal(size=6 * HOP))
    t = torch.from_numpy(values["x"])
    frames = len(t)
    if order == "channel":  # torch's pixel shuffle over a plane of height 1, then the time axis only
        shuffled = t.reshape(frames, 2, 3).transpose(1, 2).reshape(frames * 3, 2)
        folded = F.pixel_unshuffle(t.T.reshape(1, CHANNELS, frames, 1).repeat(1, 1, 1, 4), 4)
        folded = folded.reshape(CHANNELS, 4, 4, frames // 4)[:, :, 0].reshape(CHANNELS * 4, frames // 4).T
    else:
        shuffled = t.reshape(frames * 3, 2)
        folded = t.reshape(frames // 4, 4 * CHANNELS)
    np.testing.assert_array_equal(values[up.name], shuffled.numpy())
    np.testing.assert_array_equal(values[down.name], folded.numpy())
    np.testing.assert_array_equal(values[back.name], values["x"])


def test_arithmetic_film_concat_and_slice():
    b, x, _ = make()
    one = b.node("slice", x, start=2, stop=3)
    nodes = {op: b.node(op, x, one) for op in ("add", "sub", "mul", "div")}
    swapped = b.node("sub", one, x)
    film = b.node("film", x, one, x, offset=1.0)
    joined = b.node("concat", x, one, x)
    b.output(film, "y", "value")
    values = evaluate(b.graph(), np.random.default_rng(1).normal(size=4 * HOP))
    t = torch.from_numpy(values["x"])
    s = t[:, 2:3]
    expected = {"add": t + s, "sub": t - s, "mul": t * s, "div": t / s}
    for op, tensor in nodes.items():
        np.testing.assert_allclose(values[tensor.name], expected[op].numpy(), rtol=1e-15)
    np.testing.assert_array_equal(values[swapped.name], (s - t).numpy())
    np.testing.assert_allclose(values[film.name], (t * (s + 1) + t).numpy(), rtol=1e-14)
    np.testing.assert_array_equal(values[joined.name], torch.cat([t, s, t], dim=1).numpy())


def test_a_control_ramps_from_hop_to_hop():
    b, x, _ = make()
    gain = b.parameter("gain", default=[0.5], max=4.0)
    double = b.node("add", gain, gain)
    y = b.node("mul", x, double)
    b.output(y, "y", "value")
    graph = b.graph()
    signal = np.random.default_rng(1).normal(size=3 * HOP)
    constant = evaluate(graph, signal)
    np.testing.assert_array_equal(constant[y.name], constant["x"])
    assert constant[double.name].shape == (3, 1)
    ramped = evaluate(graph, signal, {"gain": [[0.5], [1.0], [1.0]]})
    expected = np.concatenate([np.ones(HOP), 1 + np.arange(1, HOP + 1) / HOP, np.full(HOP, 2.0)])
    np.testing.assert_allclose(ramped[y.name], ramped["x"] * expected[:, None], rtol=1e-14)


def plain_noise_word(i: int, seed: int, stream: int) -> int:
    """u32(i) of docs/model-format.md in plain Python integers."""
    mask = 0xFFFFFFFF

    def mix(v: int) -> int:
        v ^= v >> 16
        v = v * 0x21F0AAAD & mask
        v ^= v >> 15
        v = v * 0xD35A2D97 & mask
        return v ^ (v >> 15)

    key = mix((seed & mask) + 0x9E3779B9 * stream & mask) ^ mix((seed >> 32) + 0x85EBCA6B & mask)
    return mix(mix((i & mask) ^ key) + (i >> 32) * 0x9E3779B9 + key & mask)


@pytest.mark.parametrize("seed", [0, 1, 0xFEDCBA9876543210])
@pytest.mark.parametrize("start", [0, 2**33])
def test_noise_is_what_the_format_says(seed, start):
    b, _, _ = make()
    options = {"channels": 3, "frames": 4, "stream": 0xDEADBEEF}
    uniform = b.node("noise", distribution="uniform", low=-2.0, high=3.0, **options)
    gaussian = b.node("noise", mean=0.5, std=2.0, **options)
    b.output(uniform, "y", "value")
    nodes = {node.name: node for node in b.graph().nodes}
    got_u = noise(nodes[uniform.name], 5, seed, start).ravel()
    got_g = noise(nodes[gaussian.name], 5, seed, start).ravel()
    for k in range(15):
        i = start * 3 + k
        unit = (plain_noise_word(i, seed, 0xDEADBEEF) >> 8) / 2**24
        assert got_u[k] == pytest.approx(-2.0 + 5.0 * unit, rel=1e-15)
        radius = ((plain_noise_word(2 * i, seed, 0xDEADBEEF) >> 8) + 1) / 2**24
        angle = (plain_noise_word(2 * i + 1, seed, 0xDEADBEEF) >> 8) / 2**24
        expected = 0.5 + 2.0 * np.sqrt(-2 * np.log(radius)) * np.cos(2 * np.pi * angle)
        assert got_g[k] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_noise_has_the_moments_of_its_distribution():
    b, _, _ = make()
    b.output(b.node("noise", channels=64, frames=1, name="g"), "g", "value")
    b.output(b.node("noise", channels=64, frames=1, distribution="uniform", name="u"), "u", "value")
    values = evaluate(b.graph(), np.zeros(2000 * HOP), seed=3)
    assert values["g"].shape == (2000, 64)
    assert abs(values["g"].mean()) < 0.01
    assert abs(values["g"].std() - 1) < 0.01
    assert abs(np.corrcoef(values["g"][:-1].ravel(), values["g"][1:].ravel())[0, 1]) < 0.01
    assert abs(values["u"].mean()) < 0.01
    assert abs(values["u"].std() - 3**-0.5) < 0.01


def test_lookahead_sees_the_input_as_zero_and_layers_go_on():
    # tanh(x + 1) of a zero input is tanh(1): a second layer that looks ahead must see that, not zero padding.
    b = GraphBuilder(name="ahead", sample_rate=16000, hop=HOP)
    x = b.input()
    shifted = b.node("tanh", b.node("affine", x, shift=1.0))
    y = b.node("advance", shifted, frames=HOP + 3)
    b.output(y)
    got = evaluate(b.graph(), np.zeros(2 * HOP))[y.name]
    np.testing.assert_allclose(got, np.full((2 * HOP, 1), np.tanh(1.0)))


def test_ten_seconds_take_seconds():
    b, x, rng = make(16)
    for dilation in (1, 2, 4, 8):
        x = b.node("tanh", b.node("conv1d", x, weight=f32(rng, 16, 16, 3), dilation=dilation, pads=[2 * dilation, 0]))
    b.output(b.node("linear", x, weight=f32(rng, 1, 16)))
    assert len(evaluate(b.graph(), np.zeros(16000 * 10))) == 11

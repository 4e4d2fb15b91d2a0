"""The networks that are compared: the target table's shapes and two like published voice converters; random weights.

A network is one hop's worth of work. Its input of `channels` channels and `frames` frames is handed over as one row of
`channels * frames` numbers, time-major: for the engine that is the audio input, which `time_to_depth` reads as frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtvoice import GraphBuilder
from rtvoice.graph import Graph, Tensor

RATE = 48_000


class Net:
    """A graph under construction: layers with random weights of a size that keeps signals near 1."""

    def __init__(self, name: str, *, channels: int = 1, frames: int = 1, half: bool = False, rate: int = RATE) -> None:
        self.b = GraphBuilder(name=name, sample_rate=rate, hop=channels * frames, licence="CC0-1.0")
        self.random = np.random.default_rng(1)
        self.dtype = np.float16 if half else np.float32
        audio = self.b.input()
        self.x = self.b.node("time_to_depth", audio, factor=channels, order="time") if channels > 1 else audio

    def weight(self, *shape: int, fan_in: int) -> NDArray[np.floating]:
        """Return uniform numbers whose sum over `fan_in` products keeps its input's variance."""
        return (self.random.uniform(-1.0, 1.0, shape) * np.sqrt(3.0 / fan_in)).astype(self.dtype)

    def bias(self, size: int) -> NDArray[np.float32]:
        return self.random.uniform(-0.1, 0.1, size).astype(np.float32)

    def conv(
        self,
        x: Tensor,
        out: int,
        kernel: int,
        *,
        dilation: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> Tensor:
        """Add a causal convolution, padded so that a hop's outputs need no later hop."""
        per_group = x.channels // groups
        weight = self.weight(out, per_group, kernel, fan_in=per_group * kernel)
        pad = (kernel - 1) * dilation - stride + 1
        more = {"bias": self.bias(out)} if bias else {}
        return self.b.node(
            "conv1d", x, weight=weight, stride=stride, dilation=dilation, groups=groups, pads=[pad, 0], **more
        )

    def linear(self, x: Tensor, out: int) -> Tensor:
        return self.b.node("linear", x, weight=self.weight(out, x.channels, fan_in=x.channels), bias=self.bias(out))

    def norm(self, x: Tensor) -> Tensor:
        weight = self.random.uniform(0.5, 1.5, x.channels).astype(np.float32)
        return self.b.node("layer_norm", x, weight=weight, bias=self.bias(x.channels))

    def act(self, x: Tensor, op: str) -> Tensor:
        attributes = {"approximate": "tanh"} if op == "gelu" else {}
        return self.b.node(op, x, **attributes)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return self.b.node("add", a, b)

    def attention(self, x: Tensor, context: Tensor, *, heads: int, window: int) -> Tensor:
        c = x.channels
        q, k, v = self.linear(x, c), self.linear(context, c), self.linear(context, c)
        return self.linear(self.b.node("attention", q, k, v, heads=heads, window=window), c)

    def finish(self, *outputs: Tensor) -> Graph:
        """Give the last tensor out: as audio where it has the input's size, else its newest frame."""
        hop = self.b.metadata["hop"]
        for i, out in enumerate(outputs):
            if len(outputs) == 1 and out.channels * out.frames == hop:
                whole = (
                    self.b.node("depth_to_time", out, factor=out.channels, order="time") if out.channels > 1 else out
                )
                self.b.output(whole)
            else:
                self.b.output(out, f"y{i}", kind="value")
        return self.b.graph()

    def to_bytes(self) -> bytes:
        return self.b.to_bytes()


def tcn(channels: int, frames: int, *, act: str = "tanh", layers: int = 14) -> Net:
    """Full-rate temporal network: 3 taps, dilations 1 to 64 twice, activation, residual."""
    net = Net(f"tcn{channels}_t{frames}", channels=channels, frames=frames)
    x = net.x
    for i in range(layers):
        x = net.add(net.act(net.conv(x, channels, 3, dilation=1 << (i % 7)), act), x)
    net.finish(x)
    return net


def low_rate(channels: int, layers: int, frames: int, *, half: bool = False) -> Net:
    """Low-rate network: 3 taps, no dilation, tanh, residual; its cost is its weights' bytes."""
    net = Net(f"low{channels}x{layers}_t{frames}", channels=channels, frames=frames, half=half)
    x = net.x
    for _ in range(layers):
        x = net.add(net.act(net.conv(x, channels, 3), "tanh"), x)
    net.finish(x)
    return net


def separable(channels: int, hidden: int, kernel: int, frames: int, blocks: int = 8) -> Net:
    """Depthwise, then two pointwise convolutions with a ReLU between, and a residual."""
    net = Net(f"separable{channels}_t{frames}", channels=channels, frames=frames)
    x = net.x
    for _ in range(blocks):
        inner = net.linear(net.conv(x, channels, kernel, groups=channels), hidden)
        x = net.add(net.linear(net.act(inner, "relu"), channels), x)
    net.finish(x)
    return net


SIDE_BY_SIDE = 8  # layers that read the same input, so that handing it over is an eighth of one


def strided(channels: int, stride: int, frames: int) -> Net:
    """Eight convolutions of 2 strides' taps over one input: the rate down by the stride, the channels doubled."""
    net = Net(f"strided{channels}_s{stride}", channels=channels, frames=frames)
    net.finish(*(net.conv(net.x, 2 * channels, 2 * stride, stride=stride) for _ in range(SIDE_BY_SIDE)))
    return net


def transposed(channels: int, stride: int, frames: int) -> Net:
    """Their mirror: eight from twice the channels at `frames / stride` frames back up."""
    net = Net(f"transposed{channels}_s{stride}", channels=2 * channels, frames=frames // stride)
    made = []
    for _ in range(SIDE_BY_SIDE):
        weight = net.weight(2 * channels, channels, 2 * stride, fan_in=4 * channels)
        made.append(net.b.node("conv_transpose1d", net.x, weight=weight, bias=net.bias(channels), stride=stride))
    net.finish(*made)
    return net


def recurrent(op: str, size: int, *, half: bool = False) -> Net:
    """One GRU or LSTM cell, one step a hop."""
    net = Net(f"{op}{size}", channels=size, half=half)
    gates = 3 if op == "gru" else 4
    net.finish(
        net.b.node(
            op,
            net.x,
            weight_ih=net.weight(gates * size, size, fan_in=size),
            weight_hh=net.weight(gates * size, size, fan_in=size),
            bias_ih=net.bias(gates * size),
            bias_hh=net.bias(gates * size),
        )
    )
    return net


def wavenet(channels: int, layers: int, *, half: bool = False) -> Net:
    """Gated, 2 taps, dilations 1 to 512, residual and skip, sample by sample."""
    net = Net(f"wavenet{channels}x{layers}", rate=16_000, half=half)
    x, skip = net.linear(net.x, channels), None
    for i in range(layers):
        gated = net.b.node("glu", net.conv(x, 2 * channels, 2, dilation=1 << (i % 10)), a="tanh", b="sigmoid")
        part = net.linear(gated, channels)
        skip = part if skip is None else net.add(skip, part)
        if i + 1 < layers:
            x = net.add(net.linear(gated, channels), x)
    head = net.act(net.linear(net.act(skip, "relu"), channels), "relu")
    net.finish(net.linear(head, 1))
    return net


def llvc_like() -> Net:
    """Mask a 1 kHz latent, as LLVC does.

    12 gated one-channel layers, a strided front, 8 dilated separable blocks of 512 channels, a decoder layer of 256
    channels that attends to itself and to the encoder over 26 frames, a transposed head.
    """
    net = Net("llvc-like", frames=208, rate=16_000)
    x = net.x
    for _ in range(12):
        x = net.add(net.b.node("glu", net.conv(x, 2, 3), a="tanh", b="sigmoid"), x)
    x = net.add(x, net.x)
    latent = net.act(net.conv(x, 512, 48, stride=16, bias=False), "relu")
    label = net.random.uniform(0.5, 1.5, 512).astype(np.float32)
    e = net.b.node("affine", latent, scale=label)
    for i in range(8):
        inner = net.act(net.norm(net.conv(e, 512, 3, dilation=1 << i, groups=512)), "relu")
        e = net.add(net.act(net.norm(net.linear(inner, 512)), "relu"), e)
    memory = net.act(net.conv(e, 256, 1, groups=256), "relu")
    d = net.act(net.conv(net.b.node("affine", e, scale=label), 256, 1, groups=256), "relu")
    d = net.norm(net.add(net.attention(d, d, heads=8, window=26), d))
    d = net.norm(net.add(net.attention(d, memory, heads=8, window=26), d))
    d = net.norm(net.add(net.linear(net.act(net.linear(d, 512), "relu"), 256), d))
    mask = net.act(net.conv(d, 512, 1, groups=256), "relu")
    masked = net.b.node("mul", latent, net.add(mask, e))
    weight = net.weight(512, 1, 80, fan_in=512 * 5)
    net.finish(net.act(net.b.node("conv_transpose1d", masked, weight=weight, stride=16), "tanh"))
    return net


def _convnext(net: Net, x: Tensor, kernel: int, blocks: int) -> Tensor:
    for _ in range(blocks):
        inner = net.act(
            net.linear(net.norm(net.conv(x, x.channels, kernel, groups=x.channels)), 3 * x.channels), "gelu"
        )
        x = net.add(net.linear(inner, x.channels), x)
    return x


def beatrice_like() -> Net:
    """Run three networks at 100 Hz, as Beatrice 2 does.

    Phones (strided front, three GRUs, 8 blocks), pitch (6 blocks of 33 taps) and a vocoder's filters (8 blocks of 33
    taps). What follows them there, placing responses at pitch marks, is left out.
    """
    net = Net("beatrice-like", frames=160, rate=16_000)
    x = net.act(net.conv(net.x, 32, 10, stride=5), "gelu")
    for channels in (64, 128, 256, 256):
        x = net.act(net.conv(x, channels, 3, stride=2), "gelu")
    x = net.norm(net.act(net.conv(x, 256, 2, stride=2), "gelu"))
    x = net.linear(x, 256)
    for _ in range(3):
        h = net.b.node(
            "gru",
            x,
            weight_ih=net.weight(768, 256, fan_in=256),
            weight_hh=net.weight(768, 256, fan_in=256),
            bias_ih=net.bias(768),
            bias_hh=net.bias(768),
        )
        x = net.add(h, x)
    phone = net.linear(_convnext(net, net.conv(x, 256, 7), 17, 8), 128)
    bands = net.conv(net.x, 64, 560, stride=160)
    pitch = net.linear(_convnext(net, net.linear(bands, 192), 33, 6), 384)
    v = net.act(net.add(net.linear(phone, 256), net.linear(pitch, 256)), "silu")
    v = _convnext(net, v, 33, 4)
    response = net.linear(_convnext(net, v, 33, 2), 512)
    noise = net.linear(_convnext(net, v, 33, 1), 240)
    post = net.linear(_convnext(net, v, 33, 1), 512)
    net.finish(response, noise, post, pitch)
    return net

"""Networks put together at random from the layers that people use: each must come in and match its source."""

from __future__ import annotations

import numpy as np
import pytest


class Maker:
    """Grows a network layer by layer; every layer keeps the number of frames, but for strides and their inverse."""

    def __init__(self, net, seed):
        self.net = net
        self.rng = np.random.default_rng(seed)
        self.channels = int(self.rng.choice([2, 4, 6]))
        self.back = []  # what brings the frame rate back, the last first

    def pads(self, total):
        left = int(self.rng.integers(0, total + 1))
        return [left, total - left]

    def conv(self, x, out=None):
        taps, dilation = int(self.rng.integers(1, 6)), int(self.rng.integers(1, 4))
        out = out or self.channels
        group = int(self.rng.choice([1, 2])) if out % 2 == 0 else 1
        pads = self.pads((taps - 1) * dilation)
        return self.net.conv(x, self.channels, out, taps, pads=pads, dilations=[dilation], group=group)

    def shifted(self, x):
        """Move the frames by a pad and a crop, in both orders."""
        n = self.net
        by = int(self.rng.integers(1, 5))
        kind = self.rng.integers(0, 4)
        if kind == 0:
            return n("Pad", x, n.ints(0, 0, by, 0, 0, -by))
        if kind == 1:
            return n("Pad", x, n.ints(0, 0, -by, 0, 0, by))
        if kind == 2:
            x = n("Pad", x, n.ints(0, 0, by, 0, 0, 0))
            return n("Slice", x, n.ints(0), n.ints(-by), n.ints(2))
        x = n("Pad", x, n.ints(0, 0, 0, 0, 0, by))
        return n("Slice", x, n.ints(by), n.ints(2**40), n.ints(2))

    def activated(self, x):
        plain = [
            "Relu",
            "Tanh",
            "Sigmoid",
            "Softplus",
            "LeakyRelu",
            "Elu",
            "Cos",
            "Sin",
            "Abs",
            "Neg",
            "Mish",
            "HardSwish",
        ]
        plain += [
            "Selu",
            "Softsign",
            "silu",
            "affine",
            "norm",
            "prelu",
            "gelu",
            "snake",
            "square",
            "level",
            "reciprocal",
        ]
        op = str(self.rng.choice(plain))
        n = self.net
        if op == "prelu":
            return n("PRelu", x, n.random(self.channels, 1))
        if op == "gelu":
            whole = n("Add", n("Erf", n("Mul", x, np.float32(2**-0.5))), np.float32(1))
            return n("Mul", n("Mul", x, whole), np.float32(0.5))
        if op == "snake":
            alpha = np.abs(n.random(self.channels, 1)) + np.float32(0.3)
            wave = n("Pow", n("Sin", n("Mul", x, alpha)), np.float32(2))
            return n("Add", x, n("Mul", wave, 1 / alpha))
        if op == "square":
            return n("Mul", n("Tanh", x), n("Tanh", x))
        if op == "level":  # the root and the logarithm of what is never small
            y = n("Add", n("Abs", x), np.float32(0.5))
            return n(str(self.rng.choice(["Log", "Sqrt"])), y)
        if op == "reciprocal":
            return n("Reciprocal", n("Add", n("Abs", x), np.float32(1.0)))
        if op == "silu":
            return n("Mul", n("Sigmoid", x), x)
        if op == "affine":
            return n("Add", n("Mul", x, n.random(1, self.channels, 1)), n.random(self.channels, 1))
        if op == "norm":
            statistics = (np.abs(n.random(self.channels)) + np.float32(0.5) for _ in range(4))
            return n("BatchNormalization", x, *statistics)
        return n(op, x)

    def gated(self, x):
        n = self.net
        a, b = n("Split", self.conv(x, 2 * self.channels), outputs=2, axis=1, num_outputs=2)
        return n("Mul", n("Tanh", a), n("Sigmoid", b))

    def residual(self, x):
        y = x
        for _ in range(int(self.rng.integers(1, 3))):
            y = self.layer(y, ["conv", "shifted", "activated", "gated"])
        return self.net(str(self.rng.choice(["Add", "Sub"])), x, y)

    def joined(self, x):
        n = self.net
        y = n("Concat", self.conv(x), self.activated(x), axis=1)
        return n.conv(y, 2 * self.channels, self.channels, 1)

    def normed(self, x):
        n = self.net
        y = n("Transpose", x, perm=[0, 2, 1])
        y = n("LayerNormalization", y, n.random(self.channels), n.random(self.channels), axis=-1, epsilon=1e-3)
        return n("Transpose", y, perm=[0, 2, 1])

    def recurrent(self, x):
        n, c = self.net, self.channels
        op, gates = ("GRU", 3) if self.rng.random() < 0.5 else ("LSTM", 4)
        y = n("Transpose", x, perm=[2, 0, 1])
        attrs = {"linear_before_reset": int(self.rng.integers(0, 2))} if op == "GRU" else {}
        y = n(
            op,
            y,
            n.random(1, gates * c, c),
            n.random(1, gates * c, c),
            n.random(1, 2 * gates * c),
            hidden_size=c,
            **attrs,
        )
        return n("Transpose", n("Squeeze", y, n.ints(1)), perm=[1, 2, 0])

    def banded(self, x):
        """Convolve over frequency and time, the channels as bands; sometimes to fewer bands and back."""
        n, c = self.net, self.channels
        bands, per = c // 2, 2
        y = n("Transpose", n("Reshape", x, n.ints(1, per, bands, -1)), perm=[0, 1, 3, 2])
        taps, dilation = int(self.rng.integers(1, 4)), int(self.rng.integers(1, 3))
        ahead, behind = self.pads((taps - 1) * dilation)
        group = int(self.rng.choice([1, 2]))
        attrs = {"dilations": [dilation, 1], "group": group}
        width = int(self.rng.choice([1, 3]))
        side = width // 2
        y = n("Conv", y, n.random(4, per // group, taps, width), n.random(4), pads=[ahead, side, behind, side], **attrs)
        if self.rng.random() < 0.5:
            y = n("ConvTranspose", n("Relu", y), n.random(4, 2, 1, 2), strides=[1, 2])
            y = n(str(self.rng.choice(["AveragePool", "MaxPool"])), y, kernel_shape=[1, 2], strides=[1, 2])
            return n("Reshape", n("Transpose", y, perm=[0, 1, 3, 2]), n.ints(1, c, -1))
        y = n("Reshape", n("Transpose", y, perm=[0, 1, 3, 2]), n.ints(1, 2 * c, -1))
        return n.conv(y, 2 * c, c)

    def reduced(self, x):
        op = str(self.rng.choice(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"]))
        n = self.net
        return n("Mul", n("Tanh", n(op, x, n.ints(1))), x)

    def chosen(self, x):
        n = self.net
        y = self.conv(x)
        above = n(str(self.rng.choice(["Greater", "LessOrEqual"])), x, n.random(self.channels, 1))
        return n("Where", above, n("Sin", y), y)

    def weighed(self, x):
        n = self.net
        y = n("Transpose", n("Softmax", n("Transpose", x, perm=[0, 2, 1]), axis=-1), perm=[0, 2, 1])
        return n("Mul", y, n("Clip", x, np.float32(-1.5), np.float32(2.0)))

    def summed(self, x):
        n = self.net
        y = n("CumSum", n("Sin", x), np.int64(2), exclusive=int(self.rng.integers(0, 2)))
        return n("Add", x, n("Sin", n("Mul", y, np.float32(1e-3))))

    def grouped(self, x):
        n, c = self.net, self.channels
        y = n("Reshape", x, n.ints(1, 2, c // 2, -1))
        y = n("Einsum", y, n.random(2, c // 2, c // 2), equation="bgit,gih->btgh")
        return n("Transpose", n("Reshape", y, n.ints(1, -1, c)), perm=[0, 2, 1])

    def divided(self, x):
        n = self.net
        return n("Div", x, n("Add", n("Exp", n("Neg", n("Abs", self.conv(x)))), np.float32(0.5)))

    def measured(self, x):
        """Divide each frame by its root mean square, or normalise groups of its channels."""
        n, c = self.net, self.channels
        if self.rng.random() < 0.5:
            mean = n("ReduceMean", n("Pow", x, np.float32(2)), n.ints(1))
            y = n("Div", x, n("Sqrt", n("Add", mean, np.float32(1e-2))))
            return n("Mul", y, n.random(c, 1))
        frames = n("Reshape", n("Transpose", x, perm=[0, 2, 1]), n.ints(-1, 2, c // 2))
        y = n("InstanceNormalization", frames, n.random(2), n.random(2), epsilon=1e-2)
        return n("Transpose", n("Reshape", y, n.ints(1, -1, c)), perm=[0, 2, 1])

    def shuffled(self, x):
        """Choose channels in another order, some of them twice."""
        n = self.net
        return n("Gather", x, self.rng.integers(0, self.channels, self.channels).astype(np.int64), axis=1)

    def pooled(self, x):
        width = int(self.rng.integers(2, 5))
        return self.net(
            "AveragePool", x, kernel_shape=[width], strides=[1], pads=self.pads(width - 1), count_include_pad=1
        )

    def smoothed(self, x, stride):
        scales = np.array([1, 1, stride], np.float32)
        return self.net("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="asymmetric")

    def down(self, x, stride):
        taps = stride + int(self.rng.integers(0, 4))
        return self.net.conv(x, self.channels, self.channels, taps, strides=[stride], pads=self.pads(taps - stride))

    def up(self, x, stride):
        n, c = self.net, self.channels
        chance = self.rng.random()
        if chance < 0.15 and stride != 3:  # onnxruntime's positions in thirds are 5e-5 off, of the 1e-5 allowed
            return self.smoothed(x, stride)
        if chance < 0.4:
            scales = np.array([1, 1, stride], np.float32)
            return n(
                "Resize",
                x,
                "",
                scales,
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        taps = stride + int(self.rng.integers(0, 4))
        return n(
            "ConvTranspose",
            x,
            n.random(c, c, taps, scale=1 / np.sqrt(2 * c)),
            n.random(c),
            strides=[stride],
            pads=self.pads(taps - stride),
        )

    def returned(self, x):
        back, stride = self.back.pop()
        return back(x, stride)

    def layer(self, x, kinds):
        return getattr(self, str(self.rng.choice(kinds)))(x)

    def network(self):
        n = self.net
        x = n.conv(n.x, 1, self.channels, 3, pads=[2, 0])
        kinds = ["conv", "shifted", "activated", "gated", "residual", "joined", "normed", "recurrent"]
        kinds += ["banded", "reduced", "chosen", "weighed", "summed", "grouped"]
        kinds += ["divided", "measured", "shuffled", "pooled"]
        for _ in range(int(self.rng.integers(3, 8))):
            chance = self.rng.random()
            if self.back and chance < 0.25:
                x = self.returned(x)
            elif len(self.back) < 2 and chance < 0.5:
                # Up within down: the frame rate is then a fraction of the audio's, as 3/2.
                stride = int(self.rng.integers(2, 5))
                there, back = (self.down, self.up) if chance < 0.42 or not self.back else (self.up, self.down)
                x = there(x, stride)
                self.back.append((back, stride))
            else:
                x = self.layer(x, kinds)
        while self.back:
            x = self.returned(x)
        return n.model(n("Tanh", n.conv(x, self.channels, 1)))


@pytest.mark.parametrize("seed", [*range(30), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(30, 500))])
def test_random_network(seed, make_net, imported):
    imported(Maker(make_net(opset=18), seed).network())


#: Ops that no ONNX graph of one audio input turns into: they are `rtvoice.nn`'s, or need a parameter.
ELSEWHERE = {"noise", "phase", "harmonics", "warp", "fir", "film"}


def test_the_networks_hold_every_op(make_net):
    """What the importer can write occurs in these networks; a new op is either among them or named above."""
    from rtvoice import ops
    from rtvoice.export.onnx.importer import import_onnx

    seen = set()
    for seed in range(200):
        report = import_onnx(Maker(make_net(opset=18), seed).network(), sample_rate=16_000).report
        seen |= set(report.ops)
    assert not set(ops.OPS) - ELSEWHERE - seen

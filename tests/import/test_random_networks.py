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
        self.strides = []

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
        op = str(
            self.rng.choice(
                ["Relu", "Tanh", "Sigmoid", "Softplus", "LeakyRelu", "Elu", "Cos", "silu", "affine", "norm"]
            )
        )
        n = self.net
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
        a, b = n("Split", self.conv(x, 2 * self.channels), outputs=2, axis=1)
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

    def down(self, x):
        stride = int(self.rng.integers(2, 5))
        taps = stride + int(self.rng.integers(0, 4))
        self.strides.append(stride)
        return self.net.conv(x, self.channels, self.channels, taps, strides=[stride], pads=self.pads(taps - stride))

    def up(self, x):
        n, c = self.net, self.channels
        stride = self.strides.pop()
        if self.rng.random() < 0.3:
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

    def layer(self, x, kinds):
        return getattr(self, str(self.rng.choice(kinds)))(x)

    def network(self):
        n = self.net
        x = n.conv(n.x, 1, self.channels, 3, pads=[2, 0])
        kinds = ["conv", "shifted", "activated", "gated", "residual", "joined", "normed", "recurrent"]
        for _ in range(int(self.rng.integers(3, 8))):
            if self.strides and self.rng.random() < 0.3:
                x = self.up(x)
            elif len(self.strides) < 2 and self.rng.random() < 0.25:
                x = self.down(x)
            else:
                x = self.layer(x, kinds)
        while self.strides:
            x = self.up(x)
        return n.model(n("Tanh", n.conv(x, self.channels, 1)))


@pytest.mark.parametrize("seed", [*range(30), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(30, 80))])
def test_random_network(seed, make_net, imported):
    imported(Maker(make_net(), seed).network())

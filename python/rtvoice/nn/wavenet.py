"""WaveNet: a gated stack of dilated convolutions, and the loop that draws a waveform from it sample by sample."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from rtvoice.generation import draw, mu_law_classes
from rtvoice.graph import Node
from rtvoice.nn.layers import Conv1d, Linear
from rtvoice.nn.module import Builder, Handle, Module
from rtvoice.nn.noise import counted_words

DISTRIBUTIONS = ("gaussian", "logistic", "categorical")


def _linears(modules: Iterable[torch.nn.Module]) -> list[Linear]:
    return cast("list[Linear]", list(modules))


class GatedStack(Module):
    """Dilated convolutions of two taps with gates, residuals and skips, steered by a slower stream.

    Parameters
    ----------
    condition : int
        Channels of the condition, whose frames are repeated up to the signal's rate.
    outputs : int
        Channels that come out.
    channels, skip, head : int
        Channels of the residual path, of the skip path and of the layer before the last.
    layers : int
        Gated layers.
    cycle : int
        Layers after which dilations begin again at 1: layer `i` has dilation `2 ** (i % cycle)`.
    """

    def __init__(
        self,
        condition: int,
        outputs: int,
        *,
        channels: int = 32,
        skip: int = 32,
        head: int = 32,
        layers: int = 20,
        cycle: int = 10,
    ) -> None:
        super().__init__()
        self.channels, self.skip = channels, skip
        self.enter = Conv1d(1, channels, 1)
        self.gates = torch.nn.ModuleList(
            Conv1d(channels, 2 * channels, 2, dilation=2 ** (i % cycle), bias=False) for i in range(layers)
        )
        self.steers = torch.nn.ModuleList(Linear(condition, 2 * channels) for _ in range(layers))
        self.residuals = torch.nn.ModuleList(Linear(channels, channels) for _ in range(layers - 1))
        self.skips = torch.nn.ModuleList(Linear(channels, skip) for _ in range(layers))
        self.middle, self.leave = Linear(skip, head), Linear(head, outputs)

    def _gates(self) -> list[Conv1d]:
        return cast("list[Conv1d]", list(self.gates))

    def steered(self, condition: Tensor) -> list[Tensor]:
        """Return what each layer adds before its gate, `(..., 2 * channels)`, for a condition `(..., condition)`."""
        return [steer(condition) for steer in _linears(self.steers)]

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map signal `(batch, samples, 1)` and condition `(batch, frames, condition)` to `(batch, samples, outputs)`.

        Channel by channel inside: dilated convolutions over long crops are a third faster so.
        """
        factor = x.shape[1] // condition.shape[1]
        h = F.conv1d(x.transpose(1, 2), self.enter.weight, self.enter.bias)
        total: Tensor | None = None
        skips, residuals = _linears(self.skips), _linears(self.residuals)
        for i, (gate, steered) in enumerate(zip(self._gates(), self.steered(condition), strict=True)):
            late = F.conv1d(F.pad(h, (gate.left, 0)), gate.weight, None, 1, 0, gate.dilation)
            spread = steered.transpose(1, 2).repeat_interleave(factor, dim=2)
            a, b = (late + spread).chunk(2, dim=1)
            z = torch.tanh(a) * torch.sigmoid(b)
            out = skips[i]
            if i < len(residuals):
                on = residuals[i]
                both = F.conv1d(z, torch.cat([out.weight, on.weight])[:, :, None], torch.cat([out.bias, on.bias]))
                skipped, kept = torch.split(both, [self.skip, self.channels], dim=1)
                h = h + kept
            else:
                skipped = F.conv1d(z, out.weight[:, :, None], out.bias)
            total = skipped if total is None else total + skipped
        assert total is not None
        return self.leave(torch.relu(self.middle(torch.relu(total).transpose(1, 2))))

    def emit(self, builder: Builder, x: Handle, condition: Handle, name: str = "") -> Handle:
        """Write the stack's nodes; its steering runs at the condition's own rate."""
        factor = x.frames // condition.frames
        steers = [
            builder.node(
                "upsample", steer.emit(builder, condition, f"{name}.steer{i}"), factor=factor, name=f"{name}.spread{i}"
            )
            for i, steer in enumerate(_linears(self.steers))
        ]
        h = self.enter.emit(builder, x, f"{name}.enter")
        total = None
        skips, residuals = _linears(self.skips), _linears(self.residuals)
        for i, (gate, steer) in enumerate(zip(self._gates(), steers, strict=True)):
            late = builder.node("add", gate.emit(builder, h, f"{name}.late{i}"), steer, name=f"{name}.sum{i}")
            z = builder.node("glu", late, a="tanh", b="sigmoid", name=f"{name}.gate{i}")
            skipped = skips[i].emit(builder, z, f"{name}.skip{i}")
            if i < len(residuals):
                kept = residuals[i].emit(builder, z, f"{name}.keep{i}")
            total = skipped if total is None else builder.node("add", skipped, total, name=f"{name}.total{i}")
            if i < len(residuals):
                h = builder.node("add", kept, h, name=f"{name}.residual{i}")
        y = builder.node("relu", total, name=f"{name}.relu")
        y = builder.node("relu", self.middle.emit(builder, y, f"{name}.middle"), name=f"{name}.relu2")
        return self.leave.emit(builder, y, f"{name}.leave")

    def step(self, memory: list[Tensor], x: Tensor, steered: list[Tensor]) -> Tensor:
        """Compute one frame from one sample, `(batch, 1)`, and what every layer read before: the loop, spelt out.

        Parameters
        ----------
        memory : list of torch.Tensor
            For every layer `(dilation, batch, channels)`, its last inputs, the oldest first; changed in place.
        x : torch.Tensor
            The sample before.
        steered : list of torch.Tensor
            For every layer its steering, `(batch, 2 * channels)`.
        """
        h = F.linear(x, self.enter.weight[:, :, 0], self.enter.bias)
        total: Tensor | None = None
        for i, (gate, steer) in enumerate(zip(self._gates(), steered, strict=True)):
            late = F.linear(memory[i][0], gate.weight[:, :, 0]) + F.linear(h, gate.weight[:, :, 1]) + steer
            memory[i] = torch.cat([memory[i][1:], h[None]])
            a, b = late.chunk(2, dim=1)
            z = torch.tanh(a) * torch.sigmoid(b)
            skipped = self.skips[i](z)
            total = skipped if total is None else total + skipped
            if i < len(self.residuals):
                h = h + self.residuals[i](z)
        assert total is not None
        return self.leave(torch.relu(self.middle(torch.relu(total))))

    def memory(self, batch: int) -> list[Tensor]:
        """Return what `step` begins with: silence."""
        weight = self.enter.weight
        return [
            torch.zeros(gate.dilation, batch, self.channels, dtype=weight.dtype, device=weight.device)
            for gate in self._gates()
        ]


class WaveNet(Module):
    """A waveform drawn sample by sample, each from a distribution that a gated stack makes of those before it.

    Parameters
    ----------
    condition : int
        Channels of the condition.
    samples : int
        Samples made for each frame of the condition.
    distribution : str
        `gaussian`, `logistic` (a mixture) or `categorical` (classes of mu-law).
    components, classes : int
        Of the mixture; of mu-law.
    temperature : float
        How freely samples are drawn: deviations and scales are multiplied by it, logits divided.
    floor, limit : float
        Least logarithm of a deviation or scale; samples lie within `-limit` to `limit`.
    stream : int
        Tells its draws from other noise of the graph.
    **sizes
        Of the `GatedStack`.

    Attributes
    ----------
    seed : int
        The engine's 64-bit seed, for drawing offline.
    recalled : torch.Tensor or None
        Samples `(n, 1)` to go on from at every step in place of those drawn: with what an engine drew, each draw can be
        held against the engine's. Drawing is chaotic, so that two loops which differ in the last bit part.
    """

    def __init__(
        self,
        condition: int,
        samples: int,
        *,
        distribution: str = "gaussian",
        components: int = 10,
        classes: int = 256,
        temperature: float = 1.0,
        floor: float = -7.0,
        limit: float = 1.0,
        stream: int = 0,
        **sizes: Any,
    ) -> None:
        super().__init__()
        if distribution not in DISTRIBUTIONS:
            raise ValueError(f"distribution is {distribution!r}; it must be one of {', '.join(DISTRIBUTIONS)}")
        outputs = {"gaussian": 2, "logistic": 3 * components, "categorical": classes}[distribution]
        self.stack = GatedStack(condition, outputs, **sizes)
        self.samples, self.distribution, self.outputs = samples, distribution, outputs
        self.attributes: dict[str, Any] = {
            "distribution": distribution,
            "floor": floor,
            "limit": limit,
            "stream": stream,
        }
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature is {temperature:g}; it must be above 0 (0.01 draws next to the mean)")
        self.temperature = temperature
        self.seed = 0
        self.recalled: Tensor | None = None
        self.node_name = ""

    def parameters_of(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return the distributions `(batch, samples, outputs)` of every sample of `x`, given those before it."""
        return self.stack(F.pad(x, (0, 0, 1, 0))[:, :-1], condition)

    def loss(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return the mean negative log likelihood of a waveform `(batch, samples, 1)` in nats a sample."""
        made, floor = self.parameters_of(x, condition), float(self.attributes["floor"])
        if self.distribution == "gaussian":
            mean, scale = made[..., :1], made[..., 1:].clamp(min=floor)
            return (0.5 * ((x - mean) * torch.exp(-scale)).square() + scale + 0.5 * math.log(2 * math.pi)).mean()
        if self.distribution == "logistic":
            logits, means, scales = made.chunk(3, dim=-1)
            scales = scales.clamp(min=floor)
            z = (x - means) * torch.exp(-scales)
            dense = -z - scales - 2 * F.softplus(-z)
            return -torch.logsumexp(torch.log_softmax(logits, dim=-1) + dense, dim=-1).mean()
        centres = torch.as_tensor(mu_law_classes(self.outputs), dtype=x.dtype, device=x.device)
        nearest = torch.bucketize(x[..., 0], (centres[1:] + centres[:-1]) / 2)
        return F.cross_entropy(made.flatten(0, 1), nearest.flatten())

    def forward(self, condition: Tensor) -> Tensor:
        """Draw a waveform `(batch, frames * samples, 1)` for a condition `(batch, frames, condition)`."""
        length = condition.shape[1] * self.samples
        if self.recalled is not None:
            before = self.recalled[:length].to(condition)
            before = F.pad(before, (0, 0, 0, length - before.shape[0]))[None]
            with torch.no_grad():
                return self._drawn(self.stack(before, condition)[0], 0).to(condition)[None]
        return self.generate(condition)

    @torch.no_grad()
    def generate(self, condition: Tensor) -> Tensor:
        """Draw sample by sample, in double precision; slow, and what the engine's loop is held against."""
        dtype = condition.dtype
        stack = self.stack.double()
        try:
            batch, frames = condition.shape[:2]
            x = torch.zeros(batch, 1, dtype=torch.float64)
            memory, drawn = stack.memory(batch), []
            for frame in range(frames):
                steered = stack.steered(condition[:, frame].double())
                for sample in range(self.samples):
                    made = stack.step(memory, x, steered)
                    x = torch.cat([self._drawn(row[None], frame * self.samples + sample) for row in made])
                    drawn.append(x)
            return torch.stack(drawn, dim=1).to(dtype)
        finally:
            self.stack.to(dtype)

    def _cooling(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return what every output is multiplied by before a draw, and what is added to it."""
        scale, shift = np.ones(self.outputs, np.float32), np.zeros(self.outputs, np.float32)
        if self.distribution == "categorical":
            scale[:] = 1 / self.temperature
        else:
            widths = slice(1, 2) if self.distribution == "gaussian" else slice(self.outputs // 3 * 2, None)
            shift[widths] = math.log(self.temperature)
        return scale, shift

    def _drawn(self, made: Tensor, start: int) -> Tensor:
        node = Node("sample", "", (), self.attributes, {})
        rows = np.asarray(made.detach().cpu().numpy(), np.float64)
        if self.temperature != 1.0:
            scale, shift = self._cooling()
            rows = rows * scale + shift
        return torch.from_numpy(draw(node, rows, counted_words(self.seed, int(self.attributes["stream"])), start))

    def emit(self, builder: Builder, condition: Handle, name: str = "") -> Handle:
        """Write the loop: what was drawn before, the stack, the draw."""
        frames = condition.frames * self.samples
        self.node_name = f"{name}.before"
        before = builder.node("recall", of=f"{name}.draw", channels=1, frames=frames, name=self.node_name)
        made = self.stack.emit(builder, before, condition, f"{name}.stack")
        if self.temperature != 1.0:
            scale, shift = self._cooling()
            made = builder.node("affine", made, scale=scale, shift=shift, name=f"{name}.temperature")
        return builder.node("sample", made, **self.attributes, name=f"{name}.draw")


class LeakySum(Module):
    """`y[n] = decay y[n-1] + gain x[n]`: what undoes a raised treble.

    Parameters
    ----------
    channels : int
        Of the signal.
    decay, gain : float
        As above; `decay` lies in 0 to 1. With 1 it is a running sum.

    Raises
    ------
    ValueError
        `decay` lies elsewhere.
    """

    def __init__(self, channels: int, decay: float, gain: float = 1.0) -> None:
        super().__init__()
        if not 0 <= decay <= 1:
            raise ValueError(f"decay is {decay:g}; it must lie in 0 to 1")
        self.channels, self.decay, self.gain = channels, decay, gain

    def forward(self, x: Tensor) -> Tensor:
        """Add up `(batch, frames, channels)`, as far back as a float32 remembers."""
        if self.decay == 1:
            return torch.cumsum(self.gain * x, dim=1)
        if self.decay == 0:
            return self.gain * x
        taps = min(x.shape[1], int(math.log(1e-9) / math.log(self.decay)) + 1)
        powers = self.gain * self.decay ** torch.arange(taps - 1, -1, -1, dtype=x.dtype, device=x.device)
        kernel = powers.expand(self.channels, 1, taps)
        return F.conv1d(F.pad(x.transpose(1, 2), (taps - 1, 0)), kernel, groups=self.channels).transpose(1, 2)

    def emit(self, builder: Builder, x: Handle, name: str = "") -> Handle:
        """Write an `affine` node and a `leaky_sum` node."""
        scaled = builder.node("affine", x, scale=np.array([self.gain], np.float32), name=f"{name}.gain")
        return builder.node("leaky_sum", scaled, decay=np.array([self.decay], np.float32), name=f"{name}.sum")

"""Discriminators and how their gradient is weighed against the reconstruction's.

Log spectrograms at several resolutions see striping and buzz; periods of the waveform see phase. On a CPU the first
alone pay: they lifted DistillMOS from 2.6 to 3.3 in 500 CPU-seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rtvoice.nn.module import precise

Judged = list[tuple[Tensor, list[Tensor]]]
"""Of each discriminator, its scores and the features on the way to them."""


class SpectrogramDiscriminator(nn.Module):
    """A small 2-d convolutional judge of a log spectrogram.

    Parameters
    ----------
    size : int
        Window in samples; frames overlap by three quarters.
    channels : int
        Width.
    """

    window: Tensor

    def __init__(self, size: int, channels: int = 32) -> None:
        super().__init__()
        self.size = size
        window = torch.hann_window(size)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        # Wide strides first: a judge at full resolution costs ten times the voice it judges.
        plan = [
            (1, channels // 2, (3, 8), (1, 4), (1, 2)),
            (channels // 2, channels, (3, 5), (2, 2), (1, 2)),
            (channels, channels, (3, 5), (1, 2), (1, 2)),
            (channels, channels, (3, 3), (1, 1), (1, 1)),
        ]
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(a, b, kernel, stride=stride, padding=padding))
            for a, b, kernel, stride, padding in plan
        )
        self.score = nn.utils.parametrizations.weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=(1, 1)))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge `(batch, samples)`: scores over time and frequency, higher for real, and the features."""
        with precise(audio):
            spectrum = torch.fft.rfft(audio.float().unfold(1, self.size, self.size // 4) * self.window)
            power = spectrum.real.square() + spectrum.imag.square()
            x = (0.5 * torch.log(power + 1e-8) + 6.0)[:, None] / 3.0
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.score(x), features


class PeriodDiscriminator(nn.Module):
    """A judge of the waveform folded at a fixed period (Kong et al., HiFi-GAN, NeurIPS 2020), for the GPU.

    Parameters
    ----------
    period : int
        Samples in a row.
    channels : int
        Width of the widest layer.
    """

    def __init__(self, period: int, channels: int = 128) -> None:
        super().__init__()
        self.period = period
        widths = [1, channels // 8, channels // 4, channels // 2, channels]
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(a, b, (5, 1), stride=(3, 1), padding=(2, 0)))
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.score = nn.utils.parametrizations.weight_norm(nn.Conv2d(channels, 1, (3, 1), padding=(1, 0)))

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Judge `(batch, samples)`: scores, higher for real, and the features."""
        usable = audio.shape[1] // self.period * self.period
        x = audio[:, :usable].reshape(len(audio), 1, -1, self.period)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.score(x), features


class Adversary(nn.Module):
    """Several discriminators together.

    Parameters
    ----------
    windows : tuple of int
        Spectrogram resolutions.
    periods : tuple of int
        Waveform periods; none by default (a CPU has no time for them).
    channels : int
        Width of the spectrogram discriminators; those of periods are four times as wide.
    """

    def __init__(
        self, windows: tuple[int, ...] = (1024, 512, 256), periods: tuple[int, ...] = (), channels: int = 32
    ) -> None:
        super().__init__()
        self.judges = nn.ModuleList([SpectrogramDiscriminator(size, channels) for size in windows])
        self.judges.extend(PeriodDiscriminator(period, 4 * channels) for period in periods)

    def forward(self, audio: Tensor) -> Judged:
        """Judge `(batch, samples)`."""
        return [judge(audio) for judge in self.judges]


def discriminator_loss(real: Judged, fake: Judged) -> Tensor:
    """Return the hinge loss of the discriminators."""
    terms = [
        F.relu(1.0 - r.float()).mean() + F.relu(1.0 + f.float()).mean()
        for (r, _), (f, _) in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).mean()


def generator_loss(fake: Judged) -> Tensor:
    """Return the hinge loss of the generator: minus the mean score."""
    return -torch.stack([score.float().mean() for score, _ in fake]).mean()


def feature_distance(real: Judged, fake: Judged) -> Tensor:
    """Return the mean distance of features, each layer's against the size of the real ones."""
    terms = [
        (ours.float() - theirs.detach().float()).abs().mean() / (theirs.detach().float().abs().mean() + 1e-4)
        for (_, real_features), (_, fake_features) in zip(real, fake, strict=True)
        for theirs, ours in zip(real_features, fake_features, strict=True)
    ]
    return torch.stack(terms).mean()


class Balancer:
    """Weighs losses by the size of the gradient each puts on the output, not by their values.

    A weight is then the share of a loss in what moves the generator, whatever its scale and however the training
    stands (Defossez et al., High Fidelity Neural Audio Compression, TMLR 2023).

    Parameters
    ----------
    shares : mapping of str to float
        Share of each loss.
    decay : float
        Of the running mean of the gradients' norms.
    """

    def __init__(self, shares: Mapping[str, float], decay: float = 0.99) -> None:
        self.shares, self.decay = dict(shares), decay
        self.norms: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def state_dict(self) -> dict[str, dict[str, float]]:
        """Return what a checkpoint keeps."""
        return {"norms": dict(self.norms), "counts": {k: float(v) for k, v in self.counts.items()}}

    def load_state_dict(self, state: Mapping[str, Mapping[str, float]]) -> None:
        """Take up what a checkpoint kept."""
        self.norms = dict(state["norms"])
        self.counts = {key: int(value) for key, value in state["counts"].items()}

    def gradient(self, losses: Mapping[str, Tensor], output: Tensor) -> Tensor:
        """Return the weighed gradient of the losses on `output`, to call `output.backward` with.

        Parameters
        ----------
        losses : mapping of str to torch.Tensor
            Every one a function of `output`.
        output : torch.Tensor
            A leaf that requires a gradient.
        """
        total = torch.zeros_like(output)
        whole = sum(self.shares[name] for name in losses)
        reference = None
        for name, loss in losses.items():
            (gradient,) = torch.autograd.grad(loss, output, retain_graph=True)
            norm = float(gradient.flatten(1).norm(dim=1).mean())
            count = self.counts.get(name, 0)
            decay = min(self.decay, count / (count + 1))  # a plain mean at first
            self.norms[name] = decay * self.norms.get(name, 0.0) + (1 - decay) * norm
            self.counts[name] = count + 1
            if reference is None:
                reference = self.norms[name]  # the first loss keeps its own size, so learning rates keep their meaning
            total += gradient * (self.shares[name] / whole * reference / max(self.norms[name], 1e-12))
        return total

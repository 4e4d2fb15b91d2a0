"""What outputs, gradients and weights say about a run: power gap by band, silence, drift, norms, non-finite numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

EXAMPLES, SAMPLES = 4, 8192  # of an output looked at: half a second at 16 kHz of 4 examples, 2 ms on a busy core
FRAME = 512
FLOOR_DB = -60.0  # under the target's own level: what lies lower counts as this
SILENT_DB = -60.0
PICKED = 4096  # weights of a tensor that stand for all of it in the update ratio


def as_audio(x: Tensor) -> Tensor | None:
    """Return `(signals, samples)` of a tensor that is audio, else `None`.

    Audio is `(samples,)`, `(batch, samples)`, `(batch, samples, channels)` or `(batch, channels, samples)` with at most
    2 channels and at least 1024 samples.
    """
    if x.ndim == 1:
        x = x[None]
    if x.ndim == 3:
        if x.shape[2] <= 2 < x.shape[1]:
            x = x.transpose(1, 2)
        if x.shape[1] > 2:
            return None
        x = x.reshape(-1, x.shape[2])
    return x if x.ndim == 2 and x.shape[1] >= 1024 else None


def output_signals(output: Tensor, target: Tensor | None, bands: int = 8) -> dict[str, float]:
    """Return what the network's output shows beside its target.

    Parameters
    ----------
    output, target : torch.Tensor
        Audio in any of the shapes of `as_audio`, or features `(batch, frames, channels)`; of the same shape.
    bands : int
        Bands of equal width in log frequency (audio), or groups of channels.

    Returns
    -------
    dict
        `power_gap`: mean over bands of |log power of output - of target| in dB (STFT of 512 samples; 60 dB under the
        target's level is the floor); `power_gap_worst`; `power_bias`: signed, negative for a collapse;
        `power_gap_N`: signed, of band N; `output_drift`: |mean(output) - mean(target)| in the target's
        standard deviations; `output_silent`: 1 where the output is 60 dB or more below a target that is not silent.
    """
    with torch.no_grad():
        ours = output.detach().float()
        theirs = None if target is None else target.detach().float()
        audio = as_audio(ours)
        reference = None if theirs is None else as_audio(theirs)
        if audio is None:
            return _feature_signals(ours, theirs, bands)
        if reference is not None and reference.shape[0] != audio.shape[0]:
            reference = None
        length = min(audio.shape[1], SAMPLES, audio.shape[1] if reference is None else reference.shape[1])
        audio = audio[:EXAMPLES, :length]
        level = float(audio.square().mean().sqrt())
        if reference is None:
            return {"output_silent": float(level < 1e-6)}
        reference = reference[:EXAMPLES, :length]
        target_power = reference.square().mean(1)
        active = target_power > 1e-9
        found = _moments_gap(audio, reference)
        if not bool(active.any()):
            return found
        ratio = 10 * torch.log10(audio.square().mean(1)[active] / target_power[active] + 1e-30)
        found["output_silent"] = float(bool((ratio < SILENT_DB).all()))
        window = torch.hann_window(FRAME, device=audio.device)
        ours_p, theirs_p = (
            torch.fft.rfft(x[active].unfold(1, FRAME, FRAME // 2) * window).abs().square() for x in (audio, reference)
        )
        floor = theirs_p.mean((1, 2), keepdim=True) * 10 ** (FLOOR_DB / 10)
        edges = _band_edges(ours_p.shape[2], bands)
        difference = torch.stack(
            [
                10
                * torch.log10((ours_p[..., a:b].mean(2) + floor[..., 0]) / (theirs_p[..., a:b].mean(2) + floor[..., 0]))
                for a, b in zip(edges, edges[1:], strict=False)
            ]
        )
        return found | _gap(difference.flatten(1))


def _band_edges(bins: int, bands: int) -> list[int]:
    edges = np.unique(np.round(np.geomspace(2, bins, bands + 1)).astype(int))
    edges[0] = 1
    return [int(edge) for edge in edges]


def _gap(difference: Tensor) -> dict[str, float]:
    """Sum up differences in dB, `(bands, values)`."""
    by_band = difference.mean(1).cpu().numpy()
    absolute = difference.abs().mean(1).cpu().numpy()
    found = {
        "power_gap": float(absolute.mean()),
        "power_gap_worst": float(absolute.max()),
        "power_bias": float(by_band.mean()),
    }
    return found | {f"power_gap_{band}": float(value) for band, value in enumerate(by_band)}


def _moments_gap(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    deviation = float(theirs.std())
    if not deviation > 0:
        return {}
    return {"output_drift": abs(float(ours.mean()) - float(theirs.mean())) / deviation}


def _feature_signals(ours: Tensor, theirs: Tensor | None, bands: int) -> dict[str, float]:
    """Compare features that are no audio: the gap is between variances, by groups of channels."""
    if theirs is None or theirs.shape != ours.shape or ours.numel() < 2 or not ours.is_floating_point():
        return {}
    found = _moments_gap(ours, theirs)
    if ours.ndim < 2:
        return found
    channels = ours.shape[-1]
    ours, theirs = ours.reshape(-1, channels)[:SAMPLES], theirs.reshape(-1, channels)[:SAMPLES]
    if ours.shape[0] < 2:
        return found
    ours_v, theirs_v = ours.var(0, correction=0), theirs.var(0, correction=0)
    floor = theirs_v.mean() * 10 ** (FLOOR_DB / 10)
    if not float(floor) > 0:
        return found
    gap = 10 * torch.log10((ours_v + floor) / (theirs_v + floor))
    groups = [group for group in torch.tensor_split(gap, min(bands, channels)) if group.numel()]
    absolute, signed = [float(g.abs().mean()) for g in groups], [float(g.mean()) for g in groups]
    found |= {"power_gap": float(np.mean(absolute)), "power_gap_worst": max(absolute)}
    return found | {"power_bias": float(np.mean(signed))}


def gradient_norm(parameters: Iterable[torch.nn.Parameter]) -> float:
    """Return the 2-norm of all gradients present, NaN where there are none."""
    gradients = [p.grad for p in parameters if p.grad is not None and not p.grad.is_sparse]
    if not gradients:
        return math.nan
    norms = torch._foreach_norm(gradients)
    device = norms[0].device
    return float(torch.stack([norm.float().to(device) for norm in norms]).norm())


class Updates:
    """How far one step moves each weight, against its size: on at most 4096 weights of a tensor, evenly spaced.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
        Those that do not require gradients, and vectors (biases, norms), are left out: a zero has no size.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        self.weights = [p for p in parameters if p.requires_grad and p.ndim >= 2]
        self._before: list[Tensor] | None = None

    def _pick(self) -> list[Tensor]:
        with torch.no_grad():
            flat = [p.detach().reshape(-1) for p in self.weights]
            return [x[:: -(-x.numel() // PICKED)].float() for x in flat]

    def remember(self) -> None:
        """Take a copy of the picked weights before the step."""
        self._before = [x.clone() for x in self._pick()]

    def ratios(self) -> dict[str, float]:
        """Return `update_ratio` (median over tensors, log10), `update_ratio_worst`, `weight_norm`, `weights_finite`."""
        if self._before is None or not self.weights:
            return {}
        now, before = self._pick(), self._before
        self._before = None
        sizes = torch.stack([x.norm() for x in now]).cpu().numpy().astype(np.float64)
        moves = torch.stack([(x - y).norm() for x, y in zip(now, before, strict=True)]).cpu().numpy()
        found = {"weights_finite": float(np.isfinite(sizes).all())}
        usable = np.isfinite(sizes) & (sizes > 0) & np.isfinite(moves) & (moves > 0)
        if usable.any():
            ratio = np.log10(moves[usable] / sizes[usable])
            found["update_ratio"], found["update_ratio_worst"] = float(np.median(ratio)), float(ratio.max())
            found["weight_norm"] = float(np.log10(np.sqrt((sizes[usable] ** 2).sum())))
        return found

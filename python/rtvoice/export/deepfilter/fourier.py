"""A Fourier transform of a real frame in two small steps, for one frame a hop.

A frame of 960 samples as one matrix is 3.7 MB of weights, read anew for every hop. Split as 960 = 32 x 30 it is 30
transforms of 32 samples with one matrix among them, and 16 products of 60 x 60 with the twiddle factors inside: a tenth
of the multiplications, and 0.25 MB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtvoice.graph import GraphBuilder, Tensor

F64 = NDArray[np.float64]
Index = NDArray[np.int64]
_PANEL = 64  # outputs that the engine computes together: groups as wide as that read their own inputs only


@dataclass(frozen=True)
class Bins:
    """Where the spectrum lies among a tensor's channels; -1 where a part is always zero."""

    real: Index
    imag: Index


class Fourier:
    """The transform of real frames of `points` numbers, and its inverse.

    Parameters
    ----------
    points
        An even number. What costs least is a product of two numbers of about the same size.

    Attributes
    ----------
    bins
        `points / 2 + 1`.
    """

    def __init__(self, points: int) -> None:
        self.points, self.bins = points, points // 2 + 1
        self.inner = min((p for p in range(2, points + 1, 2) if points % p == 0), key=self._cost)
        self.outer = points // self.inner
        self._parts = [self._parts_of(group) for group in range(self.inner // 2)]
        width = 2 * self.outer
        self._width = -(-width // _PANEL) * _PANEL if width > _PANEL // 2 else width

    def _cost(self, inner: int) -> int:
        width = 2 * (self.points // inner)
        padded = -(-width // _PANEL) * _PANEL if width > _PANEL // 2 else _PANEL
        return self.points * inner + inner // 2 * width * padded

    def _parts_of(self, group: int) -> list[tuple[int, bool]]:
        """Return the bins whose numbers a group makes, each with whether it is the imaginary part."""
        half = self.points // 2
        found: list[tuple[int, bool]] = []
        for head in self._heads(group):
            for k in range(head, self.points, self.inner):
                bin_ = min(k, self.points - k)
                if (bin_, False) in found:
                    continue
                found.append((bin_, False))
                if bin_ not in (0, half):
                    found.append((bin_, True))
        return found

    def _heads(self, group: int) -> tuple[int, ...]:
        """Return the short transforms' bins that a group reads: the two real ones share the first group."""
        return (0, self.inner // 2) if group == 0 else (group,)

    @property
    def _order(self) -> Index:
        """Return where each sample lies when the frame is read as `outer` interleaved frames of `inner` samples."""
        return np.arange(self.points).reshape(self.inner, self.outer).T.ravel()

    def _short(self) -> F64:
        """Return the transform of `inner` samples: real parts, and imaginary parts but for those that are zero."""
        spectrum = np.fft.rfft(np.eye(self.inner), axis=0)
        return np.concatenate([spectrum.real, spectrum.imag[1:-1]])

    def _short_channels(self, group: int) -> list[tuple[int, int]]:
        """Return the channels of the short transform that a group reads: (real part, imaginary part or -1)."""
        half = self.inner // 2
        return [(0, -1), (half, -1)] if group == 0 else [(group, half + group)]

    def _long(self, group: int) -> F64:
        """Return a group's matrix: bins from the short transforms, [part of the short bin][interleaved frame]."""
        n = np.arange(self.outer)
        blocks = []
        for head, (_, imag) in zip(self._heads(group), self._short_channels(group), strict=True):
            rows = []
            for bin_, is_imag in self._parts[group]:
                near = bin_ % self.inner
                # The bin itself, or its mirror image, is one of this head's.
                k = bin_ if near == head else self.points - bin_
                if k % self.inner != head:
                    rows.append(np.zeros(self.outer * (1 if imag < 0 else 2)))
                    continue
                turn = np.exp(-2j * np.pi * ((n * k) % self.points) / self.points)
                turn = np.conj(turn) if k != bin_ else turn
                sign = -1.0 if k != bin_ else 1.0  # a mirror image reads the conjugate
                real = turn.imag if is_imag else turn.real
                cross = turn.real if is_imag else -turn.imag
                rows.append(real if imag < 0 else np.concatenate([real, sign * cross]))
            blocks.append(np.array(rows))
        return np.concatenate(blocks, axis=1)

    def forward(self, b: GraphBuilder, frame: Tensor, window: F64, name: str) -> tuple[Tensor, Bins]:
        """Transform a windowed frame; returns the tensor that holds the spectrum, and where."""
        inner, outer, width = self.inner, self.outer, self._width
        x = b.node("pick", frame, name=f"{name}.interleave", index=self._order.tolist())
        x = b.node("affine", x, name=f"{name}.window", scale=window[self._order])
        x = b.node("conv_bands", x, name=f"{name}.short", weight=self._short()[:, :, None, None], bands=outer)
        index = [
            band * inner + channel
            for group in range(inner // 2)
            for pair in self._short_channels(group)
            for channel in pair
            if channel >= 0
            for band in range(outer)
        ]
        x = b.node("pick", x, name=f"{name}.group", index=index)
        weight = np.zeros((inner // 2, width, 2 * outer))
        real, imag = np.full(self.bins, -1), np.full(self.bins, -1)
        for group, parts in enumerate(self._parts):
            weight[group, : len(parts)] = self._long(group)
            for place, (bin_, is_imag) in enumerate(parts):
                (imag if is_imag else real)[bin_] = group * width + place
        x = b.node("conv1d", x, name=f"{name}.long", weight=weight.reshape(-1, 2 * outer, 1), groups=inner // 2)
        return x, Bins(real, imag)

    def inverse(self, b: GraphBuilder, spectrum: Tensor, bins: Bins, window: F64, name: str) -> Tensor:
        """Turn a spectrum into a windowed frame."""
        inner, outer, width = self.inner, self.outer, self._width
        # Adjoint matrices: a bin and its mirror image count, so that all but the first and the last have weight 2.
        index = [int((bins.imag if is_imag else bins.real)[bin_]) for parts in self._parts for bin_, is_imag in parts]
        x = b.node("pick", spectrum, name=f"{name}.group", index=index)
        weight = np.zeros((inner // 2, width, 2 * outer))
        for group, parts in enumerate(self._parts):
            twice = np.array([1.0 if bin_ in (0, self.points // 2) else 2.0 for bin_, _ in parts])
            weight[group, : 2 * outer] = (self._long(group) * twice[:, None]).T / self.points
        x = b.node("conv1d", x, name=f"{name}.long", weight=weight.reshape(-1, 2 * outer, 1), groups=inner // 2)
        place = np.zeros((outer, inner), np.int64)
        for group in range(inner // 2):
            channels = [c for pair in self._short_channels(group) for c in pair if c >= 0]
            for part, channel in enumerate(channels):
                place[:, channel] = group * width + part * outer + np.arange(outer)
        x = b.node("pick", x, name=f"{name}.interleave", index=place.ravel().tolist())
        x = b.node("conv_bands", x, name=f"{name}.short", weight=self._short().T[:, :, None, None].copy(), bands=outer)
        back = np.argsort(self._order)
        x = b.node("pick", x, name=f"{name}.order", index=back.tolist())
        return b.node("affine", x, name=f"{name}.window", scale=window)

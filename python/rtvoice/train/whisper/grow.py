"""A larger student that starts as good as a smaller one, so that little time buys much.

Every channel of the small body is doubled; what reads two copies of a channel gives each a random part of the old
weight, the parts adding up to it. So the large body computes what the small one did, while the copies get
different gradients and drift apart. Blocks beyond the small one's depth start as almost nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rtvoice.train.whisper.student import WhisperStudent


def _read(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Return `(out, 2 in)` weights for a doubled input that add up to `(out, in)`."""
    part = 0.3 + 0.4 * torch.rand(weight.shape, generator=generator)
    return torch.cat([part * weight, (1 - part) * weight], dim=1)


def _twice(values: Tensor) -> Tensor:
    """Return values for a doubled output."""
    return torch.cat([values, values])


def _older(kernel: Tensor, taps: int) -> Tensor:
    """Return a causal kernel `(channels, 1, K)` of `taps` taps; the oldest are new and zero."""
    return torch.nn.functional.pad(kernel, (taps - kernel.shape[2], 0))


@torch.no_grad()
def grow(small: WhisperStudent, large: WhisperStudent, seed: int = 0) -> None:
    """Give `large` the function of `small`.

    Parameters
    ----------
    small, large : WhisperStudent
        `large` is twice as wide, and at least as deep and long of memory.
    seed : int
        Of the random parts.

    Notes
    -----
    Equal but for the analysis window and the latency, to which training has to adapt.
    """
    tiers = small.tier, large.tier
    if tiers[1].channels != 2 * tiers[0].channels or tiers[1].blocks < tiers[0].blocks:
        raise ValueError(f"cannot grow {tiers[0]} into {tiers[1]}: it must be twice as wide and at least as deep")
    generator = torch.Generator().manual_seed(seed)
    old, new = small.state_dict(), large.state_dict()
    for name in ("enter.weight", "enter.bias", "norm.weight", "norm.bias"):
        new[name].copy_(_twice(old[name]))
    new["head.weight"].copy_(_read(old["head.weight"], generator))
    new["head.bias"].copy_(old["head.bias"])
    for block in range(tiers[0].blocks):
        inner = f"body.items.{block}.inner.items"
        new[f"{inner}.0.weight"].copy_(_twice(_older(old[f"{inner}.0.weight"], tiers[1].kernel)))
        for name in ("0.bias", "1.weight", "1.bias", "2.bias", "4.bias"):
            new[f"{inner}.{name}"].copy_(_twice(old[f"{inner}.{name}"]))
        for name in ("2.weight", "4.weight"):
            new[f"{inner}.{name}"].copy_(_twice(_read(old[f"{inner}.{name}"], generator)))
    for block in range(tiers[0].blocks, tiers[1].blocks):
        new[f"body.items.{block}.inner.items.4.weight"].mul_(0.1)

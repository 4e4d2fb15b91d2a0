"""The ranks of a distributed run: counts are summed, numbers averaged, decisions shared."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from rtvoice.train.monitor.census import Count


class Ranks:
    """The other processes of this run, none where torch.distributed is not set up.

    Every method is a collective: all ranks call it, in the same order.
    """

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.size = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0
        cuda = together and "nccl" in str(dist.get_backend())
        self._device = torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")

    def share(self, numbers: Sequence[float]) -> list[float]:
        """Return rank 0's numbers on every rank."""
        if self.size == 1:
            return list(numbers)
        tensor = torch.tensor(list(numbers), dtype=torch.float64, device=self._device)
        dist.broadcast(tensor, 0)
        return [float(value) for value in tensor.cpu()]

    def merge(
        self, counts: Sequence[Mapping[str, Count]], values: Mapping[str, float]
    ) -> tuple[list[dict[str, Count]], dict[str, float]]:
        """Sum the counts and average the values over the ranks that have them.

        Parameters
        ----------
        counts : sequence of mapping
            Layer -> count, several sets.
        values : mapping
            Name -> number; NaN and infinity spread to the average.
        """
        if self.size == 1:
            return [dict(one) for one in counts], dict(values)
        layout = [(part, name, c.kind, c.units) for part, one in enumerate(counts) for name, c in one.items()]
        names = sorted(values)
        mark = float(zlib.crc32(repr((layout, names)).encode()))
        marks = torch.tensor([mark, -mark], dtype=torch.float64, device=self._device)
        dist.all_reduce(marks, dist.ReduceOp.MAX)
        if float(marks[0]) != -float(marks[1]):
            return self._merge_unlike(counts, values)
        pieces = [counts[part][name].to_vector() for part, name, _, _ in layout]
        flat = np.concatenate([*pieces, [values[name] for name in names]])
        tensor = torch.from_numpy(flat).to(self._device)
        dist.all_reduce(tensor)
        flat = tensor.cpu().numpy()
        merged: list[dict[str, Count]] = [{} for _ in counts]
        at = 0
        for (part, name, kind, _), piece in zip(layout, pieces, strict=True):
            merged[part][name] = Count.from_vector(kind, flat[at : at + piece.size])
            at += piece.size
        return merged, {name: float(flat[at + i]) / self.size for i, name in enumerate(names)}

    def _merge_unlike(
        self, counts: Sequence[Mapping[str, Count]], values: Mapping[str, float]
    ) -> tuple[list[dict[str, Count]], dict[str, float]]:
        """Merge where some rank saw other layers than the rest: slower, and for any content."""
        everybody: list[Any] = [None] * self.size
        dist.all_gather_object(everybody, ([dict(one) for one in counts], dict(values)))
        merged: list[dict[str, Count]] = [{} for _ in counts]
        sums: dict[str, list[float]] = {}
        for theirs, numbers in everybody:
            for part, one in enumerate(theirs):
                for name, count in one.items():
                    known = merged[part].get(name)
                    merged[part][name] = known + count if known is not None and known.units == count.units else count
            for name, value in numbers.items():
                sums.setdefault(name, []).append(value)
        return merged, {name: math.fsum(v) / len(v) if np.isfinite(v).all() else math.nan for name, v in sums.items()}

"""The processes of one training: started by torchrun, or one alone."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

__all__ = ["World", "choose_device"]


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of a name: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`.

    Raises
    ------
    ValueError
        CUDA is asked for and not there.
    """
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ValueError("--device cuda: this torch sees no CUDA device; use --device cpu")
        return torch.device(f"cuda:{local}") if name == "cuda" else torch.device(name)
    return torch.device(name)


@dataclass(frozen=True)
class World:
    """The processes of one training.

    Attributes
    ----------
    rank, size : int
        This one's number, and how many there are.
    device : torch.device
        Where this one computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @classmethod
    def start(cls, device: str = "auto") -> World:
        """Join the processes that torchrun started (gloo on CPUs, NCCL on GPUs); alone without it."""
        chosen = choose_device(device)
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        if size > 1 and not distributed.is_initialized():
            # A stage that only one process runs may take hours; the others wait for it.
            distributed.init_process_group(
                "nccl" if chosen.type == "cuda" else "gloo", timeout=datetime.timedelta(days=7)
            )
        return cls(int(os.environ.get("RANK", "0")) if size > 1 else 0, size, chosen)

    @property
    def main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def close(self) -> None:
        """Leave the others."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()

    def barrier(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            distributed.barrier()

    def agree(self, values: Sequence[float]) -> list[float]:
        """Return the first process's values, which all go by."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        distributed.broadcast(tensor, 0)
        return [float(value) for value in tensor.tolist()]

    def most(self, values: Sequence[float]) -> list[float]:
        """Return the largest of each value over the processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
        return [float(value) for value in tensor.tolist()]

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the mean of each value over the processes."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor)
        return [float(value) / self.size for value in tensor.tolist()]

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def share(self, value: Any) -> Any:
        """Return the first process's value."""
        if self.size == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, 0, device=self.device)
        return values[0]

"""Mixed precision and compilation: options that fall back with a visible line where the machine cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import torch

__all__ = ["Precision", "compile_models", "uncompile"]

_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """How the forward pass computes.

    Parameters
    ----------
    name : str
        `float32`, `bfloat16`, `float16`, or `auto`: bfloat16 on a GPU that has it, else float32.
    device : torch.device
        Where.
    say : callable
        Told in one line what is not available.
    """

    def __init__(self, name: str, device: torch.device, say: Callable[[str], None]) -> None:
        able = device.type != "cuda" or torch.cuda.is_bf16_supported()
        if name == "auto":
            name = "bfloat16" if device.type == "cuda" and able else "float32"
        if name == "bfloat16" and not able:
            say("this GPU has no bfloat16; training in float16")
            name = "float16"
        if name == "float16" and device.type == "cpu":
            say("float16 gains nothing on a CPU; training in float32")
            name = "float32"
        self.name, self.device = name, device
        # Scaling is the identity where it is off; only float16's small range needs it.
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")

    def context(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context of a forward pass."""
        if self.name == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=_TYPES[self.name])


def compile_models(models: Iterable[torch.nn.Module]) -> None:
    """Compile the models' forward passes in place, at their first use."""
    for model in models:
        model.compile()


def uncompile(models: Iterable[torch.nn.Module]) -> None:
    """Take compilation back."""
    for model in models:
        model._compiled_call_impl = None

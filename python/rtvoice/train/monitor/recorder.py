"""Reads activations through hooks that exist only while a step is sampled."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rtvoice.train.monitor.census import Count
from rtvoice.train.monitor.units import FUNCTIONS, KINDS, Kind, is_producer, kind_of, unit_axis

LIMIT = 1 << 16  # numbers of a layer that are looked at in one call: 0.5 ms on one busy core


@dataclass
class _Raw:
    """Sums of one layer, still on the device."""

    kind: Kind
    units: int
    frames: float = 0.0
    examples: float = 0.0
    moments: float = 0.0
    on: list[Tensor] = field(default_factory=list)  # each (2, units): frames on, examples on
    moved: list[tuple[int, Tensor]] = field(default_factory=list)  # frames, (2, units): mean, variance


class Recorder:
    """Watches the activations of a network while it is open.

    A layer is named after the module with a weight that feeds the activation, and the kind of the activation: one ReLU
    object used after two convolutions gives two layers, one convolution applied twice gives one.

    Parameters
    ----------
    networks : mapping
        Name -> network, unwrapped; a single one under the empty name.
    kinds : mapping or None
        Class names of own activations -> kind.
    limit : int
        Numbers of a layer looked at in one call; more are thinned out, whole frames at a time.
    """

    def __init__(
        self, networks: Mapping[str, torch.nn.Module], kinds: Mapping[str, str] | None = None, limit: int = LIMIT
    ) -> None:
        self.networks, self.kinds, self.limit = dict(networks), kinds, limit
        self.seconds = 0.0
        self._handles: list[Any] = []
        self._layers: dict[str, _Raw] = {}
        self._producer: tuple[str, torch.nn.Module, int] | None = None
        self._within = self._depth = 0
        self._mode: _Functional | None = None
        #: What first went wrong in watching; training is never to notice.
        self.failure: Exception | None = None

    @property
    def attached(self) -> bool:
        """Whether hooks are in place."""
        return bool(self._handles)

    def attach(self) -> None:
        """Put the hooks in place."""
        if self._handles:
            return
        began = time.perf_counter()
        for network, model in self.networks.items():
            self._handles.append(model.register_forward_pre_hook(self._enter))
            self._handles.append(model.register_forward_hook(self._leave, always_call=True))
            for name, module in model.named_modules(prefix=network):
                self._watch(name, module)
        self.seconds += time.perf_counter() - began

    def detach(self) -> None:
        """Take the hooks away again."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._close_mode()
        self._producer, self._within, self._depth = None, 0, 0

    def collect(self) -> dict[str, Count]:
        """Return what was counted since the last call, and forget it: one transfer from the device."""
        layers, self._layers = self._layers, {}
        parts = [t.reshape(-1) for raw in layers.values() for t in (*raw.on, *(m for _, m in raw.moved))]
        if not parts:
            return {}
        device = parts[0].device
        flat = torch.cat([part.to(device) for part in parts]).cpu().numpy().astype(np.float64)
        counts: dict[str, Count] = {}
        at = 0

        def take(units: int) -> Any:
            nonlocal at
            at += 2 * units
            return flat[at - 2 * units : at].reshape(2, units)

        for name, raw in layers.items():
            on, total, squares = np.zeros((2, raw.units)), np.zeros(raw.units), np.zeros(raw.units)
            for _ in raw.on:
                on += take(raw.units)
            for frames, _ in raw.moved:
                mean, variance = take(raw.units)
                total += frames * mean
                squares += frames * (variance + mean**2)
            counts[name] = Count(raw.kind.name, raw.frames, raw.examples, on[0], on[1], raw.moments, total, squares)
        return counts

    def _enter(self, module: torch.nn.Module, args: Any) -> None:
        if torch.compiler.is_compiling():
            return
        self._depth += 1
        if self._mode is None:
            self._mode = _Functional(self)
            self._mode.__enter__()  # type: ignore[no-untyped-call]

    def _leave(self, module: torch.nn.Module, args: Any, output: Any) -> None:
        if torch.compiler.is_compiling():
            return
        self._depth -= 1
        if self._depth <= 0:
            self._close_mode()

    def _close_mode(self) -> None:
        if self._mode is not None:
            self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self._mode = None

    def _note(self, name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, args: Any, output: Any) -> None:
            if not torch.compiler.is_compiling() and isinstance(output, Tensor):
                axis = unit_axis(module, output.shape, module, 0)
                self._producer = (name, module, output.shape[axis] if output.ndim else 0)

        return hook

    def _watch(self, name: str, module: torch.nn.Module) -> None:
        if isinstance(module, torch.jit.ScriptModule):
            return
        kind = kind_of(module, self.kinds)
        if kind is not None:
            before, after = self._hooks(name, kind)
            self._handles.append(module.register_forward_pre_hook(before))
            self._handles.append(module.register_forward_hook(after, always_call=True))
        elif is_producer(module):
            self._handles.append(module.register_forward_hook(self._note(name)))

    def _hooks(self, name: str, kind: Kind) -> tuple[Callable[..., None], Callable[..., None]]:
        key_of: list[tuple[str, int] | None] = []

        def before(module: torch.nn.Module, args: Any) -> None:
            if torch.compiler.is_compiling():
                return
            self._within += 1
            tensor = args[0] if args and isinstance(args[0], Tensor) else None
            if kind.from_output or tensor is None:
                key_of.append(None)
                return
            key_of.append(None)
            with self._careful():
                key_of[-1] = self.before(name, module, kind, tensor, getattr(module, "dim", -1))

        def after(module: torch.nn.Module, args: Any, output: Any) -> None:
            if torch.compiler.is_compiling() or not key_of:
                return
            self._within -= 1
            place = key_of.pop()
            tensor = output[0] if isinstance(output, tuple) else output
            if not isinstance(tensor, Tensor):
                return
            with self._careful():
                if kind.from_output:
                    first = getattr(module, "batch_first", True) or tensor.ndim < 3
                    tensor = tensor if first else tensor.transpose(0, 1)
                    place = (name, tensor.ndim - 1)
                    self._count_on(name, kind, tensor, tensor.ndim - 1)
                    self._producer = (name, module, tensor.shape[-1])
                if place is not None:
                    self._count_moments(place[0], tensor, place[1])

        return before, after

    @contextlib.contextmanager
    def _careful(self) -> Iterator[None]:
        """Let a network that is not understood train on, unwatched there."""
        try:
            yield
        except Exception as error:
            self.failure = self.failure or error

    def before(
        self, name: str, module: torch.nn.Module | None, kind: Kind, tensor: Tensor, dim: int = -1
    ) -> tuple[str, int]:
        """Count where the units are on, before the activation is computed; return the layer's name and unit axis."""
        feeder = self._producer
        if kind.name == "gate":
            axis = dim % tensor.ndim
            tensor = tensor.chunk(2, axis)[1]
        else:
            axis = unit_axis(module, tensor.shape, feeder and feeder[1], feeder[2] if feeder else 0)
        key = f"{feeder[0]}/{kind.name}" if feeder else (name or kind.name)
        units = tensor.shape[axis] if tensor.ndim else 1
        known = self._layers.get(key)
        if known is not None and known.units != units:
            key = f"{key}:{units}"
        self._count_on(key, kind, tensor, axis)
        return key, axis

    def _count_on(self, key: str, kind: Kind, tensor: Tensor, axis: int) -> None:
        began = time.perf_counter()
        with torch.no_grad():
            x = _thin(tensor.detach(), axis, self.limit)
            on = kind.on(x)
            raw = self._layers.get(key)
            if raw is None:
                raw = self._layers[key] = _Raw(kind, x.shape[2])
            raw.frames += x.shape[0] * x.shape[1]
            raw.examples += x.shape[0]
            by_example = on.sum(1, dtype=torch.float32)
            raw.on.append(torch.stack([by_example.sum(0), (by_example > 0).sum(0, dtype=torch.float32)]))
        self.seconds += time.perf_counter() - began

    def _count_moments(self, key: str, tensor: Tensor, axis: int) -> None:
        began = time.perf_counter()
        raw = self._layers[key]
        with torch.no_grad():
            x = _thin(tensor.detach(), axis, self.limit).float()
            if x.shape[2] == raw.units and x.numel():
                variance, mean = torch.var_mean(x, dim=(0, 1), correction=0)
                frames = x.shape[0] * x.shape[1]
                raw.moments += frames
                raw.moved.append((frames, torch.stack([mean, variance])))
        self.seconds += time.perf_counter() - began

    @contextlib.contextmanager
    def replay(self) -> Iterator[None]:
        """Let the network be run in eval mode, without gradients, compilation or traces in any state, and watched."""
        modules = [module for model in self.networks.values() for module in model.modules()]
        training = [(module, module.training) for module in modules]
        parameters = [p for model in self.networks.values() for p in model.parameters()]
        devices = sorted({p.device.index for p in parameters if p.device.type == "cuda"})
        # Setting the stance imports the compiler, half a second: only where there is something compiled.
        compiled = any(getattr(module, "_compiled_call_impl", None) is not None for module in modules)
        eager = torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()
        with torch.no_grad(), torch.random.fork_rng(devices=devices), eager:
            try:
                for module in modules:
                    module.training = False
                self.attach()
                yield
            finally:
                self.detach()
                for module, was in training:
                    module.training = was


def _thin(x: Tensor, axis: int, limit: int) -> Tensor:
    """Return `(examples, frames, units)` with at most about `limit` numbers: fewer examples, then fewer frames."""
    if x.ndim == 0:
        return x.reshape(1, 1, 1)
    if x.ndim == 1:
        return x.reshape(1, 1, -1)
    x = x.unsqueeze(1) if x.ndim == 2 else x.movedim(axis, -1)
    units = x.shape[-1]
    rows = max(1, limit // max(units, 1))
    if x.shape[0] > rows:
        x = x[:: -(-x.shape[0] // rows)]
    per_example = max(1, rows // max(x.shape[0], 1))
    if x.ndim > 3:
        x = x.reshape(x.shape[0], -1, units)
    if x.shape[1] > per_example:
        x = x[:, :: -(-x.shape[1] // per_example)]
    return x


class _Functional(TorchFunctionMode):
    """Sees activations that are called as functions, without a module."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = FUNCTIONS.get(func)
        if name is None or self.recorder._within or torch.compiler.is_compiling():
            return func(*args, **kwargs)
        tensor = args[0] if args else kwargs.get("input")
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            return func(*args, **kwargs)
        dim = kwargs.get("dim", args[1] if name == "gate" and len(args) > 1 else -1)
        place = None
        with self.recorder._careful():
            place = self.recorder.before("", None, KINDS[name], tensor, dim if isinstance(dim, int) else -1)
        output = func(*args, **kwargs)
        with self.recorder._careful():
            if place is not None and isinstance(output, Tensor):
                self.recorder._count_moments(place[0], output, place[1])
        return output

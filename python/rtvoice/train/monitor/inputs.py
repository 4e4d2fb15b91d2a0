"""What a network was called with at a sampled step: for the probe set, and where its insides are compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map


def roots(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """Return the networks by name: the entries of a `ModuleDict`, else the model itself as the empty name."""
    return dict(model.items()) if isinstance(model, torch.nn.ModuleDict) else {"": model}


def unwrap(model: torch.nn.Module) -> torch.nn.Module:
    """Return the network inside DistributedDataParallel, DataParallel and torch.compile."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(
            model, torch.nn.parallel.DistributedDataParallel | torch.nn.parallel.DataParallel
        ):
            inner = model.module
        if inner is None:
            return model
        model = inner


def is_compiled(model: torch.nn.Module) -> bool:
    """Tell whether hooks within a network will not be called, because torch.compile took it over."""
    seen: Any = model
    while isinstance(seen, torch.nn.Module):
        if hasattr(seen, "_orig_mod"):
            return True
        seen = seen.module if isinstance(seen, torch.nn.parallel.DistributedDataParallel) else None
    return any(getattr(module, "_compiled_call_impl", None) is not None for module in unwrap(model).modules())


@dataclass(frozen=True)
class Call:
    """One call of a network.

    Attributes
    ----------
    net : torch.nn.Module
        Unwrapped.
    args, kwargs : tuple, dict
        What it was called with.
    precision : torch.dtype or None
        Of the mixed precision it was called under; `None` without.
    """

    net: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    precision: torch.dtype | None = None

    def first(self, examples: int) -> Call:
        """Return the call with copies of the first examples of its tensors, by the batch size of the first one."""
        batch = next((leaf.shape[0] for leaf in _leaves((self.args, self.kwargs)) if leaf.ndim), 0)

        def cut(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            taken = leaf[:examples] if leaf.ndim and leaf.shape[0] == batch else leaf
            return taken.detach().clone()

        args, kwargs = _mapped(cut, (self.args, self.kwargs))
        return Call(self.net, args, kwargs, self.precision)

    def run(self, how: Callable[[Any, Any], Any] | None = None) -> Any:
        """Call the network again, or let `how(net, argument)` do it; return its output."""
        device = _device(self.net)
        with torch.autocast(device, dtype=self.precision, enabled=self.precision is not None):
            if how is not None:
                return how(self.net, self.args[0] if len(self.args) == 1 else self.args)
            return self.net(*self.args, **self.kwargs)


class Inputs:
    """Keeps the first call of each network while it is open.

    Parameters
    ----------
    networks : mapping
        Name -> network as the loop calls it.
    """

    def __init__(self, networks: Mapping[str, torch.nn.Module]) -> None:
        self.networks = dict(networks)
        self.calls: dict[str, Call] = {}
        self._handles: list[Any] = []
        self._wrapped: list[tuple[torch.nn.Module, Any, Any]] = []

    def attach(self) -> None:
        """Begin to listen."""
        self.calls = {}
        for name, model in self.networks.items():
            compiled = getattr(model, "_compiled_call_impl", None)
            if compiled is None:
                self._handles.append(model.register_forward_pre_hook(self._hook(name), with_kwargs=True))
                continue
            # Module.compile() takes hooks into the compiled call, where they are not run: so its entry is wrapped.
            hook = self._hook(name)

            def listen(*args: Any, _hook: Any = hook, _model: Any = model, _call: Any = compiled, **kwargs: Any) -> Any:
                _hook(_model, args, kwargs)
                return _call(*args, **kwargs)

            self._wrapped.append((model, compiled, listen))
            model._compiled_call_impl = listen

    def detach(self) -> None:
        """Stop listening; the calls heard stay until `attach`."""
        for handle in self._handles:
            handle.remove()
        for model, compiled, listen in self._wrapped:
            if model._compiled_call_impl is listen:  # else someone has taken compilation back meanwhile
                model._compiled_call_impl = compiled
        self._handles, self._wrapped = [], []

    def _hook(self, name: str) -> Any:
        def hook(module: torch.nn.Module, args: Any, kwargs: Any) -> None:
            if not torch.compiler.is_compiling() and name not in self.calls:
                net = unwrap(self.networks[name])
                device = _device(net)
                mixed = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
                self.calls[name] = Call(net, args, kwargs, mixed)

        return hook


def _mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """Return nested arguments with every leaf changed; dataclasses are taken apart as tuples and dicts are."""

    def leaf(inner: Any) -> Any:
        if not dataclasses.is_dataclass(inner) or isinstance(inner, type):
            return change(inner)
        fields = {f.name: _mapped(change, getattr(inner, f.name)) for f in dataclasses.fields(inner) if f.init}
        return dataclasses.replace(inner, **fields)

    return tree_map(leaf, value)


def _leaves(value: Any) -> list[Tensor]:
    """Return the tensors in nested arguments, in order."""
    found: list[Tensor] = []
    _mapped(lambda leaf: found.append(leaf) if isinstance(leaf, Tensor) else None, value)
    return found


def _device(net: torch.nn.Module) -> str:
    parameter = next(net.parameters(), None)
    return "cpu" if parameter is None else parameter.device.type


def is_constant(output: Any) -> bool:
    """Tell whether a network's answers to different examples are all the same: its first tensor, `(batch, ...)`."""
    tensors = [leaf for leaf in tree_flatten(output)[0] if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    if not tensors or tensors[0].ndim < 2 or tensors[0].shape[0] < 2:
        return False
    y = tensors[0].detach().float()
    return float((y - y[:1]).abs().max()) <= 1e-5 * float(y.abs().max())


def check_probe(probe: Any) -> tuple[Any, ...]:
    """Return a probe as the arguments of a call.

    Raises
    ------
    ValueError
        Nothing varies in it.
    """
    tensors = [x for x in tree_flatten(probe)[0] if isinstance(x, Tensor) and x.numel() > 1 and x.is_floating_point()]
    if tensors and all(float(x.float().std()) == 0 for x in tensors):
        raise ValueError("nothing varies in the probe: every unit would look dead; give a few varied examples")
    return tuple(probe) if isinstance(probe, tuple | list) else (probe,)

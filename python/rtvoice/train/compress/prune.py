"""Structured pruning: hidden units of ConvNeXt blocks that matter least are cut out, and the matrices get smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Hidden", "PruneReport", "fit_shapes", "hidden_layers", "prune"]

#: Widths are kept to multiples of this: a vector of the widest instruction set. A panel of 64 outputs that is not full
#: costs as much as a full one, so 64 saves most; 16 loses nothing on the others.
MULTIPLE = 16


@dataclass(frozen=True)
class Hidden:
    """A layer of hidden units between two matrices.

    Attributes
    ----------
    name : str
        Of the module that holds them.
    wide, narrow : module
        The matrices into the units and out of them, with `weight` `(out, in)` and `bias`.
    """

    name: str
    wide: Any
    narrow: Any

    @property
    def units(self) -> int:
        """How many units there are."""
        return int(self.wide.weight.shape[0])


@dataclass(frozen=True)
class PruneReport:
    """What was cut.

    Attributes
    ----------
    layers : tuple of (str, int, int)
        Name, units before, units after.
    parameters : (int, int)
        Of the whole network, before and after.
    """

    layers: tuple[tuple[str, int, int], ...]
    parameters: tuple[int, int]

    def __str__(self) -> str:
        before, after = sum(was for _, was, _ in self.layers), sum(now for _, _, now in self.layers)
        return (
            f"{after} of {before} hidden units kept in {len(self.layers)} layers,"
            f" {self.parameters[1]:,} of {self.parameters[0]:,} parameters"
        )


def hidden_layers(module: nn.Module) -> list[Hidden]:
    """Return the layers of hidden units: a matrix, pointwise layers without weights, a matrix, and nothing else reads.

    Found are modules with the members `wide` and `narrow`, and runs inside a `Sequential`.
    """
    found: list[Hidden] = []
    for name, inner in module.named_modules():
        wide, narrow = getattr(inner, "wide", None), getattr(inner, "narrow", None)
        if _is_matrix(wide) and _is_matrix(narrow) and _meet(wide, narrow):
            found.append(Hidden(name, wide, narrow))
        items = list(getattr(inner, "items", ())) if isinstance(getattr(inner, "items", None), nn.ModuleList) else []
        if isinstance(inner, nn.Sequential):
            items = list(inner)
        begun: Any = None
        for item in items:
            if _is_matrix(item):
                if begun is not None and _meet(begun, item):
                    found.append(Hidden(name, begun, item))
                begun = item
            elif [*item.parameters(), *item.buffers()]:
                begun = None
    return [layer for layer in found if layer.wide.weight.requires_grad and layer.narrow.weight.requires_grad]


def _is_matrix(module: Any) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(module, nn.Module) and isinstance(weight, nn.Parameter) and weight.ndim == 2


def _meet(wide: Any, narrow: Any) -> bool:
    return bool(wide.weight.shape[0] == narrow.weight.shape[1] and wide is not narrow)


@torch.no_grad()
def prune(module: nn.Module, keep: float, *, multiple: int = MULTIPLE) -> PruneReport:
    """Cut the hidden units that matter least out of a network, in place.

    A unit's weight in the answer is the norm of its row in the first matrix (with its bias) times that of its column
    in the second. Units of all layers are ranked together, each layer's scores taken against their mean, and every
    layer keeps at least one multiple.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place: optimisers made before must be made again.
    keep : float
        Share of the units to keep, above 0, up to 1.
    multiple : int
        Of which each layer's width stays.

    Raises
    ------
    ValueError
        `keep` is out of range, or the network has no such layers.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"a share of {keep:g} cannot be kept; give one above 0, up to 1")
    layers = hidden_layers(module)
    if not layers:
        raise ValueError(f"{type(module).__name__} has no hidden units to prune: no matrix, pointwise layers, matrix")
    before = _count(module)
    scores = [_score(layer) for layer in layers]
    ranked = torch.cat([score / score.mean().clamp(min=1e-12) for score in scores])
    most = round(keep * len(ranked))
    limit = ranked.sort(descending=True).values[max(most - 1, 0)]
    cut: list[tuple[str, int, int]] = []
    for layer, score in zip(layers, scores, strict=True):
        wanted = int((score / score.mean().clamp(min=1e-12) >= limit).sum())
        width = min(layer.units, max(multiple, round(wanted / multiple) * multiple))
        chosen = score.topk(width).indices.sort().values
        cut.append((layer.name, layer.units, width))
        _keep(layer, chosen)
    return PruneReport(tuple(cut), (before, _count(module)))


def _score(layer: Hidden) -> Tensor:
    rows = layer.wide.weight.square().sum(1)
    if layer.wide.bias is not None:
        rows = rows + layer.wide.bias.square()
    score: Tensor = rows.sqrt() * layer.narrow.weight.square().sum(0).sqrt()
    return score


def _keep(layer: Hidden, chosen: Tensor) -> None:
    for owner, name, axis in ((layer.wide, "weight", 0), (layer.wide, "bias", 0), (layer.narrow, "weight", 1)):
        old = getattr(owner, name, None)
        if old is not None:
            setattr(owner, name, nn.Parameter(old.index_select(axis, chosen).clone()))
    for owner in (layer.wide, layer.narrow):  # torch.nn.Linear remembers its sizes
        if isinstance(owner, nn.Linear):
            owner.out_features, owner.in_features = owner.weight.shape


@torch.no_grad()
def fit_shapes(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a fresh network the hidden widths of a pruned one's state, so that it can be loaded."""
    names = {id(p): name for name, p in module.named_parameters()}
    for layer in hidden_layers(module):
        width = int(state[names[id(layer.wide.weight)]].shape[0])
        if width < layer.units:
            _keep(layer, torch.arange(width))


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())

"""Reading PyTorch's state dicts in JSON, which RTNeural's loaders take layer by layer.

A state dict holds weights by name, but neither the order of the layers nor what stands between them: the caller
says it, as a program that uses RTNeural does in its code. Files of the recurrent amp models tell it themselves
(`model_data`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtvoice.export.fields import Fields, array, brief, refuse, shown, whole

from .read import ACTIVATIONS, MOST_INPUTS
from .spec import Chain, Layer

F32 = NDArray[np.float32]
_WEIGHT = re.compile(r"(\A|\.)(weight(_ih_l\d+|_g)?|parametrizations\.weight\.original0|running_mean)\Z")
_OPTION = re.compile(r"(dilation|groups|stride|transposed|eps)=([0-9.eE+-]+)\Z")


def is_state_dict(document: Mapping[str, Any]) -> bool:
    """Tell whether a file holds weights by PyTorch's names."""
    inner = document.get("state_dict", document)
    return isinstance(inner, Mapping) and any(_WEIGHT.search(str(key)) for key in inner)


def modules(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the weights by PyTorch's names; those of a module without a name are ``module``'s."""
    inner = Fields(document.get("state_dict", document), "'state_dict'").value
    return {str(key) if "." in str(key) else f"module.{key}": value for key, value in inner.items()}


def read_state_dict(document: dict[str, Any], layers: Sequence[str] | None, notes: list[str]) -> Chain:
    """Read a state dict as a chain of layers.

    Parameters
    ----------
    document
        The file's object.
    layers
        The layers in order: names of modules, with options behind colons (``"conv1:dilation=4"``), and activations.
    notes
        What a reader should know is added here.
    """
    weights = modules(document)
    if layers is None:
        if "model_data" in document:
            return _amp(Fields(document["model_data"], "'model_data'"), weights)
        names = list(dict.fromkeys(str(key).rpartition(".")[0] for key in weights))
        refuse(
            "the file",
            f"is a PyTorch state dict of {', '.join(names)[:200]}: it tells neither their order nor the activations "
            "between them; say them with layers=[...] (--layers), as in conv,tanh,gru,dense",
        )
    chain = _chain(weights, layers)
    if weights:
        refuse(
            "the file", f"has {sorted(weights)[0]!r}, which no layer of {', '.join(layers)} takes; name its module, too"
        )
    return chain


def _chain(weights: dict[str, Any], layers: Sequence[str]) -> Chain:
    made: list[Layer] = []
    size: int | None = None
    for index, text in enumerate(layers):
        name, *options = [part.strip() for part in str(text).split(":")]
        if name in ACTIVATIONS and not any(key.startswith(f"{name}.") for key in weights):
            if size is None:
                refuse(name, "cannot come first: its number of channels is not known; put a layer before it")
            made.append(Layer(name, f"layer{index}.{name}", size))
            continue
        for layer in _module(weights, name, _options(name, options), size, f"layer{index}.{name}"):
            made.append(layer)
            size = layer.outputs
    if not made:
        refuse("layers", "names nothing; give the modules in order, as in conv,tanh,gru,dense")
    inputs = _inputs(made[0])
    if inputs > MOST_INPUTS:
        refuse(
            str(layers[0]),
            f"reads {inputs} values a frame; rtvoice gives one sample, and what a host sets up to {MOST_INPUTS - 1} "
            "more: is the order of the layers right?",
        )
    return Chain(inputs, made)


def _options(name: str, texts: Sequence[str]) -> dict[str, float]:
    out = {}
    for text in texts:
        found = _OPTION.match(text)
        if found is None:
            refuse(
                name, f"option {text[:40]!r} is not known; there are dilation=, groups=, stride=, transposed= and eps="
            )
        try:
            out[found[1]] = float(found[2])
        except ValueError:
            refuse(name, f"option {text[:40]!r} is no number; write it as in dilation=4")
        if found[1] != "eps" and not out[found[1]].is_integer():
            refuse(name, f"option {text[:40]!r} is no whole number; write it as in dilation=4")
    return out


def _inputs(layer: Layer) -> int:
    matrix = layer.weights.get("weight_ih", layer.weights.get("weight"))
    if matrix is None or matrix.ndim < 2:
        refuse(layer.name, "cannot come first: it does not tell how many channels it reads; put a layer before it")
    return int(matrix.shape[1] * layer.groups)


def _take(weights: dict[str, Any], key: str) -> F32:
    module = key.rpartition(".")[0]
    if key not in weights and {f"{module}.weight_g", f"{module}.parametrizations.weight.original0"} & set(weights):
        refuse(
            module,
            "has weight norm, which RTNeural does not know; remove it before saving (remove_weight_norm, or "
            "parametrize.remove_parametrizations)",
        )
    if key not in weights:
        refuse(key.rpartition(".")[0], f"the file has no {key!r}; its modules are {_modules(weights)}")
    return array(weights.pop(key), f"{key!r}")


def _modules(weights: Mapping[str, Any]) -> str:
    return ", ".join(sorted({key.rpartition(".")[0] for key in weights}))[:200] or "all taken"


def _module(
    weights: dict[str, Any], name: str, options: Mapping[str, float], size: int | None, node: str
) -> list[Layer]:
    if f"{name}.weight_ih_l0" in weights:
        return _recurrent(weights, name, size, node)
    if f"{name}.running_mean" in weights:
        return [_norm(weights, name, options, size, node)]
    weight = _take(weights, f"{name}.weight")
    if weight.ndim == 1 and f"{name}.bias" in weights:
        refuse(
            name,
            "has a scale and a shift, as LayerNorm and GroupNorm do, which RTNeural does not have; train with "
            "BatchNorm1d, or export the network to .onnx",
        )
    if weight.ndim == 1:
        if size is None or weight.shape[0] not in (1, size):
            refuse(name, f"has {weight.shape[0]} slopes for {size} channels; export it again")
        return [Layer("prelu", node, size, {"weight": weight})]
    if weight.ndim not in (2, 3):
        refuse(name, f"its weight has shape {shown(weight.shape)}; dense layers have 2 axes, convolutions over time 3")
    groups, dilation = int(options.get("groups", 1)), int(options.get("dilation", 1))
    if int(options.get("stride", 1)) != 1:
        refuse(
            name,
            "has a stride, for which RTNeural holds each frame until the next; use stride 1, or export the network to "
            ".onnx, where strides are followed",
        )
    if groups < 1 or dilation < 1:
        refuse(name, "groups and dilation are at least 1")
    if options.get("transposed", 0) not in (0, 1) or (options.get("transposed") and weight.ndim != 3):
        refuse(name, "transposed is 1 for a ConvTranspose1d, whose weight has 3 axes; leave it out for other layers")
    if options.get("transposed"):
        weight = _turned(name, weight, groups)
    rows, inputs = int(weight.shape[0]), int(weight.shape[1]) * groups
    if size is not None and inputs != size:
        refuse(name, f"reads {inputs} channels, but {size} come in; is the order of the layers right?")
    if rows % groups:
        refuse(name, f"groups={groups} does not divide its {rows} output channels; choose a divisor")
    found = {"weight": weight}
    if f"{name}.bias" in weights:
        found["bias"] = _take(weights, f"{name}.bias")
        if found["bias"].shape != (rows,):
            refuse(name, f"its bias has shape {shown(found['bias'].shape)}; it must be [{rows}]")
    return [Layer("dense" if weight.ndim == 2 else "conv1d", node, rows, found, dilation, groups)]


def _turned(name: str, weight: F32, groups: int) -> F32:
    """Return a ConvTranspose1d of stride 1 as the causal convolution that it is: taps backwards, channels swapped."""
    inputs, made, taps = weight.shape
    if inputs % groups:
        refuse(name, f"groups={groups} does not divide its {inputs} input channels; choose a divisor")
    parts = weight.reshape(groups, inputs // groups, made, taps).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(parts.reshape(groups * made, inputs // groups, taps)[:, :, ::-1])


def _norm(weights: dict[str, Any], name: str, options: Mapping[str, float], size: int | None, node: str) -> Layer:
    mean, variance = (_take(weights, f"{name}.{key}") for key in ("running_mean", "running_var"))
    affine = f"{name}.weight" in weights or f"{name}.bias" in weights
    scale = _take(weights, f"{name}.weight") if affine else np.ones_like(mean)
    shift = _take(weights, f"{name}.bias") if affine else np.zeros_like(mean)
    weights.pop(f"{name}.num_batches_tracked", None)
    if any(part.shape != scale.shape for part in (shift, mean, variance)) or scale.shape != (size or len(scale),):
        refuse(name, f"its vectors do not have the {size} channels that come in; is the order of the layers right?")
    gain = scale / np.sqrt(variance.astype(np.float64) + options.get("eps", 1e-5))
    if not np.isfinite(gain).all():
        refuse(name, "has a variance that is not above 0; the file is damaged, export it again")
    both = {"scale": gain.astype(np.float32), "shift": (shift - mean * gain).astype(np.float32)}
    return Layer("affine", node, len(scale), both)


def _recurrent(weights: dict[str, Any], name: str, size: int | None, node: str) -> list[Layer]:
    made: list[Layer] = []
    index = 0
    while f"{name}.weight_ih_l{index}" in weights:
        if f"{name}.weight_ih_l{index}_reverse" in weights:
            refuse(name, "is bidirectional: the end comes first; use one direction")
        matrix, recurrent = (_take(weights, f"{name}.weight_{side}_l{index}") for side in ("ih", "hh"))
        if recurrent.ndim != 2 or matrix.ndim != 2 or matrix.shape[0] != recurrent.shape[0]:
            refuse(
                name, f"its matrices have shapes {shown(matrix.shape)} and {shown(recurrent.shape)}; export it again"
            )
        gates, rest = divmod(recurrent.shape[0], recurrent.shape[1])
        if rest or gates not in (3, 4):
            refuse(
                name,
                f"has {recurrent.shape[0]} rows for {recurrent.shape[1]} units, where a GRU has 3 of each and "
                "an LSTM 4; train with one of them",
            )
        if size is not None and matrix.shape[1] != size:
            refuse(name, f"reads {matrix.shape[1]} channels, but {size} come in; is the order of the layers right?")
        found = {"weight_ih": matrix, "weight_hh": recurrent}
        for side in ("ih", "hh"):
            key = f"{name}.bias_{side}_l{index}"
            if key in weights:
                found[f"bias_{side}"] = _take(weights, key)
                if found[f"bias_{side}"].shape != (recurrent.shape[0],):
                    refuse(
                        name,
                        f"bias_{side} has shape {shown(found[f'bias_{side}'].shape)}, not [{recurrent.shape[0]}]",
                    )
        size = int(recurrent.shape[1])
        made.append(Layer("gru" if gates == 3 else "lstm", f"{node}.{index}", size, found))
        index += 1
    return made


def _amp(data: Fields, weights: dict[str, Any]) -> Chain:
    """Read an amp model: a recurrent unit `rec`, a dense layer `lin`, and the input added where `skip` is 1."""
    unit = data.text("unit_type", "LSTM")
    if unit not in ("LSTM", "GRU"):
        refuse(data.place, f"unit_type is {brief(unit)}; this importer knows LSTM and GRU")
    chain = _chain(weights, ["rec", "lin"])
    if weights:
        refuse(
            "the file",
            f"has {sorted(weights)[0]!r} beside 'rec' and 'lin'; say the layers with layers=[...] (--layers)",
        )
    kinds = {layer.kind for layer in chain.layers[:-1]}
    if kinds != {unit.lower()}:
        refuse(data.place, f"unit_type is {unit}, the weights are of {', '.join(sorted(kinds))}; export it again")
    for key, found in (
        ("input_size", chain.inputs),
        ("hidden_size", chain.layers[0].outputs),
        ("output_size", chain.outputs),
    ):
        if data.has(key) and data.integer(key) != found:
            refuse(data.place, f"{key} is {data.get(key)}, the weights have {found}; export it again")
    skip = whole(data.get("skip", 0), f"{data.place}: 'skip'", low=0)
    if skip > 1:
        refuse(data.place, f"skip is {skip}; only 0 and 1, which adds the audio input, are known")
    chain.skip = skip == 1
    return chain

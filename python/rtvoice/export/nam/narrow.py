"""The file that a slimmed WaveNet would be: its config and its flat weights, cut out of the full file's.

Cut here from the flat list, by the sizes that the format gives its parts, not from the arrays that the importer uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .spec import WaveNet

F32 = NDArray[np.float32]


def narrowed(net: WaveNet, config: Mapping[str, Any], flat: F32) -> tuple[list[dict[str, Any]], F32]:
    """Return the layers' configs and the weights of a WaveNet at the widths that `net` has."""
    widths = [array.channels for array in net.arrays]
    parts: list[F32] = []
    layers = []
    at = 0

    def cut(outputs: int, inputs: int, taps: int, kept_out: int, kept_in: int, bias: bool) -> None:
        nonlocal at
        block = flat[at : at + outputs * inputs * taps].reshape(outputs, inputs, taps)
        at += block.size
        parts.append(block[:kept_out, :kept_in].ravel())
        if bias:
            parts.append(flat[at : at + outputs][:kept_out])
            at += outputs

    for index, given in enumerate(config["layers"]):
        full, width = given["channels"], widths[index]
        wide = given.get("bottleneck", full)
        one = (given.get("layer1x1") or {"active": True})["active"]
        skip = given.get("head1x1") or {"active": False}
        narrow = max(1, wide * width // full) if one else width
        inputs = given["input_size"] if index == 0 else config["layers"][index - 1]["channels"]
        kept_inputs = inputs if index == 0 else widths[index - 1]
        conditions = given["condition_size"]
        modes = given.get("gating_mode", "gated" if given.get("gated") else "none")
        taps = given.get("kernel_sizes") or given["kernel_size"]
        count = len(given["dilations"])
        cut(full, inputs, 1, width, kept_inputs, False)
        for layer in range(count):
            mode = modes[layer] if isinstance(modes, list) else modes
            factor = 1 if mode == "none" else 2
            kernel = taps[layer] if isinstance(taps, list) else taps
            cut(factor * wide, full, kernel, factor * narrow, width, True)
            cut(factor * wide, conditions, 1, factor * narrow, conditions, False)
            if one:
                cut(full, wide, 1, width, narrow, True)
            if skip["active"]:
                cut(skip["out_channels"], wide, 1, skip["out_channels"], narrow, True)
            films = (
                ("conv_pre_film", full, width),
                ("conv_post_film", factor * wide, factor * narrow),
                ("input_mixin_pre_film", conditions, conditions),
                ("input_mixin_post_film", factor * wide, factor * narrow),
                ("activation_pre_film", factor * wide, factor * narrow),
                ("activation_post_film", wide, narrow),
                ("layer1x1_post_film", full, width),
                ("head1x1_post_film", skip.get("out_channels", 0), skip.get("out_channels", 0)),
            )
            for key, size, kept in films:
                options = given.get(key)
                if isinstance(options, Mapping) and options.get("active", True):
                    twice = 2 if options.get("shift", True) else 1
                    cut(twice * size, conditions, 1, twice * kept, conditions, True)
        head = given.get("head") or {"out_channels": given.get("head_size"), "bias": given.get("head_bias")}
        to_head, kept_head = (skip["out_channels"],) * 2 if skip["active"] else (wide, narrow)
        kept_out = widths[index + 1] if index + 1 < len(widths) else head["out_channels"]
        kernel = head.get("kernel_size", 1)
        cut(head["out_channels"], to_head, kernel, kept_out, kept_head, bool(head["bias"]))
        layers.append(
            {
                **given,
                "channels": width,
                "bottleneck": narrow,
                "input_size": kept_inputs,
                "head": {**head, "out_channels": kept_out, "kernel_size": kernel},
            }
        )
    return layers, np.concatenate([*parts, flat[at:]])

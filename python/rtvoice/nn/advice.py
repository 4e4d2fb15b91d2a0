"""What to use instead of a layer of torch that cannot stream, or that does not know how to write itself."""

from __future__ import annotations

import torch

_SAME = {
    "Linear": "rtvoice.nn.Linear",
    "Conv1d": "rtvoice.nn.Conv1d, which is causal and time-major",
    "ConvTranspose1d": "rtvoice.nn.ConvTranspose1d",
    "ReLU": "rtvoice.nn.ReLU",
    "LeakyReLU": "rtvoice.nn.LeakyReLU",
    "PReLU": "rtvoice.nn.PReLU",
    "ELU": "rtvoice.nn.ELU",
    "GELU": "rtvoice.nn.GELU",
    "SiLU": "rtvoice.nn.SiLU",
    "Softplus": "rtvoice.nn.Softplus",
    "Tanh": "rtvoice.nn.Tanh",
    "Sigmoid": "rtvoice.nn.Sigmoid",
    "Softmax": "rtvoice.nn.Softmax, over channels",
    "GLU": "rtvoice.nn.GLU",
    "LayerNorm": "rtvoice.nn.LayerNorm, over the channels of a frame",
    "RMSNorm": "rtvoice.nn.RMSNorm",
    "BatchNorm1d": "rtvoice.nn.BatchNorm, which becomes a scale and a shift",
    "Embedding": "rtvoice.nn.Embedding",
    "Upsample": "rtvoice.nn.Upsample",
    "AvgPool1d": "rtvoice.nn.AveragePool",
    "GRUCell": "rtvoice.nn.GRU",
    "LSTMCell": "rtvoice.nn.LSTM",
}
_OVER_TIME = {
    "GroupNorm": ("normalises over time", "rtvoice.nn.LayerNorm"),
    "InstanceNorm1d": ("normalises over time", "rtvoice.nn.LayerNorm"),
    "LocalResponseNorm": ("normalises in a way that no op of the engine does", "rtvoice.nn.RMSNorm"),
    "AdaptiveAvgPool1d": ("pools over all time", "rtvoice.nn.AveragePool or a long rtvoice.nn.DepthwiseConv1d"),
    "AdaptiveMaxPool1d": ("pools over all time", "rtvoice.nn.AveragePool"),
    "MultiheadAttention": ("attends to all time", "rtvoice.nn.Attention, over a bounded past"),
    "TransformerEncoderLayer": ("attends to all time", "rtvoice.nn.Attention, over a bounded past"),
    "TransformerEncoder": ("attends to all time", "rtvoice.nn.Attention, over a bounded past"),
    "ReflectionPad1d": ("reads the future at its start", "rtvoice.nn.Conv1d, which pads with the zeros of a start"),
    "ReplicationPad1d": ("repeats the first frame", "rtvoice.nn.Conv1d, which pads with the zeros of a start"),
}


def advice(module: torch.nn.Module) -> str:
    """Return what is wrong with a plain layer of torch inside a streaming model, and what to use for it."""
    kind = type(module).__name__
    if kind in ("GRU", "LSTM", "RNN"):
        instead = "rtvoice.nn.LSTM" if kind == "LSTM" else "rtvoice.nn.GRU"
        if getattr(module, "bidirectional", False):
            return f"torch.nn.{kind} in both directions reads the whole future: use {instead}, which runs forwards"
        return f"torch.nn.{kind} does not write itself into a graph: use {instead}"
    if kind in _OVER_TIME:
        why, instead = _OVER_TIME[kind]
        return f"torch.nn.{kind} {why} and cannot stream: use {instead}"
    if kind in _SAME:
        return f"torch.nn.{kind} does not write itself into a graph: use {_SAME[kind]}"
    return f"torch.nn.{kind} has no streaming form here: use a module of rtvoice.nn, docs/nn.md lists them"

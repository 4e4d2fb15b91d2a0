"""What cannot stream or is not supported, and what to do instead, by operator."""

from __future__ import annotations

_ALL_TIME = "normalises over all time, which a stream does not have"
_NORM_ADVICE = "train with LayerNorm or RMSNorm over channels, or BatchNorm (folded when exported in eval mode)"
ATTENTION = (
    "multiplies two signals (attention, or a filter made by the network)",
    "use convolutions, GRU or LSTM layers, or attention whose mask bounds its past, exported with time as a free axis",
)
_NORMS = ("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization", "Attention", "MultiHeadAttention")

ADVICE: dict[str, tuple[str, str]] = {
    "InstanceNormalization": (_ALL_TIME, _NORM_ADVICE + "; torch's GroupNorm is exported as this too"),
    "GroupNormalization": (_ALL_TIME, _NORM_ADVICE),
    "MeanVarianceNormalization": (_ALL_TIME, _NORM_ADVICE),
    "LpNormalization": ("is not supported", "write it as x / sqrt(sum(x^2) + eps) over channels"),
    "GlobalAveragePool": ("averages over all time", "use a causal average (AveragePool) over a fixed window"),
    "GlobalMaxPool": ("takes the maximum over all time", "use a strided convolution over a fixed window"),
    "Attention": ("looks at all time at once", "use convolutions, GRU or LSTM layers"),
    "MultiHeadAttention": ("looks at all time at once", "use convolutions, GRU or LSTM layers"),
    "RNN": ("is not among the streaming ops", "use GRU or LSTM"),
    "Loop": ("is a loop", "export with the loop unrolled over layers, not over time"),
    "Scan": ("is a loop over time", "use the GRU or LSTM operators"),
    "If": ("branches on data that is not constant", "export with the condition fixed"),
    "SequenceAt": ("works on sequences of tensors", "export with optimize=True"),
    "SplitToSequence": ("works on sequences of tensors", "export with optimize=True"),
    "SequenceConstruct": ("works on sequences of tensors", "export with optimize=True"),
    "RandomNormal": ("makes random numbers", "build the model with rtvoice.nn, whose Noise streams"),
    "RandomNormalLike": ("makes random numbers", "build the model with rtvoice.nn, whose Noise streams"),
    "RandomUniform": ("makes random numbers", "build the model with rtvoice.nn, whose Noise streams"),
    "RandomUniformLike": ("makes random numbers", "build the model with rtvoice.nn, whose Noise streams"),
    "QuantizeLinear": (
        "is quantised arithmetic",
        "export the float model; rtvoice chooses the weights' precision itself",
    ),
    "DynamicQuantizeLinear": ("is quantised arithmetic", "export the float model"),
    "ConvInteger": ("is quantised arithmetic", "export the float model"),
    "QLinearConv": ("is quantised arithmetic", "export the float model"),
    "MatMulInteger": ("is quantised arithmetic", "export the float model"),
    "Where": ("chooses by data, outside the patterns known", "use Clip, Relu or a sigmoid gate"),
    "Erf": ("stands outside the patterns known (GELU)", "use Gelu or tanh"),
    "Sign": ("is not among the streaming ops", "use tanh(k*x)"),
    "Einsum": ("is more than a matrix product over channels", "write it as MatMul, Conv or Mul"),
}


def unsupported(op: str, domain: str = "") -> tuple[str, str]:
    """Return the reason and the advice for an operator that nothing lowers."""
    if op in ADVICE:
        return ADVICE[op]
    if domain and domain != "ai.onnx":
        return f"belongs to '{domain}'", "export with standard ONNX operators only"
    return "is not supported", "see docs/import.md for the operators that are, and rewrite this one with them"


def is_cause(op: str, domain: str = "") -> bool:
    """Tell whether an operator is what a user wrote, where exporters put reshaping around it."""
    return op in _NORMS and (op == "MultiHeadAttention" or domain in ("", "ai.onnx", "com.microsoft"))


def cannot_stream(op: str, domain: str = "") -> bool:
    """Tell whether an operator is refused whatever it reads."""
    return (op in ADVICE and op != "If") or domain not in ("", "ai.onnx")

"""What cannot stream or is not supported, and what to do instead, by operator."""

from __future__ import annotations

_ALL_TIME = "normalises over all time, which a stream does not have"
_NORM_ADVICE = "train with LayerNorm or RMSNorm over channels, or BatchNorm (folded when exported in eval mode)"
ATTENTION = (
    "multiplies two signals (attention, or a filter made by the network)",
    "use convolutions, GRU or LSTM layers, or attention whose mask bounds its past, exported with time as a free axis",
)
FROZEN = "export with a dynamic time axis; where a recurrent layer freezes it, use the legacy exporter (dynamo=False)"
FIXED = (
    "make it an input, or remove it; the sum of windows of an overlap-add (istft, fold) is followed where the time "
    "axis is dynamic when it is exported"
)
OVERLAP = (
    "adds up rows at places that are no even steps, or that are fixed for one length",
    "export torch.istft and F.fold with a dynamic time axis; where torch.stft is what torch cannot export so, cut the "
    "frames by x.unfold(-1, size, hop) * window and transform them by torch.fft.rfft",
)
_UNLESS = "; where the export froze a length, " + FROZEN
AHEAD = "a stream goes on: keep all, or join these in front of the rest again (torch.cat along time)" + _UNLESS
NEWEST = "keep all and let the host take the newest, or use a layer over so many (Conv, AveragePool)" + _UNLESS
LESS = (
    "let each frame attend to fewer frames (j > i - N), or attend at a lower rate, behind a convolution with a stride"
)
NO_LENGTH = (
    "a stream has no length and no end: leave out what is computed from torch.arange(T) or x.shape[-1], or make it an "
    "input or a buffer of the model's own that is the same at every frame"
)
_NORMS = ("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization", "Attention", "MultiHeadAttention")
BFLOAT16 = (
    "rounds the signal to bfloat16, which keeps 8 bits of a number, and a stream's numbers are float32",
    "export in float32: model.float()",
)
_QUANTISED = (
    "is quantised arithmetic, whose numbers a stream does not have",
    "export the float model, from before it was quantised; --weights fp16 rounds its weights",
)
_NOISE = "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial"
_SEQUENCES = (
    "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap "
    "SplitToSequence ConcatFromSequence"
)
# Why a group of operators is refused, what to do, and which they are: every operator of the standard is somewhere.
_FAMILIES: tuple[tuple[str, str, str], ...] = (
    (
        *_QUANTISED,
        "QuantizeLinear DequantizeLinear DynamicQuantizeLinear ConvInteger QLinearConv QLinearMatMul MatMulInteger",
    ),
    ("makes random numbers", "build the model with rtvoice.nn, whose Noise streams", _NOISE),
    (
        "works on sequences of tensors",
        "export with optimize=True, and join tensors (torch.cat, torch.stack) instead of keeping lists of them",
        _SEQUENCES,
    ),
    (
        "works on values that may be missing",
        "export with every optional input either given or removed",
        "Optional OptionalGetElement OptionalHasElement",
    ),
    (
        "works on text",
        "keep the text outside the network, and give it numbers: an embedding, as an input that becomes a parameter",
        "StringConcat StringNormalizer StringSplit RegexFullMatch TfIdfVectorizer",
    ),
    (
        "works on pictures",
        "leave it outside the network, and export what reads its result",
        "ImageDecoder RoiAlign MaxRoiPool NonMaxSuppression AffineGrid",
    ),
    (
        "reads at places that are computed from the signal",
        "use Conv with taps at fixed places, or Resize by a whole factor",
        "DeformConv GridSample",
    ),
    (
        "reads or writes at places that are computed",
        "index with constants (Slice, Gather), or multiply with a mask; a buffer of the past is Concat and Slice",
        "GatherElements Scatter ScatterElements ScatterND TensorScatter MaxUnpool",
    ),
    (
        "picks by rank, which no streaming op does",
        "hand the scores out as an output and let the host choose, or weight with Softmax",
        "ArgMax ArgMin TopK Hardmax OneHot",
    ),
    (
        "makes a result whose size depends on the data",
        "keep the size: Where, or a product with a mask",
        "NonZero Unique Compress",
    ),
    ("turns time around", "run the layer forwards", "ReverseSequence"),
    (
        "belongs to training",
        "export the network alone, in eval mode, without its loss and optimiser",
        "SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss Adagrad Adam Gradient Momentum",
    ),
    (
        "works on the bits of integers, and a stream's numbers are float32",
        "use And, Or and Not on comparisons, or arithmetic",
        "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BitShift BitCast",
    ),
    (
        "makes steps, which no streaming op does",
        "quantise outside the network, or use a soft step, tanh(k*x), or Clip",
        "Round Floor Ceil",
    ),
    (
        "wraps around, which no streaming op does",
        "take Sin and Cos of the phase, which need no wrapping",
        "Mod",
    ),
    (
        "is not among the streaming ops",
        "keep the real and imaginary part (the cosine and sine) instead of an angle",
        "Acos Asin Atan",
    ),
    (
        "asks for numbers that are not finite",
        "leave it out: Clip before Log, Sqrt and Div, and NaN never arises",
        "IsNaN IsInf",
    ),
    ("compares numbers for equality", "use Greater and Less with a margin, or a mask", "Equal"),
    (
        "makes a table whose size or content is computed from the signal",
        "export with constants there, so that it can be computed ahead",
        "ConstantOfShape EyeLike Range Trilu HannWindow HammingWindow BlackmanWindow MelWeightMatrix",
    ),
    (
        "is not among the streaming ops",
        "write it with ReduceSum, Exp and Log over channels",
        "ReduceLogSum ReduceLogSumExp",
    ),
    (
        "multiplies channels, and the logarithm of one below 0 is no way round that",
        "cut them apart (Split) and multiply them one with another (Mul)",
        "ReduceProd",
    ),
    (
        "multiplies up over channels, or over all time, which ends at 0 or without end",
        "over channels, cut them apart (Split), multiply one with another (Mul) and join them (Concat)",
        "CumProd",
    ),
    (
        "takes a norm over a window",
        "use AveragePool of the squares (or absolute values), and Sqrt",
        "LpPool GlobalLpPool",
    ),
    (
        "normalises over neighbouring channels",
        "train with LayerNorm or RMSNorm over channels, or BatchNorm",
        "LRN",
    ),
    (
        "turns channels by their position in the recording, which a stream does not have",
        "use attention over a bounded past without positions, behind a causal convolution that tells near from far",
        "RotaryEmbedding",
    ),
    (
        "looks at all time at once",
        "use convolutions, GRU or LSTM layers, or attention written out with MatMul and Softmax under a bounded mask",
        "MultiHeadAttention FlexAttention LinearAttention GroupQueryAttention",
    ),
    (
        "keeps its state by itself",
        "export it as Conv with zeros in front, and the stream keeps the state",
        "CausalConvWithState",
    ),
    ("is not among the streaming ops", "export it written out, with Sigmoid and Mul", "SwiGLU"),
    ("works over two axes of a picture", "write it with Reshape and Transpose", "SpaceToDepth"),
    ("cuts or pads to a size", "use Slice, or Pad with zeros, by constants", "CenterCropPad"),
    ("is linear algebra on matrices made by the network", "write it out with Mul and Sub", "Det"),
)  # fmt: skip

ADVICE: dict[str, tuple[str, str]] = {
    **{op: (reason, advice) for reason, advice, ops in _FAMILIES for op in ops.split()},
    "Attention": (
        "is attention in one operator, whose mask is not followed",
        "export with opset 22 or older, which writes it with MatMul and Softmax; its mask must be bounded (j > i-N)",
    ),
    "InstanceNormalization": (_ALL_TIME, _NORM_ADVICE + "; torch's GroupNorm is exported as this too"),
    "GroupNormalization": (_ALL_TIME, _NORM_ADVICE),
    "MeanVarianceNormalization": (_ALL_TIME, _NORM_ADVICE),
    "LpNormalization": ("is not supported", "write it as x / sqrt(sum(x^2) + eps) over channels"),
    "GlobalAveragePool": ("averages over all time", "use a causal average (AveragePool) over a fixed window"),
    "GlobalMaxPool": (
        "takes the maximum over all time",
        "use a fixed window: Reshape to (1, channels, frames, window) and ReduceMax, or Max of Slices with a step",
    ),
    "RNN": ("is not among the streaming ops", "use GRU or LSTM"),
    "Loop": ("is a loop", "export with the loop unrolled over layers, not over time"),
    "Scan": ("is a loop over time", "use the GRU or LSTM operators"),
    "If": ("branches on data that is not constant", "export with the condition fixed"),
    "Where": ("chooses by data, outside the patterns known", "use Clip, Relu or a sigmoid gate"),
    "Erf": (
        "stands outside the patterns known (x * (1 + erf(x / sqrt(2))) / 2, which is GELU)",
        "train with tanh in its place, whose course it nearly has, or write GELU in that form (torch.nn.GELU())",
    ),
    "Einsum": (
        "is more than a matrix product over channels, a sum over them or an outer product within a frame",
        "write it in steps of two tensors: MatMul, Mul (a.unsqueeze(2) * b.unsqueeze(1)) and sum(dim)",
    ),
}
# Without a signal to read, too, these are not what can be computed once and kept.
NEVER_AHEAD = frozenset((*_NOISE.split(), *_SEQUENCES.split()))
# Exporters put these around an operator that is refused already; naming them too would hide what matters.
_SURROUND = frozenset(("If", "IsNaN", "IsInf", "Equal", "ConstantOfShape", "EyeLike", "Range", "Trilu"))
_ML = "keep it outside the network, behind a value output that it reads, or train a Gemm layer in its place"
_OPTIMISED = (
    "export with standard ONNX operators only: take the file from before an optimiser fused its nodes, or export it "
    "without custom operators"
)


def unsupported(op: str, domain: str = "") -> tuple[str, str]:
    """Return the reason and the advice for an operator that nothing lowers."""
    if op == "Attention" and domain == "com.microsoft":  # fused by an optimiser, from any opset
        return ADVICE["MultiHeadAttention"]
    if op in ADVICE:
        return ADVICE[op]
    if domain == "ai.onnx.ml":
        return "is classical machine learning ('ai.onnx.ml'), not a network", _ML
    if domain and domain != "ai.onnx":
        if op.startswith(("QLinear", "QAttention", "QGemm", "DynamicQuantize", "MatMulInteger", "MatMulNBits")):
            return _QUANTISED
        return f"belongs to '{domain}'", _OPTIMISED
    return (
        "is no operator that this importer knows",
        "is its name right? See docs/import.md for the operators that are, and rewrite this one with them",
    )


def is_cause(op: str, domain: str = "") -> bool:
    """Tell whether an operator is what a user wrote, where exporters put reshaping around it."""
    return op in _NORMS and (op == "MultiHeadAttention" or domain in ("", "ai.onnx", "com.microsoft"))


def cannot_stream(op: str, domain: str = "") -> bool:
    """Tell whether an operator is refused whatever it reads."""
    return (op in ADVICE and op not in _SURROUND) or domain not in ("", "ai.onnx")

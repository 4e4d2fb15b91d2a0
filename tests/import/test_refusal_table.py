"""Every operator of the installed ONNX standard: taken, or refused by its node's name with a way out that fits it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from rtvoice import ModelError

onnx = pytest.importorskip("onnx")

# By family: what the way out must say, and the operators. Written apart from the importer's own table.
WAYS_OUT = {
    "float model": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear ConvInteger QLinearConv QLinearMatMul "
    "MatMulInteger",
    r"rtvoice\.nn": "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial",
    r"torch\.cat": "SequenceAt SequenceConstruct SequenceErase SequenceInsert SequenceLength SequenceMap "
    "SplitToSequence ConcatFromSequence SequenceEmpty",
    "either given or removed": "Optional OptionalGetElement OptionalHasElement",
    "give it numbers": "StringConcat StringNormalizer StringSplit RegexFullMatch TfIdfVectorizer",
    "outside the network": "ImageDecoder RoiAlign MaxRoiPool NonMaxSuppression AffineGrid Round Floor Ceil "
    "ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder "
    "LinearClassifier LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble "
    "TreeEnsembleClassifier TreeEnsembleRegressor ZipMap",
    "Conv|Resize": "DeformConv GridSample CausalConvWithState",
    "index with constants": "GatherElements Scatter ScatterElements ScatterND TensorScatter MaxUnpool",
    "let the host choose": "ArgMax ArgMin TopK Hardmax OneHot",
    "keep the size": "NonZero Unique Compress",
    "forwards": "ReverseSequence",
    "eval mode": "SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss Adagrad Adam Gradient Momentum",
    "And, Or and Not": "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BitShift BitCast",
    "Sin and Cos": "Mod",
    "real and imaginary": "Acos Asin Atan",
    "Clip before": "IsNaN IsInf",
    "margin": "Equal",
    "with constants": "ConstantOfShape EyeLike Range Trilu HannWindow HammingWindow BlackmanWindow MelWeightMatrix",
    "Exp": "ReduceLogSum ReduceLogSumExp",
    "Split.* multiply": "ReduceProd CumProd",
    "AveragePool|window": "LpPool GlobalLpPool GlobalAveragePool GlobalMaxPool",
    "LayerNorm": "LRN MeanVarianceNormalization",
    r"sqrt\(sum": "LpNormalization",
    "bounded": "Attention FlexAttention LinearAttention RotaryEmbedding",
    "Sigmoid": "SwiGLU",
    "Reshape and Transpose": "SpaceToDepth",
    "Slice, or Pad": "CenterCropPad",
    "Mul and Sub": "Det",
    "GRU or LSTM": "RNN Scan",
    "unrolled": "Loop",
    "condition fixed": "If",
}  # fmt: skip
SCHEMAS = {(schema.domain, schema.name): schema for schema in onnx.defs.get_all_schemas()}
NEWEST = 23  # of the opsets that are read
KNOWN = 28  # the opset that this table was written for: what a newer standard adds is refused without advice of its own


def taken():
    from rtvoice.export.onnx import importer, walk  # noqa: F401  (the importer registers the operators)

    return walk.HANDLERS


def way_out(op):
    found = [words for words, ops in WAYS_OUT.items() if op in ops.split()]
    assert len(found) == 1, f"{op} stands in {len(found)} families of this test's table; put it into one"
    return found[0]


def refused_ops():
    tabled = {op for ops in WAYS_OUT.values() for op in ops.split()}
    asked = [key for key, schema in SCHEMAS.items() if key[1] in tabled or schema.since_version <= KNOWN]
    return sorted(key for key in asked if key != ("", "Constant") and (key[0] or key[1] not in taken()))


@pytest.mark.parametrize(("domain", "op"), refused_ops(), ids=lambda value: value or "standard")
def test_every_refusal_names_the_node_the_operator_and_a_way_out(domain, op, make_net):
    """The operator reads a signal wherever it reads something; its attributes do not matter before it is known."""
    from rtvoice.export.onnx.importer import import_onnx

    schema = SCHEMAS[domain, op]
    net = make_net(opset=min(max(schema.since_version, 18), NEWEST))
    wide = net.wide()
    body = onnx.helper.make_graph([onnx.helper.make_node("Relu", [wide], ["inner"])], "body", [], [])
    attrs = {name: body for name, kind in schema.attributes.items() if kind.required and kind.type.name == "GRAPH"}
    attrs |= {"to": 1} if "to" in schema.attributes else {}
    reads = [wide] * max(schema.min_input, min(1, schema.max_input))
    out = net(op, *reads, outputs=max(schema.min_output, 1), name="block.3/odd", domain=domain, **attrs)
    out = out if isinstance(out, str) else out[0]
    with pytest.raises(ModelError) as caught:
        import_onnx(net.model(net.narrow(net("Add", wide, out))))
    message = str(caught.value)
    assert "\n" not in message and f"{op} 'block.3/odd': " in message
    reason, separator, advice = message.partition(f"{op} 'block.3/odd': ")[2].partition("; ")
    assert separator and len(reason.split()) >= 3
    assert re.search(way_out(op), advice), f"{advice!r} does not say {way_out(op)!r}"


@pytest.mark.parametrize(
    ("op", "said"), [("DynamicQuantizeLSTM", "float model"), ("QLinearAdd", "float model"), ("FusedConv", "optimiser")]
)
def test_operators_of_a_runtime_of_its_own(op, said, net):
    from rtvoice.export.onnx.importer import import_onnx

    with pytest.raises(ModelError, match=rf"{op} 'fused': .*; .*{said}"):
        import_onnx(net.model(net.narrow(net(op, net.wide(), domain="com.microsoft", name="fused"))))


def test_all_that_must_change_is_told_at_once(net):
    from rtvoice.export.onnx.importer import import_onnx

    odd = net("Round", net("Atan", net.wide(), name="first"), name="second")
    with pytest.raises(ModelError, match=r"3 nodes .*'first'.*'second'.*'third'"):
        import_onnx(net.model(net.narrow(net("TopK", odd, np.array([1]), outputs=2, name="third")[0], 1)))

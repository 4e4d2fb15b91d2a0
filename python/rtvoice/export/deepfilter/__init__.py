"""DeepFilterNet's published files: three ONNX graphs and what stands around them, as one streaming model."""

FORMAT = "DeepFilterNet 3"

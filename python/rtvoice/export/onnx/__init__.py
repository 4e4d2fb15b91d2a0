"""ONNX import: read, fold and lower a foreign model to the streaming ops, and prove that it computes the same."""

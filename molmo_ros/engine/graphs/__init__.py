"""The canonical ONNX graphs, opset 24, of a model: its vision side, and its decoder over a static KV cache."""

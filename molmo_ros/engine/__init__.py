"""Molmo compiled: export to ONNX, lowering to TensorRT, quantisation, builds, and the runtimes that run them."""

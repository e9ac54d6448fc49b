"""TensorRT and TensorRT for RTX: targets, lowering of the canonical graphs, guards, and the build."""

"""What runs engines: onnxruntime and TensorRT behind the interface of `molmo/running/runtime.py`."""

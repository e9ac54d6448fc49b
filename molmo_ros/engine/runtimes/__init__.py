# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What runs engines: onnxruntime and TensorRT behind the interface of `molmo/running/runtime.py`."""

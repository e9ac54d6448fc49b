# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The canonical ONNX graphs, opset 24, of a model: its vision side, and its decoder over a static KV cache."""

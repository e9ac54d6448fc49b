# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Molmo compiled: export to ONNX, lowering to TensorRT, quantisation, builds, and the runtimes that run them."""

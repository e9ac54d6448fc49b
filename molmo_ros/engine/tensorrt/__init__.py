# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""TensorRT and TensorRT for RTX: targets, lowering of the canonical graphs, guards, and the build."""

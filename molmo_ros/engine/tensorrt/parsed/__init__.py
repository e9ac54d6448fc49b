# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The network that TensorRT's parser made, read back whole and computed in torch, without an engine or a GPU."""

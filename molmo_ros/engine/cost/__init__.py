# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a model takes on a device: bytes and operations of a pass, memory, and the times that follow."""

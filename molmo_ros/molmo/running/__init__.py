# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What runs the networks, and decoding with it."""

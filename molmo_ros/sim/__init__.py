# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Simulated tabletop: physics (MuJoCo), an RGB-D camera without a GPU, and exact ground truth."""

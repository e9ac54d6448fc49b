# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The decoder's linear layers in fewer bits: formats, calibration, AWQ, and the files that keep the result."""

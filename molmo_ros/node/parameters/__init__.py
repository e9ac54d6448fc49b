# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The parameters of the node: declared once, as data."""

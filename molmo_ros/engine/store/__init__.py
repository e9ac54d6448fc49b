# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Engines on disk: where they are, what they are, whether they may be used, and how they get there."""

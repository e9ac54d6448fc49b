# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Points in an answer: written as numbers, or chosen among patches."""

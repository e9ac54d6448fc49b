# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From an image's features and tokens to an answer with points."""

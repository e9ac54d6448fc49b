# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From pixels to patches, and what a picture costs. Without torch."""

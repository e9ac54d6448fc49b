# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What parts of the node want of each other, and of what stands in for them: in a bag, in a test."""

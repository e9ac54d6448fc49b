# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the node passes around: plain records, which know of nothing above them."""

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What people and managers see of the node's state."""

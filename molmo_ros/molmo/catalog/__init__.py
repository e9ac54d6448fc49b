# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Which models there are, where they lie on this machine, and how they get there."""

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Training of the embedded checkpoint on pictures that the repository's own simulator renders."""

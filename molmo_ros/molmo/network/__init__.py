# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The network: torch modules from patches and tokens to scores."""

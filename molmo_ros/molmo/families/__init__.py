# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The families of Molmo models: all that distinguishes them outside of the numbers in their configs.

One file per family; everything else in `molmo/` asks the config or the `Family`, never for a name.
"""

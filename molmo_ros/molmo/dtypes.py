# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The number formats that weights are loaded in, by torch's names. Nothing is imported here."""

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a value."""

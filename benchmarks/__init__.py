# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Measurements, run as `python -m benchmarks.NAME`."""

import molmo_ros  # noqa: F401  # first: it switches telemetry off

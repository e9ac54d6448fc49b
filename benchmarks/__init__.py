"""Measurements, run as `python -m benchmarks.NAME`."""

import molmo_ros  # noqa: F401  # first: it switches telemetry off

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Public pointing benchmarks, as they are published, by rules that are named."""

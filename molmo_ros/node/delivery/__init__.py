# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Outcomes on their way out: to the topics, and to whoever asked."""

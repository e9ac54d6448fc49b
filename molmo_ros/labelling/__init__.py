# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Queries over many recorded episodes (bags, LeRobot data sets) on many workers, and the labels that come of it."""

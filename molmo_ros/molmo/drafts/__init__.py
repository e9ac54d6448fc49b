# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Guesses of how answers go on."""

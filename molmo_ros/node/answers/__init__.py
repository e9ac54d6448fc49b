# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From a request and a frame to an answer with points in space, and points between answers."""

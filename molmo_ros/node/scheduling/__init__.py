# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is to be asked: requests that wait, and continuous queries that are due."""

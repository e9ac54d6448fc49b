# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`make pick`: a hand takes things off simulated tables by what the node says of them, judged by the simulator."""

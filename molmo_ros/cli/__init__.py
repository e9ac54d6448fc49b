# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The command line `molmo-ros`, one file per subcommand."""

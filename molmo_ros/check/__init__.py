# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`check_camera`: looks at live topics as the node would, and says what is wrong and which line cures it."""

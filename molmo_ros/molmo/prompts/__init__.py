# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""From what people ask to token ids."""

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A model behind an OpenAI-compatible endpoint: questions about pictures, of many clients at once; no ROS in it."""

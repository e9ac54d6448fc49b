# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The models: image and words to points and text. Nothing here knows of ROS."""

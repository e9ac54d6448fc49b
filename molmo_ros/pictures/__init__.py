# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Coded pictures (JPEG, PNG, WebP, TIFF) to pixels. No ROS: camera messages and files are read by the same code.

What the bytes claim is held against what they are before a decoder is given them, so that neither memory nor time is
spent on a claim.
"""

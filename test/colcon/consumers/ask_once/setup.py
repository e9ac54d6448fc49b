# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

from setuptools import setup

setup(
    name="ask_once",
    version="0.0.1",
    packages=["ask_once"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/ask_once"]),
        ("share/ask_once", ["package.xml"]),
    ],
)

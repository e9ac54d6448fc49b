# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Makes CMake work with the ROS wheels of this environment; changes nothing the second time.

Their exported CMake files name the include folders of Python and NumPy on the machine that built the wheels.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILD_MACHINE = "/opt/python/"
# The parts of a CMake list end at a semicolon or a quotation mark.
PYTHON = re.compile(rf'{BUILD_MACHINE}[^";]*/include/python[0-9.]+')
NUMPY = re.compile(rf'{BUILD_MACHINE}[^";]*/numpy/[^";]*include')


def fixed(text: str) -> str:
    # As functions, since a path as a replacement would have its backslashes read.
    text = NUMPY.sub(lambda _: numpy.get_include(), text)
    return PYTHON.sub(lambda _: sysconfig.get_path("include"), text)


def main() -> None:
    for file in Path(sys.prefix, "share").rglob("*.cmake"):
        text = file.read_text()
        if BUILD_MACHINE in text and (changed := fixed(text)) != text:
            file.write_text(changed)


if __name__ == "__main__":
    main()

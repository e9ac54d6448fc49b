# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The one call in an interface package's setup.py."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from setuptools import Extension, setup

from .interface_package import InterfacePackage
from .libraries import BuildInterfaces


def setup_interfaces(folder: Path) -> None:
    """setup() for the interface package in the folder; everything it needs to know is in its package.xml."""
    package = InterfacePackage.read(folder)

    class Build(BuildInterfaces):
        interfaces = package

    # Compiled against the headers of exactly these.
    distributions = [f"ros-{name.replace('_', '-')}" for name in package.direct_dependencies]
    setup(
        name=package.name,
        version=package.version,
        description=package.description,
        license="Apache-2.0",
        python_requires=">=3.10",
        packages=[],
        py_modules=[],
        # Without sources: BuildInterfaces generates and compiles them. It makes the wheel one of this platform.
        ext_modules=[Extension(f"{package.name}.{package.name}_s__rosidl_typesupport_c", sources=[])],
        cmdclass={"build_ext": Build},
        install_requires=[f"{name}=={version(name)}" for name in distributions],
        zip_safe=False,
    )

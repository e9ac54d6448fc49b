# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Runs the rosidl generators: interface files in, C and Python sources out.

They are called as functions, since the wheels' `rosidl generate` command does not find its plugins.
"""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import rosidl_generator_c
import rosidl_generator_py
import rosidl_generator_type_description
import rosidl_typesupport_c
import rosidl_typesupport_fastrtps_c
import rosidl_typesupport_introspection_c
from rosidl_adapter import convert_to_idl
from rosidl_parser import parser

from .interface_package import PREFIX, InterfacePackage

SHARE = PREFIX / "share"

# Each becomes a shared library of its own, opened by name at run time. The later ones link to the first.
C_LIBRARIES = {
    "rosidl_generator_c": rosidl_generator_c.generate_c,
    "rosidl_typesupport_fastrtps_c": rosidl_typesupport_fastrtps_c.generate_typesupport_fastrtps_c,
    "rosidl_typesupport_introspection_c": rosidl_typesupport_introspection_c.generate_c,
}


def generate(package: InterfacePackage, folder: Path) -> None:
    """Writes the sources to `folder/GENERATOR/PACKAGE`, and what is installed to share/ to `folder/share/PACKAGE`."""
    # Every generator parses every file again, which takes most of the time.
    parser.get_ast_from_idl_string = functools.cache(parser.get_ast_from_idl_string)
    share = folder / "share" / package.name
    for file in package.files:
        convert_to_idl(package.folder, package.name, file, share)
        shutil.copy(package.folder / file, share / file)
    run = functools.partial(_run, package, folder)
    run("rosidl_generator_type_description", rosidl_generator_type_description.generate_type_hash, share)
    for name, generator in C_LIBRARIES.items():
        run(name, generator)
        _write_visibility_header(package, folder, name)
    # Chooses one of the two type supports at run time.
    run("rosidl_typesupport_c", rosidl_typesupport_c.generate_c, type_supports=list(C_LIBRARIES)[1:])
    run("rosidl_generator_py", rosidl_generator_py.generate_py, type_supports=["rosidl_typesupport_c"])
    (folder / "rosidl_generator_py" / package.name / "__init__.py").touch()


def _run(
    package: InterfacePackage,
    folder: Path,
    name: str,
    generator,
    output: Path | None = None,
    type_supports=None,
) -> None:
    output = output or folder / name / package.name
    share = folder / "share" / package.name
    idl = [file.with_suffix(".idl") for file in package.files]
    arguments = {
        "package_name": package.name,
        "output_dir": str(output),
        "template_dir": str(SHARE / name / "resource"),
        "target_dependencies": [],
        "idl_tuples": [f"{share}:{file}" for file in idl],
        "type_description_tuples": [f"{file}:{share / file.with_suffix('.json')}" for file in idl],
        "include_paths": [f"{name}:{SHARE / name}" for name in package.dependencies],
        "ros_interface_dependencies": [
            f"{name}:{file}"
            for name in package.dependencies
            for file in sorted((SHARE / name).rglob("*.idl"))
        ],
    }
    arguments_file = folder / f"{name}.json"
    arguments_file.write_text(json.dumps(arguments, indent=1))
    # One of them writes below a folder that it expects to be there.
    for kind in package.kinds:
        (output / kind).mkdir(parents=True, exist_ok=True)
    generator(str(arguments_file), *([type_supports] if type_supports else []))


def _write_visibility_header(package: InterfacePackage, folder: Path, name: str) -> None:
    """The generated code includes it; CMake would fill in the template."""
    header = f"{name}__visibility_control.h"
    text = (SHARE / name / "resource" / f"{header}.in").read_text()
    for placeholder, value in (
        ("@PROJECT_NAME@", package.name),
        ("@PROJECT_NAME_UPPER@", package.name.upper()),
    ):
        text = text.replace(placeholder, value)
    target = folder / name / package.name / "msg" / header
    target.parent.mkdir(exist_ok=True)
    target.write_text(text)

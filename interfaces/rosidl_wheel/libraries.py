# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The build step of the wheel: generates, compiles and links, and lays out what is installed."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from setuptools.command.build_ext import build_ext

from .generators import C_LIBRARIES, generate
from .interface_package import PREFIX, InterfacePackage

# Libraries of ROS that generated code calls; their headers lie in folders of their names.
RUNTIME = (
    "rosidl_runtime_c",
    "rosidl_typesupport_c",
    "rosidl_typesupport_introspection_c",
    "rosidl_typesupport_fastrtps_c",
    "rosidl_typesupport_fastrtps_cpp",
    "rcutils",
    "rmw",
    "fastcdr",
)
ONLY_HEADERS = (
    "rosidl_runtime_cpp",
    "rosidl_typesupport_cpp",
    "rosidl_typesupport_interface",
    "rosidl_dynamic_typesupport",
)

# Copying small messages is as fast unoptimised, and compiling takes half the time. Its warnings are nobody's here.
COMPILE = ["-O0", "-w"]
# Beside each other, and in lib/ of the environment, seen from lib/pythonX.Y/site-packages/PACKAGE.
LINK = ["-Wl,-rpath,$ORIGIN", "-Wl,-rpath,$ORIGIN/../../.."]


class BuildInterfaces(build_ext):
    """Builds the three libraries of C_LIBRARIES beside the one extension module that Python imports."""

    interfaces: InterfacePackage

    def build_extensions(self) -> None:
        self.generated = Path(self.build_temp).resolve() / "rosidl"
        self.installed = Path(self.build_lib).resolve() / self.interfaces.name
        for folder in (self.generated, self.installed):
            shutil.rmtree(folder, ignore_errors=True)
        generate(self.interfaces, self.generated)
        self._copy_python()
        self._build_libraries()
        self._list_data_files()

    def _copy_python(self) -> None:
        source = self.generated / "rosidl_generator_py" / self.interfaces.name
        shutil.copytree(source, self.installed, ignore=shutil.ignore_patterns("*.c"))

    def _build_libraries(self) -> None:
        objects = self._compile([*C_LIBRARIES, "rosidl_typesupport_c", "rosidl_generator_py"])
        own: list[str] = []
        for name in C_LIBRARIES:
            library = f"{self.interfaces.name}__{name}"
            self._link(
                objects[name], f"lib{library}.so", libraries=own, options=[f"-Wl,-soname,lib{library}.so"]
            )
            own.append(library)
        # The type support is opened by name, so the linker must keep what seems to be unused.
        options = ["-Wl,--no-as-needed", *(f"-l{library}" for library in own)]
        module = Path(self.get_ext_filename(self.extensions[0].name)).name
        self._link(objects["rosidl_typesupport_c"] + objects["rosidl_generator_py"], module, own, options)

    def _compile(self, parts: list[str]) -> dict[str, list[str]]:
        """Object files by part, compiled on all cores."""
        ros = PREFIX / "include"
        with_headers = (*self.interfaces.dependencies, *RUNTIME, *ONLY_HEADERS)
        # The folder of all is for fastcdr, whose own is not inside another of its name.
        folders = [*(self.generated / part for part in parts), *(ros / name for name in with_headers), ros]
        include = [*map(str, folders), numpy.get_include()]

        def compile_one(source: Path) -> list[str]:
            return self.compiler.compile(
                [str(source)], self.build_temp, include_dirs=include, extra_postargs=COMPILE
            )

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            running = {
                part: [
                    pool.submit(compile_one, source)
                    for source in sorted((self.generated / part).rglob("*"))
                    if source.suffix in (".c", ".cpp")
                ]
                for part in parts
            }
            return {part: [name for job in jobs for name in job.result()] for part, jobs in running.items()}

    def _link(self, objects: list[str], file: str, libraries: list[str], options: list[str]) -> None:
        folders = [str(self.installed), str(PREFIX / "lib")]
        of_dependencies = [
            path.name.removeprefix("lib").removesuffix(".so")
            for name in self.interfaces.dependencies
            for path in sorted((PREFIX / "lib").glob(f"lib{name}__rosidl_*.so"))
            if not path.stem.endswith("_cpp")
        ]
        self.compiler.link_shared_object(
            objects,
            str(self.installed / file),
            libraries=[*libraries, *of_dependencies, *RUNTIME],
            library_dirs=folders,
            extra_postargs=[*LINK, *options],
            target_lang="c++",
        )

    def _list_data_files(self) -> None:
        """What ROS looks for below share/: definitions, type hashes and the marks in the ament index."""
        name = self.interfaces.name
        share = self.generated / "share"
        definitions = sorted(path.relative_to(share / name) for path in (share / name).rglob("*.*"))
        index = share / "ament_index/resource_index"
        for kind, text in (("packages", ""), ("rosidl_interfaces", "\n".join(map(str, definitions)))):
            (index / kind).mkdir(parents=True)
            (index / kind / name).write_text(text)
        shutil.copy(self.interfaces.folder / "package.xml", share / name)
        # setuptools wants paths relative to setup.py.
        self.distribution.data_files = [
            (f"share/{path.parent.relative_to(share)}", [os.path.relpath(path, self.interfaces.folder)])
            for path in sorted(share.rglob("*"))
            if path.is_file()
        ]

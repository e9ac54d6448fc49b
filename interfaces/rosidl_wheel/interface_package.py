# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a folder with a package.xml and msg/, srv/, action/ says about itself."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import rosidl_adapter

# The wheels put ROS into the environment as into /opt/ros: PREFIX/lib/pythonX.Y/site-packages/rosidl_adapter.
PREFIX = Path(rosidl_adapter.__file__).parents[4]
KINDS = ("msg", "srv", "action")

# What the generators add to services and actions uses these, whether package.xml names them or not.
IMPLIED = ("action_msgs", "builtin_interfaces", "service_msgs", "unique_identifier_msgs")


@dataclass(frozen=True)
class InterfacePackage:
    folder: Path
    name: str
    version: str
    description: str
    files: tuple[Path, ...]  # Such as msg/ObjectPoint.msg, relative to the folder.
    direct_dependencies: tuple[str, ...]  # Interface packages that package.xml names.
    dependencies: tuple[str, ...]  # Those, and all that they need in turn.

    @classmethod
    def read(cls, folder: Path) -> InterfacePackage:
        """Raises FileNotFoundError where there is no package.xml or no interface file."""
        manifest = ET.parse(folder / "package.xml").getroot()
        files = sorted(p.relative_to(folder) for kind in KINDS for p in (folder / kind).glob(f"*.{kind}"))
        if not files:
            raise FileNotFoundError(
                f"{folder} has no interface files: msg/*.msg, srv/*.srv or action/*.action"
            )
        direct = _interface_dependencies(manifest)
        return cls(
            folder=folder,
            name=manifest.findtext("name"),
            version=manifest.findtext("version"),
            description=" ".join(manifest.findtext("description").split()),
            files=tuple(files),
            direct_dependencies=direct,
            dependencies=_closure((*direct, *IMPLIED)),
        )

    @property
    def kinds(self) -> list[str]:
        """The kinds that it has: some of msg, srv and action."""
        return sorted({file.parts[0] for file in self.files})


def _interface_dependencies(manifest: ET.Element) -> tuple[str, ...]:
    tags = ("depend", "build_depend", "build_export_depend", "exec_depend")
    named = dict.fromkeys(element.text for tag in tags for element in manifest.findall(tag))
    marked = PREFIX / "share/ament_index/resource_index/rosidl_interfaces"
    return tuple(name for name in named if (marked / name).exists())


def _closure(names: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += _interface_dependencies(ET.parse(PREFIX / "share" / name / "package.xml").getroot())
    return tuple(found)

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What ARCHITECTURE.md says about imports and files, held against the code."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "molmo_ros"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
ROS = {
    "ament_index_python",
    "bondpy",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "geometry_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "molmo_msgs",
    "rcl_interfaces",
    "rclpy",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "tf2_msgs",
    "tf2_ros",
    "vision_msgs",
    "visualization_msgs",
}
ALONE = ("molmo/", "geometry/", "tracking/", "pictures/")
WITH_ROS = (
    "check/",
    "node/",
    "bag/",
    "demo/",
    "pick/",
    "sim/camera_node.py",
    "sim/node_process.py",
    "sim/sim_camera.py",
)


def imported(path):
    """Top-level packages (of this package: molmo_ros.part) that a file imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {
        ".".join(name.split(".")[:2]) if name.startswith("molmo_ros") else name.split(".")[0]
        for name in names
    }


@pytest.mark.parametrize("path", [path for path in FILES if not path.startswith(WITH_ROS)])
def test_ros_stays_at_the_edge(path):
    assert not imported(path) & ROS


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith(ALONE)])
def test_the_core_knows_only_itself(path):
    part = f"molmo_ros.{path.split('/')[0]}"
    assert {name for name in imported(path) if name.startswith("molmo_ros")} <= {part}


@pytest.mark.parametrize(
    "module",
    [
        "molmo_ros",
        "molmo_ros.node.process",
        "molmo_ros.bag.query_run",
        "molmo_ros.demo.user",
        "molmo_ros.geometry",
        "molmo_ros.tracking",
        "molmo_ros.molmo.images.image_processor",
        "molmo_ros.molmo.pointing.points",
        "molmo_ros.molmo.prompts.prompt",
        "molmo_ros.molmo.catalog.registry",
        "molmo_ros.sim.renderer",
        "molmo_ros.train.queries",
        "molmo_ros.remote.remote_load",
        "molmo_ros.engine.open_model",
        "molmo_ros.server.server_process",
    ],
)
def test_imports_without_torch(module):
    if module.startswith(("molmo_ros.bag", "molmo_ros.demo")):
        pytest.importorskip("rclpy", reason="needs ROS 2")
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_servers_libraries_stay_in_the_server():
    libraries = {"starlette", "uvicorn", "prometheus_client", "h11"}
    importing = {path for path in FILES if imported(path) & libraries}
    assert importing and all(path.startswith("server/") for path in importing)
    code = "import sys; from molmo_ros.cli.main import build_parser as b; b(); sys.exit('starlette' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_page_names_files_that_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", text))
    parts = [path.split("/") for path in FILES]
    known = {"/".join(part[start:]) for part in parts for start in range(len(part))}
    assert len(named) > 50 and named <= known, named - known


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if re.fullmatch(r"(molmo/\w+|node(/\w+)?|tracking|geometry)/\w+\.py", path)],
)
def test_page_names_every_part_of_the_model_and_the_node(path):
    folder, name = path.split("/")[-2:]
    if folder != "families" and name not in ("__init__.py", "__main__.py", "initial.py"):
        assert f"{name}`" in (ROOT / "ARCHITECTURE.md").read_text()


def test_a_class_name_has_one_meaning():
    files: dict[str, list[str]] = {}
    for path in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                files.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert len(files) > 300
    assert not {name: where for name, where in files.items() if len(where) > 1}

"""The package's description agrees with itself and with the files that are there."""

import ast
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
XML = ElementTree.parse(ROOT / "package.xml").getroot()

# Import name to rosdep key, for everything the package imports that is not Python's own.
ROSDEP = {
    "cv2": "python3-opencv",
    "mujoco": "python3-mujoco-pip",
    "numpy": "python3-numpy",
    "rosbags": "python3-rosbags-pip",
    "safetensors": "python3-transformers-pip",
    "tokenizers": "python3-transformers-pip",
    "torch": "python3-pytorch-pip",
    "transformers": "python3-transformers-pip",
    "yaml": "python3-yaml",
}


def imported_modules() -> set[str]:
    found = set()
    for path in [*(ROOT / "molmo_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    return found


def test_dependencies_are_complete():
    import sys

    declared = {element.text for element in XML if element.tag.endswith("depend")}
    needed = imported_modules() - set(sys.stdlib_module_names) - {"molmo_ros"}
    assert {ROSDEP.get(name, name) for name in needed} <= declared


def test_package_xml_is_an_ament_python_package():
    assert XML.get("format") == "3"
    assert XML.findtext("name") == "molmo_ros"
    assert XML.findtext("export/build_type") == "ament_python"
    assert XML.findtext("license") == "Apache-2.0"
    assert (ROOT / XML.find("license").get("file")).read_text().count("Apache License") >= 1
    assert (ROOT / "resource" / "molmo_ros").is_file()


def test_versions_agree():
    version = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text()).group(1)
    assert XML.findtext("version") == version


@pytest.mark.parametrize("kind", ["core", "ros", "sim", "dev"])
def test_everything_installed_is_pinned(kind):
    def name(line: str) -> str:
        return re.match(r"[A-Za-z0-9_.-]+", line).group().lower().replace("_", "-")

    pinned = {
        name(line)
        for line in (ROOT / "requirements/constraints.txt").read_text().splitlines()
        if line[0] != "#"
    }
    for line in (ROOT / f"requirements/{kind}.txt").read_text().splitlines():
        if line and line[0] != "#":
            assert name(line) in pinned, line


def test_console_scripts_name_functions_that_exist():
    scripts = re.findall(r'"[\w-]+ = ([\w.]+):(\w+)"', (ROOT / "setup.py").read_text())
    assert len(scripts) == 3
    for module, function in scripts:
        tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_package_folder_is_a_package():
    for folder in {path.parent for path in (ROOT / "molmo_ros").rglob("*.py")}:
        assert (folder / "__init__.py").is_file(), folder


def test_makefile_lists_its_targets():
    text = (ROOT / "Makefile").read_text()
    for target in ("help", "demo", "test", "lint", "benchmark", "train", "build", "clean"):
        assert re.search(rf"^{target}:.*## \S", text, re.MULTILINE), target

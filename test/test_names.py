# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What comments, docstrings and pages name exists: modules, files, classes' attributes, names in backticks."""

from __future__ import annotations

import ast
import builtins
import io
import os
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("molmo_ros", "benchmarks", "examples", "launch")
CODE = sorted(path for part in PARTS for path in (ROOT / part).rglob("*.py"))
TESTS = sorted((ROOT / "test").rglob("*.py"))
PAGES = sorted(
    [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "README.md")),
    ]
)
DEFINITIONS = sorted(
    path for kind in ("msg", "srv", "action") for path in (ROOT / "interfaces").rglob(f"*.{kind}")
)
OF_THE_ORIGINALS = (
    r"\w*(config|configuration|processing|modeling|preprocessing)_molmo\w*\.py|(data|point)_formatter\.py"
)
"""Files of Ai2's own code, which formulas and prompts come from."""
FOREIGN = {
    # Of ROS, and of a camera's driver.
    *("Marker.msg", "visualization_msgs/Marker.msg", "rs_launch.py", "imageRect"),
    *("bond_timeout", "service_timeout", "domain_coordinator"),
    # Of Gazebo and what brings it to ROS.
    *("rgbd_camera", "gz_frame_id", "JointPositionController", "parameter_bridge", "config_file"),
    *("robot_state_publisher", "static_transform_publisher"),
    # Of MoveIt and of nav2.
    *("bt_navigator", "setIKFrame"),
    # Of Ai2's code, of transformers and of PEFT.
    *("patch_idx_arr", "encode_special_tokens", "base_model", "lora_A", "MODULE"),
    # A variable of make; what stands for any name.
    *("ARGS", "red_cube_1", "red_cube_3", "mug_2", "query_3", "molmo_ros.part", "my_world", "coke_can"),
}
SAME_MEANING = {
    "errors": "of the models, and of engines",
    "parity": "comparing with reference vectors, and its command",
    "scene": "things on a table: simulated, and as a depth image shows them",
}
NOT_HERE = ("build", "install", "log", "node_modules", "__pycache__", "demo_output", "pick_output")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """The strings that stand alone in a file: docstrings, and those of attributes."""
    for node in ast.walk(tree(path)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.lineno, node.value.value


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


@cache
def texts() -> tuple[tuple[str, str], ...]:
    """Where a text stands, and what it says."""
    found = []
    for path in [*CODE, *TESTS]:
        name = path.relative_to(ROOT).as_posix()
        found += [(f"{name}:{line}", text) for line, text in docstrings(path)]
        found += [(f"{name}:{line}", text) for line, text in comments(path)]
    found += [(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")) for page in PAGES]
    return tuple(found)


@cache
def modules() -> dict[str, Path]:
    """Dotted name of each module of the package and the benchmarks, with its file; folders of the package too."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in CODE
    }


@cache
def classes() -> dict[str, set[str]]:
    """Attributes of each class of the repository and of each message, by the class's name, those of bases too."""
    own: dict[str, set[str]] = defaultdict(set)
    bases: dict[str, set[str]] = defaultdict(set)
    for path in [*CODE, *TESTS]:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                own[node.name] |= _attributes(node)
                bases[node.name] |= {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
    for path in DEFINITIONS:
        own[path.stem] |= set(re.findall(r"^[\w/]+(?:\[.*?\])? +(\w+)", path.read_text(), re.MULTILINE))
    for _ in range(3):
        for name in own:
            own[name] |= set().union(*(own.get(base, set()) for base in bases[name]))
    return own


def _attributes(node: ast.ClassDef) -> set[str]:
    """What a class's body names, and what its methods set on `self`."""
    found = set()
    for statement in node.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(statement.name)
        else:
            stored = [one for one in ast.walk(statement) if isinstance(one, ast.Name)]
            found |= {one.id for one in stored if isinstance(one.ctx, ast.Store)}
    stored = [one for one in ast.walk(node) if isinstance(one, ast.Attribute)]
    return found | {one.attr for one in stored if isinstance(one.ctx, ast.Store)}


@cache
def words() -> frozenset[str]:
    """Every word of the code: names, attributes, parameters, and those in its strings that are no docstrings."""
    found = set(dir(builtins))
    for path in [*CODE, *TESTS, ROOT / "setup.py"]:
        alone = {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree(path)):
            for field in ("id", "attr", "name", "arg", "module", "asname"):
                if isinstance(value := getattr(node, field, None), str):
                    found |= set(value.split("."))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
                found |= set(re.findall(r"\w+", node.value))
    for path in DEFINITIONS:
        found |= set(re.findall(r"\w+", path.read_text()))
    return frozenset(found)


@cache
def files() -> frozenset[str]:
    """Every path of the checkout, and its ends after each folder."""
    found = set()
    for folder, below, names in os.walk(ROOT):
        below[:] = [name for name in below if not name.startswith(".") and name not in NOT_HERE]
        for name in names:
            parts = (Path(folder) / name).relative_to(ROOT).parts
            found |= {"/".join(parts[start:]) for start in range(len(parts))}
    return frozenset(found)


@cache
def defined() -> frozenset[str]:
    """Every function and class of the repository."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(
        node.name for path in [*CODE, *TESTS] for node in ast.walk(tree(path)) if isinstance(node, kinds)
    )


def resolves(dotted: str) -> bool:
    """Whether a dotted name of the package is a module, or what one has."""
    parts = dotted.split(".")
    end = next(end for end in range(len(parts), 0, -1) if ".".join(parts[:end]) in modules())
    if end == len(parts):
        return True
    path = modules()[".".join(parts[:end])]
    names = {getattr(node, "name", "") for node in tree(path).body}
    names |= {
        node.id
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    names |= {
        alias.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    if parts[end] not in names:
        return False
    return end + 1 == len(parts) or parts[end + 1] in classes().get(parts[end], set())


def prose(text: str) -> str:
    """A text without its blocks of code."""
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def quoted() -> Iterator[tuple[str, str]]:
    """What stands in backticks, and where."""
    for where, text in texts():
        for name in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(text)):
            yield where, name


def test_modules_exist():
    """Dotted names of the package anywhere, and in backticks those that begin with one of its folders."""
    named = [
        (where, name)
        for where, text in texts()
        for name in re.findall(r"\bmolmo_ros(?:\.[A-Za-z_]\w*)+", text)
    ]
    folders = {
        name.split(".")[1] for name in modules() if name.count(".") > 1 and name.startswith("molmo_ros.")
    }
    named += [
        (where, f"molmo_ros.{name}")
        for where, name in quoted()
        if name.split(".")[0] in folders and re.fullmatch(r"\w+\.\w+(\.\w+)+", name)
    ]
    assert len(named) > 30
    assert [one for one in named if not resolves(one[1]) and one[1] not in FOREIGN] == []


def test_files_exist():
    """Files of code, pages and definitions, by their whole path or the end of it."""
    ending = "|".join(("py", "md", "msg", "srv", "action", "sh"))
    named = [
        (where, name)
        for where, text in texts()
        for name in re.findall(
            rf"(?<![\w./<{{*-])[\w-][\w.-]*(?:/[\w.-]+)*\.(?:{ending})\b(?![./]\w)", prose(text)
        )
    ]
    assert len(named) > 300
    known = files() | FOREIGN
    assert [one for one in named if one[1] not in known and not re.fullmatch(OF_THE_ORIGINALS, one[1])] == []


def test_attributes_exist():
    """`Class.attribute`, with or without backticks."""
    named = [
        (where, owner, attribute)
        for where, text in texts()
        for owner, attribute in re.findall(r"(?<![\w./])(_?[A-Z]\w+)\.([a-z_]\w*)\b(?!/)", prose(text))
        if owner in classes()
    ]
    assert len(named) > 30
    assert [one for one in named if one[2] not in classes()[one[1]]] == []


def test_what_is_called_in_backticks_is_defined():
    named = [
        (where, match[1])
        for where, name in quoted()
        if (match := re.fullmatch(r"(?:\w+\.)*([a-z_]\w*)\(.*\)", name))
    ]
    assert named
    assert [one for one in named if one[1] not in defined() and one[1] not in dir(builtins)] == []


def test_words_in_backticks_are_words_of_the_code():
    """Functions, parameters, attributes, topics, keys: the code has such a word, as a name or in a string."""
    named = [
        (where, name)
        for where, text in quoted()
        for name in re.findall(r"[A-Za-z_]\w*", text if re.fullmatch(r"\w[\w.]*", text) else "")
    ]
    assert len(named) > 500
    assert [one for one in named if one[1] not in words() and one[1] not in FOREIGN] == []


def test_slow_tests_exist():
    (slow,) = (
        ast.literal_eval(node.value)
        for node in tree(ROOT / "test" / "conftest.py").body
        if isinstance(node, ast.Assign) and node.targets[0].id == "SLOW"
    )
    assert [name for name in slow if not (ROOT / "test" / name).exists()] == []


def test_a_class_has_one_meaning():
    found: dict[str, list[str]] = defaultdict(list)
    for path in (path for path in CODE if path.is_relative_to(ROOT / "molmo_ros")):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path.relative_to(ROOT / "molmo_ros").as_posix())
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_a_file_has_one_meaning():
    found: dict[str, list[str]] = defaultdict(list)
    for name, path in modules().items():
        if name.startswith("molmo_ros.") and path.stem not in ("__init__", "__main__"):
            found[path.stem].append(name)
    twice = {name: places for name, places in found.items() if len(places) > 1}
    assert set(twice) == set(SAME_MEANING), twice

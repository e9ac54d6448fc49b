# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The house has floors: every import goes down, and ARCHITECTURE.md shows the floors that there are.

`python test/test_floors.py` prints them.
"""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "molmo_ros"
FLOORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "": (
        ("check", "pick"),
        ("cli", "demo"),
        ("evaluation", "labelling", "server", "train"),
        ("bag",),
        ("node",),
        ("manipulation",),
        ("drawing", "engine", "gazebo", "regions", "sim"),
        ("remote",),
        ("geometry", "molmo", "pictures", "telemetry", "tracking"),
    ),
    "node": (
        ("process",),
        ("serving",),
        ("molmo_node",),
        ("loaded",),
        ("active",),
        ("entrances",),
        ("delivery",),
        ("answers", "scheduling"),
        ("cameras", "messages"),
        ("health", "lifecycle"),
        ("parameters", "seams"),
        ("records", "fast_dds", "installed_ros"),
    ),
    "engine": (
        ("engine_build",),
        ("gate_measurement",),
        ("build_plan", "open_model", "quality_gate"),
        ("load",),
        ("network_check", "quality", "runtimes", "targets"),
        ("cost", "graphs", "store", "tensorrt"),
        ("quantisation", "shapes"),
        ("benchmark_gate", "errors", "runtime_table"),
    ),
    "molmo": (
        ("warm_up",),
        ("pipeline",),
        ("answers", "reference"),
        ("drafts", "scoring", "weights"),
        ("catalog", "part_check", "pointing"),
        ("prompts",),
        ("answer", "families"),
        ("images", "running"),
        ("json_file", "network"),
        ("config", "dtypes", "errors", "status"),
    ),
}
"""Of each folder, from the top: a room (a folder or a file) may import rooms of lower floors, and none of its own."""


def modules() -> dict[str, Path]:
    """The files of the package by their dotted names; of a folder, its `__init__.py`."""
    paths = sorted((ROOT / PACKAGE).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


def imports() -> dict[str, set[str]]:
    """Which modules of the package each of them imports: anywhere, in functions and for type checkers too.

    An import of a module runs the `__init__.py` of its folders: they count.
    """
    return _imports(ROOT)


@cache
def _imports(_root: Path) -> dict[str, set[str]]:
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        found: set[str] = set()
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for target in _named(statement, name if path.name == "__init__.py" else name.rpartition(".")[0]):
                found |= _run(target, known)
        graph[name] = found - _run(name, known)
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A way through the graph that comes back to where it began; empty where there is none."""
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            if found := walk(target, [*way, node]):
                return found
        done.add(node)
        return []

    return next(filter(None, (walk(node, []) for node in sorted(graph))), [])


def rooms(folder: str) -> set[str]:
    """The rooms that a folder has: its folders and files."""
    parts = [room for name in modules() if (room := _room(name, folder))]
    return set(parts)


def arrows(folder: str) -> dict[tuple[str, str], list[str]]:
    """Which room of a folder imports which, with the imports of modules that are the reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, targets in imports().items():
        for target in sorted(targets):
            pair = _room(name, folder), _room(target, folder)
            if all(pair) and pair[0] != pair[1]:
                found.setdefault(pair, []).append(f"{name} -> {target}")
    return found


def diagram(folder: str) -> str:
    """A folder's floors as ARCHITECTURE.md shows them."""
    title = f"{PACKAGE}/{folder}".rstrip("/") + "/"
    return "\n".join([title, *("    " + "   ".join(sorted(floor)) for floor in FLOORS[folder])])


def _room(name: str, folder: str) -> str:
    """The room of a folder that a module is in; empty where it is none of the folder's."""
    inside = f"{PACKAGE}.{folder}.".replace("..", ".")
    return name.removeprefix(inside).split(".")[0] if name.startswith(inside) else ""


def _named(statement: ast.AST, package: str) -> list[str]:
    """The dotted names that an import statement in a package names."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if not isinstance(statement, ast.ImportFrom):
        return []
    base = statement.module or ""
    if statement.level:
        above = package.split(".")[: len(package.split(".")) - statement.level + 1]
        base = ".".join([*above, *filter(None, [statement.module])])
    return [base, *(f"{base}.{alias.name}" for alias in statement.names)]


def _run(name: str, known: dict[str, Path]) -> set[str]:
    """The modules that are run where a name is imported: itself, and its folders' `__init__.py`."""
    parts = name.split(".")
    return {one for end in range(2, len(parts) + 1) if (one := ".".join(parts[:end])) in known}


@pytest.mark.parametrize("folder", FLOORS)
def test_no_file_imports_itself_by_a_detour(folder):
    graph = {name: targets for name, targets in imports().items() if _room(name, folder)}
    assert not (found := circle(graph)), " -> ".join(found)


@pytest.mark.parametrize("folder", FLOORS)
def test_rooms_are_on_one_floor_each(folder):
    listed = [room for floor in FLOORS[folder] for room in floor]
    assert sorted(listed) == sorted(rooms(folder))


@pytest.mark.parametrize("folder", FLOORS)
def test_every_import_goes_down(folder):
    floor_of = {room: number for number, floor in enumerate(FLOORS[folder]) for room in floor}
    up = {pair: why for pair, why in arrows(folder).items() if floor_of[pair[0]] >= floor_of[pair[1]]}
    assert not up, up


@pytest.mark.parametrize("folder", FLOORS)
def test_the_page_shows_the_floors(folder):
    assert diagram(folder) in (ROOT / "ARCHITECTURE.md").read_text()


def test_no_room_hides_a_module_of_python():
    """Where a file is run as a script, its folder is looked into first, whatever is imported."""
    scripts = [
        path for path in modules().values() if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    ]
    files = [one for script in scripts for one in script.parent.iterdir()]
    beside = {one.stem for one in files if one.suffix == ".py" or (one / "__init__.py").is_file()}
    assert scripts and not (beside - {"__main__"}) & sys.stdlib_module_names


def test_circles_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_imports_in_functions_and_for_types_count(tmp_path, monkeypatch):
    files = {
        "one.py": "def f():\n    from molmo_ros.rooms import two\n",
        "two.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .rooms.three import x\n",
        "rooms/__init__.py": "",
        "rooms/two.py": "import molmo_ros.one\nfrom ..two import x\n",
        "rooms/three.py": "",
    }
    for name, text in files.items():
        path = tmp_path / "molmo_ros" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert imports() == {
        "molmo_ros.one": {"molmo_ros.rooms", "molmo_ros.rooms.two"},
        "molmo_ros.two": {"molmo_ros.rooms", "molmo_ros.rooms.three"},
        "molmo_ros.rooms": set(),
        "molmo_ros.rooms.two": {"molmo_ros.one", "molmo_ros.two"},
        "molmo_ros.rooms.three": set(),
    }
    assert circle(imports()) == ["molmo_ros.one", "molmo_ros.rooms.two", "molmo_ros.one"]


if __name__ == "__main__":
    print("\n\n".join(map(diagram, FLOORS)))

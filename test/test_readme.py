"""What the README shows works as it stands there."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from molmo_ros.cli.main import build_parser
from molmo_ros.node.parameters.declaration import SPECS
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_three_lines_of_python():
    code = blocks("python")[0]
    scene = next(
        scene for scene in map(Scene.random, range(100)) if "red cube" in [t.name for t in scene.objects]
    )
    index = [thing.name for thing in scene.objects].index("red cube")
    frame = render(scene, *SENSOR)
    names = {"image": frame.rgb}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    assert "FOUND" in printed.getvalue()
    point = names["answer"].points[0]
    assert frame.segmentation[int(point.y), int(point.x)] == index


def test_commands_are_understood():
    commands = re.findall(r"^molmo-ros (.*)$", README, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        build_parser().parse_args(shlex.split(command, comments=True))


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE)
    assert {"demo", "test", "benchmark"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_to_files():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", ["max_frame_age", "device", "dtype"])
def test_named_parameters_exist(name):
    assert name in README and name in SPECS

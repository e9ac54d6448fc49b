# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The shipped worlds: what is in them, by SDF's own parser and description, and what is made of them."""

import math
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from molmo_ros.gazebo.__main__ import generated_files
from molmo_ros.gazebo.bridge_file import bridge_arguments, bridged_topics
from molmo_ros.gazebo.launch_plan import plan_launch
from molmo_ros.gazebo.release import FORTRESS, HARMONIC
from molmo_ros.gazebo.world_file import World

ROOT = Path(__file__).parents[2]
WORLDS = sorted((ROOT / "gazebo").glob("*/*.sdf"))
NAMES = ("shelf", "tabletop")
DESCRIPTION = Path("/usr/share/sdformat12/1.9")
ELEMENTS = {
    "sdf": "world",
    "world": "physics plugin scene light model",
    "physics": "max_step_size real_time_factor",
    "scene": "ambient background shadows",
    "light": "cast_shadows pose diffuse specular direction",
    "model": "static pose link plugin",
    "link": "pose inertial collision visual sensor",
    "inertial": "mass inertia",
    "inertia": "ixx iyy izz",
    "collision": "pose geometry",
    "visual": "pose geometry material",
    "geometry": "box sphere cylinder plane",
    "box": "size",
    "sphere": "radius",
    "cylinder": "radius length",
    "plane": "normal size",
    "material": "ambient diffuse specular",
    "sensor": "topic update_rate always_on camera",
    "camera": "horizontal_fov image clip optical_frame_id",
    "image": "width height format",
    "clip": "near far",
}
"""Which elements a world of ours may have, in which."""
OF_PLUGINS = {
    "sensors": {"render_engine"},
    "pose-publisher": {
        "publish_link_pose",
        "publish_nested_model_pose",
        "use_pose_vector_msg",
        "update_frequency",
    },
}
"""What the systems of ours take; the parser knows nothing of it."""
LATER = {"camera": {"optical_frame_id"}}
"""In the description of libsdformat's later releases, not yet in that of 12.3: older parsers leave it out."""
SYSTEMS = {"physics", "user-commands", "scene-broadcaster", "sensors", "pose-publisher"}


def ids(path):
    return f"{path.parent.name}/{path.stem}"


def below(path):
    """Each element of a world with what is directly in it, but for what is in plugins."""
    for element in ElementTree.parse(path).getroot().iter():
        if element.tag in ELEMENTS:
            yield element, [child.tag for child in element]


def test_there_are_both_worlds_for_both_releases():
    assert [ids(path) for path in WORLDS] == [
        f"{release}/{world}" for release in ("fortress", "harmonic") for world in NAMES
    ]


@pytest.mark.parametrize("path", WORLDS, ids=ids)
def test_only_elements_of_the_list(path):
    beyond = {"ignition_frame_id"} if path.parent.name == "fortress" else set()
    for element, inside in below(path):
        allowed = set(ELEMENTS[element.tag].split()) | (beyond if element.tag == "sensor" else set())
        assert set(inside) <= allowed, element.tag
    leaves = {word for words in ELEMENTS.values() for word in words.split()} - set(ELEMENTS) - {"plugin"}
    for element in ElementTree.parse(path).getroot().iter():
        assert element.tag not in leaves or not list(element), element.tag


def test_the_list_is_sdfs():
    """SDF's own description of each element, where libsdformat is installed."""
    if not DESCRIPTION.is_dir():
        pytest.skip("sdformat-sdf is not installed: SDF's description of its elements is not here")

    def described(name):
        text = (DESCRIPTION / f"{name}.sdf").read_text()
        element = ElementTree.fromstring(text)
        inner = {one.get("name") for one in element.findall("element")}
        included = {one.get("filename").removesuffix(".sdf") for one in element.findall("include")}
        return element, inner | included | {re.sub(r"_shape$", "", one) for one in included}

    nested = {"image": "camera", "clip": "camera", "inertia": "inertial"}
    files = {
        "box": "box_shape",
        "sphere": "sphere_shape",
        "cylinder": "cylinder_shape",
        "plane": "plane_shape",
    }
    for name, words in ELEMENTS.items():
        if name == "sdf":
            known = described("root")[1]
        elif name in nested:
            outer, _ = described(nested[name])
            (element,) = (one for one in outer.findall("element") if one.get("name") == name)
            known = {one.get("name") for one in element.findall("element")}
        else:
            known = described(files.get(name, name))[1]
        assert set(words.split()) <= known | {"pose", "plugin"} | LATER.get(name, set()), name


@pytest.mark.parametrize("path", WORLDS, ids=ids)
def test_the_parser_accepts_it(path):
    if not shutil.which("ign"):
        pytest.skip("ignition-tools and libsdformat-dev are not installed: SDF's own parser is not here")
    said = subprocess.run(["ign", "sdf", "-k", str(path)], capture_output=True, text=True)
    assert "Valid." in said.stdout and "Error" not in said.stdout + said.stderr, said


@pytest.mark.parametrize("path", WORLDS, ids=ids)
def test_systems_are_those_of_the_release(path):
    names = {
        "harmonic": ("gz-sim-{}-system", "gz::sim::systems::{}"),
        "fortress": ("ignition-gazebo-{}-system", "ignition::gazebo::systems::{}"),
    }[path.parent.name]
    seen = set()
    for plugin in ElementTree.parse(path).getroot().iter("plugin"):
        system = next(one for one in SYSTEMS if plugin.get("filename") == names[0].format(one))
        assert plugin.get("name") == names[1].format("".join(word.title() for word in system.split("-")))
        assert {child.tag for child in plugin} <= OF_PLUGINS.get(system, set())
        seen.add(system)
    assert seen == SYSTEMS
    assert ("gz-sim" in path.read_text()) == (path.parent.name == "harmonic")


def test_what_is_made_of_the_worlds_is_up_to_date():
    files = generated_files(ROOT / "gazebo")
    assert len(files) == 6
    for path, text in files.items():
        assert path.read_text() == text, f"{path} is old: python -m molmo_ros.gazebo gazebo"


@pytest.mark.parametrize("name", NAMES)
def test_both_releases_have_one_world(name):
    """But for the names of systems nothing differs: sizes, places, lenses, topics."""
    assert World.read(ROOT / f"gazebo/fortress/{name}.sdf") == World.read(
        ROOT / f"gazebo/harmonic/{name}.sdf"
    )
    fortress = ElementTree.parse(ROOT / f"gazebo/fortress/{name}.sdf").getroot()
    for sensor in fortress.iter("sensor"):
        assert sensor.findtext("ignition_frame_id") == sensor.findtext("camera/optical_frame_id")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("release", [HARMONIC, FORTRESS], ids=lambda release: release.name)
def test_numbers_and_names_agree(name, release):
    """World, bridge and launch arguments, each read by itself."""
    path = ROOT / f"gazebo/{release.name}/{name}.sdf"
    root = ElementTree.parse(path).getroot()
    entries = yaml.safe_load((path.parent / f"{name}_bridge.yaml").read_text())
    plan = plan_launch(path, release)
    bridged = {entry["gz_topic_name"]: entry for entry in entries}
    assert all(
        entry["direction"] == "GZ_TO_ROS" and entry["gz_type_name"].startswith(f"{release.messages}.")
        for entry in entries
    )
    for sensor in root.iter("sensor"):
        topic, frame = sensor.findtext("topic"), sensor.findtext("camera/optical_frame_id")
        for argument, part in (("image", "image"), ("depth", "depth_image"), ("camera_info", "camera_info")):
            assert plan.molmo[argument].replace("{camera}", topic) == f"/{topic}/{part}"
            assert bridged[f"/{topic}/{part}"]["ros_topic_name"] == f"/{topic}/{part}"
        assert frame in plan.molmo["optical_frame"].replace("=", " ").split()
        width, height = (int(sensor.findtext(f"camera/image/{side}")) for side in ("width", "height"))
        fx, fy, cx, cy = map(float, plan.molmo["camera_matrix"].split(","))
        assert 2 * math.atan(width / 2 / fx) == pytest.approx(float(sensor.findtext("camera/horizontal_fov")))
        assert (fx, cx, cy) == (fy, (width - 1) / 2, (height - 1) / 2)
    models = [model.get("name") for model in root.iter("model") if model.find("plugin") is not None]
    told = [topic for topic, entry in bridged.items() if entry["ros_type_name"] == "tf2_msgs/msg/TFMessage"]
    assert sorted(told) == sorted(f"/model/{model}/pose" for model in models)
    assert plan.molmo["target_frame"] == root.find("world").get("name") == name
    assert plan.molmo["use_sim_time"] == "true" and "/clock" in bridged
    assert plan.warnings == ()


@pytest.mark.parametrize("name", NAMES)
def test_command_line_and_file_of_the_bridge_say_one_thing(name):
    world = World.read(ROOT / f"gazebo/harmonic/{name}.sdf")
    arguments, remappings = bridge_arguments(world, HARMONIC)
    renamed = dict(remappings)
    entries = yaml.safe_load((ROOT / f"gazebo/harmonic/{name}_bridge.yaml").read_text())
    for argument, entry in zip(arguments, entries, strict=True):
        topic, ros, gazebo = re.fullmatch(r"(.*)@(.*)\[(.*)", argument).groups()
        assert (topic, ros, gazebo) == tuple(entry[f"{k}_name"] for k in ("gz_topic", "ros_type", "gz_type"))
        assert renamed.get(topic, topic) == entry["ros_topic_name"]
    assert len(bridged_topics(world)) == len(entries)


def test_the_tabletops_camera_is_as_its_comment_says():
    """0.55 m away from the table's middle, which it looks at from 50 degrees above."""
    (camera,) = World.read(ROOT / "gazebo/harmonic/tabletop.sdf").cameras
    place = camera.world_from_optical
    middle = np.array([0, 0, 0.77])
    assert np.linalg.norm(np.array(place.translation) - middle) == pytest.approx(0.55, abs=0.001)
    right, down, forward = place.rotate(np.eye(3))
    turn = math.radians(50)
    np.testing.assert_allclose(forward, [-math.cos(turn), 0, -math.sin(turn)], atol=1e-5)
    np.testing.assert_allclose(right, [0, 1, 0], atol=1e-5)
    np.testing.assert_allclose(np.cross(forward, right), down, atol=1e-9)


def test_the_clock_comes_at_250_hz():
    assert {World.read(path).step for path in WORLDS} == {0.004}


def test_things_stand_on_what_carries_them():
    """Nothing falls when the simulation starts: the lowest point of each object is at the height of a board."""
    for name, heights in {"tabletop": (0.75,), "shelf": (0.4, 0.8)}.items():
        for one in World.read(ROOT / f"gazebo/harmonic/{name}.sdf").objects:
            if one.static:
                continue
            (solid,) = one.solids
            half = {"box": 2, "sphere": 0, "cylinder": 1}[solid.kind]
            lowest = one.world_from_model.translation[2] - solid.size[half] / (1 if half == 0 else 2)
            assert min(abs(lowest - height) for height in heights) < 1e-9, one.name

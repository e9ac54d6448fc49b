# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A robot's parts on two distributions: node on one, camera and asker on the other, and the other way round.

Shared memory is not among what they have in common (docs/distributions.md), so pictures go reliably, by UDP.
Both environments are made by `make setup`; where only one is, this says which is missing.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from molmo_ros.node.fast_dds import GENERATIONS, installed_fast_dds
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = {"jazzy": ROOT / ".venv", "kilted": ROOT / ".venv-kilted"}
SEED = 30_000
RELIABLE = [
    part
    for topic in ("image", "depth")
    for part in ("-p", f"qos_overrides./{topic}.subscription.reliability:=reliable")
]
SURFACE = 0.05
"""Any point of an object's visible surface lies this near to every other [m], roughly."""


def environment(prefix, domain):
    """Of a process of another Python: a mark of the wheels would make it believe that it is set up."""
    names = {one.profile_variable for one in GENERATIONS}
    names |= {"LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE", "PYTHONPATH", "PYTHONHOME"}
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return kept | {
        "AMENT_PREFIX_PATH": str(prefix),
        installed_fast_dds([prefix]).profile_variable: str(ROOT / "config" / "fastdds_shm.xml"),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(domain),
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="module")
def prefixes():
    for distro, prefix in ENVIRONMENTS.items():
        if not (prefix / "bin" / "python").exists():
            pytest.skip(f"no {prefix.name} beside the other environment: make setup DISTRO={distro}")
    return ENVIRONMENTS


@pytest.fixture(scope="module", params=[("jazzy", "kilted"), ("kilted", "jazzy")], ids="-".join)
def heard(request, prefixes, claim, tmp_path_factory):
    """What a client on the second distribution heard from the node on the first."""
    log = tmp_path_factory.mktemp("node") / "log"
    of_node, of_client = (prefixes[distro] for distro in request.param)
    with claim() as domain, log.open("w") as output:
        node = subprocess.Popen(
            [of_node / "bin" / "python", "-m", "molmo_ros.node.process", "--ros-args", *RELIABLE],
            env=environment(of_node, domain),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
        )
        try:
            client = subprocess.run(
                [of_client / "bin" / "python", Path(__file__).with_name("asking_client.py"), str(SEED)],
                env=environment(of_client, domain),
                capture_output=True,
                text=True,
                timeout=300,
            )
        finally:
            node.send_signal(signal.SIGINT)
            try:
                node.wait(30)
            except subprocess.TimeoutExpired:
                node.kill()
    assert client.returncode == 0, client.stdout + client.stderr + log.read_text()
    assert node.returncode == 0, log.read_text()
    line = next(line for line in client.stdout.splitlines() if line.startswith("HEARD "))
    return json.loads(line.removeprefix("HEARD "))


@pytest.fixture(scope="module")
def truth():
    scene = Scene.random(SEED)
    frame = render(scene, *SENSOR)
    names = [thing.name for thing in scene.objects]
    index = next(i for i, name in enumerate(names) if names.count(name) == 1)
    optical = scene.camera.world_from_optical.T @ (scene.object_position(index) - scene.camera.position)
    return {"name": names[index], "inside": frame.segmentation == index, "optical": optical}


@pytest.mark.parametrize("entrance", ["topic", "service", "action"])
def test_an_object_is_found_in_pixels_and_in_metres(heard, truth, entrance):
    told = heard[entrance]
    assert heard["name"] == truth["name"] and told["status"] == "FOUND", told
    height, width = truth["inside"].shape
    assert told["size"] == [width, height] and told["frame"] == "camera_optical"
    assert told["stamp"] in heard["shown"]
    [[x, y]], [position] = told["pixels"], told["positions"]
    assert truth["inside"][int(y), int(x)]
    assert np.linalg.norm(np.array(position) - truth["optical"]) < SURFACE


def test_a_goal_succeeds_and_its_answer_streams(heard):
    succeeded = 4  # action_msgs/GoalStatus
    assert heard["action"]["goal_status"] == succeeded and heard["action"]["feedback"] > 0


def test_parameters_are_set_refused_and_read(heard):
    assert heard["parameters"]["set"] == [True, False] and heard["parameters"]["rate"] == 3.5
    assert "-1.0" in heard["parameters"]["reason"]


def test_large_pictures_come_whole_both_ways(heard):
    """6 MB each: with a call; as the camera's, and back as the frame that an answer is about."""
    attached = heard["large"]["attached"]
    assert attached["status"] == "FOUND" and attached["size"] == [1920, 1080]
    assert heard["large"]["same"] is True


def test_ends_announce_the_hash_that_both_distributions_have(heard, prefixes):
    for kind, announced in heard["hashes"].items():
        assert len(announced) == 1
        for prefix in prefixes.values():
            assert announced[0].endswith(definition(prefix, kind)["hash_string"]), (kind, prefix)


def definition(prefix, kind):
    package, folder, name = kind.split("/")
    hashes = json.loads((prefix / "share" / package / folder / f"{name}.json").read_text())["type_hashes"]
    return next(entry for entry in hashes if entry["type_name"] == kind)


def used_kinds():
    """Every type that the node and its clients speak, of the messages that are built here and of the distribution's."""
    own = ROOT / "interfaces" / "molmo_msgs"
    built = [
        f"molmo_msgs/{path.parent.name}/{path.stem}"
        for path in own.glob("*/*.*")
        if path.parent.name != "build"
    ]
    return sorted(kind for kind in built if kind.split("/")[1] in ("msg", "srv", "action")) + [
        "tf2_msgs/msg/TFMessage",
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/CompressedImage",
        "sensor_msgs/msg/CameraInfo",
        "sensor_msgs/msg/PointCloud2",
        "std_msgs/msg/String",
        "geometry_msgs/msg/PointStamped",
        "geometry_msgs/msg/PoseArray",
        "visualization_msgs/msg/MarkerArray",
        "diagnostic_msgs/msg/DiagnosticArray",
        "rcl_interfaces/srv/SetParameters",
        "lifecycle_msgs/srv/ChangeState",
    ]


@pytest.mark.parametrize("kind", used_kinds())
def test_both_distributions_have_the_same_type(prefixes, kind):
    jazzy, kilted = (definition(prefix, kind)["hash_string"] for prefix in prefixes.values())
    assert jazzy == kilted


def test_this_run_is_one_of_the_two(prefixes):
    assert Path(sys.prefix).resolve() in {prefix.resolve() for prefix in prefixes.values()}

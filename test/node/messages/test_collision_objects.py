# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a planning scene holds after what it was told: with the real moveit_msgs where it is installed."""

import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import ModuleType

import pytest

pytest.importorskip("molmo_msgs.msg")

from geometry_msgs.msg import Point, Pose, Vector3  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray, QueryState  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from molmo_ros.node.messages.collision_objects import CollisionObjects  # noqa: E402

REAL = find_spec("moveit_msgs") is not None
SECOND = 10**9


@dataclass(slots=True)
class SolidPrimitive:
    type: int = 0
    dimensions: list = field(default_factory=list)
    polygon: object = None


SolidPrimitive.BOX = 1


@dataclass(slots=True)
class CollisionObject:
    header: Header = field(default_factory=Header)
    pose: Pose = field(default_factory=Pose)
    id: str = ""
    type: object = None
    primitives: list = field(default_factory=list)
    primitive_poses: list = field(default_factory=list)
    meshes: list = field(default_factory=list)
    mesh_poses: list = field(default_factory=list)
    planes: list = field(default_factory=list)
    plane_poses: list = field(default_factory=list)
    subframe_names: list = field(default_factory=list)
    subframe_poses: list = field(default_factory=list)
    operation: bytes = b"\x00"


for number, name in enumerate(("ADD", "REMOVE", "APPEND", "MOVE")):
    setattr(CollisionObject, name, bytes([number]))


@pytest.fixture(autouse=True)
def moveit_msgs(monkeypatch):
    """The fields of moveit_msgs and shape_msgs, where they are not there. `slots` refuses any other."""
    if not REAL:
        for package, kind in (("moveit_msgs", CollisionObject), ("shape_msgs", SolidPrimitive)):
            messages = ModuleType(f"{package}.msg")
            setattr(messages, kind.__name__, kind)
            monkeypatch.setitem(sys.modules, package, ModuleType(package))
            monkeypatch.setitem(sys.modules, f"{package}.msg", messages)


class PlanningScene:
    """The world of a planning scene, as MoveIt keeps it."""

    def __init__(self):
        self.boxes, self.told = {}, []

    def take(self, messages):
        from moveit_msgs.msg import CollisionObject as Kind
        from shape_msgs.msg import SolidPrimitive as Shape

        for message in messages:
            if message.operation == Kind.ADD:
                (box,), (own,) = message.primitives, message.primitive_poses
                assert box.type == Shape.BOX and own == Pose()
                self.boxes[message.id] = message.header, message.pose, tuple(box.dimensions)
                self.told.append(f"add {message.id}")
            elif message.operation == Kind.MOVE:
                assert not message.primitives and not message.primitive_poses
                _, _, size = self.boxes[message.id]  # the world knows it
                self.boxes[message.id] = message.header, message.pose, size
                self.told.append(f"move {message.id}")
            else:
                assert message.operation == Kind.REMOVE
                del self.boxes[message.id]
                self.told.append(f"remove {message.id}")
        return self


def thing(x, track=0, size=0.1, label="red cube", query=""):
    point = ObjectPoint(label=label, query=query, track_id=track, region_valid=True)
    point.box_pose.position = Point(x=x, y=0.0, z=1.0)
    point.box_size = Vector3(x=size, y=0.05, z=0.05)
    return point


def seen(*points, stamp=1, source="continuous", camera="wrist", frame="base_link"):
    array = ObjectPointArray(
        query="red cube", source=source, camera=camera, frame_id=frame, points=list(points)
    )
    array.header.stamp.sec, array.header.frame_id = stamp, "camera_optical"
    return array


def test_an_object_is_added_then_moved_and_removed_when_it_is_not_seen():
    scene, objects = PlanningScene(), CollisionObjects()
    scene.take(objects.seen(seen(thing(0.1, track=3)), 0))
    header, pose, size = scene.boxes["red_cube_3"]
    assert (header.frame_id, header.stamp.sec) == ("base_link", 1)
    assert pose.position.x == 0.1 and size == (0.1, 0.05, 0.05)
    scene.take(objects.seen(seen(thing(0.2, track=3, size=0.104), stamp=2), 2 * SECOND))
    header, pose, size = scene.boxes["red_cube_3"]
    assert pose.position.x == 0.2 and size == (0.1, 0.05, 0.05) and header.stamp.sec == 2
    scene.take(objects.seen(seen(stamp=4), 4 * SECOND))
    scene.take(objects.gone(4 * SECOND, 3.0, ["red cube"]))
    assert scene.boxes and len(objects) == 1
    scene.take(objects.gone(6 * SECOND, 3.0, ["red cube"]))
    assert not scene.boxes and len(objects) == 0
    scene.take(objects.seen(seen(thing(0.1, track=3)), 7 * SECOND))
    assert scene.told == ["add red_cube_3", "move red_cube_3", "remove red_cube_3", "add red_cube_3"]


def test_another_size_or_frame_is_a_new_object_under_its_name():
    scene, objects = PlanningScene(), CollisionObjects()
    scene.take(objects.seen(seen(thing(0.1, track=3)), 0))
    scene.take(objects.seen(seen(thing(0.1, track=3, size=0.2)), 1))
    scene.take(objects.seen(seen(thing(0.1, track=3, size=0.2), frame="map"), 2))
    assert scene.told == ["add red_cube_3"] * 3
    assert scene.boxes["red_cube_3"][2] == (0.2, 0.05, 0.05)


def test_what_is_asked_no_more_is_removed_and_what_was_asked_once_is_not():
    scene, objects = PlanningScene(), CollisionObjects()
    scene.take(objects.seen(seen(thing(0.1, track=1)), 0))
    scene.take(objects.seen(seen(thing(0.1, label="mug"), source="topic"), 0))
    scene.take(objects.gone(1, 3.0, []))
    assert set(scene.boxes) == {"mug_1"}


def test_untracked_objects_are_numbered_in_the_order_of_the_answer():
    scene, objects = PlanningScene(), CollisionObjects()
    without = ObjectPoint(label="red cube")
    scene.take(objects.seen(seen(thing(0.1), without, thing(0.3)), 0))
    assert set(scene.boxes) == {"red_cube_1", "red_cube_3"}
    scene.take(objects.seen(seen(thing(0.2)), 2 * SECOND))
    scene.take(objects.gone(2 * SECOND, 1.0, ["red cube"]))
    assert set(scene.boxes) == {"red_cube_1"} and scene.boxes["red_cube_1"][1].position.x == 0.2


def test_objects_are_called_after_their_query_and_with_several_cameras_after_those():
    array = seen(
        thing(0.1, track=4, label="Würfel", query="point: Würfel"), thing(0.2, track=5, label="立方体")
    )
    array.queries = [QueryState(query="point: Würfel", topic="wurfel_2")]
    assert [one.id for one in CollisionObjects().seen(array, 0)] == ["wurfel_2_4", "object_5"]
    assert [one.id for one in CollisionObjects(True).seen(array, 0)] == ["wrist_wurfel_2_4", "wrist_object_5"]


def test_all_are_removed_at_the_end_and_one_who_comes_later_is_told_everything():
    scene, objects = PlanningScene(), CollisionObjects()
    scene.take(objects.seen(seen(thing(0.1, track=1), thing(0.2, track=2)), 0))
    objects.forget()
    late = PlanningScene().take(objects.seen(seen(thing(0.1, track=1), thing(0.2, track=2)), 0))
    assert set(late.boxes) == set(scene.boxes)
    assert not late.take(objects.clear()).boxes and not objects.clear()


def test_a_clock_that_went_back_keeps_nothing_for_ever():
    objects = CollisionObjects()
    objects.seen(seen(thing(0.1, track=1)), 1000 * SECOND)
    assert not objects.gone(5 * SECOND, 3.0, ["red cube"])
    assert objects.gone(9 * SECOND, 3.0, ["red cube"])

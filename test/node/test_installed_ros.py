# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Both ways of every library: with packages that are put on the path here, and without."""

import sys
from textwrap import dedent

import numpy as np
import pytest
from sensor_msgs.msg import Image

from molmo_ros.node import installed_ros
from molmo_ros.node.cameras.images import PICTURE_ENCODINGS, decode_picture

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)

# Understands one encoding, by numpy alone, and counts how often it is asked.
CV_BRIDGE = """
    import numpy as np

    class CvBridgeError(TypeError):
        pass

    class CvBridge:
        asked = []

        def imgmsg_to_cv2(self, message, encoding):
            self.asked.append(message.encoding)
            if message.encoding != "bgr8":
                raise CvBridgeError(message.encoding)
            pixels = np.ndarray((message.height, message.step // 3, 3), np.uint8, buffer=message.data)
            return pixels[:, : message.width, ::-1]
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs modules given as `name="source"`, dots written as __; all is forgotten after the test."""

    def write(**sources):
        for name, source in sources.items():
            folder = tmp_path.joinpath(*name.split("__"))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").write_text(dedent(source))
        installed_ros._load.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    before = set(sys.modules)
    installed_ros._load.cache_clear()
    yield write
    for name in set(sys.modules) - before:
        if name.split(".")[0] in (
            "cv_bridge",
            "tf2_ros",
            "vision_msgs",
            "moveit_msgs",
            "shape_msgs",
            "bondpy",
        ):
            del sys.modules[name]
    installed_ros._load.cache_clear()


def message(pixels, encoding, padding=0):
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    height, width = pixels.shape[:2]
    return Image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=rows.tobytes())


def test_libraries_that_are_there(install):
    install(
        cv_bridge=CV_BRIDGE,
        tf2_ros="""
            class TransformException(Exception): ...
            class TransformListener: ...
            class Buffer:
                def wait_for_transform_async(self): ...
        """,
        vision_msgs="",
        vision_msgs__msg="""
            class Detection2DArray: ...
            class Detection3DArray: ...
            class ObjectHypothesisWithPose:
                @classmethod
                def get_fields_and_field_types(cls):
                    return {"hypothesis": "", "pose": ""}
        """,
        moveit_msgs="",
        moveit_msgs__msg="""
            class CollisionObject:
                @classmethod
                def get_fields_and_field_types(cls):
                    return {"id": "string", "pose": "geometry_msgs/Pose"}
        """,
        shape_msgs="",
        shape_msgs__msg="class SolidPrimitive: ...",
        bondpy="",
        bondpy__bondpy="class Bond: ...",
    )
    assert installed_ros.summary() == (
        "cv_bridge: from ROS; tf2_ros: from ROS; vision_msgs: from ROS; moveit_msgs: from ROS; bondpy: from ROS"
    )
    assert installed_ros.module("moveit_msgs").msg.CollisionObject
    assert installed_ros.module("tf2_ros").Buffer
    assert installed_ros.module("vision_msgs").msg.Detection2DArray
    assert installed_ros.module("bondpy").bondpy.Bond


def test_namesakes_of_other_projects_are_not_used(install):
    install(
        cv_bridge="class CvBridge: ...",
        tf2_ros="class Buffer: ...",
        vision_msgs="",
        vision_msgs__msg="""
            class Detection2DArray: ...
            class Detection3DArray: ...
            class ObjectHypothesisWithPose:
                @classmethod
                def get_fields_and_field_types(cls):
                    return {"id": "string", "score": "double", "pose": ""}
        """,
        moveit_msgs="",
        moveit_msgs__msg="""
            class CollisionObject:
                @classmethod
                def get_fields_and_field_types(cls):
                    return {"id": "string", "primitive_poses": ""}
        """,
        shape_msgs="",
        shape_msgs__msg="class SolidPrimitive: ...",
        bondpy="",
        bondpy__bondpy="import rospy_of_ros_1",
    )
    for name in ("cv_bridge", "tf2_ros", "vision_msgs", "moveit_msgs", "bondpy"):
        assert installed_ros.module(name) is None
    summary = installed_ros.summary()
    assert "cv_bridge: own conversion (installed, but RuntimeError: AttributeError" in summary
    assert "no attribute 'wait_for_transform_async'" in summary
    assert "vision_msgs 4 or newer" in summary
    assert "moveit_msgs of Humble or newer" in summary
    assert "No module named 'rospy_of_ros_1'" in summary


def test_messages_whose_compiled_half_does_not_load_are_not_used(install):
    """As rclpy would find only when it makes the publisher, and the node would end."""
    broken = """
        class Compiled(type):
            @classmethod
            def __import_type_support__(cls):
                raise ImportError("libgeometry_msgs__rosidl_generator_c.so: cannot open shared object file")
        class CollisionObject(metaclass=Compiled):
            @classmethod
            def get_fields_and_field_types(cls):
                return {"id": "string", "pose": "geometry_msgs/Pose"}
        class Detection2DArray(metaclass=Compiled): ...
        class Detection3DArray(metaclass=Compiled): ...
        class ObjectHypothesisWithPose:
            @classmethod
            def get_fields_and_field_types(cls):
                return {"hypothesis": "", "pose": ""}
    """
    install(
        vision_msgs="",
        vision_msgs__msg=broken,
        moveit_msgs="",
        moveit_msgs__msg=broken,
        shape_msgs="",
        shape_msgs__msg="class SolidPrimitive: ...",
    )
    for name in ("vision_msgs", "moveit_msgs"):
        assert installed_ros.module(name) is None
    assert installed_ros.summary().count("cannot open shared object file") == 2


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ends the process with signal 11"),
        ("raise AttributeError('_ARRAY_API not found')", "_ARRAY_API not found"),
        ("raise ImportError('libopencv_core.so.4.5d: cannot open shared object file')", "libopencv_core"),
        (CV_BRIDGE.replace("::-1", ""), "AssertionError"),
    ],
)
def test_a_broken_cv_bridge_hurts_nobody(install, source, reason):
    install(cv_bridge=source)
    assert installed_ros.module("cv_bridge") is None
    assert reason in installed_ros.summary()
    np.testing.assert_array_equal(decode_picture(message(RGB[..., ::-1], "bgr8")), RGB)


def test_each_library_is_looked_for_once(install):
    assert installed_ros.module("cv_bridge") is None
    before = installed_ros._load.cache_info().misses
    installed_ros.module("cv_bridge")
    assert installed_ros._load.cache_info().misses == before


def test_pictures_go_through_cv_bridge_where_it_serves(install):
    install(cv_bridge=CV_BRIDGE)
    asked = installed_ros.module("cv_bridge").CvBridge.asked
    assert "bgr8" in PICTURE_ENCODINGS
    for padding in (0, 6):
        decoded = decode_picture(message(RGB[..., ::-1], "bgr8", padding))
        assert decoded.flags.c_contiguous
        np.testing.assert_array_equal(decoded, RGB)
    assert asked == ["bgr8", "bgr8"]
    # What it does not know is converted here; what it would shear or only copy does not reach it.
    np.testing.assert_array_equal(decode_picture(message(RGB[..., ::-1], "8UC3")), RGB)
    assert asked == ["bgr8", "bgr8", "8UC3"]
    np.testing.assert_array_equal(decode_picture(message(RGB[..., ::-1], "bgr8", padding=4)), RGB)
    np.testing.assert_array_equal(decode_picture(message(RGB, "rgb8", padding=6)), RGB)
    assert asked == ["bgr8", "bgr8", "8UC3"]

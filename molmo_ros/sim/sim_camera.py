# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The simulated RGB-D camera as a ROS 2 node: `image`, `depth` and `camera_info` of one tabletop scene.

The scene follows from the parameter `seed`, so any other process can rebuild it and knows the ground truth.
Setting `seed` while it runs switches the scene: once the call has returned, newer stamps show the new one.
Where the camera is in the frame `world`, whose z points up from the table's top, goes to /tf_static; to /tf, with every
frame's stamp, where the parameter `motion` lets it move.
"""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from molmo_ros.geometry.quaternion import from_matrix
from molmo_ros.sim.camera_path import MOTIONS, CameraPath
from molmo_ros.sim.renderer import Rendering, add_noise, render
from molmo_ros.sim.scene import Camera, Scene

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the camera then has no place in the world
    TFMessage = None

OPTICAL_FRAME, WORLD_FRAME = "camera_color_optical_frame", "world"
NOISY_FRAMES = 4
"""How many pictures with different sensor noise are made per scene and shown in turn."""


@dataclass(frozen=True)
class SceneMessages:
    """The messages of one view of a scene, complete but for their stamps."""

    images: list[Image]
    depth: Image
    info: CameraInfo
    world_from_optical: TransformStamped


class SimCamera(Node):
    """Publishes the view of one scene at a fixed rate; the messages of a frame share their stamp."""

    def __init__(self) -> None:
        super().__init__("molmo_sim_camera")
        fixed = {"read_only": True}
        whole = [IntegerRange(from_value=0, to_value=2**31 - 1, step=1)]
        size = [IntegerRange(from_value=16, to_value=4096, step=1)]
        self.declare_parameter(
            "seed", 0, ParameterDescriptor(description="Which random tabletop is shown.", integer_range=whole)
        )
        self.declare_parameter(
            "width", 640, ParameterDescriptor(description="[px]", integer_range=size, **fixed)
        )
        self.declare_parameter(
            "height", 480, ParameterDescriptor(description="[px]", integer_range=size, **fixed)
        )
        rate_range = [FloatingPointRange(from_value=0.1, to_value=120.0)]
        self.declare_parameter(
            "rate",
            10.0,
            ParameterDescriptor(description="Frames per second.", floating_point_range=rate_range, **fixed),
        )
        noise_range = [FloatingPointRange(from_value=0.0, to_value=60.0)]
        self.declare_parameter(
            "noise",
            2.0,
            ParameterDescriptor(
                description="Standard deviation of the sensor noise [gray levels].",
                floating_point_range=noise_range,
                **fixed,
            ),
        )
        self.declare_parameter(
            "motion",
            "",
            ParameterDescriptor(
                description=f"How the camera moves: {', '.join(MOTIONS)}; empty means not at all. Every frame is then "
                "rendered anew, which a small picture keeps fast.",
                **fixed,
            ),
        )
        speed_range = [FloatingPointRange(from_value=0.01, to_value=1.0)]
        self.declare_parameter(
            "speed",
            0.1,
            ParameterDescriptor(
                description="Of a moving camera [m/s].", floating_point_range=speed_range, **fixed
            ),
        )
        # Reliable matches both kinds of reader; a depth of 1 never lets old frames pile up.
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._image = self.create_publisher(Image, "image", qos)
        self._depth = self.create_publisher(Image, "depth", qos)
        self._info = self.create_publisher(CameraInfo, "camera_info", qos)
        topic = "/tf" if self.get_parameter("motion").value else "/tf_static"
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._transform = self.create_publisher(TFMessage, topic, latched) if TFMessage else None
        self._count = 0
        self._show(self.get_parameter("seed").value)
        self.add_on_set_parameters_callback(self._on_parameters)
        self.create_timer(1.0 / self.get_parameter("rate").value, self._publish)

    def _show(self, seed: int) -> None:
        """Switches to the scene of a seed."""
        self._scene = Scene.random(seed)
        self._rng = np.random.default_rng(seed)
        self._path: CameraPath | None = None
        self._started = self.get_clock().now()
        if motion := self.get_parameter("motion").value:
            self._path = CameraPath(self._scene.camera, motion, self.get_parameter("speed").value)
        self._view = self._look(NOISY_FRAMES)
        if self._path is None and self._transform:
            self._transform.publish(TFMessage(transforms=[self._view.world_from_optical]))
        self.get_logger().info(f"seed {seed}: {', '.join(thing.name for thing in self._scene.objects)}")

    def _look(self, noisy_frames: int) -> SceneMessages:
        """What the camera sees from where it is."""
        frame = render(self._scene, self.get_parameter("width").value, self.get_parameter("height").value)
        sigma = self.get_parameter("noise").value
        pictures = (
            [add_noise(frame.rgb, self._rng, sigma) for _ in range(noisy_frames)] if sigma else [frame.rgb]
        )
        return SceneMessages(
            images=[image_message(picture, "rgb8") for picture in pictures],
            depth=image_message(frame.depth, "32FC1"),
            info=camera_info_message(frame),
            world_from_optical=world_from_optical(self._scene.camera),
        )

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        # Rendering here, in the node's only thread, is what makes the promise of the module's docstring hold.
        for parameter in parameters:
            if parameter.name == "seed":
                self._show(parameter.value)
        return SetParametersResult(successful=True)

    def _publish(self) -> None:
        now = self.get_clock().now()
        stamp = now.to_msg()
        if self._path is not None:
            self._scene.camera = self._path.at((now - self._started).nanoseconds * 1e-9)
            self._view = self._look(1)
        view = self._view
        image = view.images[self._count % len(view.images)]
        self._count += 1
        for message in (view.info, view.depth, image, view.world_from_optical):
            message.header.stamp = stamp
        if not self.context.ok():  # ended while it rendered
            return
        # The others first, so that they are there when the image starts an inference.
        if self._path is not None and self._transform:
            self._transform.publish(TFMessage(transforms=[view.world_from_optical]))
        self._info.publish(view.info)
        self._depth.publish(view.depth)
        self._image.publish(image)


def image_message(pixels: np.ndarray, encoding: str) -> Image:
    """An unstamped message of uint8 [h, w, 3] ("rgb8") or float32 [h, w] metres ("32FC1")."""
    height, width = pixels.shape[:2]
    message = Image(height=height, width=width, encoding=encoding, is_bigendian=int(sys.byteorder == "big"))
    message.header.frame_id = OPTICAL_FRAME
    message.step = pixels.nbytes // height
    message.data = array.array("B", np.ascontiguousarray(pixels).tobytes())
    return message


def camera_info_message(frame: Rendering) -> CameraInfo:
    """An unstamped message of an ideal pinhole camera (no distortion)."""
    height, width = frame.depth.shape
    k = frame.intrinsics
    info = CameraInfo(height=height, width=width, distortion_model="plumb_bob", d=[0.0] * 5)
    info.header.frame_id = OPTICAL_FRAME
    info.k = k.ravel().tolist()
    info.r = np.eye(3).ravel().tolist()
    info.p = np.hstack([k, np.zeros((3, 1))]).ravel().tolist()
    return info


def world_from_optical(camera: Camera) -> TransformStamped:
    """The unstamped transform that takes points of the optical frame to the world."""
    message = TransformStamped(child_frame_id=OPTICAL_FRAME)
    message.header.frame_id = WORLD_FRAME
    message.transform.translation = Vector3(**dict(zip("xyz", camera.position.tolist(), strict=True)))
    message.transform.rotation = Quaternion(
        **dict(zip("xyzw", from_matrix(camera.world_from_optical), strict=True))
    )
    return message

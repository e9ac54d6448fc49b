"""The simulated RGB-D camera as a ROS 2 node: `image`, `depth` and `camera_info` of one tabletop scene.

The scene follows from the parameter `seed`, so any other process can rebuild it and knows the ground truth.
Setting `seed` while it runs switches the scene: once the call has returned, newer stamps show the new one.
"""

from __future__ import annotations

import array
import sys
from dataclasses import dataclass

import numpy as np
import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from molmo_ros.sim.renderer import Frame, add_noise, render
from molmo_ros.sim.scene import Scene

OPTICAL_FRAME = "camera_color_optical_frame"
NOISY_FRAMES = 4
"""How many pictures with different sensor noise are made per scene and shown in turn."""


@dataclass(frozen=True)
class View:
    """The messages of one scene, complete but for their stamps."""

    images: list[Image]
    depth: Image
    info: CameraInfo


class SimCamera(Node):
    """Publishes the view of one scene at a fixed rate; the three messages of a frame share their stamp."""

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
        # Reliable matches both kinds of reader; a depth of 1 never lets old frames pile up.
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        self._image = self.create_publisher(Image, "image", qos)
        self._depth = self.create_publisher(Image, "depth", qos)
        self._info = self.create_publisher(CameraInfo, "camera_info", qos)
        self._count = 0
        self._view = self._make_view(self.get_parameter("seed").value)
        self.add_on_set_parameters_callback(self._on_parameters)
        self.create_timer(1.0 / self.get_parameter("rate").value, self._publish)

    def _make_view(self, seed: int) -> View:
        scene = Scene.random(seed)
        frame = render(scene, self.get_parameter("width").value, self.get_parameter("height").value)
        rng = np.random.default_rng(seed)
        sigma = self.get_parameter("noise").value
        pictures = [add_noise(frame.rgb, rng, sigma) for _ in range(NOISY_FRAMES)] if sigma else [frame.rgb]
        self.get_logger().info(f"seed {seed}: {', '.join(thing.name for thing in scene.objects)}")
        return View(
            images=[image_message(picture, "rgb8") for picture in pictures],
            depth=image_message(frame.depth, "32FC1"),
            info=camera_info_message(frame),
        )

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        # Rendering here, in the node's only thread, is what makes the promise of the module's docstring hold.
        for parameter in parameters:
            if parameter.name == "seed":
                self._view = self._make_view(parameter.value)
        return SetParametersResult(successful=True)

    def _publish(self) -> None:
        stamp = self.get_clock().now().to_msg()
        view = self._view
        image = view.images[self._count % len(view.images)]
        self._count += 1
        for message in (view.info, view.depth, image):
            message.header.stamp = stamp
        # Depth and camera_info first, so that they are there when the image starts an inference.
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


def camera_info_message(frame: Frame) -> CameraInfo:
    """An unstamped message of an ideal pinhole camera (no distortion)."""
    height, width = frame.depth.shape
    k = frame.intrinsics
    info = CameraInfo(height=height, width=width, distortion_model="plumb_bob", d=[0.0] * 5)
    info.header.frame_id = OPTICAL_FRAME
    info.k = k.ravel().tolist()
    info.r = np.eye(3).ravel().tolist()
    info.p = np.hstack([k, np.zeros((3, 1))]).ravel().tolist()
    return info


def main() -> None:
    rclpy.init()
    try:
        rclpy.spin(SimCamera())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()

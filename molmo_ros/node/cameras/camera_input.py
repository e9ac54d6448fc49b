"""One camera's topics: its newest picture, its depth images and its calibration."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.qos import qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from molmo_ros.geometry import CameraInfoError, PinholeCamera
from molmo_ros.node.cameras.calibration import camera_from_message
from molmo_ros.node.cameras.depth_sync import DepthSync
from molmo_ros.node.cameras.frame import Frame
from molmo_ros.node.cameras.mailbox import Mailbox


@dataclass(frozen=True)
class Transport:
    """How the pictures and the depth images of all cameras come.

    Attributes:
        image: "raw" or "compressed".
        depth: "raw", "compressedDepth", or "" where no depth is wanted.
    """

    image: str = "raw"
    depth: str = "raw"


class CameraInput:
    """Stores what a camera sends; the callbacks do nothing else, so that no camera waits for another.

    Args:
        name: Name of the camera.
        prefix: What its topics begin with: `NAME/` where there are several cameras, else nothing.
        on_frame: Called with each Frame, in the executor's thread.

    Attributes:
        frames: The newest picture.
        depths: The newest depth images.
        info: The newest CameraInfo; None while none has come.
        topic: Name of the pictures' topic, remapped once it is subscribed to.
        problem: Why depth or calibration could not be used when they were last wanted; empty where they could.
        assumed: What was taken for granted then, because no header says so.
    """

    def __init__(self, name: str, prefix: str, on_frame: Callable[[CameraInput, Frame], None]) -> None:
        self.name = name
        self.frames: Mailbox[Frame] = Mailbox()
        self.depths = DepthSync()
        self.info: CameraInfo | None = None
        self.topic = f"{prefix}image"
        self.problem = self.assumed = ""
        self._informed, self._waited_in_vain = threading.Condition(), False
        self._prefix, self._on_frame = prefix, on_frame
        self._subscriptions: list[Any] = []

    def subscribe(self, node: Any, transport: Transport) -> None:
        """Listen, best effort as cameras publish; `qos_overrides` makes it reliable for large pictures."""
        group = MutuallyExclusiveCallbackGroup()

        def listen(kind: type, topic: str, callback: Callable[[Any], None]) -> str:
            subscription = node.create_subscription(
                kind,
                topic,
                callback,
                qos_profile_sensor_data,
                callback_group=group,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            self._subscriptions.append(subscription)
            return subscription.topic_name

        self.clear()
        if transport.image == "raw":
            self.topic = listen(Image, f"{self._prefix}image", self.on_image)
        else:
            self.topic = listen(CompressedImage, f"{self._prefix}image/{transport.image}", self.on_image)
        if not transport.depth:
            return
        if transport.depth == "raw":
            listen(Image, f"{self._prefix}depth", self.on_depth)
        else:
            listen(CompressedImage, f"{self._prefix}depth/{transport.depth}", self.on_depth)
        listen(CameraInfo, f"{self._prefix}camera_info", self.on_info)

    def unsubscribe(self, node: Any) -> None:
        """Listen no more, and forget all pictures."""
        for subscription in self._subscriptions:
            node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self.clear()

    def clear(self) -> None:
        """Forget all pictures: they belong to another time. The calibration holds."""
        self.frames.clear()
        self.depths.clear()

    def calibration(
        self,
        width: int,
        height: int,
        *,
        rectified: bool = False,
        matrix: Sequence[float] = (),
        trusted: bool = False,
        patience: float = 0.0,
    ) -> PinholeCamera:
        """The camera of a delivered picture of that size [px]; see `camera_from_message`.

        Args:
            patience: How long to wait for the first calibration [s]. In vain it is waited for only once.

        Raises:
            CameraInfoError: There is no usable calibration.
        """
        if not any(matrix):
            self._await_info(patience)
        try:
            return camera_from_message(
                self.info, rectified=rectified, matrix=matrix, size=(width, height), trusted=trusted
            )
        except CameraInfoError as error:
            way_out = "" if any(matrix) else "; the parameter camera_matrix is used instead of camera_info"
            raise CameraInfoError(f"{error}{way_out}") from error

    def _await_info(self, patience: float) -> None:
        with self._informed:
            if self.info is None and not self._waited_in_vain:
                self._waited_in_vain = not self._informed.wait_for(lambda: self.info is not None, patience)

    def on_image(self, message: Any) -> None:
        frame = Frame(message)
        self.frames.put(frame)
        self._on_frame(self, frame)

    def on_depth(self, message: Any) -> None:
        self.depths.put(message)

    def on_info(self, message: CameraInfo) -> None:
        with self._informed:
            self.info, self._waited_in_vain = message, False
            self._informed.notify_all()


def camera_inputs(
    names: Sequence[str], on_frame: Callable[[CameraInput, Frame], None]
) -> dict[str, CameraInput]:
    """The cameras by name, the first one first. A single one has no prefix before its topics."""
    return {name: CameraInput(name, f"{name}/" if len(names) > 1 else "", on_frame) for name in names}

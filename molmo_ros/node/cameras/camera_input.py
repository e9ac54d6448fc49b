# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One camera's topics: its newest picture, its depth images and its calibration."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from molmo_ros.geometry import CameraInfoError, PinholeCamera
from molmo_ros.geometry.frame_names import plain, shown
from molmo_ros.node.cameras import camera_qos
from molmo_ros.node.cameras.depth_sync import DepthSync
from molmo_ros.node.cameras.intrinsics import camera_from_message
from molmo_ros.node.cameras.mailbox import Mailbox
from molmo_ros.node.cameras.picture_reader import PictureReader
from molmo_ros.node.cameras.registered_depth import RegisteredDepth
from molmo_ros.node.cameras.topic_silence import silence
from molmo_ros.node.health.stamp_gaps import StampGaps
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.records.frame import Frame, PastTime, stamp_ns

if TYPE_CHECKING:
    from molmo_ros.node.records.frame import DepthMessage, PictureMessage

LOOK_INTERVAL = 0.5
"""How often publishers of a calibration are looked for while none has come [s]."""
SELDOM = 5.0
"""How often, where only that of depth is missing [s]."""


@dataclass(frozen=True)
class Transport:
    """How the pictures and the depth images of all cameras come.

    Attributes:
        image: "raw" or "compressed".
        depth: "raw", "compressedDepth", "compressed", "points" of a cloud, or "" where no depth is wanted.
    """

    image: str = "raw"
    depth: str = "raw"

    @classmethod
    def of(cls, settings: Settings) -> Transport:
        """What the parameters say."""
        depth = "points" if settings.depth_source == "points" else settings.depth_transport
        return cls(settings.image_transport, depth if settings.use_depth else "")


class CameraInput:
    """Stores what a camera sends; the callbacks do nothing else, so that no camera waits for another.

    Args:
        name: Name of the camera.
        prefix: What its topics begin with: `NAME/` where there are several cameras, else nothing.
        on_frame: Called with each Frame, in the executor's thread.

    Attributes:
        frames: The newest picture.
        reader: Reads its pictures.
        depths: The newest depth images.
        info: The newest CameraInfo; None while none has come.
        depth_info: The newest CameraInfo of the depth image; None while none has come. Only depth that is not aligned
            to the picture needs one.
        registered: The last depth that was registered to its picture.
        cleared: Since when no picture has come, for people; empty once one has, and where nothing was forgotten.
        now: The node's time [ns].
        others: The node's other cameras.
        frame_id: The frame that the newest picture names.
        from_before: How many pictures and depth images were refused because they are from before a jump of the clock.
        image_gaps, depth_gaps: What of the pictures and the depth images is lost on the way.
        silence: Why no picture comes, as far as the graph of nodes knows.
        clock: Why nothing may come as long as the node's time stands; empty where it goes on.
        topic: Name of the pictures' topic, remapped once it is subscribed to.
        problem: Why depth or calibration could not be used when they were last wanted; empty where they could.
        without_depth: Why there will never be depth, whatever is set; empty where there may be.
        assumed: What was taken for granted then, because no header says so.
    """

    def __init__(self, name: str, prefix: str, on_frame: Callable[[CameraInput, Frame], None]) -> None:
        self.name = name
        self.frames: Mailbox[Frame] = Mailbox()
        self.reader = PictureReader()
        self.depths = DepthSync()
        self.info: CameraInfo | None = None
        self.depth_info: CameraInfo | None = None
        self.registered = RegisteredDepth()
        self.topic = f"{prefix}image"
        self.problem = self.assumed = self.without_depth = self.cleared = ""
        self.others: Sequence[CameraInput] = ()
        self.frame_id = ""
        self.from_before = 0
        self.image_gaps, self.depth_gaps = StampGaps(), StampGaps()
        self.silence: Callable[[], str] = lambda: ""
        self.clock: Callable[[], str] = lambda: ""
        self.now: Callable[[], int] = lambda: 0
        self._past: PastTime | None = None
        self._informed, self._waited_in_vain = threading.Condition(), False
        self._prefix, self._on_frame = prefix, on_frame
        self._subscriptions: list[Subscription] = []
        self._latched: dict[str, Callable[[], Subscription | None]] = {}  # by topic, of what has not come yet
        self._looked = 0.0

    def subscribe(self, node: Node, transport: Transport) -> None:
        """Listen, best effort as cameras publish; `qos_overrides` makes it reliable for large pictures.

        A calibration is heard whether it is published with every picture or was once, before.
        """
        group = MutuallyExclusiveCallbackGroup()

        def listen(kind: type, topic: str, callback: Callable[[Any], None]) -> str:
            subscription = camera_qos.listen(node, kind, topic, callback, group)
            self._subscriptions.append(subscription)
            return str(subscription.topic_name)

        self.now, self._past = lambda: int(node.get_clock().now().nanoseconds), None
        self.clear()
        if transport.image == "raw":
            self.topic = listen(Image, f"{self._prefix}image", self.on_image)
        else:
            self.topic = listen(CompressedImage, f"{self._prefix}image/{transport.image}", self.on_image)
        self.image_gaps.topic = self.topic
        self.silence = partial(silence, node, self._subscriptions[0])
        if not transport.depth:
            return
        if transport.depth == "points":
            self.depths.what = "cloud"
            self.depth_gaps.topic = listen(PointCloud2, f"{self._prefix}points", self.on_depth)
        elif transport.depth == "raw":
            self.depth_gaps.topic = listen(Image, f"{self._prefix}depth", self.on_depth)
        else:
            topic = f"{self._prefix}depth/{transport.depth}"
            self.depth_gaps.topic = listen(CompressedImage, topic, self.on_depth)
        for topic, callback in (("camera_info", self.on_info), ("depth/camera_info", self.on_depth_info)):
            if topic == "camera_info" or transport.depth != "points":
                listen(CameraInfo, f"{self._prefix}{topic}", callback)
                self._latched[topic] = partial(
                    camera_qos.listen_latched, node, CameraInfo, f"{self._prefix}{topic}", callback, group
                )
        self._listen_latched()

    def unsubscribe(self, node: Node) -> None:
        """Listen no more, and forget all pictures."""
        with self._informed:
            self._latched.clear()
            for subscription in self._subscriptions:
                node.destroy_subscription(subscription)
            self._subscriptions.clear()
        self.silence = lambda: ""
        self.clear()

    def clear(self, reason: str = "") -> None:
        """Forget all pictures and depth images. The calibration holds.

        Args:
            reason: Since when none has come, for people.
        """
        self.frames.clear()
        self.depths.clear(reason)
        self.image_gaps.clear()
        self.depth_gaps.clear()
        self.cleared = reason

    def jumped(self, by: int) -> None:
        """The clock went back, or was replaced: nothing from before is used any more, whenever it comes.

        Args:
            by: How far it went back [ns]; 0 where another clock took over.
        """
        if by > 0:
            self._past = PastTime(self.now(), by, self._past)
        self.clear(f"the clock went back by {by * 1e-9:.3g} s" if by > 0 else "the clock was replaced")

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

    def shared_frame(self) -> str:
        """What is wrong where other cameras' pictures name the same frame; empty where none does."""
        twins = [other.name for other in self.others if self.frame_id and other.frame_id == self.frame_id]
        if not twins:
            return ""
        names = [self.name, *twins]
        return (
            f"the pictures of the cameras {', '.join(names)} all name the frame {shown(self.frame_id)}, where only one "
            f"can be: set optical_frame to '{' '.join(f'{name}=FRAME' for name in names)}'"
        )

    def silence_now(self) -> str:
        """Why no picture comes, as far as the graph of nodes and the clock know."""
        return "; ".join(filter(None, (self.silence(), self.clock(), self._after_a_jump())))

    def _after_a_jump(self) -> str:
        if self._past is None or not self._past.lasts(self.now()):
            return ""
        return (
            "some simulators' cameras send nothing until the time of before comes again (Gazebo Fortress): start it "
            "anew instead of resetting it"
        )

    def _listen_latched(self) -> None:
        """Looks now and then for a calibration that was published once, until one has come."""
        with self._informed:
            now = time.monotonic()
            # Most cameras have none of depth's own.
            interval = LOOK_INTERVAL if "camera_info" in self._latched else SELDOM
            if not self._latched or now - self._looked < interval:
                return
            self._looked = now
            for topic, look in list(self._latched.items()):
                if (subscription := look()) is not None:
                    self._subscriptions.append(subscription)
                    del self._latched[topic]

    def _await_info(self, patience: float) -> None:
        with self._informed:
            if self.info is None and not self._waited_in_vain:
                self._listen_latched()
                self._waited_in_vain = not self._informed.wait_for(lambda: self.info is not None, patience)

    def on_image(self, message: PictureMessage) -> None:
        """A picture has come, an Image or a CompressedImage."""
        if self._is_past(message):
            return
        self._listen_latched()
        frame = Frame(message)
        self.frame_id = plain(message.header.frame_id)
        self.cleared = ""
        self.depths.expect(frame.stamp)
        self.image_gaps.add(frame.stamp)
        self.frames.put(frame)
        self._on_frame(self, frame)

    def on_depth(self, message: DepthMessage) -> None:
        """A depth image or a cloud has come."""
        if not self._is_past(message):
            self.depths.put(message)
            self.depth_gaps.add(stamp_ns(message.header))

    def _is_past(self, message: DepthMessage) -> bool:
        past = self._past is not None and self._past.holds(stamp_ns(message.header), self.now())
        self.from_before += past
        return past

    def on_info(self, message: CameraInfo) -> None:
        """A calibration has come."""
        with self._informed:
            self.info, self._waited_in_vain = message, False
            self._latched.pop("camera_info", None)
            self._informed.notify_all()

    def on_depth_info(self, message: CameraInfo) -> None:
        """A calibration of the depth image has come."""
        with self._informed:
            self.depth_info = message
            self._latched.pop("depth/camera_info", None)


def camera_inputs(
    names: Sequence[str], on_frame: Callable[[CameraInput, Frame], None]
) -> dict[str, CameraInput]:
    """The cameras by name, the first one first. A single one has no prefix before its topics."""
    cameras = {name: CameraInput(name, f"{name}/" if len(names) > 1 else "", on_frame) for name in names}
    for camera in cameras.values():
        camera.others = [other for other in cameras.values() if other is not camera]
    return cameras

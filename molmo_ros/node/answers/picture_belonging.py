# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a camera's inputs are held against, by the parameters and by TF: the picture, and an optical frame."""

from __future__ import annotations

from std_msgs.msg import Header

from molmo_ros.geometry.belonging import Belonging, InputClaims, MismatchError, Rules
from molmo_ros.geometry.frame_names import is_named_optical, shown
from molmo_ros.geometry.optical_frame import doubt
from molmo_ros.geometry.rigid_transform import RigidTransform, TransformError
from molmo_ros.node.parameters.declaration import Settings
from molmo_ros.node.parameters.optical_frames import optical_frame_of
from molmo_ros.node.records.frame import stamp_ns
from molmo_ros.node.seams.transform_source import TransformSource


class NotOpticalError(MismatchError):
    """A frame is not an optical one; the message says why, and the cure.

    Attributes:
        fault: What is wrong, without the cure.
        frame: Its name.
        parameter: The parameter that names another.
        optical: What that is to be.
        known: Whether TF has such a frame.
    """

    def __init__(self, of: str, why: str, frame: str, parameter: str, beside: str) -> None:
        self.frame, self.parameter, self.known = frame, parameter, bool(beside)
        self.optical = beside or f"{frame}_optical_frame"
        cure = f"set {parameter} to {shown(self.optical)}"
        if not beside:
            cure += (
                f" and publish that (static_transform_publisher --roll -1.5708 --yaw -1.5708 --frame-id {frame} "
                f"--child-frame-id {self.optical}), or to {shown(frame)} where that is optical"
            )
        self.fault = f"{of} is in the frame {shown(frame)}, which is no optical frame: {why}"
        super().__init__(f"{self.fault}; {cure}")


def belonging_of(header: Header, size: tuple[int, int], settings: Settings, camera: str) -> Belonging:
    """What holds the inputs of a camera against one of its pictures.

    Args:
        header: The picture's.
        size: Its width and height [px].
        settings: The parameters.
        camera: The camera's name.
    """
    return Belonging(
        InputClaims("the picture", header.frame_id, stamp_ns(header), size),
        Rules(
            tolerance=settings.depth_sync_tolerance,
            optical_frame=optical_frame_of(settings.optical_frame, camera),
            depth_is_aligned=settings.depth_is_aligned,
            depth_frame=optical_frame_of(settings.depth_frame, camera),
            trust_camera_info=settings.trust_camera_info,
        ),
    )


def require_picture_optical(belonging: Belonging, transforms: TransformSource) -> None:
    """Nothing that TF knows says that the picture's frame is another than its optical one.

    Raises:
        NotOpticalError: Something does, and `optical_frame` does not name one.
    """
    frame = belonging.optical_frame
    if belonging.rules.optical_frame:
        belonging.assumed.append(f"the optical frame is {shown(frame)} (optical_frame)")
    elif frame and not is_named_optical(frame):
        require_optical(belonging, transforms, frame, "the picture", "optical_frame")
        belonging.assumed.append(f"the frame {shown(frame)} is optical")


def unknown_link(belonging: Belonging, transforms: TransformSource) -> str:
    """What makes the picture's frame doubtful where TF does not know it, with the cure: it is called a link; empty
    where it is not."""
    frame, parents = belonging.optical_frame, transforms.parents()
    if not frame.endswith("_link") or frame in parents or frame in parents.values():
        return ""
    return (
        f"the picture is in the frame {shown(frame)}, a link's name, which TF does not know: a link's x axis points "
        f"forward; set optical_frame to its optical frame, or to {shown(frame)} where that is optical"
    )


def require_optical(
    belonging: Belonging, transforms: TransformSource, frame: str, of: str, parameter: str
) -> None:
    """Nothing that TF knows at the picture's stamp says that a frame is not an optical one.

    Args:
        belonging: Of the picture.
        transforms: Where the frames are.
        frame: The frame's name, without a leading slash.
        of: Whose it is, for people.
        parameter: The parameter that names another.

    Raises:
        NotOpticalError: Something does.
    """

    def relate(target: str, source: str) -> RigidTransform | None:
        try:
            return transforms.lookup(target, source, belonging.picture.stamp, 0.0)
        except TransformError:
            return None

    why, beside = doubt(frame, transforms.parents(), relate)
    if why:
        raise NotOpticalError(of, why, frame, parameter, beside)

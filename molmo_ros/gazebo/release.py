# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The releases of Gazebo, and one's files made of the other's."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """What a release calls things.

    Attributes:
        name: As a launch argument has it.
        messages: Where its messages are, `gz.msgs`.
        command: What its command line starts with.
    """

    name: str
    messages: str
    command: tuple[str, ...]


HARMONIC = Release("harmonic", "gz.msgs", ("gz",))
FORTRESS = Release("fortress", "ignition.msgs", ("ign",))
RELEASES = {release.name: release for release in (HARMONIC, FORTRESS)}


def release_of(ros_distro: str) -> Release:
    """The release that belongs to a ROS distribution: Fortress to Humble, Harmonic and its names to those after it."""
    return FORTRESS if ros_distro == "humble" else HARMONIC


def fortress_world(harmonic: str) -> str:
    """A world of Harmonic with Fortress' names.

    Systems have other names there, and early ones take the frame of a sensor's messages from `<ignition_frame_id>`
    alone, which is beside the `<camera>` whose `<optical_frame_id>` they hand to camera_info.
    """
    renamed = harmonic.replace("gz-sim-", "ignition-gazebo-").replace("gz::sim::", "ignition::gazebo::")
    return re.sub(
        r"(?P<indent>[ \t]*)<camera\b[^>]*>(?:(?!</camera>).)*<optical_frame_id>(?P<frame>[^<]*)</optical_frame_id>",
        lambda found: f"{found['indent']}<ignition_frame_id>{found['frame']}</ignition_frame_id>\n{found[0]}",
        renamed,
        flags=re.DOTALL,
    )

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where transforms between frames come from."""

from __future__ import annotations

from typing import Protocol

from molmo_ros.geometry.rigid_transform import RigidTransform


class TransformSource(Protocol):
    """Knows where frames are, at the times of images."""

    def lookup(
        self, target_frame: str, source_frame: str, stamp_ns: int, patience_s: float
    ) -> RigidTransform:
        """The transform that takes points of the source frame to the target frame, at one time.

        Args:
            target_frame, source_frame: Names of frames; a leading "/" is left out, as tf2 does.
            stamp_ns: The image's stamp [ns].
            patience_s: How long to wait for a transform that is still on its way [s], of real time.

        Raises:
            TransformError: There is none at that time; the message says why.
        """

    def parents(self) -> dict[str, str]:
        """All frames that are known, by their children's names."""

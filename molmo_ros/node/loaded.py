# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node with a model: what it has from being configured to being cleaned up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from molmo_ros.node.active import ActiveNode, Parts
from molmo_ros.node.answers.answering import Answerer
from molmo_ros.node.answers.camera_tracker import CameraTracker
from molmo_ros.node.answers.tracking_thread import TrackingThread
from molmo_ros.node.answers.transforms import Transforms
from molmo_ros.node.cameras.camera_input import CameraInput
from molmo_ros.node.lifecycle.clock_jumps import ClockJumps
from molmo_ros.node.scheduling.continuous import ContinuousQueries
from molmo_ros.node.seams.node_clock import NodeClock
from molmo_ros.node.seams.pointing_model import LoadedModel


class LoadedNode:
    """Holds the model, and what answers with it.

    Args:
        parts: The node's.
        loaded: The model.
        clock: The node's time.
        jumps: Tells when that goes back.
        transforms: Knows where frames are; closed with the model.
    """

    def __init__(
        self, parts: Parts, loaded: LoadedModel, clock: NodeClock, jumps: ClockJumps, transforms: Transforms
    ) -> None:
        self._parts, self._jumps, self._transforms = parts, jumps, transforms
        model, options = loaded
        self._close_model: Callable[[], object] = getattr(model, "close", lambda: None)  # of a server's alone
        self._answerer = Answerer(
            model,
            options,
            cameras=parts.cameras,
            settings=parts.settings,
            now=clock.now,
            transforms=transforms,
            log=parts.node.get_logger(),
            moves=parts.trackers.moves,
        )
        self._continuous = ContinuousQueries(parts.cameras, parts.settings, self._answerer.refusal)
        jumps.listeners.append(self._on_jump)

    def activate(self) -> ActiveNode:
        """Begin to answer."""
        cameras = self._parts.cameras.values()
        self._parts.trackers.start({camera.name: self._tracking(camera) for camera in cameras})
        self._answerer.forget("the image is from before the node was deactivated")
        return ActiveNode(self._parts, self._answerer, self._continuous)

    def close(self) -> None:
        """Free the model."""
        self._jumps.listeners.remove(self._on_jump)
        self._close_model()
        self._transforms.close()

    def _on_jump(self, by: int) -> None:
        self._transforms.clear(by)
        self._answerer.forget("the clock jumped: the image belongs to another time")

    def _tracking(self, camera: CameraInput) -> TrackingThread:
        tracker = CameraTracker(
            camera,
            settings=self._parts.settings,
            transforms=self._transforms,
            publish=self._parts.delivery.deliver_tracked,
            on_lost=partial(self._continuous.hurry, camera.name),
        )
        return TrackingThread(tracker, self._parts.node.get_logger())

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of a bag by their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from molmo_ros.bag.recorded_bag import RecordedBag
from molmo_ros.bag.recorded_camera import image_of
from molmo_ros.node.cameras.picture_reader import PictureReader


def bag_pictures(path: Path, topic: str, numbers: set[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Some pictures of a topic, uint8 [h, w, 3] RGB, with their numbers from 0; those that cannot be read are left out.

    Raises:
        molmo_ros.bag.recorded_bag.BagError: The bag cannot be read.
    """
    reader = PictureReader()
    with RecordedBag(path) as bag:
        connections = [one for one in bag.connections if one.topic == topic]
        for number, message in enumerate(bag.messages(connections)):
            if number not in numbers:
                continue
            try:
                yield number, reader.read(image_of(message), 0).pixels
            except Exception:  # whatever a damaged message leads to: the table says so
                continue

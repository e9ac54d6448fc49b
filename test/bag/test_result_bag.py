# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The new bag as what the node's outputs publish with."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from molmo_msgs.msg import ObjectPointArray  # noqa: E402

from molmo_ros.bag.recorded_bag import BagError  # noqa: E402
from molmo_ros.bag.result_bag import ResultBag  # noqa: E402
from molmo_ros.node.messages.object_outputs import ObjectOutputs  # noqa: E402
from molmo_ros.node.messages.outputs import Outputs  # noqa: E402
from molmo_ros.node.records.found_objects import FoundObjects  # noqa: E402
from molmo_ros.node.records.view import View  # noqa: E402


class Log:
    def __init__(self):
        self.said = []

    def error(self, text, **_throttle):
        self.said.append(text)


def test_a_picture_that_no_jpeg_can_hold_is_left_out_alone(tmp_path):
    log = Log()
    with ResultBag(tmp_path / "out.mcap") as bag:
        array = ObjectPointArray(status="NOT_FOUND", complete=True)
        wide = View(lambda: np.zeros((8, 70000, 3), np.uint8))
        ObjectOutputs(bag, log, (BagError,)).publish(FoundObjects(array, wide), 0)
    (said,) = log.said
    assert said.startswith("/molmo_node/annotated/compressed is left out: a JPEG has at most")


def test_a_disk_that_fails_ends_the_run(tmp_path, monkeypatch):
    def full(*_):
        raise BagError("the disk is full")

    with ResultBag(tmp_path / "out.mcap") as bag:
        outputs = Outputs(bag, Log(), (BagError,))
        monkeypatch.setattr(bag, "write", full)
        with pytest.raises(BagError):
            outputs.publish_objects(ObjectPointArray(), View(lambda: np.zeros((8, 8, 3), np.uint8)))

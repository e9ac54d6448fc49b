# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""molmo_node with a model that finds the red patch of a gray picture, slowly: what it says is as old as it is true.

The label says how long an answer takes, such as `red patch, 0.7 s`. It finds nothing where nothing is red.
"""

import re
import sys

import numpy as np
from one_after_another import OneAfterAnother

from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.status import Status
from molmo_ros.node.process import main


class ColourFinder(OneAfterAnother):
    def encode(self, image, view=""):
        return image

    def limit_crops(self, max_crops, latency_target):
        pass

    def point(self, image, label, *, options, max_points, cancel, on_text, on_point):
        if cancel.wait(float(re.search(r"([\d.]+) s", label)[1])):
            return Answer(Status.CANCELLED)
        rows, columns = np.nonzero(image[..., 0].astype(int) - image[..., 1] > 40)
        if not len(rows):
            return Answer(Status.NOT_FOUND, "There are none.")
        return Answer(Status.FOUND, points=(Point(columns.mean() + 0.5, rows.mean() + 0.5, "red patch", 1),))


if __name__ == "__main__":
    sys.exit(main(model_factory=lambda choice: (ColourFinder(), dict)))

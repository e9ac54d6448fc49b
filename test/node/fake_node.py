# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""molmo_node with a model whose answers are written in the query: the node's plumbing, without weights.

`at 0.25,0.5 0.75,0.5~0.9` points there (shares of width and height, after "~" a calibrated confidence);
`stream 0.3 at 0.25,0.5 0.75,0.5` does so with that many seconds before each point and its word, and can be cancelled;
`until FILE at ...` waits for that file before, `sleep 2 at ...` takes that long, and both can be cancelled;
`hang 5` takes that long, and cannot;
`boom`, `overflow` and `illegal` (access of GPU memory) raise; `mumble` says nothing of use;
`size` answers with the image's size and corner colour, `limits` with the limits on its crops, `encodes` with how many
images were encoded so far;
`regions after FILE at ...` looks for the objects at the points once that file is there, `regions fail at ...` raises.

An image whose corner has the colour [1, 2, n] takes n/10 s to encode. Of the models, `broken` cannot be loaded, `slow`
takes 4 s to load, `until FILE` waits for that file, and `heavy` holds 200 MB.
"""

import re
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from one_after_another import OneAfterAnother

from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.errors import CheckpointError, GenerationError, PromptError
from molmo_ros.molmo.images.crop_budget import CropChoice, ImageCost
from molmo_ros.molmo.status import Status
from molmo_ros.node.process import main
from molmo_ros.node.records.model_choice import ModelChoice
from molmo_ros.node.seams.pointing_model import LoadedModel

SEARCH: dict[str, Any] = {"after": None, "fails": False}
"""How the next search for objects goes."""


class FakeMolmo(OneAfterAnother):
    def __init__(self):
        self.encodes, self.weights = 0, None

    def encode(self, image, view=""):
        self.encodes += 1
        red, green, tenths = image[0, 0].tolist()
        if (red, green) == (1, 2):
            time.sleep(tenths / 10)
        return image

    def limit_crops(self, max_crops, latency_target):
        self.limits = max_crops, latency_target

    def point(self, image, label, *, options, max_points, cancel, on_text, on_point):
        found = re.search(r"regions after (/\S+)", label)
        SEARCH["after"], SEARCH["fails"] = Path(found[1]) if found else None, "regions fail" in label
        if early := _act(label, options, cancel):
            return early
        height, width = image.shape[:2]
        places = re.findall(r"([\d.]+),([\d.]+)(?:~([\d.]+))?", label)
        pause = re.search(r"stream ([\d.]+)", label)
        points: list[Point] = []
        text, deadline = "", time.monotonic() + (options["time_limit"] or 1e9)
        for index, (x, y, sure) in enumerate(places[: max_points or None], 1):
            if pause and cancel.wait(float(pause[1])):
                return Answer(Status.CANCELLED, text.strip(), tuple(points))
            if time.monotonic() > deadline:
                return Answer(Status.TIMEOUT, text.strip(), tuple(points))
            confidence = float(sure) if sure else None
            points.append(Point(float(x) * width, float(y) * height, label, index, confidence=confidence))
            if pause:
                text += f"point{index} "
                on_text(f"point{index} ")
                on_point(points[-1])
        text = text.strip() or "There are none."
        if "size" in label:
            text = f"{width}x{height} {image[0, 0].tolist()}"
        if "encodes" in label:
            text = f"encodes: {self.encodes}"
        crops = None
        if "limits" in label:
            text, cost = str(self.limits), ImageCost((1, 2), 3, 536)
            crops = CropChoice(2, (cost, cost), 1.25, "as the moon wishes")
        status = Status.FOUND if points else Status.NOT_FOUND
        measured: dict[str, Any] = {"not_found_probability": 0.25, "calibrated": True} if "~" in label else {}
        return Answer(status, text, tuple(points), timing_ms={"total": 1.0}, crops=crops, **measured)

    def ask(self, image, question, *, options, cancel, **_):
        return _act(question, options, cancel) or Answer(Status.ANSWERED, f"ask: {question}")

    def count(self, image, label, *, options, cancel, **_):
        return _act(label, options, cancel) or Answer(Status.ANSWERED, f"count: {label}", count=3)


class LostGpu:
    """`torch.cuda` after a fault, which stays until the process ends."""

    def is_initialized(self):
        return True

    def device_count(self):
        return 1

    def memory_allocated(self, device):
        return 1 << 20

    memory_reserved = memory_allocated

    def synchronize(self, device=None):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    empty_cache = synchronize


def _act(text, options, cancel):
    """Does what the text says before an answer; an answer where there will be no other."""
    if (gate := _gate(text)) and not _wait_for(gate, cancel, options["time_limit"] or 1e9):
        return Answer(Status.CANCELLED if cancel.is_set() else Status.TIMEOUT)
    if "boom" in text:
        raise RuntimeError("out of memory")
    if "overflow" in text:
        raise GenerationError("the model's scores hold nan")
    if "illegal" in text:
        torch: Any = ModuleType("torch")
        torch.cuda = LostGpu()
        sys.modules["torch"] = torch  # which is asked after a failure
        LostGpu().synchronize(0)
    if "<|" in text:
        raise PromptError(f"special tokens are not allowed in a query: {text!r}")
    if "mumble" in text:
        return Answer(Status.UNPARSEABLE, "hm")
    if sleep := re.search(r"sleep ([\d.]+)", text):
        limit = options["time_limit"] or 1e9
        if cancel.wait(min(float(sleep[1]), limit)):
            return Answer(Status.CANCELLED)
        if float(sleep[1]) > limit:
            return Answer(Status.TIMEOUT)
    if hang := re.search(r"hang ([\d.]+)", text):
        time.sleep(float(hang[1]))
    return None


def _gate(text):
    found = re.search(r"until (/\S+)", text)
    return found and Path(found[1])


def _wait_for(gate, cancel, limit):
    """Whether the file came before a cancel and within the limit [s]."""
    deadline = time.monotonic() + limit
    while not gate.exists() and time.monotonic() < deadline:
        if cancel.wait(0.01):
            return False
    return gate.exists()


def _disturb_searches():
    """Searches for objects wait, and fail, as the last query said."""
    from molmo_ros.node.answers import object_finder

    find = object_finder.find_regions

    def disturbed(*arguments, **named):
        if SEARCH["after"]:
            _wait_for(SEARCH["after"], threading.Event(), 60.0)
        if SEARCH["fails"]:
            raise RuntimeError("no regions today")
        return find(*arguments, **named)

    object_finder.find_regions = disturbed


def options(**limits: Any) -> Any:
    """Limits of an answer without torch, which `GenerateOptions` imports."""
    return limits


def load(choice: ModelChoice) -> LoadedModel:
    # mypy holds the fake against what the node wants of a model.
    if choice.model == "broken":
        raise CheckpointError("no folder broken")
    if gate := _gate(choice.model):
        _wait_for(gate, threading.Event(), 1e9)
    if choice.model == "slow":
        time.sleep(4)
    _disturb_searches()
    molmo = FakeMolmo()
    if choice.model == "heavy":
        molmo.weights = np.ones(200_000_000, np.uint8)
    return molmo, options


if __name__ == "__main__":
    sys.exit(main(model_factory=load))

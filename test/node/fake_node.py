"""molmo_node with a model whose answers are written in the query: the node's plumbing, without weights.

`at 0.25,0.5 0.75,0.5~0.9` points there (shares of width and height, after "~" a calibrated confidence);
`sleep 2 at ...` takes that long and can be cancelled; `hang 5` takes that long and cannot; `boom` and `overflow` raise;
`size` answers with the image's size and corner colour, `limits` with the limits on its crops. `--model broken` cannot
be loaded; `--model slow` takes 4 s to load.
"""

import re
import sys
import time

from molmo_ros.molmo.answer import Answer, Point, Status
from molmo_ros.molmo.errors import CheckpointError, GenerationError, PromptError
from molmo_ros.molmo.images.crop_budget import CropChoice, ImageCost
from molmo_ros.node.process import main


class FakeMolmo:
    def encode(self, image):
        return image

    def limit_crops(self, max_crops, latency_target):
        self.limits = max_crops, latency_target

    def point(self, image, label, *, options, max_points, cancel, on_text, on_point):
        started = time.monotonic()
        if "boom" in label:
            raise RuntimeError("out of memory")
        if "overflow" in label:
            raise GenerationError("the model's scores hold nan")
        if "<|" in label:
            raise PromptError(f"special tokens are not allowed in a query: {label!r}")
        if sleep := re.search(r"sleep ([\d.]+)", label):
            if cancel.wait(float(sleep[1])):
                return Answer(Status.CANCELLED)
            if time.monotonic() - started > (options["time_limit"] or 1e9):
                return Answer(Status.TIMEOUT)
        if hang := re.search(r"hang ([\d.]+)", label):
            time.sleep(float(hang[1]))
        height, width = image.shape[:2]
        places = re.findall(r"([\d.]+),([\d.]+)(?:~([\d.]+))?", label)
        points = tuple(
            Point(float(x) * width, float(y) * height, label, index, confidence=float(sure) if sure else None)
            for index, (x, y, sure) in enumerate(places[: max_points or None], 1)
        )
        text = f"{width}x{height} {image[0, 0].tolist()}" if "size" in label else "There are none."
        crops = None
        if "limits" in label:
            text, cost = str(self.limits), ImageCost((1, 2), 3, 536)
            crops = CropChoice(2, (cost, cost), 1.25, "as the moon wishes")
        status = Status.FOUND if points else Status.NOT_FOUND
        measured = {"not_found_probability": 0.25, "calibrated": True} if "~" in label else {}
        return Answer(status, text, points, timing_ms={"total": 1.0}, crops=crops, **measured)

    def ask(self, image, question, *, options, **_):
        return Answer(Status.ANSWERED, f"ask: {question}")

    def count(self, image, label, *, options, **_):
        return Answer(Status.ANSWERED, f"count: {label}", count=3)


def load(choice):
    if choice.model == "broken":
        raise CheckpointError("no folder broken")
    if choice.model == "slow":
        time.sleep(4)
    return FakeMolmo(), dict


if __name__ == "__main__":
    sys.exit(main(model_factory=load))

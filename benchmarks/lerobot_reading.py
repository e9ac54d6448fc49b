# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads an annotated data set with LeRobot's own reader, and holds its events against LeRobot's own rules.

    PYTHON benchmarks/lerobot_reading.py ANNOTATED ORIGINAL

PYTHON is that of an environment with `lerobot[dataset]` 0.6 or newer (Python 3.12). This package is not there, and
nothing of it is imported here. `python -m benchmarks.labelling --lerobot PYTHON` calls it.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from importlib.metadata import version

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
from lerobot.annotations.steerable_pipeline.validator import classify_vqa_answer  # noqa: E402
from lerobot.datasets.language import column_for_style, validate_camera_field  # noqa: E402
from lerobot.datasets.language_render import emitted_at  # noqa: E402
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # noqa: E402


def main() -> None:
    new, old = (LeRobotDataset("made/set", root=root, video_backend="pyav") for root in sys.argv[1:3])
    assert len(new) == len(old) and set(new.features) == {*old.features, "language_events"}
    kinds: Counter[str] = Counter()
    for number in range(len(new)):
        item, before = new[number], old[number]
        for key, value in before.items():
            same = torch.equal(item[key], value) if isinstance(value, torch.Tensor) else item[key] == value
            assert same, (number, key)
        events = item["language_events"]
        for one in events:
            assert column_for_style(one["style"]) == "language_events"
            validate_camera_field(one["style"], one["camera"])
            assert one["camera"] in new.meta.video_keys
            if one["style"] == "vqa" and one["role"] == "assistant":
                kind = classify_vqa_answer(json.loads(one["content"]))
                assert kind is not None, one
                kinds[f"vqa {kind}"] += 1
            elif one["style"] == "trace":
                kinds["trace"] += 1
        for style, role in {(one["style"], one["role"]) for one in events}:
            for camera in {one["camera"] for one in events if (one["style"], one["role"]) == (style, role)}:
                # Raises where several rows could be meant.
                found = emitted_at(
                    float(item["timestamp"]),
                    persistent=[],
                    events=events,
                    style=style,
                    role=role,
                    camera=camera,
                )
                assert found is not None
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    print(
        f"lerobot {version('lerobot')} reads {new.num_episodes} episodes, {len(new)} frames, all as before; {told}; "
        "each event found by its frame, style, role and camera alone"
    )


if __name__ == "__main__":
    main()

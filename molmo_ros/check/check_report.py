# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The report of a watch, for people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from molmo_ros.check.camera_watch import Watched
from molmo_ros.check.finding import Finding, Grade
from molmo_ros.check.picture_judgement import PictureJudgement
from molmo_ros.check.watched_camera import WatchedCamera
from molmo_ros.geometry import PinholeCamera

MOST = 0.8
"""A camera of whose pictures more are refused gives no answers."""


def report(watched: Watched) -> str:
    """What was seen, what is wrong with it and what to change, and what the node would give."""
    lines = []
    for camera in watched.cameras:
        lines += [f"camera {camera.name}, {watched.seconds:.0f} s"]
        lines += [f"  {line}" for line in seen(camera, watched.last.get(camera.name))]
    clock = watched.clock
    if clock.count:
        pace = "" if clock.jumps else f", {clock.factor:.2f} of real time"
        lines.append(f"/clock: {clock.rate:.0f} Hz{pace}")
    lines.append("")
    several = len(watched.cameras) > 1
    for finding in watched.findings:
        whose = f" of {finding.camera}" if several and finding.camera else ""
        lines += [
            f"{finding.grade.value} {finding.subject}{whose}: {finding.text}",
            f"  change: {finding.change}",
        ]
    if watched.findings:
        lines.append("")
    lines += [verdict(camera, watched) for camera in watched.cameras]
    return "\n".join(lines)


def seen(camera: WatchedCamera, judgement: PictureJudgement | None) -> list[str]:
    """What came on each topic, and what it means."""
    lines = []
    for name, topic in camera.names.items():
        record = camera.records[name]
        if not record.count:
            if name != "depth/camera_info":
                lines.append(f"{name} on {topic}: nothing")
            continue
        kinds = " and ".join(record.kinds)
        frames = ", ".join(repr(one) for one in record.frames)
        period = f", stamps every {record.period * 1e3:.0f} ms" if record.period > 0 else ""
        lines.append(f"{name} on {topic}: {kinds}, {record.rate:.1f} Hz{period}, frame {frames}")
    if judgement is None:
        return lines
    if (model := judgement.camera_model) is not None:
        lines.append(view(model))
    if judgement.surroundings is not None:
        lines.append(distances(judgement.surroundings.depth))
    return lines + [f"taken for granted: {one}" for one in judgement.assumed]


def view(camera: PinholeCamera) -> str:
    """A calibration, with the angles that a user knows."""
    wide, high = (
        math.degrees(2 * math.atan(size / 2 / f))
        for size, f in ((camera.width, camera.fx), (camera.height, camera.fy))
    )
    return (
        f"calibration: fx {camera.fx:.2f}, fy {camera.fy:.2f}, cx {camera.cx:.2f}, cy {camera.cy:.2f}: "
        f"{wide:.1f} by {high:.1f} degrees ({math.radians(wide):.3f} rad wide)"
    )


def distances(depth: np.ndarray) -> str:
    """A depth image: its range, and how much of it there is."""
    metres = depth * (1e-3 if depth.dtype.kind == "u" else 1.0)
    good = metres[np.isfinite(metres) & (metres > 0)]
    if not good.size:
        return "distances: none"
    near, far = np.percentile(good, (1, 99))
    return f"distances: {near:.2f} to {far:.2f} m, in {good.size / metres.size:.0%} of the picture"


def verdict(camera: WatchedCamera, watched: Watched) -> str:
    """What the node gives with this camera."""
    findings = [one for one in watched.findings if one.camera in ("", camera.name)]
    judgement = watched.last.get(camera.name)
    if not camera.records["image"].count or judgement is None:
        return f"{camera.name}: the node has nothing to answer about"
    if watched.refused[camera.name] > MOST * watched.looks[camera.name]:
        return f"{camera.name}: the node refuses these pictures as STALE{_open(findings)}"
    if judgement.surroundings is None or not judgement.placed:
        return f"{camera.name}: points in pixels alone{_open(findings)}"
    frame = judgement.surroundings.frame_id
    return f"{camera.name}: points in metres in the frame {frame!r}{_open(findings)}"


def _open(findings: Sequence[Finding]) -> str:
    wrong = sum(one.grade is Grade.WRONG for one in findings)
    warned = sum(one.grade is Grade.WARNING for one in findings)
    parts = [f"{wrong} wrong"] * bool(wrong) + [f"{warned} to look at"] * bool(warned)
    return f"; {', '.join(parts)}" if parts else "; nothing is wrong"

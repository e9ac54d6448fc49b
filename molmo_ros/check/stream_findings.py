# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What ten seconds of a camera's topics say that no single picture does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from molmo_ros.bag.camera_topics import CameraTopics
from molmo_ros.check import cures
from molmo_ros.check.clock_findings import FACTOR, PLAY
from molmo_ros.check.finding import Finding, Grade
from molmo_ros.check.watched_camera import WatchedCamera
from molmo_ros.node.parameters.declaration import Settings

RATE = "<update_rate>10</update_rate> in SDF, or the driver's rate"
SLOW = 1.0
"""A camera below gives answers about what was [Hz]."""
SILENT = 2.0
"""A topic on which nothing has come for so long has stopped, where its rate is higher [s]."""
MISSING = {
    "image": ("no picture has come", Grade.WRONG),
    "depth": ("no depth has come: points stay in pixels", Grade.WRONG),
    "camera_info": ("no calibration has come: points stay in pixels", Grade.WRONG),
}
ARGUMENTS = {"image": "image", "depth": "depth", "camera_info": "camera_info"}


def stream_findings(
    camera: WatchedCamera,
    found: CameraTopics,
    topics: Sequence[str],
    settings: Settings,
    factor: float,
    paused: bool,
) -> list[Finding]:
    """Of one camera.

    Args:
        camera: What was heard.
        found: What the graph has for it.
        topics: All topics with images.
        settings: The parameters.
        factor: Simulated by real time; 0 without a simulation.
        paused: Whether the simulation stands still.
    """
    silence = _silence(camera, found, topics, settings)
    if paused:  # one line cures it
        silence = [replace(one, change=PLAY) for one in silence]
    findings = [*silence, *_publishers(camera)]
    if camera.records["image"].count:
        findings += [*_stamps(camera), *_rates(camera, factor), *_losses(camera)]
        findings += _shared_frame(camera, settings)
    return [replace(one, camera=camera.name) for one in findings]


def _shared_frame(camera: WatchedCamera, settings: Settings) -> list[Finding]:
    """Cameras that say that they are at the same place; told once."""
    text = camera.shared_frame()
    if not text or "=" in settings.optical_frame or camera.name != settings.cameras[0]:
        return []
    names = " ".join(f"{name}={name}_optical_frame" for name in settings.cameras)
    return [Finding(Grade.WRONG, "frame", text, f'optical_frame:="{names}"')]


def _silence(
    camera: WatchedCamera, found: CameraTopics, topics: Sequence[str], settings: Settings
) -> list[Finding]:
    findings = []
    for name, (what, grade) in MISSING.items():
        if name not in camera.names:
            continue
        record, used = camera.records[name], camera.names[name]
        if name == "camera_info" and any(settings.camera_matrix):
            continue
        if not record.count:
            since = f" since {camera.cleared}" if camera.cleared and name == "image" else ""
            text = f"{what} on {used}{since}: {camera.why_silent(name)}"
            findings.append(Finding(grade, "topic", text, _other_topic(camera, name, found, topics)))
        elif name != "camera_info" and record.silent_for > max(SILENT, 3 / record.rate if record.rate else 0):
            after = " since the clock went back" if camera.jumps else ""
            text = f"nothing has come on {used} for {record.silent_for:.1f} s{after}"
            change = (
                "start the simulation anew instead of resetting its time"
                if camera.jumps
                else "look after the driver, or press play in the simulation"
            )
            findings.append(Finding(Grade.WRONG, "topic", text, change))
    return findings


def _other_topic(camera: WatchedCamera, name: str, found: CameraTopics, topics: Sequence[str]) -> str:
    used, argument = camera.names[name], ARGUMENTS[name]
    other = {"image": found.image, "depth": found.depth, "camera_info": found.info}[name]
    if name == "depth" and camera.depths.what == "cloud":
        argument = "points"
    publishers = camera.publishers(name)
    if publishers and not all(reliable for _, reliable in publishers):
        return f"qos_overrides.{used}.subscription.reliability:=best_effort"
    if other and other != used:
        return f"{argument}:={other}"
    if publishers:
        return "start what feeds it: the driver, the bridge's other side (gz topic -e -t TOPIC), the paused world"
    if name == "depth":
        return "depth:=TOPIC (RealSense: enable_depth:=true align_depth.enable:=true), or use_depth:=false"
    if name == "camera_info":
        return "camera_info:=TOPIC, or camera_matrix:=[fx, fy, cx, cy]"
    candidates = ", ".join(topics[:6])
    return (
        f"image:=one of {candidates}"
        if candidates
        else "image:=TOPIC; nobody publishes images: start the driver"
    )


def _publishers(camera: WatchedCamera) -> list[Finding]:
    findings = []
    for name, used in camera.names.items():
        who = sorted({one for one, _ in camera.publishers(name)})
        if len(camera.publishers(name)) > 1 and camera.records[name].count:
            text = f"{len(camera.publishers(name))} publishers send on {used} ({', '.join(who)})"
            findings.append(Finding(Grade.WRONG, "topic", text, "end all but one of them, or remap one"))
    return findings


def _stamps(camera: WatchedCamera) -> list[Finding]:
    record, findings = camera.records["image"], []
    if record.backward > (0 if not camera.jumps else 2 * camera.jumps):
        text = (
            f"{record.backward} of {record.count} pictures are stamped before the one that came before them"
        )
        findings.append(
            Finding(
                Grade.WARNING, "stamps", text, "one publisher for each topic, and a clock that does not jump"
            )
        )
    if record.count > 2 and record.period == 0 and not record.unstamped:
        findings.append(
            Finding(Grade.WARNING, "stamps", "most pictures have the stamp of the one before", cures.STAMP)
        )
    if camera.from_before:
        text = f"{camera.from_before} pictures or depth images of before the clock's jump came after it"
        findings.append(
            Finding(Grade.NOTE, "stamps", f"{text}, and were not used", "nothing: the node leaves them out")
        )
    return findings


def _rates(camera: WatchedCamera, factor: float) -> list[Finding]:
    record, findings = camera.records["image"], []
    if 0 < record.rate < SLOW and (not factor or factor >= FACTOR):
        text = f"pictures come at {record.rate:.2f} Hz: answers are about what was up to {1 / record.rate:.1f} s ago"
        findings.append(Finding(Grade.WARNING, "rate", text, RATE))
    return findings


def _losses(camera: WatchedCamera) -> list[Finding]:
    findings = []
    for name, gaps, what in (
        ("image", camera.image_gaps, "images"),
        ("depth", camera.depth_gaps, "depth images"),
    ):
        if name in camera.names and (told := gaps.told(what)):
            text = told.partition(": ")[0]  # the line is told apart
            findings.append(Finding(Grade.WARNING, "losses", text, cures.losses(camera, name)))
    return findings

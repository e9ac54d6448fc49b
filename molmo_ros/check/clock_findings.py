# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is wrong with the time."""

from __future__ import annotations

from molmo_ros.check.clock_record import ClockRecord
from molmo_ros.check.finding import Finding, Grade
from molmo_ros.node.lifecycle.clock_state import CLOCK_TOPIC

FACTOR = 0.5
"""A simulation that runs slower than so much of real time is worth a word."""
FAST = 400.0
"""Rate of `/clock` that costs most ROS nodes a good part of a core [Hz]."""
LONGER_STEP = "<physics><max_step_size>0.004</max_step_size></physics> in the world"
BRIDGE = "/clock@rosgraph_msgs/msg/Clock[gz.msgs.Clock as an argument of ros_gz_bridge parameter_bridge"


ONE_CLOCK = "end all but one of them"
PLAY = "press play (gz sim -r starts so), or play the bag with --clock"


def clock_findings(clock: ClockRecord, standing: str, simulated: bool) -> list[Finding]:
    """Of `/clock`.

    Args:
        clock: What came on it.
        standing: Why its time stands, in the node's words; empty where it goes on.
        simulated: Whether the node takes its time from there (`use_sim_time`).
    """
    who = clock.publishers
    findings = []

    def add(grade: Grade, text: str, change: str) -> None:
        findings.append(Finding(grade, "clock", text, change))

    if len(who) > 1:
        text = (
            f"{len(who)} publishers set the time on {CLOCK_TOPIC} ({', '.join(who)}): it jumps between theirs"
        )
        add(Grade.WRONG, text, ONE_CLOCK)
    if not simulated:
        if clock.count:
            text = f"{CLOCK_TOPIC} is published, and the node takes the system's time"
            add(Grade.NOTE, text, "use_sim_time:=true where the pictures are stamped in that time")
        return findings
    if standing:
        add(Grade.WRONG, standing, PLAY if who else f"{BRIDGE}; or use_sim_time:=false")
    elif clock.factor < FACTOR:
        text = (
            f"the simulation runs at {clock.factor:.2f} of real time: pictures come so much more seldom, while "
            "max_frame_age and patience are in the node's time and in real time"
        )
        add(
            Grade.WARNING,
            text,
            f"smaller pictures, a lower <update_rate>, fewer lights and shadows; {LONGER_STEP}",
        )
    if len(who) < 2:
        for before, after in clock.jumps[:3]:
            times = f"from {before * 1e-9:.3f} s to {after * 1e-9:.3f} s"
            text = f"the clock went back {times}: what is from before is not used"
            add(Grade.WARNING, text, "reset the poses alone, not the time; bags without --loop")
    if clock.rate > FAST:
        text = (
            f"{CLOCK_TOPIC} comes at {clock.rate:.0f} Hz, which costs other rclpy nodes up to half of a core"
        )
        add(Grade.NOTE, text, LONGER_STEP)
    return findings

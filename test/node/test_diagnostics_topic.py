# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`/diagnostics` of a running node: what a robot's monitor sees of the life cycle, the cameras and the last error."""

import time

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402

OK, WARN, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.STALE


class Monitor:
    """The newest status of each part of the node, such as `model` or `camera left`."""

    def __init__(self, robot):
        self.robot, self.status, self.times = robot, {}, []
        self.subscription = robot.node.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_array, 10
        )

    def _on_array(self, message):
        self.times.append(time.monotonic())
        self.status = {one.name.removeprefix("molmo_node: "): one for one in message.status}

    def until(self, part, level, text):
        """Wait for a status of that level whose message has the text; returns its values."""
        self.robot.spin_until(
            lambda: (
                part in self.status and self.status[part].level == level and text in self.status[part].message
            )
        )
        return self.values(part)

    def while_frames_come(self, condition, camera="camera camera"):
        """Send ten frames a second until the camera's next status is so; returns that."""
        deadline, seen = time.monotonic() + 20, len(self.times)
        while len(self.times) <= seen or not condition(self.status[camera]):
            assert time.monotonic() < deadline, self.status.get(camera)
            self.robot.send_frame(settle=0.1)
        return self.status[camera]

    def values(self, part):
        return {one.key: one.value for one in self.status[part].values}


@pytest.fixture
def monitor(robot):
    watching = Monitor(robot)
    yield watching
    robot.node.destroy_subscription(watching.subscription)
    if robot.process:
        robot.stop()


def test_comes_once_a_second_with_every_part(robot, monitor):
    robot.start("-p", "cameras:=[left,right]", wait=False)
    monitor.until("queries", OK, "")
    robot.spin_until(lambda: len(monitor.times) >= 5)
    intervals = [later - earlier for earlier, later in zip(monitor.times, monitor.times[1:], strict=False)]
    assert sorted(intervals)[len(intervals) // 2] == pytest.approx(1.0, abs=0.25)
    assert list(monitor.status) == ["model", "queries", "camera left", "camera right"]
    model = monitor.values("model")
    assert (model["state"], model["model"], model["device"]) == ("active", "tiny", "cpu")
    assert float(model["load_time_s"]) >= 0 and float(model["memory_resident_mib"]) > 10
    assert set(monitor.values("camera left")) >= {"frame_rate_hz", "frame_age_s", "dropped_unseen", "problem"}
    assert set(monitor.values("queries")) >= {"total_median_s", "total_p95_s", "waiting", "status_found"}


def test_a_camera_that_never_came_one_that_froze_and_one_that_lives(robot, monitor, make):
    robot.start("-p", "max_frame_age:=1.0")
    monitor.until("camera camera", WARN, "no image has arrived")
    monitor.while_frames_come(lambda status: status.level == OK and float(status.message.split()[0]) > 3)
    values = monitor.values("camera camera")
    assert 3 < float(values["frame_rate_hz"]) < 12 and float(values["frame_age_s"]) < 1.0
    values = monitor.until("camera camera", WARN, "max_frame_age is 1 s")
    assert float(values["frame_age_s"]) > 1.0


def test_the_last_error_and_the_last_outcome_are_told(robot, monitor):
    robot.start()
    robot.send_frame()
    assert robot.ask("boom")["status"] == "ERROR"
    values = monitor.until("queries", WARN, "ended with ERROR: RuntimeError: out of memory")
    assert int(values["status_error"]) >= 1 and values["last_status"] == "ERROR"
    model = monitor.values("model")
    assert "out of memory" in model["last_error"] and 0 <= float(model["last_error_age_s"]) < 10
    robot.send_frame()
    assert robot.ask("at 0.5,0.5")["status"] == "FOUND"
    values = monitor.until("queries", OK, "answering")
    assert (values["status_found"], values["last_status"]) == ("1", "FOUND")
    assert float(values["model_median_s"]) >= 0 and float(values["frame_age_median_s"]) < 2
    robot.ask("")
    robot.ask("@elbow mug")
    monitor.until("queries", WARN, "there is no camera 'elbow'")
    values = monitor.values("queries")
    assert int(values["dropped_not_a_query"]) >= 1 and values["dropped_unknown_camera"] == "1"


def test_the_life_cycle_is_followed(robot, monitor):
    robot.start("-p", "autostart:=false", wait=False)
    monitor.until("model", STALE, "unconfigured")
    assert robot.change_state("configure")
    monitor.until("model", STALE, "inactive")
    assert robot.change_state("activate")
    monitor.until("model", OK, "active")
    assert float(monitor.values("model")["memory_active_resident_mib"]) > 10
    assert robot.change_state("deactivate")
    monitor.until("queries", STALE, "inactive")


def test_a_calibration_that_cannot_be_is_told_with_the_way_out(robot, monitor, make):
    robot.start(depth=True)
    half = make.info(32, 24)  # of an image of half the size
    robot.send_frame(depth=make.depth([[1.0] * 64] * 48), info=half)
    result = robot.ask("at 0.5,0.5")
    assert result["status"] == "NO_DEPTH" and "32x24" in result["reason"]
    assert "camera_matrix" in result["reason"]
    status = monitor.while_frames_come(lambda status: status.level == WARN and status.message != "")
    assert "the image is 64x48" in status.message and "camera_matrix" in status.message
    assert not robot.set(camera_matrix=[60.0, 60.0, 31.5, 23.5])
    robot.send_frame(depth=make.depth([[1.0] * 64] * 48))
    assert robot.ask("at 0.5,0.5")["points"][0]["xyz"] == pytest.approx([0, 0, 1], abs=1e-6)
    monitor.while_frames_come(lambda status: status.level == OK)
    assert monitor.values("camera camera")["problem"] == ""

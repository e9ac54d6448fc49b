# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The diagnostics' levels, values and names, on real messages."""

import math
import threading
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Duration  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from molmo_msgs.msg import ObjectPoint, ObjectPointArray, StageTime  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from rclpy.time import Time  # noqa: E402

from molmo_ros.node.health.diagnostics import Diagnostics  # noqa: E402
from molmo_ros.node.health.stamp_gaps import StampGaps  # noqa: E402
from molmo_ros.node.records.model_choice import ModelChoice  # noqa: E402

NOW = Time(seconds=1000)
OK, WARN, ERROR, STALE = (
    DiagnosticStatus.OK,
    DiagnosticStatus.WARN,
    DiagnosticStatus.ERROR,
    DiagnosticStatus.STALE,
)


class HandClock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def diagnostics(clock):
    return Diagnostics("molmo_node", ["wrist", "head"], ModelChoice(device="cuda:1"), clock=clock)


@pytest.fixture
def active(diagnostics):
    """Those of a node that is active and has fresh frames."""
    diagnostics.model_loaded("torch", 2.5)
    diagnostics.set_state("active")
    for camera in ("wrist", "head"):
        diagnostics.record_frame(camera, NOW.nanoseconds)
    return diagnostics


def duration(seconds):
    return Duration(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))


def outcome(status=ObjectPointArray.FOUND, camera="wrist", source=ObjectPointArray.TOPIC, **stages):
    """An outcome; `stages` are its timings [s]."""
    array = ObjectPointArray(status=status, camera=camera, source=source, frame_age=duration(0.25))
    if status == ObjectPointArray.FOUND:
        array.points.append(ObjectPoint(has_position=True))
    for stage, seconds in stages.items():
        array.timings.append(StageTime(stage=stage, duration=duration(seconds)))
    return array


def read(diagnostics, now=NOW, **state):
    """Level, message and values of each status, by what its name ends on."""
    message = diagnostics.message(now, **state)
    assert deserialize_message(serialize_message(message), DiagnosticArray) == message
    assert message.header.stamp == now.to_msg()
    read = {}
    for status in message.status:
        node, part = status.name.split(": ")
        assert (node, status.hardware_id) == ("molmo_node", "cuda:1")
        keys = [value.key for value in status.values]
        assert len(set(keys)) == len(keys)
        assert all(key.isidentifier() and key == key.lower() for key in keys)
        read[part] = status.level, status.message, {value.key: value.value for value in status.values}
    return read


def test_one_status_for_the_model_the_queries_and_each_camera(diagnostics):
    assert list(read(diagnostics)) == ["model", "queries", "camera wrist", "camera head"]


def test_all_is_stale_until_active(diagnostics):
    diagnostics.record_frame("wrist", NOW.nanoseconds)
    for state in ("unconfigured", "inactive", "finalized"):
        diagnostics.set_state(state)
        assert {level for level, _, _ in read(diagnostics).values()} == {STALE}
        assert {text for _, text, _ in read(diagnostics).values()} == {state}


def test_all_is_well(active):
    assert {level for level, _, _ in read(active).values()} == {OK}


def test_keys_do_not_depend_on_what_happens(diagnostics, clock):
    def keys():
        return {part: list(values) for part, (_, _, values) in read(diagnostics).items()}

    before = keys()
    diagnostics.model_loaded("torch", 2.5)
    diagnostics.set_state("active")
    diagnostics.record_frame("head", NOW.nanoseconds, dropped=3)
    diagnostics.record_outcome(outcome(total=1.0, model=0.9, wait=0.01, decode=0.5))
    diagnostics.record_outcome(outcome(ObjectPointArray.ERROR))
    diagnostics.record_error("out of memory", fatal=True)
    diagnostics.record_problem("head", "K is of another image")
    assert keys() == before


def test_model(active, clock):
    active.record_error("the depth image is empty")
    clock.now += 7.0
    level, text, values = read(active)["model"]
    assert (level, text) == (OK, "active")
    shown = {key: values[key] for key in ("state", "model", "engine", "device", "dtype", "load_time_s")}
    assert shown == {
        "state": "active",
        "model": "tiny",
        "engine": "torch",
        "device": "cuda:1",
        "dtype": "float32",
        "load_time_s": "2.500",
    }
    assert (values["last_error"], values["last_error_age_s"]) == ("the depth image is empty", "7.0")


def test_memory_by_state(diagnostics):
    diagnostics.set_state("inactive")
    block = np.ones(64 * 2**20, np.uint8)
    diagnostics.set_state("active")
    _, _, values = read(diagnostics)["model"]
    held = float(values["memory_active_resident_mib"]) - float(values["memory_inactive_resident_mib"])
    assert held == pytest.approx(64, rel=0.1)
    assert values["memory_resident_mib"] == values["memory_active_resident_mib"]
    assert math.isnan(float(values["memory_active_gpu_allocated_mib"]))
    del block
    _, _, values = read(diagnostics)["model"]
    left = float(values["memory_active_resident_mib"]) - float(values["memory_inactive_resident_mib"])
    assert abs(left) < 16


def test_why_there_are_no_cuda_graphs(active):
    assert read(active)["model"][2]["cuda_graphs_refused"] == ""
    active.record_graphs_refused("recording failed: CUDA error")
    level, _, values = read(active)["model"]
    assert (level, values["cuda_graphs_refused"]) == (OK, "recording failed: CUDA error")


def test_fatal_error_until_the_model_is_loaded_again(active):
    active.record_error("CUDA error: an illegal memory access was encountered", fatal=True)
    active.set_state("unconfigured")
    level, text, _ = read(active)["model"]
    assert (level, text) == (ERROR, "CUDA error: an illegal memory access was encountered")
    active.model_loaded("torch", 2.5)
    active.set_state("active")
    level, _, values = read(active)["model"]
    assert level == OK
    assert values["last_error"].startswith("CUDA error")


def test_latencies_and_rate_are_those_of_answers(active, clock):
    totals = np.random.default_rng(3).uniform(0.5, 2.5, 40)
    for total in totals:
        clock.now += 1.0
        active.record_outcome(outcome(total=total, model=total - 0.25, wait=0.125))
    # None of these is an answer of the model.
    active.record_outcome(outcome(ObjectPointArray.STALE, total=0.001))
    active.record_outcome(outcome(ObjectPointArray.CANCELLED, total=9.0, model=9.0))
    active.record_outcome(outcome(ObjectPointArray.ERROR, total=9.0, model=9.0))
    tracked = outcome(total=0.001, model=0.001)
    tracked.tracked = True
    active.record_outcome(tracked)
    _, _, values = read(active)["queries"]
    assert float(values["answer_rate_hz"]) == pytest.approx(1.0, abs=1e-3)
    assert float(values["total_median_s"]) == pytest.approx(np.median(totals), abs=1e-3)
    assert float(values["total_p95_s"]) == pytest.approx(np.percentile(totals, 95), abs=1e-3)
    assert float(values["model_median_s"]) == pytest.approx(np.median(totals) - 0.25, abs=1e-3)
    assert (values["wait_median_s"], values["wait_p95_s"]) == ("0.125", "0.125")
    assert values["frame_age_median_s"] == "0.250"
    counted = {key: value for key, value in values.items() if key.startswith("status_") and value != "0"}
    assert counted == {
        "status_found": "40",
        "status_stale": "1",
        "status_cancelled": "1",
        "status_error": "1",
    }


def test_statuses_are_all_of_the_message(diagnostics):
    constants = {
        value
        for name, value in vars(type(ObjectPointArray)).get("_Metaclass_ObjectPointArray__constants").items()
        if name == value
    }
    _, _, values = read(diagnostics)["queries"]
    assert {f"status_{status.lower()}" for status in constants} == {
        key for key in values if key.startswith("status_")
    }


def test_waiting_preempted_and_dropped_queries(active):
    active.record_preemption()
    for reason in ("queue_full", "not_active", "queue_full"):
        active.record_drop(reason)
    _, _, values = read(active, waiting=3)["queries"]
    assert (values["waiting"], values["preempted"]) == ("3", "1")
    assert (values["dropped_queue_full"], values["dropped_not_active"]) == ("2", "1")


@pytest.mark.parametrize(
    "status, level",
    [
        (ObjectPointArray.FOUND, OK),
        (ObjectPointArray.NOT_FOUND, OK),
        (ObjectPointArray.ANSWERED, OK),
        (ObjectPointArray.CANCELLED, OK),
        (ObjectPointArray.ERROR, WARN),
        (ObjectPointArray.TIMEOUT, WARN),
        (ObjectPointArray.NO_DEPTH, WARN),
        (ObjectPointArray.BUSY, WARN),
    ],
)
def test_level_is_that_of_the_last_query(active, status, level):
    active.record_outcome(outcome(ObjectPointArray.ERROR))
    array = outcome(status, total=0.1, model=0.1)
    array.reason = "because of the test"
    active.record_outcome(array)
    read_level, text, values = read(active)["queries"]
    assert read_level == level
    assert values["last_status"] == status
    assert ("because of the test" in text) == (level == WARN)


def test_continuous_queries_that_are_too_slow_for_their_period(active):
    for _ in range(5):
        active.record_outcome(outcome(source=ObjectPointArray.CONTINUOUS, total=1.5, model=1.4))
        active.record_outcome(outcome(source=ObjectPointArray.SERVICE, total=8.0, model=8.0))
    assert read(active, period=1.0)["queries"][0] == WARN
    assert read(active, period=2.0)["queries"][0] == OK  # the slow ones are not continuous
    assert read(active)["queries"][0] == OK


def test_cameras_are_apart(active, clock):
    for index in range(150):
        clock.now += 1 / 30
        active.record_frame("wrist", NOW.nanoseconds + index * 33_333_333, dropped=index // 2)
    now = Time(nanoseconds=NOW.nanoseconds + 149 * 33_333_333 + 120_000_000)
    levels = read(active, now=now, max_frame_age=1.0)
    level, text, values = levels["camera wrist"]
    assert level == OK
    assert float(values["frame_rate_hz"]) == pytest.approx(30, rel=0.03)
    assert (values["frame_age_s"], values["dropped_unseen"]) == ("0.120", "74")
    level, text, values = levels["camera head"]
    assert level == WARN and "5.09 s old" in text
    assert read(active, now=now, max_frame_age=0.0)["camera head"][0] == OK


def test_camera_without_frames(diagnostics):
    diagnostics.set_state("active")
    level, text, values = read(diagnostics)["camera head"]
    assert (level, text) == (WARN, "no image has arrived")
    assert math.isnan(float(values["frame_age_s"]))


def test_what_a_camera_loses_is_a_warning_with_its_cure(active):
    images, depths = StampGaps(), StampGaps()
    active.record_frame("wrist", NOW.nanoseconds)
    for number in range(60):
        images.add(number * 10**8)
        if number % 3 != 2:
            depths.add(number * 10**8)
    active.record_losses("wrist", images, depths)
    level, text, values = read(active)["camera wrist"]
    assert level == WARN and text.startswith("33% of the depth images do not arrive")
    assert (values["images_lost_share"], values["depth_lost_share"]) == ("0.00", "0.33")
    active.record_losses("wrist", images, images)
    assert read(active)["camera wrist"][0] == OK


def test_errors_of_callbacks_are_counted_and_the_last_is_shown(active):
    assert [active.record_callback_error(f"topic /clock: {number}") for number in range(2)] == [1, 2]
    values = read(active)["model"][2]
    assert (values["callback_errors"], values["last_error"]) == ("2", "topic /clock: 1")


def test_camera_whose_queries_fail(active):
    for status, reason in [
        (ObjectPointArray.STALE, "the frame is 3 s old"),
        (ObjectPointArray.NO_DEPTH, "no depth image within 0.02 s"),
    ]:
        array = outcome(status)
        array.reason = reason
        active.record_outcome(array)
    level, text, values = read(active)["camera wrist"]
    assert (level, text) == (WARN, "no depth image within 0.02 s")
    assert (values["refused_stale"], values["depth_missing"]) == ("1", "1")
    assert read(active)["camera head"][0] == OK
    active.record_outcome(outcome(ObjectPointArray.NOT_FOUND))
    assert read(active)["camera wrist"][0] == OK


def test_reported_problem_stays_until_it_is_reported_gone(active):
    active.record_problem("head", "camera_info is of 320x240 images, these are 640x480")
    active.record_outcome(outcome(camera="head"))
    level, text, values = read(active)["camera head"]
    assert (level, text) == (WARN, "camera_info is of 320x240 images, these are 640x480")
    assert values["problem"] == text
    active.record_problem("head", "")
    assert read(active)["camera head"][0] == OK


def test_reports_from_many_threads(active):
    def report(camera):
        for index in range(1000):
            active.record_frame(camera, NOW.nanoseconds + index)
            active.record_outcome(outcome(camera=camera, total=0.1, model=0.1))
            active.record_drop("queue_full")
            active.record_preemption()

    threads = [threading.Thread(target=report, args=(camera,)) for camera in ("wrist", "head") * 2]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        read(active)
    _, _, values = read(active)["queries"]
    assert (values["status_found"], values["dropped_queue_full"], values["preempted"]) == ("4000",) * 3


def test_nothing_grows(active, clock):
    def live(rounds):
        for index in range(rounds):
            clock.now += 0.01
            active.record_frame("wrist", NOW.nanoseconds + index, dropped=index)
            array = outcome(ObjectPointArray.ERROR, total=0.1, model=0.1)
            array.reason = f"{index} went wrong: " + "x" * 10_000
            active.record_outcome(array)
            active.record_outcome(outcome(total=0.1, model=0.1))
            active.record_drop(f"reason {index}")
            active.record_problem("wrist", array.reason)
        return sum(len(value.key + value.value) for s in active.message(NOW).status for value in s.values)

    live(2000)  # fills the windows
    tracemalloc.start()
    size, before = live(500), tracemalloc.get_traced_memory()[0]
    assert live(2500) == pytest.approx(size, abs=100)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 300_000


def test_how_long_objects_are_looked_for_and_how_often_in_vain(active):
    active.record_objects({"regions": 20.0, "grasps": 10.0})
    active.record_objects({"regions": 40.0})
    active.record_objects({}, "no plane of any size")
    _, _, values = read(active)["queries"]
    assert float(values["regions_median_s"]) == 0.03 and float(values["grasps_median_s"]) == 0.01
    assert values["regions_failed"] == "1"
    assert read(active)["model"][2]["last_error"] == "no plane of any size"


def test_queries_are_as_bad_as_the_worst_of_them(active):
    """Whatever the order in which they ended, and though the last one ended well."""
    active.record_queries({name: name for name in ("cup", "ball", "box")})
    ends = {"cup": "NO_DEPTH", "ball": "ERROR", "box": "NO_TRANSFORM"}
    for order in (["cup", "ball", "box"], ["ball", "box", "cup"], ["box", "cup", "ball"]):
        for query in order:
            array = outcome(ends[query], source=ObjectPointArray.CONTINUOUS)
            array.query, array.reason = query, f"of {query}"
            active.record_outcome(array)
        active.record_outcome(outcome())
        level, text, _ = read(active)["queries"]
        assert (level, text) == (WARN, "'ball' about wrist ended with ERROR: of ball (and 2 more)")
    good = outcome(source=ObjectPointArray.CONTINUOUS)
    good.query = "ball"
    active.record_outcome(good)
    assert "'box' about wrist ended with NO_TRANSFORM" in read(active)["queries"][1]
    active.record_outcome(outcome("TIMEOUT"))
    assert read(active)["queries"][1].startswith("the last query ended with TIMEOUT")


def test_after_a_jump_of_the_clock_no_image_is_there_until_one_comes(active):
    active.record_silence("wrist", "the clock went back by 3 s", "nobody publishes it")
    said = "no image has arrived since the clock went back by 3 s: nobody publishes it"
    assert read(active)["camera wrist"][:2] == (WARN, said)
    active.record_frame("wrist", NOW.nanoseconds)
    assert read(active)["camera wrist"][0] == OK


def test_a_clock_that_stands_and_a_second_one(active):
    active.record_clock("the clock stands at 3 s", "")
    assert read(active)["camera head"][:2] == (WARN, "no new image: the clock stands at 3 s")
    active.record_clock("", "2 publishers set the time")
    assert read(active)["camera head"][:2] == (WARN, "2 publishers set the time")
    assert active.untold() == ["2 publishers set the time"] and active.untold() == []
    active.record_clock("", "")
    assert read(active)["camera head"][0] == OK


def test_what_is_wrong_is_for_the_log_once_whatever_its_numbers(active):
    active.record_problem("head", "depth is 12 mm off")
    assert active.untold() == ["camera head: depth is 12 mm off"]
    active.record_problem("head", "depth is 13.5 mm off")
    assert active.untold() == []
    active.record_problem("head", "")
    active.record_problem("wrist", "depth is 12 mm off")
    assert active.untold() == ["camera wrist: depth is 12 mm off"]

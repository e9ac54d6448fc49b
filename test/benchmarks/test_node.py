# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The benchmarks of the node run to their end, each at its smallest; how long things take is their own matter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    """Runs a benchmark and returns its figures."""

    def run(name, *arguments, may_fail=False):
        path = tmp_path / "figures.json"
        command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--json", str(path)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode in ((0, 1) if may_fail else (0,)), done.stdout + done.stderr
        figures = json.loads(path.read_text())
        assert figures["benchmark"] == name
        assert {"date", "commit", "cpus", "rmw", "load_average", "parameters"} <= set(figures)
        return figures

    return run


def test_overhead_of_every_mode(run):
    arguments = ("--answers", "2", "--sizes", "64x48", "--encodings", "rgb8", "jpeg")
    rows = run("node_overhead", *arguments, may_fail=True)["rows"]
    assert {(row["encoding"], row["mode"], row["listeners"]) for row in rows} == {
        (encoding, mode, listeners)
        for encoding in ("rgb8", "jpeg")
        for mode in ("topic", "service", "action", "continuous")
        for listeners in ("points", "all")
    }
    for row in rows:
        assert row["cpu_ms_median"] > 0
        assert 0 < row["node_ms_median"] <= row["node_ms_p95"]
        assert 0 < row["whole_ms_median"] <= row["whole_ms_p95"]


def test_freshness_shows_what_tracking_is_for(run):
    arguments = ("--seconds", "2", "--sizes", "320x240", "--answer-times", "1")
    plain, tracked = run("node_freshness", *arguments)["rows"]
    assert (plain["tracking"], tracked["tracking"]) == ("off", "on")
    assert plain["age_s_median"] >= 1
    assert plain["error_px_median"] < 2  # the model's own: the point is right for its picture
    assert tracked["hz"] > plain["hz"]
    assert tracked["age_s_median"] < plain["age_s_median"]
    assert tracked["error_now_px_median"] < plain["error_now_px_median"]


def test_throughput_is_between_the_rates_that_were_tried(run):
    arguments = ("--seconds", "1", "--sizes", "64x48", "--cases", "answers", "--most", "10")
    (row,) = run("node_throughput", *arguments)["rows"]
    assert 5 <= row["highest_hz"] < 10
    assert row["latency_at_hz"] == pytest.approx(0.8 * row["highest_hz"], abs=0.1)
    assert 0 < row["latency_ms_median"] <= row["latency_ms_p95"]


def test_soak_counts_everybody_who_asked(run):
    figures = run("node_soak", "--minutes", "0.15", "--size", "320x240", "--answer-time", "1.5")
    assert (figures["stale_answers"], figures["unanswered"]) == (0, 0)
    assert len(figures["samples"]) == 40
    assert all(sample["rss_mb"] > 10 and sample["threads"] > 1 for sample in figures["samples"])
    assert figures["clients"]["service FOUND"] > 0
    assert figures["clients"]["action CANCELLED"] > 0


def test_processor_time_of_an_idle_node(run):
    rows = run("node_cpu", "--seconds", "0.5", "--size", "320x240")["rows"]
    assert [row["case"].split()[0] for row in rows] == ["no", "camera", "camera", "tracking"]
    assert all(row["cpu_percent"] >= 0 and row["threads"] > 1 for row in rows)


def test_objects_follow_the_points(run):
    (row,) = run("node_objects", "--seconds", "2", "--size", "320x240", "--listeners", "all")["rows"]
    assert row["points_hz"] > 0 and row["objects_hz"] > 0 and row["found"] > 0.5
    assert row["regions_ms_median"] > 0 and row["grasps_ms_median"] > 0

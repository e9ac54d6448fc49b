# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes wrong in the middle: nothing is lost, nothing comes twice, and a sentence says what to do."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.made_recordings import write_bag, write_lerobot

BUSY = ("--rate", "0", "--track", "--cameras", "top")
"""Every frame of one camera: seconds of work for each episode."""


def processes_below(pid):
    """(process, command line) of all that descend from a process."""
    parents, commands = {}, {}
    for one in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(one.name)] = int((one / "stat").read_text().rsplit(")", 1)[1].split()[1])
            commands[int(one.name)] = (one / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has ended
            continue

    def is_below(process):
        while process in parents:
            process = parents[process]
            if process == pid:
                return True
        return False

    return [(one, commands[one]) for one in parents if is_below(one)]


def wait_for(what, running, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        if running.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(running.communicate()[0])


def busy_workers(running):
    return [
        pid for pid, command in processes_below(running.pid) if command.startswith("ray::UnitWorker.label")
    ]


def child(running, name):
    """A process below it that runs the program of that name, wherever it lies."""
    return next((pid for pid, _ in processes_below(running.pid) if program(pid).endswith(name)), None)


def program(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:  # it has ended
        return ""


def ended(running, code):
    said = running.communicate(timeout=240)[0]
    assert running.returncode == code, said
    return said


def is_running(pid):
    try:
        return (Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]) != "Z"
    except OSError:
        return False


def assert_same(rows, expected):
    """Nothing lost, nothing twice, nothing else: but for the last digits of scores, which depend on what else the same
    worker was asked before (how many tokens a pass verifies together)."""
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        for name, value in row.items():
            if name in ("score", "not_found_probability") and value is not None:
                assert value == pytest.approx(other[name], abs=1e-3)
            else:
                assert value == other[name], name


@pytest.fixture(scope="module")
def undisturbed(dataset, tmp_path_factory):
    """The rows of a run that nothing disturbs, but for what a process counts up."""
    from test.labelling.conftest import Labelling

    labelling = Labelling(tmp_path_factory.mktemp("undisturbed"))
    labelling.run(dataset, options=BUSY)
    return labelling.rows()


def test_a_killed_worker_costs_nothing_but_time(labelling, dataset, undisturbed):
    running = labelling.start(dataset, options=BUSY)
    victim = wait_for(lambda: busy_workers(running), running)[0]
    os.kill(victim, signal.SIGKILL)
    said = ended(running, 0)
    assert f"its worker (process {victim} on " in said and "it is tried once more" in said
    assert "6 labelled now, 0 before, 0 failed" in said
    assert_same(labelling.rows(), undisturbed)
    assert not list(labelling.root.glob(".staging/*"))


def test_a_killed_driver_is_resumed(labelling, dataset, undisturbed):
    running = labelling.start(dataset, options=BUSY)
    wait_for(lambda: len(list(labelling.out.glob("*/episodes/*/*/*/labels.parquet"))) >= 2, running)
    below = [pid for pid, _ in processes_below(running.pid)]
    running.kill()
    running.communicate()
    done = len(labelling.units())
    assert 2 <= done < 6
    said = labelling.run(dataset, options=BUSY)
    assert f"{6 - done} labelled now, {done} before, 0 failed" in said
    assert_same(labelling.rows(), undisturbed)
    end = time.monotonic() + 240
    while left := [pid for pid in below if is_running(pid)]:  # what it had started ends, too
        assert time.monotonic() < end, left
        time.sleep(0.2)


@pytest.mark.parametrize("name", ["gcs_server", "raylet"])
def test_a_ray_that_is_gone(name, labelling, episodes, tmp_path):
    many = write_lerobot(tmp_path / "many", episodes * (2 if name == "gcs_server" else 8))
    running = labelling.start(many, options=BUSY)
    wait_for(lambda: busy_workers(running), running)
    os.kill(child(running, f"/{name}"), signal.SIGKILL)
    said = ended(running, 2)
    assert "is gone" in said and "run the same command, which goes on with what is missing" in said
    before = {path: path.stat().st_mtime_ns for path in labelling.units()}
    assert len(before) < 12 or name == "raylet"
    if name == "raylet":  # how it goes on is no other matter, and takes a while
        return
    said = labelling.run(many, options=BUSY)
    assert f"{12 - len(before)} labelled now, {len(before)} before, 0 failed" in said
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in before.items())
    keys = [
        (row["episode_index"], row["frame"], row["query"]) for row in labelling.rows() if row["key_frame"]
    ]
    assert len(set(keys)) == 12 * 20 * 2


def test_two_runs_into_one_folder(labelling, dataset):
    running = labelling.start(dataset, options=BUSY)
    wait_for(lambda: list(labelling.out.glob("*/manifest.json")), running)
    said = labelling.run(dataset, queries=["mug"], code=2)
    assert f"is being written by process {running.pid} of " in said
    assert "wait until that has ended, or choose another --out" in said
    assert "6 labelled now" in ended(running, 0)
    assert len(labelling.sets) == 1


def test_an_interrupt_keeps_what_is_done(labelling, dataset, undisturbed):
    running = labelling.start(dataset, options=BUSY)
    wait_for(lambda: len(list(labelling.out.glob("*/episodes/*/*/*/labels.parquet"))) >= 1, running)
    running.send_signal(signal.SIGINT)
    said = ended(running, 130)
    assert "interrupted: what is done is kept" in said
    done = len(labelling.units())
    assert {row["episode"] for row in labelling.rows()} == {path.parts[-3] for path in labelling.units()}
    assert f"{6 - done} labelled now, {done} before" in labelling.run(dataset, options=BUSY)
    assert_same(labelling.rows(), undisturbed)


def test_damaged_bags_among_good_ones(labelling, bags, episodes, copied):
    folder = copied(bags)
    write_bag(folder / "blind", episodes[3], ("/other/image",))
    whole = write_bag(folder / "cut", episodes[4], ("/top/image",)) / "cut.mcap"
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    (folder / "empty").mkdir()
    (folder / "empty" / "empty_0.mcap").write_bytes(b"")
    said = labelling.run(folder, options=("--rate", "2", "--cameras", "top"), code=1)
    assert "6 units: 4 labelled now, 0 before, 2 failed" in said
    rows = labelling.rows()
    reasons = {
        row["episode"]: row["reason"] for row in rows if row["status"] == "ERROR" and row["frame"] is None
    }
    assert reasons.keys() == {"blind", "empty"}
    assert reasons["blind"] == "there is no camera 'top'; topics of pictures: /other/image"
    assert "is empty (0 bytes): nothing was recorded" in reasons["empty"]
    manifest = labelling.manifest()
    assert [name.split("/")[1].strip() for name in manifest["damaged"]] == ["cut"]
    seen = [row["frame"] for row in rows if row["episode"] == "cut"]
    assert 0 in seen and max(seen) < 20
    for name in ("a b", "ü", "c"):
        assert {row["frame"] for row in rows if row["episode"] == name} == {0, 5, 10, 15}
    # What failed is tried again by the next run, and its row goes when it is there.
    shutil.rmtree(folder / "blind")
    write_bag(folder / "blind", episodes[3], ("/top/image",))
    said = labelling.run(folder, options=("--rate", "2", "--cameras", "top"), code=1)
    assert "6 units: 1 labelled now, 4 before, 1 failed" in said
    assert not [row for row in labelling.rows() if row["episode"] == "blind" and row["status"] == "ERROR"]


def test_a_damaged_video_and_a_missing_one(labelling, dataset, copied):
    root = copied(dataset)
    top, wrist = (root / f"videos/observation.images.{one}/chunk-000" for one in ("top", "wrist"))
    data = bytearray((top / "file-000.mp4").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 6000] = bytes(6000)
    (top / "file-000.mp4").write_bytes(data)
    (wrist / "file-001.mp4").unlink()
    said = labelling.run(root, options=("--rate", "0"), code=1)
    assert "2 failed" in said and "there is no video" in said and "read in part" in said
    rows = labelling.rows()
    failed = [row for row in rows if row["frame"] is None]
    assert {(row["episode_index"], row["camera"]) for row in failed} == {
        (4, "observation.images.wrist"),
        (5, "observation.images.wrist"),
    }
    # Every frame of the damaged file has its row for each query, an error where it cannot be decoded.
    its = {}
    for row in rows:
        if row["camera"].endswith("top") and row["episode_index"] < 4:
            its.setdefault((row["episode_index"], row["frame"], row["query"]), set()).add(row["status"])
    assert len(its) == 4 * 20 * 2
    errors = [key for key, statuses in its.items() if "ERROR" in statuses]
    assert 2 <= len(errors) < 80
    assert labelling.manifest()["damaged"]


def test_a_video_that_is_none(labelling, dataset, copied):
    root = copied(dataset)
    for path in root.rglob("file-000.mp4"):
        path.write_bytes(b"no video at all")
    said = labelling.run(root, options=("--rate", "1"), code=1)
    assert "4 labelled now, 0 before, 8 failed" in said and "cannot be opened as a video" in said


@pytest.mark.skipif(os.geteuid() != 0 and not shutil.which("unshare"), reason="no way to mount a small disk")
def test_a_full_disk(labelling, dataset, undisturbed, tmp_path):
    labelling.out.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(labelling.out)]
    command = labelling.command(dataset, options=BUSY)
    script = f"{subprocess.list2cmdline(mount)} && exec {subprocess.list2cmdline(command)}"
    space = (
        ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    )
    kept = tmp_path / "kept"
    script = f"{script.replace('exec ', '')}; code=$?; cp -r '{labelling.out}' '{kept}'; exit $code"
    done = subprocess.run([*space, "sh", "-c", script], capture_output=True, text=True, timeout=240)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert f"no room is left on the disk of {labelling.out}: what is done is kept; make room and run" in said
    units = list(kept.glob("*/episodes/*/*/*/labels.parquet"))
    assert units and all(pq.read_table(one).num_rows for one in units)  # none is there in part
    # With room, it goes on.
    labelling.out.rmdir()
    shutil.copytree(kept, labelling.out)
    assert f"{len(units)} before" in labelling.run(dataset, options=BUSY)
    assert_same(labelling.rows(), undisturbed)


def test_workers_that_do_not_fit(labelling, dataset):
    said = labelling.run(dataset, options=("--gpus-per-model", "0.5"), code=2)
    assert "--gpus-per-model 0.5: no machine has that many GPUs, the most is 0" in said
    said = labelling.run(dataset, options=("--cpus-per-model", "999"), code=2)
    assert "--cpus-per-model 999: no machine has that many cores" in said
    said = labelling.run(dataset, options=("--gpus-per-model", "2"), code=2)
    assert "a model runs on one GPU, so it is a number from 0 to 1" in said


def test_a_model_that_no_worker_can_load(labelling, dataset):
    said = labelling.run(dataset, options=("--engine", "onnx", "--engine-path", "nowhere"), code=2)
    assert "no worker can load the model" in said and "nowhere" in said
    said = labelling.run(dataset, options=("--model", "molmo-none"), code=2)
    assert "molmo-none" in said and "Traceback" not in said


def test_a_cluster_that_is_not_there(labelling, dataset):
    said = labelling.run(dataset, options=("--address", "127.0.0.1:1"), code=2)
    assert "there is no Ray cluster at 127.0.0.1:1" in said

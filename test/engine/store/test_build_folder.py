# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Builds that become engines: whole ones only, whatever ends a build, a disk or another build."""

import errno
import os
import shutil
import stat
import subprocess

import pytest

from molmo_ros.engine.errors import EngineError, TamperedEngineError
from molmo_ros.engine.store.build_folder import BUILDING, BuildFolder, remove_engine
from molmo_ros.engine.store.engines_home import find_engines
from molmo_ros.engine.store.manifest import MANIFEST, Manifest
from molmo_ros.engine.store.verified_files import verify_files

NAME = "tiny-rtx40-int4"
KILLED = 77


def contents(folder):
    """Files of an engine, but for its manifest, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


# Counts changes to the disk, and ends the process at the one that it is told.
DIE_AT = """
import os

left = [{step}]

def counted(call):
    def counting(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            os._exit({code})
        return call(*arguments, **options)
    return counting

for name in ("rename", "replace", "fsync", "rmdir", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
workshop.build(seed=b"new")
"""


def test_a_build_becomes_an_engine_of_its_files_and_nothing_else(workshop):
    before = os.umask(0o002)
    try:
        engine = workshop.build()
    finally:
        os.umask(before)
    assert engine == workshop.home / NAME
    assert contents(engine) == workshop.contents()
    verify_files(engine, Manifest.read(engine))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in engine.iterdir()}
    assert modes == dict.fromkeys((MANIFEST, *workshop.contents()), 0o600)
    for folder in (engine, workshop.home, workshop.home / BUILDING):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not (workshop.home / BUILDING / NAME).exists()


def test_what_a_build_left_is_there_for_the_next(workshop):
    with BuildFolder(workshop.home, NAME) as building, pytest.raises(KeyboardInterrupt):
        (building.path / "vision.engine").write_bytes(b"done")
        (building.path / "quantised").mkdir()
        raise KeyboardInterrupt
    assert find_engines(workshop.home) == []
    with BuildFolder(workshop.home, NAME) as building:
        assert (building.path / "vision.engine").read_bytes() == b"done"
        assert (building.path / "quantised").is_dir()


def test_a_new_build_takes_the_place_of_an_engine(workshop):
    old, new = workshop.build(seed=b"old"), workshop.build(seed=b"new")
    assert old == new and contents(new) == workshop.contents(seed=b"new")
    assert [folder for folder, _ in find_engines(workshop.home)] == [new]
    assert sorted(os.listdir(workshop.home / BUILDING)) == [f".{NAME}.lock"]


@pytest.mark.parametrize("replaces", [False, True], ids=["first", "replacing"])
def test_a_kill_between_any_two_steps_leaves_whole_engines_only(workshop, replaces):
    """The n-th change to the disk kills the process, for every n; then the same command is run again."""

    old, new = workshop.contents(seed=b"old"), workshop.contents(seed=b"new")
    step, lost = 0, 0
    while True:
        shutil.rmtree(workshop.home, ignore_errors=True)
        if replaces:
            workshop.build(seed=b"old")
        code = workshop.run(DIE_AT.format(step=step, code=KILLED))
        assert code in (0, KILLED)
        found = find_engines(workshop.home)
        for folder, manifest in found:
            assert isinstance(manifest, Manifest)
            verify_files(folder, manifest)
            assert contents(folder) == (new if manifest == workshop.manifest(new) else old)
        lost += replaces and not found
        with BuildFolder(workshop.home, NAME) as building:
            assert not replaces or (workshop.home / NAME).is_dir(), "the old engine comes back"
            kept = contents(building.path)
            finished = [m for _, m in find_engines(workshop.home) if m == workshop.manifest(new)]
            assert finished or kept == new | {"build.json": b"{}"}, "no part has to be built again"
        if code == 0:
            break
        step += 1
    assert step >= 8, "the installation has that many steps"
    assert lost <= 1, "there is one moment without an engine of that name"


@pytest.mark.parametrize("failing", ["rename", "replace", "fsync", "mkdir"])
def test_a_failing_disk_leaves_the_old_engine_and_the_build(workshop, monkeypatch, failing):
    workshop.build(seed=b"old")
    real, left = getattr(os, failing), [0]

    def fails(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **options)

    seen = set()
    for step in range(1, 12):
        with BuildFolder(workshop.home, NAME) as building:
            for name, content in workshop.contents(seed=b"new").items():
                (building.path / name).write_bytes(content)
            left[0] = step
            monkeypatch.setattr(os, failing, fails)
            try:
                building.install(workshop.manifest(workshop.contents(seed=b"new")))
            except EngineError as error:
                seen.add(step)
                assert "No space left on device" in str(error)
                assert contents(workshop.home / NAME) == workshop.contents(seed=b"old")
                assert contents(building.path) == workshop.contents(seed=b"new")
            else:
                break
            finally:
                monkeypatch.setattr(os, failing, real)
    assert seen
    assert contents(workshop.home / NAME) == workshop.contents(seed=b"new")


def test_a_manifest_that_does_not_fit_on_the_disk(workshop):
    """A write that the kernel really refuses."""

    install = f"""
        import pytest, resource
        from molmo_ros.engine.errors import EngineError
        from molmo_ros.engine.store.build_folder import BuildFolder
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        with BuildFolder(workshop.home, {NAME!r}) as building:
            with pytest.raises(EngineError, match="File too large"):
                building.install(workshop.manifest())
    """
    workshop.build(seed=b"old")
    with BuildFolder(workshop.home, NAME) as building:
        for name, content in workshop.contents().items():
            (building.path / name).write_bytes(content)
    assert workshop.run(install) == 0
    assert contents(workshop.home / NAME) == workshop.contents(seed=b"old")
    assert contents(workshop.home / BUILDING / NAME) == workshop.contents()
    assert not any(path.name.endswith(".new") for path in workshop.home.rglob("*"))


def test_a_full_disk(workshop):
    workshop.home.mkdir(mode=0o700)
    mounted = ["mount", "-t", "tmpfs", "-o", "size=96k,mode=700", "none", str(workshop.home)]
    try:
        if subprocess.run(mounted, capture_output=True).returncode:
            pytest.skip("this user cannot mount a small disk")
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    try:
        with BuildFolder(workshop.home, NAME) as building:
            for name, content in workshop.contents().items():
                (building.path / name).write_bytes(content)
            with (
                open(building.path / "graph", "wb", buffering=0) as file,
                pytest.raises(OSError, match="No space"),
            ):
                while True:
                    file.write(bytes(4096))
            with pytest.raises(EngineError, match="No space left on device"):
                building.install(workshop.manifest())
            assert find_engines(workshop.home) == []
            (building.path / "graph").unlink()
            engine = building.install(workshop.manifest())
        verify_files(engine, Manifest.read(engine))
    finally:
        subprocess.run(["umount", str(workshop.home)], check=True)


def test_two_builds_of_a_name_do_not_mix(workshop):
    second = f"""
        import pytest
        from molmo_ros.engine.errors import EngineError
        with pytest.raises(EngineError, match="another build of {NAME} is at work"):
            workshop.build()
        workshop.build("another-name")
    """
    with BuildFolder(workshop.home, NAME):
        assert workshop.run(second) == 0
    workshop.build()
    assert len(find_engines(workshop.home)) == 2


def test_the_lock_ends_with_its_process(workshop):
    die = f"""
        import os
        from molmo_ros.engine.store.build_folder import BuildFolder
        BuildFolder(workshop.home, {NAME!r}).__enter__()
        os._exit({KILLED})
    """
    assert workshop.run(die) == KILLED
    workshop.build()


@pytest.mark.parametrize("change", ["missing", "truncated", "link"])
def test_files_that_are_not_the_manifests_are_not_installed(workshop, change, tmp_path):
    with BuildFolder(workshop.home, NAME) as building:
        for name, content in workshop.contents().items():
            (building.path / name).write_bytes(content)
        path = building.path / "decoder.engine"
        if change == "truncated":
            path.write_bytes(b"half")
        else:
            path.rename(tmp_path / "away")
        if change == "link":
            path.symlink_to(tmp_path / "away")
        with pytest.raises(EngineError, match="decoder.engine is not the file of 32000 bytes"):
            building.install(workshop.manifest())
    assert find_engines(workshop.home) == []


def test_somebodys_folder_is_not_replaced(workshop):
    (workshop.home / NAME / "pictures").mkdir(parents=True)
    workshop.home.chmod(0o700)
    with pytest.raises(EngineError, match="is there and no engine; move it away"):
        workshop.build()
    assert (workshop.home / NAME / "pictures").is_dir()


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", ".hidden", "a/b", "../up", "/abs", "a\0b", "n" * 201, "ö" * 101]
)
def test_odd_names_are_refused(workshop, name):
    with pytest.raises(EngineError, match="cannot be an engine's name") as caught:
        BuildFolder(workshop.home, name)
    assert len(str(caught.value)) < 1000


def test_a_name_may_be_of_any_letters(workshop):
    engine = workshop.build("größe-模型")
    assert find_engines(workshop.home) == [(engine, Manifest.read(engine))]


def test_a_build_folder_of_others_is_not_built_in(workshop):
    with BuildFolder(workshop.home, NAME) as building:
        building.path.chmod(0o777)
    with pytest.raises(TamperedEngineError, match="everybody"):
        workshop.build()
    building.path.chmod(0o700)
    building.path.parent.chmod(0o770)
    with pytest.raises(TamperedEngineError, match="its group"):
        workshop.build()


def test_a_removed_engine_is_gone(workshop, engine):
    other = workshop.build("other")
    remove_engine(engine)
    assert [folder for folder, _ in find_engines(workshop.home)] == [other]


def test_only_engines_are_removed(workshop, engine, tmp_path):
    (engine / "notes.txt").write_text("mine")
    with pytest.raises(EngineError, match="holds more than an engine; remove it yourself"):
        remove_engine(engine)
    assert len(list(engine.iterdir())) == 4
    (engine / "notes.txt").unlink()
    (tmp_path / "link").symlink_to(engine)
    with pytest.raises(EngineError, match="is a link"):
        remove_engine(tmp_path / "link")
    verify_files(engine, Manifest.read(engine))


def test_what_a_broken_off_removal_leaves_is_not_loaded_and_can_be_removed(workshop, engine):
    (engine / MANIFEST).unlink()
    ((_, error),) = find_engines(workshop.home)
    assert isinstance(error, EngineError)
    remove_engine(engine)
    assert find_engines(workshop.home) == []

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Owners, modes and links: only what nobody else can have written is used."""

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from molmo_ros.engine.errors import TamperedEngineError
from molmo_ros.engine.store.engines_home import find_engines, make_home
from molmo_ros.engine.store.manifest import MANIFEST, Manifest
from molmo_ros.engine.store.trust import check_folder
from molmo_ros.engine.store.verified_files import read_verified, verify_files

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other users")
STRANGER = 54321


def use(engine):
    """As a runtime does: the manifest, then a file."""
    manifest = Manifest.read(engine)
    verify_files(engine, manifest)
    with read_verified(engine, manifest, "decoder.engine") as content:
        return bytes(content)


@pytest.mark.parametrize("mode", [0o020, 0o002, 0o022])
@pytest.mark.parametrize("part", ["", MANIFEST, "decoder.engine", ".."])
def test_what_others_can_write_is_refused_with_what_mends_it(engine, part, mode):
    path = (engine / part).resolve()
    path.chmod(path.stat().st_mode & 0o777 | mode)
    who = "everybody" if mode & 0o002 else "its group"
    with pytest.raises(
        TamperedEngineError, match=f"{re.escape(str(path))} can be written by {who}"
    ) as caught:
        use(engine)
    command = str(caught.value).split(": ")[-1]
    assert command == f"chmod go-w {path}"
    assert os.system(command) == 0
    use(engine)


def test_the_mending_command_quotes_odd_names(workshop):
    engine = workshop.build("two words; $(true)")
    engine.chmod(0o770)
    with pytest.raises(TamperedEngineError) as caught:
        use(engine)
    assert os.system(str(caught.value).split(": ")[-1]) == 0
    use(engine)


def test_a_folder_shared_by_all_is_no_place_for_engines(engine):
    engine.parent.chmod(0o1777)
    with pytest.raises(TamperedEngineError, match="shared by everybody; move the engine"):
        use(engine)


@as_root
@pytest.mark.parametrize("part", ["", MANIFEST, "decoder.engine", ".."])
def test_what_belongs_to_somebody_else_is_refused(engine, part):
    path = (engine / part).resolve()
    os.chown(path, STRANGER, -1)
    with pytest.raises(TamperedEngineError, match=f"{re.escape(str(path))} belongs to uid {STRANGER}"):
        use(engine)


@as_root
def test_what_belongs_to_root_is_good_for_everybody(engine, workshop):
    with tempfile.TemporaryDirectory() as shared:
        os.chmod(shared, 0o755)
        installed = Path(shutil.copytree(engine, Path(shared) / "engine"))
        for path in (installed, *installed.iterdir()):
            path.chmod(0o755)
        code = f"""
            import os
            from molmo_ros.engine.store.manifest import Manifest
            from molmo_ros.engine.store.verified_files import read_verified
            os.setuid({STRANGER})
            folder = Path({str(installed)!r})
            assert len(read_verified(folder, Manifest.read(folder), "decoder.engine")) == 32_000
        """
        assert workshop.run(code) == 0


@pytest.mark.parametrize("name", [MANIFEST, "decoder.engine"])
def test_a_link_in_the_place_of_a_file_is_refused(engine, name):
    moved = engine.parent / "elsewhere"
    (engine / name).rename(moved)
    (engine / name).symlink_to(moved)
    with pytest.raises(TamperedEngineError, match=f"{name} is a link"):
        use(engine)


def test_a_link_in_the_place_of_the_folder_is_refused(engine):
    link = engine.parent / "link"
    link.symlink_to(engine)
    with pytest.raises(TamperedEngineError, match="is a link; name the folder that it leads to"):
        check_folder(link)


def test_the_home_itself_may_be_on_another_disk(engine, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(engine.parent)
    use(link / engine.name)
    engine.parent.chmod(0o770)
    with pytest.raises(TamperedEngineError, match="its group"):
        use(link / engine.name)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize("name", [MANIFEST, "decoder.engine"])
def test_what_is_no_file_is_refused_at_once(engine, name, make):
    (engine / name).unlink()
    make(engine / name)
    (engine / name).chmod(0o600)
    with pytest.raises(TamperedEngineError, match=f"{name} is no regular file"):
        use(engine)


def test_nothing_is_built_into_a_home_that_others_can_write(workshop):
    workshop.home.mkdir()
    workshop.home.chmod(0o775)
    with pytest.raises(TamperedEngineError, match=f"chmod go-w {workshop.home}"):
        workshop.build()
    assert os.listdir(workshop.home) == []


def test_a_listing_says_why_an_engine_cannot_be_used(workshop):
    good, bad = workshop.build("good"), workshop.build("bad")
    (bad / MANIFEST).chmod(0o666)
    (first, error), (second, manifest) = find_engines(workshop.home)
    assert (first, second) == (bad, good)
    assert isinstance(error, TamperedEngineError) and manifest == Manifest.read(good)


def test_the_home_is_for_this_user_alone(tmp_path):
    before = os.umask(0o002)
    try:
        make_home(tmp_path / "a" / "engines")
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "engines").stat().st_mode & 0o777 == 0o700


@as_root
@pytest.mark.parametrize("part", ["", MANIFEST, "decoder.engine"])
def test_the_command_in_the_message_mends_the_owner(workshop, part):
    """As after a build with sudo by somebody else, or a copy from another machine: nothing has to be built again."""
    engine = workshop.build("two words; $(true)")
    for path in (engine, *engine.iterdir()) if not part else [engine / part]:
        os.chown(path, STRANGER, -1)
    with pytest.raises(TamperedEngineError, match="If nobody tampered with it: sudo chown -R") as caught:
        use(engine)
    command = str(caught.value).split(": ")[-1]
    assert os.system(command.removeprefix("sudo ")) == 0
    use(engine)

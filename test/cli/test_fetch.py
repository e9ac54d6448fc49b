# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros fetch` as people call it, in a process of its own, against a hub on this machine."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from molmo_ros.cli.main import main
from molmo_ros.molmo.catalog import hub as hub_module
from molmo_ros.molmo.catalog.checksums import read_checksums
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.errors import FetchError

# The embedded checkpoint under another name, as a model of the registry that lies on the hub.
DRIVER = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
import sys
from dataclasses import replace
from molmo_ros.molmo.catalog import registry
tiny = registry.registry()["tiny"]
small = replace(tiny, name="small-1b", hub_id="lab/Small-1B", notes="a small one")
registry.registry = lambda: {"tiny": tiny, "small-1b": small}
from molmo_ros.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
FILES = {path.name: path.read_bytes() for path in (EMBEDDED / "tiny").iterdir() if path.is_file()}
EXTRA = {"README.md": b"# card", "modeling_small.py": b"raise SystemExit", "pytorch_model.bin": b"pickle",
         ".gitattributes": b"*", "LICENSE": b"Apache", "onnx/config.json": b"{}", "checksums.json": b"{}"}  # fmt: skip
WEIGHTS = "model.safetensors"


class Shell:
    """Runs the command with its home in a folder and the hub of this machine."""

    def __init__(self, hub, home: Path):
        self.working_folder = None
        self.hub, self.home, self.folder = hub, home, home / "store" / "models" / "small-1b"
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LD_LIBRARY_PATH") if key in os.environ}
        self.environment = kept | {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(home / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "MOLMO_ROS_HOME": str(home / "store"),
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def start(self, *arguments, **environment):
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, *map(str, arguments)],
            env=self.environment | environment,
            cwd=self.working_folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def fetch(self, *arguments, **environment):
        return self.run("fetch", "small-1b", *arguments, **environment)

    def note(self):
        return json.loads((self.folder / "molmo_ros.json").read_text())


@pytest.fixture
def shell(hub, tmp_path):
    hub.commit(FILES | EXTRA)
    return Shell(hub, tmp_path)


def last_line(err):
    return err.strip().splitlines()[-1]


def test_fetch_then_use_by_name(shell, hub):
    code, out, err = shell.fetch()
    assert code == 0, err
    for said in ("0.01 GB", "GB are free", "Apache-2.0", "0.011 GB in bfloat16", hub.main, "a small one"):
        assert said in out
    assert "ros2 launch molmo_ros molmo.launch.py model:=small-1b" in out
    there = {path.name: path.read_bytes() for path in shell.folder.iterdir()}
    assert there.pop("molmo_ros.json") and there.pop("checksums.json")
    assert there == FILES | {"LICENSE": b"Apache"}, "all that is needed, no code, no pickle, nothing half"
    assert shell.note() == {
        "hub_id": "lab/Small-1B",
        "revision": "main",
        "commit": hub.main,
        "complete": True,
    }
    manifest = read_checksums(shell.folder)
    assert manifest.origin == {"repository": "lab/Small-1B", "revision": hub.main}
    assert {entry.name for entry in manifest.files} == set(there)


def test_a_second_fetch_asks_nobody(shell, hub):
    assert shell.fetch()[0] == 0
    count = len(hub.requests)
    code, out, _ = shell.run("fetch", "lab/small-1b")
    assert code == 0 and "is there already" in out and hub.main in out
    assert len(hub.requests) == count


def test_empty_names_are_refused(capsys):
    assert main(["fetch", ""]) == 2
    assert "no model is called ''" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["fetch", "molmo2-4b", "--folder", ""])
    assert "the folder's name is empty" in capsys.readouterr().err


def test_the_embedded_model_needs_no_fetch(capsys):
    assert main(["fetch", "tiny"]) == 0
    assert "part of this package" in capsys.readouterr().out


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_goes_on_where_it_ended(shell, hub, signal_number):
    hub.hang_after[WEIGHTS] = len(FILES[WEIGHTS]) - 1000
    process = shell.start("fetch", "small-1b")
    deadline = time.monotonic() + 60
    half = len(FILES[WEIGHTS]) / 2
    while not (
        parts := [one for one in shell.folder.glob(f".parts/{WEIGHTS}*") if one.stat().st_size > half]
    ):
        assert time.monotonic() < deadline and process.poll() is None, "no part came"
        time.sleep(0.05)
    process.send_signal(signal_number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}[signal_number]
    if signal_number == signal.SIGINT:
        assert "the same command goes on where it ended" in last_line(err)
    done = parts[0].stat().st_size
    assert half < done < len(FILES[WEIGHTS]) and not (shell.folder / WEIGHTS).exists()
    assert shell.note()["complete"] is False

    code, _, err = shell.run("point", "none.png", "cup", "--model", "small-1b")
    assert code == 2, "an unfinished model is not used"

    # Meanwhile `main` moves; the commit that was begun is the one that is finished.
    begun = hub.main
    hub.commit(FILES | {"config.json": b"{}", WEIGHTS: b"other"})
    hub.hang_after, hub.sent, hub.requests = {}, {}, []
    code, out, err = shell.fetch()
    assert code == 0, err
    assert hub.ranges(WEIGHTS) == [f"bytes={done}-"]
    assert hub.sent == {WEIGHTS: len(FILES[WEIGHTS]) - done}, "nothing is sent twice"
    assert (shell.folder / WEIGHTS).read_bytes() == FILES[WEIGHTS]
    assert shell.note()["commit"] == begun and shell.note()["complete"] is True
    assert not (shell.folder / ".parts").exists()


def test_a_dropped_connection_is_taken_up_again(shell, hub):
    hub.cut_after[WEIGHTS] = len(FILES[WEIGHTS]) - 1000
    code, _, err = shell.fetch()
    assert code == 0, err
    first, second = hub.ranges(WEIGHTS)
    assert first is None and second.startswith("bytes=1")
    assert (shell.folder / WEIGHTS).read_bytes() == FILES[WEIGHTS]


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json"])
def test_a_file_damaged_on_the_way_is_deleted_and_said(shell, hub, name):
    hub.spoil.add(name)
    code, _, err = shell.fetch()
    assert code == 1 and f"Deleted: {name};" in last_line(err), err
    if name == WEIGHTS:
        assert "found SHA-256" in err and "expected" in err
    assert not (shell.folder / name).exists() and shell.note()["complete"] is False
    hub.spoil.clear()
    hub.requests = []
    assert shell.fetch()[0] == 0
    assert hub.paths().count(name) == 1
    if name == WEIGHTS:
        assert set(hub.paths()) == {WEIGHTS}, "only the damaged file is downloaded again"
    assert (shell.folder / name).read_bytes() == FILES[name]


def test_verify_reads_every_file_again(shell):
    code, _, err = shell.fetch("--verify")
    assert code == 1 and "no complete download; `molmo-ros fetch small-1b` makes one" in err
    assert shell.fetch()[0] == 0
    code, out, _ = shell.fetch("--verify")
    assert code == 0 and "is intact" in out
    path = shell.folder / WEIGHTS
    state, content = path.stat(), bytearray(FILES[WEIGHTS])
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert "is there already" in shell.fetch()[1], "a quick look does not see it"
    code, _, err = shell.fetch("--verify")
    assert code == 1 and WEIGHTS in last_line(err) and "found SHA-256" in err and "expected" in err


def test_verify_says_that_it_is_another_model(shell):
    assert shell.fetch()[0] == 0
    note = shell.note() | {"hub_id": "lab/Other"}
    (shell.folder / "molmo_ros.json").write_text(json.dumps(note))
    code, _, err = shell.fetch("--verify")
    assert code == 1 and "holds lab/Other, not lab/Small-1B" in last_line(err)


def test_a_fetched_model_that_was_damaged_is_repaired(shell, hub):
    assert shell.fetch()[0] == 0
    (shell.folder / WEIGHTS).write_bytes(FILES[WEIGHTS][:-5] + b"wrong")
    code, out, _ = shell.fetch("--dry-run")
    assert code == 0 and f"{len(FILES[WEIGHTS]) / 1e9:.2f} GB still to come" in out
    assert (shell.folder / WEIGHTS).exists(), "a dry run deletes nothing"
    hub.requests = []
    code, _, err = shell.fetch()
    assert code == 0 and "found SHA-256" in err
    assert set(hub.paths()) == {WEIGHTS}
    assert (shell.folder / WEIGHTS).read_bytes() == FILES[WEIGHTS]


def test_a_lost_manifest_is_made_again(shell, hub):
    assert shell.fetch()[0] == 0
    (shell.folder / "checksums.json").unlink()
    hub.requests = []
    code, out, _ = shell.fetch()
    assert code == 0 and "every hash as the hub says" in out and hub.paths() == []
    assert (shell.folder / "checksums.json").is_file()


def test_a_moved_main_is_followed_only_when_asked(shell, hub):
    assert shell.fetch()[0] == 0
    old = hub.main
    changed = FILES["tokenizer_config.json"].replace(b" ", b"\t", 1)
    new = hub.commit(
        FILES | {"tokenizer_config.json": changed, "model.safetensors.index.json": b'{"weight_map": {}}'}
    )
    assert shell.fetch()[0] == 0 and shell.note()["commit"] == old
    (shell.folder / "tokenizer_config.json").unlink()
    assert shell.fetch()[0] == 0 and shell.note()["commit"] == old
    assert (shell.folder / "tokenizer_config.json").read_bytes() == FILES["tokenizer_config.json"]
    code, out, err = shell.fetch("--revision", "main")
    assert code == 0 and new in out, err
    assert shell.note()["commit"] == new
    assert (shell.folder / "tokenizer_config.json").read_bytes() == changed, "of the same size"
    assert shell.fetch("--revision", old)[0] == 0 and shell.note()["commit"] == old
    assert not (shell.folder / "model.safetensors.index.json").exists(), "nothing is left of the other commit"


def test_nothing_is_left_of_another_commit_but_what_was_not_fetched(shell, hub):
    assert "chat_template.jinja" in FILES
    assert shell.fetch()[0] == 0
    (shell.folder / "my_notes.json").write_text("mine")
    new = hub.commit({name: content for name, content in FILES.items() if name != "chat_template.jinja"})
    assert shell.fetch("--revision", new)[0] == 0
    assert not (shell.folder / "chat_template.jinja").exists()
    assert (shell.folder / "my_notes.json").read_text() == "mine"


def test_two_at_once_do_not_write_into_each_others_files(shell, hub):
    hub.hang_after[WEIGHTS] = len(FILES[WEIGHTS]) // 2
    first = shell.start("fetch", "small-1b")
    deadline = time.monotonic() + 60
    while WEIGHTS not in hub.paths():
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.05)
    code, _, err = shell.fetch()
    assert code == 1 and "another fetch is at work in" in last_line(err)
    assert hub.paths().count(WEIGHTS) == 1
    first.kill()
    first.communicate(timeout=30)
    hub.hang_after = {}
    code, _, err = shell.fetch()
    assert code == 0, "the lock ended with its process: " + err
    assert (shell.folder / WEIGHTS).read_bytes() == FILES[WEIGHTS]


def test_a_change_of_commits_that_is_broken_off_leaves_no_model_that_is_used(shell, hub):
    assert shell.fetch()[0] == 0
    old = hub.main
    changed = FILES["tokenizer_config.json"].replace(b" ", b"\t", 1)
    new = hub.commit(FILES | {"tokenizer_config.json": changed})
    hub.refuse = (500, None)
    assert shell.fetch("--revision", new)[0] == 1
    assert shell.note() == {"hub_id": "lab/Small-1B", "revision": new, "commit": new, "complete": False}
    assert shell.run("point", "none.png", "cup", "--model", "small-1b")[0] == 2
    hub.refuse = None
    assert shell.fetch("--revision", old)[0] == 0 and shell.note()["commit"] == old
    assert (shell.folder / "tokenizer_config.json").read_bytes() == FILES["tokenizer_config.json"]


def test_another_model_ends_before_the_weights_come(shell, hub):
    config = json.loads(FILES["config.json"])
    config["text_config"]["num_hidden_layers"] = 5
    hub.commit(FILES | {"config.json": json.dumps(config).encode()})
    code, _, err = shell.fetch()
    assert code == 1 and "decoder.layers 5 (expected 4)" in last_line(err)
    assert WEIGHTS not in hub.paths()


def test_a_full_disk_is_said_before_anything_is_downloaded(shell, hub):
    hub.sizes[WEIGHTS] = 10**15
    for arguments in ((), ("--dry-run",)):
        code, out, err = shell.fetch(*arguments)
        assert code == 1 and "too small: 1000000.00 GB are to come" in last_line(err), err
        assert "0.011 GB in bfloat16" in out
    assert hub.paths() == [] and not shell.folder.exists()


def test_a_disk_that_fills_up_is_said(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    listing = hub_module.Listing("lab/Small-1B", "c" * 40, (hub_module.HubFile(WEIGHTS, 10, "a" * 64, None),))
    with pytest.raises(FetchError, match="disk is full; model.safetensors goes on"):
        hub_module.download(listing, tmp_path)


def test_dry_run_downloads_nothing(shell, hub):
    code, out, _ = shell.fetch("--dry-run")
    assert code == 0 and "still to come" in out and hub.main in out
    assert hub.paths() == [] and not shell.folder.exists()


def test_a_folder_of_ones_own(shell, hub, tmp_path):
    folder = tmp_path / "robot models" / "small"
    code, out, _ = shell.fetch("--folder", folder)
    assert code == 0 and f"model:={folder}" in out
    assert (folder / WEIGHTS).read_bytes() == FILES[WEIGHTS] and not shell.folder.exists()


def test_a_folder_with_other_files_is_left_alone(shell, hub, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("my own")
    code, _, err = shell.fetch("--folder", folder)
    assert code == 1 and "other files than lab/Small-1B: config.json" in last_line(err)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert (folder / "config.json").read_text() == "my own" and hub.paths() == []


def test_files_that_are_there_already_are_not_downloaded_again(shell, hub):
    shell.folder.mkdir(parents=True)
    (shell.folder / WEIGHTS).write_bytes(FILES[WEIGHTS])
    assert shell.fetch()[0] == 0
    assert WEIGHTS not in hub.paths() and "config.json" in hub.paths()


def test_the_token_goes_to_the_hub_and_to_nobody_else(shell, hub):
    assert shell.fetch(HF_TOKEN="hf_secret")[0] == 0
    seen = {"cdn" in path: headers.get("Authorization") for _, path, headers in hub.requests}
    assert seen == {False: "Bearer hf_secret", True: None}


@pytest.mark.parametrize(
    "refusal,said",
    [
        ((403, "GatedRepo"), "gated: accept its terms"),
        ((401, "GatedRepo"), "gated: accept its terms"),
        ((403, None), "json (HTTP 403); is HF_TOKEN right"),
        ((500, None), "HTTP 500"),
    ],
)
def test_a_refusal_says_what_to_do(shell, hub, refusal, said):
    hub.refuse = refusal
    code, _, err = shell.fetch()
    assert code == 1 and "lab/Small-1B" in last_line(err) and said in last_line(err)


def test_what_cannot_be_fetched(shell, hub):
    code, _, err = shell.fetch("--revision", "v9")
    assert code == 1 and "lab/Small-1B: it has no revision 'v9'" in last_line(err)
    hub.repository = "lab/Elsewhere"
    code, _, err = shell.fetch()
    assert code == 1 and "no such repository, or it is private" in last_line(err)
    code, _, err = shell.run("fetch", "big-9b")
    assert code == 2 and "'big-9b'; known: tiny, small-1b" in last_line(err)
    count = len(hub.requests)
    code, _, err = shell.fetch(HF_HUB_OFFLINE="1")
    assert code == 1 and "HF_HUB_OFFLINE is set" in last_line(err) and len(hub.requests) == count
    assert not shell.folder.exists()


def test_no_network(shell, hub):
    code, _, err = shell.fetch(HF_ENDPOINT="http://127.0.0.1:9")
    assert code == 1 and "Is the hub reachable?" in last_line(err)


def test_a_repository_without_safetensors(shell, hub):
    hub.commit({"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    code, _, err = shell.fetch()
    assert code == 1 and "holds no safetensors weights" in last_line(err)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_no_more_is_stored_than_the_hub_listed(shell, hub, name):
    """A server that goes on sending, for as long as the disk lasts: here 30 MB where a few bytes were listed."""
    hub.sizes[name] = 1000
    hub.pads[name] = 30_000_000
    code, _, err = shell.fetch()
    assert code == 1 and f"more than the 1000 bytes came that {name} has; nothing of it is kept" in last_line(
        err
    )
    kept = sum(path.stat().st_size for path in shell.folder.rglob("*") if path.is_file())
    assert kept <= sum(map(len, FILES.values())) + 10_000
    assert not list(shell.folder.glob(f".parts/{name}*")) or all(
        path.stat().st_size == 0 for path in shell.folder.glob(f".parts/{name}*")
    )
    hub.sizes.clear()
    hub.pads.clear()
    assert shell.fetch()[0] == 0


def test_links_that_somebody_planted_are_not_followed(shell, hub, tmp_path):
    victim, treasure = tmp_path / "victim", tmp_path / "treasure"
    victim.write_bytes(b"mine")
    treasure.mkdir()
    (treasure / "file").write_bytes(b"mine")
    digest = hashlib.sha256(FILES[WEIGHTS]).hexdigest()[:16]
    parts = shell.folder / ".parts"
    parts.mkdir(parents=True)
    (parts / f"{WEIGHTS}.{digest}").symlink_to(victim)
    assert shell.fetch()[0] == 0
    assert victim.read_bytes() == b"mine" and not (shell.folder / WEIGHTS).is_symlink()
    shutil.rmtree(shell.folder)
    shell.folder.mkdir()
    parts.symlink_to(treasure)
    (shell.folder / ".molmo_ros.json.new").symlink_to(victim)
    before = treasure.stat().st_mtime_ns
    assert shell.fetch()[0] == 0
    assert [path.name for path in treasure.iterdir()] == ["file"] and victim.read_bytes() == b"mine"
    assert treasure.stat().st_mtime_ns == before, "nothing was written there, not even for a moment"
    assert not parts.exists() and not parts.is_symlink()


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda body: body.update(sha="../../../../etc"), "its commit is '../../../../etc'"),
        (lambda body: body.update(sha="\x1b]0;owned\x07"), "its commit is"),
        (lambda body: body["siblings"][0].update(blobId="../../escape"), "has the hash '../../escape'"),
        (lambda body: body["siblings"][0].pop("blobId"), "has the hash ''"),
        (lambda body: body["siblings"][0].update(size=-5), "has -5 bytes"),
        (lambda body: body["siblings"][0].update(size=10**12), "has 1000000000000 bytes, at most 100000000"),
        (
            lambda body: body["siblings"].extend([body["siblings"][0]] * 2000),
            "at most 1000 of different names",
        ),
        (
            lambda body: body["siblings"].extend(
                {"rfilename": f"{number}.json", "size": 1, "blobId": "a" * 40} for number in range(2000)
            ),
            "files, at most 1000",
        ),
        (lambda body: body.update(siblings=None), "holds no safetensors weights"),
        (
            lambda body: body.update(siblings=[{"rfilename": "\x1b[2J.safetensors", "size": 1}]),
            "no safetensors",
        ),
    ],
)
def test_a_listing_that_is_none_of_a_model(shell, hub, change, said):
    hub.change = change
    code, out, err = shell.fetch()
    assert code == 1 and said in last_line(err), err
    assert not set("\x1b\x07") & set(out + last_line(err))
    assert not shell.folder.exists() and not hub.paths()


def test_weights_that_the_hub_knows_by_git_alone_are_compared(shell, hub):
    hub.large = ()
    hub.spoil.add(WEIGHTS)
    code, _, err = shell.fetch()
    assert code == 1 and f"Deleted: {WEIGHTS}" in last_line(err)
    hub.spoil.clear()
    assert shell.fetch()[0] == 0


def test_without_a_home_nothing_is_made(shell, tmp_path):
    """As a user without an entry, in an empty working directory."""
    empty = tmp_path / "empty"
    empty.mkdir()
    shell.working_folder = empty
    code, _, err = shell.fetch(HOME="", MOLMO_ROS_HOME="~nobody-of-this-name/models")
    assert code == 1 and "set MOLMO_ROS_HOME to the folder" in last_line(err)
    assert not list(empty.iterdir())


def test_names_do_not_reach_the_terminal(shell, tmp_path):
    code, out, err = shell.fetch("--folder", tmp_path / "a\x1b[31m\nb", "--dry-run")
    assert code == 0 and "\x1b" not in out and r"a\x1b[31m\nb" in out

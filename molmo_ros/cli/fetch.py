# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros fetch MODEL`: downloads a model from the Hugging Face hub, once, and verifies it.

Nothing else in this package downloads anything. The model goes to $MOLMO_ROS_HOME/models/MODEL (by default
~/.cache/molmo_ros/models/MODEL), where `--model MODEL` and the node's `model:=MODEL` find it. A download that was
broken off goes on where it ended when the command is run again. The commit is written down: once fetched, a model
changes only with --revision. HF_TOKEN, HF_ENDPOINT and the like work as for every program that uses the hub.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from molmo_ros.cli.printable import complain, printable, say
from molmo_ros.molmo.catalog import hub
from molmo_ros.molmo.catalog.checksums import CHECKSUMS, read_checksums, verify_checksums, write_checksums
from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.catalog.model_store import FetchNote, home_or_none, models_home
from molmo_ros.molmo.catalog.registry import ModelEntry, find_model
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.errors import CheckpointError, FetchError, MolmoError, RegistryError

GB = 1e9
RESERVE = 100 * 10**6
"""Bytes of the disk that stay free."""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; `args.run` runs it."""
    parser = subparsers.add_parser(
        "fetch",
        help="download a model from the Hugging Face hub and verify it",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a name of `molmo-ros models`, or its id on the hub")
    parser.add_argument(
        "--revision",
        metavar="R",
        help="commit, tag or branch (default: the commit fetched before, else main)",
    )
    parser.add_argument(
        "--folder", type=_folder, metavar="DIR", help="put it there; then DIR is the model's name"
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--dry-run", action="store_true", help="only say what it needs")
    action.add_argument(
        "--verify", action="store_true", help="download nothing: read every file again and compare its hash"
    )
    parser.set_defaults(run=run)


def _folder(written: str) -> Path:
    """A folder's path; an empty one, as of a shell variable that is not set, would be the working directory."""
    if not written.strip():
        raise argparse.ArgumentTypeError(
            f"the folder's name is empty: {written!r}; the one you are in is '.'"
        )
    try:
        return Path(written).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{written!r}: {error}") from error


def run(args: argparse.Namespace) -> int:
    """Fetches or verifies; returns the exit code."""
    try:
        entry = find_model(args.model)
        if entry.hub_id is None:
            say(f"{entry.name} is part of this package: there is nothing to fetch")
            return 0
        folder = (args.folder or models_home() / entry.name).absolute()
        if args.verify:
            verify(entry, folder)
        else:
            fetch(entry, folder, args.revision, args.dry_run)
    except KeyboardInterrupt:
        print("\nmolmo-ros: interrupted; the same command goes on where it ended", file=sys.stderr)
        return 130
    except (MolmoError, OSError) as error:
        complain(error)
        return 2 if isinstance(error, RegistryError) else 1
    return 0


def fetch(entry: ModelEntry, folder: Path, revision: str | None = None, dry_run: bool = False) -> None:
    """Downloads a model into a folder and verifies it; does nothing where that was done before.

    Args:
        entry: The model.
        folder: Where to.
        revision: Which commit, tag or branch; None: the commit that is in the folder, else the entry's, else
            `main`.
        dry_run: Only say what is needed.

    Raises:
        FetchError: The hub cannot be reached or refuses, the disk is too small, the folder holds something
            else, or what came is damaged.
        CheckpointError: What came is not this model.
    """
    assert entry.hub_id is not None, "an embedded model is not fetched"
    note = FetchNote.read(folder)
    if note is not None and note.hub_id != entry.hub_id:
        raise FetchError(f"{folder} holds {note.hub_id}, not {entry.hub_id}; choose another --folder")
    suspicious = False
    if note is not None and note.complete and revision in (None, note.commit):
        try:
            if verify_checksums(folder):
                say(f"{entry.name} is there already: {printable(folder)} at commit {printable(note.commit)}")
                return print_start(entry, folder)
        except CheckpointError as error:
            suspicious = True
            complain(error)
    asked = revision or (note.commit if note else entry.revision) or "main"
    listing = hub.list_files(entry.hub_id, asked)
    # Another commit may have other files of the same name and size.
    suspicious = suspicious or (note is not None and note.commit != listing.commit)
    wrong = hub.damaged_files(listing, folder) if suspicious else []
    missing = hub.missing_bytes(listing, folder, wrong)
    print_needs(entry, folder, listing, missing)
    check_space(folder, missing)
    if dry_run:
        return None
    named = revision or (note.revision if note else asked)
    with alone_in(folder):
        prepare(folder, note, FetchNote(entry.hub_id, named, listing.commit), listing, wrong)
        # The small files first: a config.json of another model ends it before the weights come.
        small = replace(listing, files=tuple(file for file in listing.files if not file.is_weights))
        hub.download(small, folder)
        refuse_damaged(small, folder)
        entry.check(read_config(folder), str(folder))
        hub.download(listing, folder)
        settle(folder, listing)
    say(f"{entry.name} is complete: {len(listing.files)} files, every hash as the hub says")
    return print_start(entry, folder)


def verify(entry: ModelEntry, folder: Path) -> None:
    """Reads every file of a fetched model and compares its hash.

    Raises:
        FetchError: The model was not fetched to its end, or the folder holds another one.
        CheckpointError: A file is missing or damaged.
    """
    note = FetchNote.read(folder)
    if note is None or not note.complete or read_checksums(folder) is None:
        raise FetchError(f"{folder} holds no complete download; `molmo-ros fetch {entry.name}` makes one")
    if note.hub_id != entry.hub_id:
        raise FetchError(f"{folder} holds {note.hub_id}, not {entry.hub_id}")
    with hub.HashingBar(sum(path.stat().st_size for path in folder.iterdir() if path.is_file())) as bar:
        verify_checksums(folder, full=True, progress=bar)
    entry.check(read_config(folder), str(folder))
    say(f"{entry.name} is intact: {printable(folder)} at commit {printable(note.commit)}")


def print_needs(entry: ModelEntry, folder: Path, listing: hub.Listing, missing: int) -> None:
    """Says what will be downloaded, and what the model needs."""
    memory = ", ".join(f"{entry.memory_gb[name]:g} GB in {name}" for name in DTYPE_BYTES)
    free = shutil.disk_usage(existing(folder)).free
    say(f"{entry.name}: {entry.hub_id} at commit {listing.commit}, licence {entry.licence}")
    if entry.notes:
        say(f"  note      {entry.notes}")
    say(f"  folder    {printable(folder)}")
    say(
        f"  disk      {listing.size / GB:.2f} GB, {missing / GB:.2f} GB still to come; {free / GB:.1f} GB are free"
    )
    say(f"  memory    {memory}, of the GPU or the machine, and some for pictures and answers")
    sys.stdout.flush()


def check_space(folder: Path, missing: int) -> None:
    """Refuses a download that the disk cannot hold.

    Raises:
        FetchError: It cannot; the message says what it needs and what is free.
    """
    free = shutil.disk_usage(existing(folder)).free
    if missing and missing + RESERVE > free:
        raise FetchError(
            f"the disk of {folder} is too small: {missing / GB:.2f} GB are to come, {free / GB:.2f} GB are free; "
            "make room, or name a folder on another disk by --folder or MOLMO_ROS_HOME"
        )


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps other fetches out of it; the lock ends with the process, however that ends.

    Raises:
        FetchError: Another one is at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise FetchError(f"another fetch is at work in {folder}; wait until it is done") from error
    except OSError:  # a file system without locks, such as some of the network's
        pass
    try:
        yield
    finally:
        os.close(handle)


def prepare(
    folder: Path,
    before: FetchNote | None,
    note: FetchNote,
    listing: hub.Listing,
    wrong: Collection[hub.HubFile],
) -> None:
    """Makes the folder ready for a commit: notes it, and removes damaged files and what another commit left there.

    Args:
        folder: Where to.
        before: Its note until now; None where nothing was fetched into it.
        note: Its note from now on.
        listing: The files of the commit.
        wrong: Those that are there with other content.

    Raises:
        FetchError: The folder holds files that were not fetched and are not this model's; none is touched.
    """
    names = {file.name for file in listing.files}
    stale = {path.name for path in folder.glob("*.safetensors*")} - names
    if before is None:
        if foreign := stale | {file.name for file in hub.damaged_files(listing, folder)}:
            raise FetchError(
                f"{folder} holds other files than {note.hub_id}: {', '.join(sorted(foreign))}; "
                "choose an empty --folder"
            )
    else:
        # From here on no node takes it for a whole model; broken off, this starts over.
        replace(before, complete=False).write(folder)
        hub.discard(wrong, folder)
        if before.commit != note.commit:
            for name in stale | fetched_names(folder) - names:
                (folder / name).unlink(missing_ok=True)
    (folder / CHECKSUMS).unlink(missing_ok=True)
    note.write(folder)


def fetched_names(folder: Path) -> set[str]:
    """The files that the last complete fetch brought, as far as the folder tells."""
    try:
        manifest = read_checksums(folder)
    except CheckpointError:
        return set()
    return {file.name for file in manifest.files} if manifest else set()


def settle(folder: Path, listing: hub.Listing) -> None:
    """Compares everything with what the hub said, and writes the manifest of the folder.

    Raises:
        FetchError: A file differs; it is deleted, so that the next run downloads it again.
    """
    with hub.HashingBar(listing.size) as bar:
        try:
            write_checksums(
                folder,
                [file.name for file in listing.files],
                expected={file.name: file.sha256 for file in listing.files if file.sha256},
                origin={"repository": listing.hub_id, "revision": listing.commit},
                progress=bar,
            )
        except CheckpointError as error:
            refuse_damaged(listing, folder, str(error))
            raise
    # What the hub knows by git's hash alone was compared with nothing yet, where it holds tensors.
    refuse_damaged(replace(listing, files=tuple(one for one in listing.files if not one.sha256)), folder)
    hub.discard_parts(folder)
    note = FetchNote.read(folder)
    assert note is not None, "the note was written before the download"
    replace(note, complete=True).write(folder)


def refuse_damaged(
    listing: hub.Listing, folder: Path, reason: str = "files are not what the hub says"
) -> None:
    """Deletes files whose content is wrong.

    Raises:
        FetchError: There were such files.
    """
    if wrong := hub.damaged_files(listing, folder):
        hub.discard(wrong, folder)
        names = ", ".join(file.name for file in wrong)
        raise FetchError(f"{reason}. Deleted: {names}; the same command downloads that again")


def print_start(entry: ModelEntry, folder: Path) -> None:
    """The line to start the node with."""
    home = home_or_none()
    name = entry.name if home and folder == (home / entry.name).absolute() else str(folder)
    say(f"  ros2 launch molmo_ros molmo.launch.py model:={printable(name)}")
    say(f'  molmo-ros point picture.png "red cube" --model {printable(name)}')


def existing(folder: Path) -> Path:
    """The nearest folder above that exists, which tells the disk."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())

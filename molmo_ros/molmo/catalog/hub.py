# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Downloads from the Hugging Face hub: one repository at one commit, file by file, resumed where it was broken off.

Through huggingface_hub (addresses, token, retries, progress bars), which is imported only here and only when
something is downloaded.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, cast

from molmo_ros.molmo.catalog.checksums import CHECKSUMS, sha256_of
from molmo_ros.molmo.catalog.model_store import NOTE
from molmo_ros.molmo.errors import FetchError

WANTED = (
    *("*.safetensors", "*.json", "*.jinja", "merges.txt", "vocab.txt", "tokenizer.model"),
    *("LICENSE*", "NOTICE*"),
)
"""Weights, settings, tokenizer and licence. No code: this package runs none from a checkpoint."""
# hf_hub_download of huggingface_hub 2.4, local_dir or not, deletes a partial file when it is interrupted and never goes
# on with one; a shard has 5 GB, so partial files are kept here, under the hash of what they are to become.
PARTS = ".parts"
MOST_FILES = 1000
"""Of one model; the largest released one has 70."""
LARGEST_SETTINGS = 100 * 10**6
"""Bytes of a file that holds no tensors; those of released models have up to 12 MB."""
TIMEOUT = 30
"""How long the hub may take to list a repository [s]."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository.

    Attributes:
        name: Its name; only files at the top of the repository are of interest.
        size: Bytes.
        sha256: Of its content, for large files.
        git_sha1: Of its content as git counts it, for small files, which have no SHA-256 on the hub.
    """

    name: str
    size: int
    sha256: str | None
    git_sha1: str | None

    @property
    def is_weights(self) -> bool:
        """Whether it holds tensors."""
        return self.name.endswith(".safetensors")

    @property
    def digest(self) -> str:
        """What tells this content from any other."""
        return self.sha256 or self.git_sha1 or ""

    def intact(self, path: Path) -> bool:
        """Whether the file at `path` has this content."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        if self.sha256:
            return sha256_of(path) == self.sha256
        return not self.git_sha1 or git_sha1_of(path) == self.git_sha1


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one commit that a model needs."""

    hub_id: str
    commit: str
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def git_sha1_of(path: Path) -> str:
    """The hash by which git knows a small file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def list_files(hub_id: str, revision: str) -> Listing:
    """Asks the hub which commit a revision is, and for its files.

    Args:
        hub_id: The repository.
        revision: A branch, a tag or a commit.

    Raises:
        FetchError: The hub cannot be reached or refuses, or the repository holds no safetensors weights.
    """
    with _hub_errors(hub_id, revision):
        from huggingface_hub import HfApi

        info = HfApi().model_info(hub_id, revision=revision, files_metadata=True, timeout=TIMEOUT)
        files = tuple(
            HubFile(one.rfilename, one.size or 0, one.lfs.sha256 if one.lfs else None, one.blob_id)
            for one in info.siblings or ()
            if any(fnmatchcase(one.rfilename, pattern) for pattern in WANTED) and _plain(one.rfilename)
        )
        listing = Listing(hub_id, info.sha or "", files)
    if not any(file.is_weights for file in files):
        raise FetchError(f"{hub_id} at revision {revision!r} holds no safetensors weights")
    _check_listing(listing)
    return listing


def _check_listing(listing: Listing) -> None:
    """Refuses an answer that cannot be the hub's: its hashes become names of files, its sizes bound what is stored.

    Raises:
        FetchError: Names what is wrong with it.
    """
    wrong = f"the hub's answer about {listing.hub_id} is not one of a model: "
    if not re.fullmatch("[0-9a-f]{40}", listing.commit):
        raise FetchError(f"{wrong}its commit is {listing.commit!r:.80}")
    if len(listing.files) > MOST_FILES or len({file.name for file in listing.files}) < len(listing.files):
        raise FetchError(
            f"{wrong}it lists {len(listing.files)} files, at most {MOST_FILES} of different names can be"
        )
    for file in listing.files:
        hashes = (("[0-9a-f]{64}", file.sha256), ("[0-9a-f]{40}", file.git_sha1))
        sound = [re.fullmatch(pattern, digest) for pattern, digest in hashes if digest is not None]
        if not sound or None in sound:
            raise FetchError(f"{wrong}{file.name!r:.80} has the hash {file.digest!r:.80}")
        largest = sys.maxsize if file.is_weights else LARGEST_SETTINGS
        if type(file.size) is not int or not 0 <= file.size <= largest:
            raise FetchError(
                f"{wrong}{file.name!r:.80} has {file.size!r:.80} bytes, at most {largest} can be"
            )


def missing_bytes(listing: Listing, folder: Path, damaged: Collection[HubFile] = ()) -> int:
    """How many bytes are still to come: those of files that are not there or damaged, less what their parts hold."""
    return sum(
        file.size - _part_size(file, folder)
        for file in listing.files
        if file in damaged or not _has_size(folder / file.name, file.size)
    )


def download(listing: Listing, folder: Path) -> None:
    """Downloads what is not there yet; a partial file goes on where it ended.

    Args:
        listing: What to download.
        folder: Where to; files that are there with the right size are left alone.

    Raises:
        FetchError: The hub cannot be reached or refuses, or the disk is full.
    """
    parts = folder / PARTS
    for file in listing.files:
        target = folder / file.name
        if _has_size(target, file.size):
            continue
        with _hub_errors(listing.hub_id, listing.commit, file.name):
            from huggingface_hub import hf_hub_url
            from huggingface_hub.file_download import http_get
            from huggingface_hub.utils import build_hf_headers

            _make_parts(parts)
            done = _part_size(file, folder)
            with _Bounded(_open_part(_part(file, folder), keep=bool(done)), file) as part:
                http_get(
                    hf_hub_url(listing.hub_id, file.name, revision=listing.commit),
                    part,
                    resume_size=done,
                    # A compressed answer could not be continued in the middle.
                    headers=build_hf_headers() | {"Accept-Encoding": "identity"},
                    expected_size=file.size,
                    displayed_filename=file.name,
                )
            os.replace(_part(file, folder), target)


class _Bounded:
    """A part that takes no more than its file has, whatever a server sends."""

    def __init__(self, part: BinaryIO, file: HubFile) -> None:
        self._part, self._file = part, file

    def __enter__(self) -> BinaryIO:
        return cast(BinaryIO, self)

    def __exit__(self, *exception: object) -> None:
        self._part.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)

    def write(self, data: bytes) -> int:
        if self._part.tell() + len(data) > self._file.size:
            self._part.truncate(0)
            raise FetchError(
                f"more than the {self._file.size} bytes came that {self._file.name} has; nothing of it is kept"
            )
        return self._part.write(data)


def _make_parts(parts: Path) -> None:
    """The folder of parts; a link in its place, which would lead writing elsewhere, is removed."""
    if parts.is_symlink():
        parts.unlink()
    parts.mkdir(parents=True, exist_ok=True)


def _open_part(path: Path, keep: bool) -> BinaryIO:
    """A part for writing at its end, never through a link that somebody planted."""
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        path.unlink()
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags if keep else flags | os.O_TRUNC, 0o644), "ab")


def damaged_files(listing: Listing, folder: Path) -> list[HubFile]:
    """Files that are there and whose content is not what the hub says; reads all of them."""
    return [
        file for file in listing.files if _exists(folder / file.name) and not file.intact(folder / file.name)
    ]


def discard(files: Iterable[HubFile], folder: Path) -> None:
    """Deletes files."""
    for file in files:
        (folder / file.name).unlink(missing_ok=True)


def discard_parts(folder: Path) -> None:
    """Deletes what is left of broken-off downloads."""
    parts = folder / PARTS
    if parts.is_symlink():  # what it leads to is not this folder's
        return parts.unlink()
    for path in parts.glob("*"):
        path.unlink()
    if parts.is_dir():
        parts.rmdir()
    return None


class HashingBar:
    """A progress bar over the bytes that are hashed, for the functions of `checksums.py`."""

    def __init__(self, total: int) -> None:
        from huggingface_hub.utils import tqdm

        self._bar = tqdm(total=total, unit="B", unit_scale=True, desc="checking")

    def __call__(self, name: str, count: int) -> None:
        self._bar.update(count)

    def __enter__(self) -> HashingBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


def _plain(name: str) -> bool:
    """Whether it is a visible file at the top of the repository, and none that this package writes itself."""
    shown = name.isprintable() and len(name) <= 200 and not set(name) & set("/\\")
    return shown and not name.startswith(".") and name not in (CHECKSUMS, NOTE)


def _part(file: HubFile, folder: Path) -> Path:
    return folder / PARTS / f"{file.name}.{file.digest[:16]}"


def _part_size(file: HubFile, folder: Path) -> int:
    """Bytes of the file that have come; 0 where its part cannot be a beginning of it."""
    part = _part(file, folder)
    if part.parent.is_symlink() or part.is_symlink() or not part.is_file():
        return 0
    size = part.stat().st_size
    return size if size <= file.size else 0


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


@contextmanager
def _hub_errors(hub_id: str, revision: str, name: str = "its list of files") -> Iterator[None]:
    """Turns whatever goes wrong in a call of huggingface_hub into a `FetchError` that says what to do."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise FetchError(
            "fetching a model needs the hub's own client: pip install huggingface_hub"
        ) from error
    except FetchError as error:
        raise FetchError(f"{hub_id}: {error}") from error
    # Not only its own errors: those of the HTTP library come through, which changes with its version.
    except Exception as error:
        raise FetchError(f"{hub_id}: {_reason(error, revision, name)}") from error


def _reason(error: Exception, revision: str, name: str) -> str:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing can be fetched; unset it, or fetch on another machine"
    if isinstance(error, errors.GatedRepoError):
        return "it is gated: accept its terms on its page on the hub, and set HF_TOKEN to a token of that account"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"it has no revision {revision!r}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the hub has no such repository, or it is private; for a private one set HF_TOKEN"
    if status in (401, 403):
        return f"the hub refuses {name} (HTTP {status}); is HF_TOKEN right, and may its account read this?"
    if status is not None:
        return f"the hub answered HTTP {status} when asked for {name}; try again later"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full; {name} goes on where it ended once there is room"
    text = " ".join(str(error).split())
    return f"{name} could not be fetched ({type(error).__name__}: {text:.300}). Is the hub reachable? " + (
        "What has come so far is kept; the same command goes on from there"
    )

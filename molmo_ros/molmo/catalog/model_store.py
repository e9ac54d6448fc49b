# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Where models lie on this machine: embedded in the package, fetched by name, or in a folder of one's own.

A fetched model is a plain Hugging Face folder with a note of which commit it is. Nothing here asks the network;
`hub.py` does, when a person runs `molmo-ros fetch`.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from molmo_ros.molmo.catalog.config_file import read_config_file
from molmo_ros.molmo.catalog.hub_cache import cached_model, inside_cache
from molmo_ros.molmo.catalog.registry import ModelEntry, find_model, registry
from molmo_ros.molmo.errors import CheckpointError, MolmoError, RegistryError

EMBEDDED = Path(__file__).parents[2] / "checkpoints"
NOTE = "molmo_ros.json"


def models_home() -> Path:
    """The folder of all fetched models: $MOLMO_ROS_HOME/models, or ~/.cache/molmo_ros/models.

    Raises:
        CheckpointError: This user has no home folder, as in a container with a number for a user, and no
            $MOLMO_ROS_HOME says where else.
    """
    home = os.path.expanduser(os.environ.get("MOLMO_ROS_HOME") or os.path.join("~", ".cache", "molmo_ros"))
    if home.startswith("~"):  # left as it was written, it would name a folder of the working directory
        raise CheckpointError(
            f"there is no home folder for {home.split(os.sep)[0]!r} (user {os.getuid()}; HOME is not set): set "
            "MOLMO_ROS_HOME to the folder for models and engines"
        )
    return Path(home) / "models"


def home_or_none() -> Path | None:
    """`models_home`; None where there is none."""
    try:
        return models_home()
    except CheckpointError:
        return None


@dataclass(frozen=True)
class FetchNote:
    """What a folder was fetched from.

    Attributes:
        hub_id: The repository.
        revision: What was asked for: a branch, a tag or a commit.
        commit: The commit that this was when it was first fetched.
        complete: Whether all files have arrived and were verified.
    """

    hub_id: str
    revision: str
    commit: str
    complete: bool = False

    @classmethod
    def read(cls, folder: Path) -> FetchNote | None:
        """The note of a folder; None where it has none.

        Raises:
            CheckpointError: The note is damaged.
        """
        path = folder / NOTE
        if not path.is_file():
            return None
        try:
            note = cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise CheckpointError(
                f"{path} is damaged: {error!r}; delete it and fetch the model again"
            ) from error
        texts = (note.hub_id, note.revision, note.commit)
        if not (all(isinstance(text, str) for text in texts) and isinstance(note.complete, bool)):
            raise CheckpointError(f"{path} is damaged: {note}; delete it and fetch the model again")
        return note

    def write(self, folder: Path) -> None:
        """Leaves the note in a folder, in one step."""
        handle, temporary = tempfile.mkstemp(prefix=f".{NOTE}.", dir=folder)  # never through a planted link
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(json.dumps(asdict(self), indent=2) + "\n")
            os.chmod(temporary, 0o644)
            os.replace(temporary, folder / NOTE)
        except BaseException:
            os.unlink(temporary)
            raise


def fetched_folder(entry: ModelEntry) -> Path | None:
    """The folder of a fetched model; None where it was not fetched.

    Raises:
        CheckpointError: The download did not come to its end, what lies there is another model, or the folder of
            all models cannot be one.
    """
    home = home_or_none()
    if home is None:
        return None
    folder = home / entry.name
    try:
        folder.stat()  # since Python 3.14 `is_dir` is silent about what is too long, or forbidden
        if not folder.is_dir():
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # too long, forbidden
        raise CheckpointError(
            f"$MOLMO_ROS_HOME, {str(home)!r:.200}, cannot hold models: {error.strerror}"
        ) from error
    _check_fetched(folder, entry, FetchNote.read(folder))
    return folder


def checkpoint_folder(model: str | Path) -> Path:
    """The folder of an embedded checkpoint's name, of a fetched model's name or hub id, or the folder itself.

    A name goes before a folder of that name in the working directory; "./tiny" is the folder. What `molmo-ros fetch`
    brought goes before what the hub's own programs left in their cache, where models of any name are found by hub id.

    Raises:
        CheckpointError: None of these. For a model that could be fetched the message says how, for others it
            lists the names.
    """
    embedded = sorted(path.parent.name for path in EMBEDDED.glob("*/config.json"))
    if isinstance(model, str) and model in embedded:
        return EMBEDDED / model
    if isinstance(model, str) and not model.strip():
        raise CheckpointError(
            f"the model has an empty name; embedded: {', '.join(embedded) or 'none'}; the working directory is ."
        )
    entry = _on_the_hub(model)
    if entry is not None and (fetched := fetched_folder(entry)) is not None:
        return fetched
    try:
        folder = Path(model).expanduser()
        if folder.is_dir():
            folder = inside_cache(folder)
            if note := FetchNote.read(folder):  # `molmo-ros fetch --folder`
                _check_fetched(folder, _on_the_hub(note.hub_id), note)
            return folder
    except MolmoError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # too long, forbidden, NUL inside, ~nobody
        raise CheckpointError(f"{str(model)!r:.200} cannot be a checkpoint folder: {error!s:.200}") from error
    if (cached := _in_hub_cache(model, entry)) is not None:
        return cached
    if entry is not None:
        raise CheckpointError(
            f"{str(model)!r} is not on this machine; `molmo-ros fetch {entry.name}` downloads it to "
            f"{(home_or_none() or Path('$MOLMO_ROS_HOME/models')) / entry.name}"
        )
    known = ", ".join(embedded) or "none"
    raise CheckpointError(
        f"{str(model)!r:.200} is neither a checkpoint folder nor a model's name; embedded: {known}; "
        f"`molmo-ros fetch` has: {', '.join(_names_on_the_hub()) or 'none'}"
    )


def _check_fetched(folder: Path, entry: ModelEntry | None, note: FetchNote | None) -> None:
    """Raises CheckpointError where the download did not come to its end, or is not the entry's model."""
    if note is None or not note.complete:
        name = entry.name if entry else "MODEL"
        raise CheckpointError(f"{folder} is not complete; `molmo-ros fetch {name}` goes on with the download")
    if entry is None:
        return
    if note.hub_id != entry.hub_id:
        raise CheckpointError(f"{folder} holds {note.hub_id}, not {entry.hub_id}")
    entry.check(read_config_file(folder), str(folder))


def _in_hub_cache(model: str | Path, entry: ModelEntry | None) -> Path | None:
    """The model in the cache of the hub's own programs, where it holds it.

    Raises:
        CheckpointError: What lies there under the name of a known model is another.
    """
    hub_id = entry.hub_id if entry is not None else model
    snapshot = cached_model(hub_id, entry.revision if entry else None) if isinstance(hub_id, str) else None
    if snapshot is not None and entry is not None:
        entry.check(read_config_file(snapshot), str(snapshot))
    return snapshot


def _on_the_hub(model: str | Path) -> ModelEntry | None:
    """The description of a model that can be fetched, by name or hub id."""
    try:
        entry = find_model(model) if isinstance(model, str) else None
    except RegistryError:  # no such name, or the descriptions are not installed: folders still work
        return None
    return None if entry is None or entry.hub_id is None else entry


def _names_on_the_hub() -> list[str]:
    try:
        return [entry.name for entry in registry().values() if entry.hub_id is not None]
    except RegistryError:
        return []

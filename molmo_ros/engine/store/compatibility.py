# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whether an engine is the right one for a checkpoint and a machine."""

from __future__ import annotations

from molmo_ros.engine.errors import EngineMismatchError
from molmo_ros.engine.store.manifest import Manifest

SHOWN = 12
"""Digits of a hash in a message."""


def check_engine(
    manifest: Manifest,
    *,
    checkpoint_sha256: str | None = None,
    runtime_version: str | None = None,
    compute_capability: str | None = None,
) -> None:
    """Compares an engine with what it is to be used with; what is None is not known here and not compared.

    Args:
        manifest: The engine's.
        checkpoint_sha256: Of the checkpoint that is asked for.
        runtime_version: Of the installed TensorRT; engines of onnxruntime run with any of its versions.
        compute_capability: Of this machine's GPU, such as "8.7".

    Raises:
        EngineMismatchError: Lists everything that differs, and ends with the command that builds the engine again.
    """
    wrong = []
    if checkpoint_sha256 not in (None, manifest.checkpoint_sha256):
        wrong.append(
            f"it was built from the checkpoint {manifest.checkpoint_sha256[:SHOWN]}… ({manifest.model}), "
            f"this one is {checkpoint_sha256[:SHOWN]}…"
        )
    if manifest.compute_capability is not None:
        if compute_capability not in (None, manifest.compute_capability):
            wrong.append(
                f"it was built for a GPU of compute capability {manifest.compute_capability} ({manifest.target}), "
                f"this machine's has {compute_capability}"
            )
        built_with = manifest.versions[manifest.runtime]
        if runtime_version not in (None, built_with):
            wrong.append(f"it was built with {manifest.runtime} {built_with}, installed is {runtime_version}")
    if wrong:
        raise EngineMismatchError(
            f"the engine {manifest.name} does not fit: {'; '.join(wrong)}. Build it again: {manifest.command}"
        )

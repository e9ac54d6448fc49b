# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Names of frames: as TF takes them, as messages show them, and what they say."""

from __future__ import annotations

SHOWN = 100
"""Longer names are cut in messages [characters]."""


def plain(frame_id: str) -> str:
    """A frame's name without leading slashes, as tf2 takes it."""
    return frame_id.lstrip("/")


def shown(name: str) -> str:
    """A frame's name as it stands in messages: quoted, and not without end."""
    return repr(name) if len(name) <= SHOWN else repr(f"{name[:SHOWN]}...")


def is_named_optical(frame: str) -> bool:
    """Whether the name says so, as REP-103 wants it (`..._optical_frame`, `..._optical`, `..._frame_optical`)."""
    return "optical" in frame.rsplit("/", 1)[-1].lower()

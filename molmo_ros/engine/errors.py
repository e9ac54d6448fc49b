# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Errors of exporting, building, keeping and running engines."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from molmo_ros.molmo.errors import MolmoError


class EngineError(MolmoError):
    """An engine cannot be built, found, trusted or run; the message says what to do about it."""


class UnsupportedBuildError(EngineError):
    """The target, the precision or the model is one that this combination cannot do."""


class EngineMismatchError(EngineError):
    """An engine is sound but of another GPU, TensorRT, model or shape; the message has the rebuilding command."""


class TamperedEngineError(EngineError):
    """An engine or its manifest is not what was built, or others could have written it."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, or the part of it that is allowed, is full."""


@contextmanager
def system_errors(doing: str) -> Iterator[None]:
    """What the system refuses becomes an `EngineError` that says during what, which file, why, and the way out.

    Args:
        doing: Such as "the engine cannot be built".

    Raises:
        EngineError: The block raised an OSError.
    """
    try:
        yield
    except BrokenPipeError:  # the reader of our output went away: no error
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        cure = "; make room there, what is finished is kept" if error.errno in FULL else ""
        raise EngineError(
            f"{doing}: {where}{error.strerror or error or type(error).__name__}{cure}"
        ) from error

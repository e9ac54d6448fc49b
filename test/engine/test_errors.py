# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the system refuses, in words."""

import errno
import os

import pytest

from molmo_ros.engine.errors import EngineError, system_errors


def test_the_message_says_what_where_why_and_the_way_out(tmp_path):
    words = f"an engine cannot be read: {tmp_path}/none: No such file"
    with pytest.raises(EngineError, match=words) as caught, system_errors("an engine cannot be read"):
        (tmp_path / "none").read_bytes()
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")
    words = "cannot be built: /x: No space left on device; make room there"
    with pytest.raises(EngineError, match=words), system_errors("cannot be built"):
        raise full
    with pytest.raises(EngineError, match="cannot be built: no words$"), system_errors("cannot be built"):
        raise OSError("no words")


@pytest.mark.parametrize("error", [BrokenPipeError, KeyboardInterrupt, EngineError, ValueError])
def test_what_is_not_the_systems_refusal_stays_what_it_is(error):
    with pytest.raises(error), system_errors("cannot be built"):
        raise error

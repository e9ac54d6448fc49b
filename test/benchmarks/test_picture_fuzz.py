# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A short run of the fuzzer of pictures; the long one is `python -m benchmarks.picture_fuzz`."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import picture_fuzz
from benchmarks.crafted_pictures import SMALL, coded


def test_damaged_pictures_and_messages_are_read_or_refused_in_bounded_memory():
    counts, _, memory = picture_fuzz.fuzz(3000, seed=20261128)
    assert sum(counts.values()) == 3000
    # Both ways are taken often enough to mean something.
    assert min(counts["read refused"], counts["refused read"], counts["refused refused"]) >= 20, counts
    assert memory < picture_fuzz.ALLOWED


def test_what_is_real_is_read():
    for format, data in picture_fuzz.real_pictures():
        assert "read" in picture_fuzz.decode(SimpleNamespace(format=format, data=data)), format


def test_the_fuzzer_sees_other_errors_memory_and_a_process_that_dies(monkeypatch):
    case = [SimpleNamespace(format="", data=coded(SMALL, ".png"))]

    def fails(message):
        raise KeyError("other")

    def eats(message):
        return np.ones(picture_fuzz.ALLOWED + (32 << 20), np.uint8)[:3].reshape(1, 1, 3)

    def dies(message):
        picture_fuzz.os._exit(11)

    for reader, reason in ((fails, "KeyError"), (eats, "MiB"), (dies, "died in case 0")):
        monkeypatch.setattr(picture_fuzz, "picture_of", reader)
        with pytest.raises(AssertionError, match=reason):
            picture_fuzz.run_batch(case)

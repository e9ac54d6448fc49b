# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A short run of the fuzzer of bags (`python -m benchmarks.bag_fuzz` is a long one), and that it sees faults."""

import pytest

from benchmarks import bag_fuzz


def test_damaged_bags_are_read_as_far_as_they_are_whole(capsys):
    outcomes, failures = bag_fuzz.fuzz(50_000, 120)
    assert failures == 0, capsys.readouterr().out
    assert min(outcomes.values()) >= 10, outcomes  # each often enough to mean something


@pytest.mark.parametrize("fault", ["raises", "loses"])
def test_a_fault_is_seen(monkeypatch, capsys, fault):
    real = bag_fuzz.RecordedBag

    class Careless(real):
        def messages(self, connections, start=None, stop=None):
            if fault == "raises" and self.losses:
                raise KeyError("a record")
            yield from list(super().messages(connections, start, stop))[:-1]

        losses = property(lambda self: real.losses.fget(self) if fault == "raises" else [])

    reading = bag_fuzz.read
    monkeypatch.setattr(bag_fuzz, "damage", lambda *_: monkeypatch.setattr(bag_fuzz, "RecordedBag", Careless))
    monkeypatch.setattr(bag_fuzz, "read", reading)
    _, failures = bag_fuzz.fuzz(0, 3)
    assert failures, capsys.readouterr().out

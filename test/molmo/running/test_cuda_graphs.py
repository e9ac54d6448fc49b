# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Recordings, and what becomes of a step where there can be none, on the stand-in for a CUDA device."""

import pytest
import torch

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.running.cuda_graphs import CudaGraphs

DEVICE = torch.device("cuda")


@pytest.fixture
def graphs(cuda):
    return CudaGraphs(DEVICE)


class Doubling:
    """A step over fixed memory, which may fail while it is recorded."""

    def __init__(self, error: Exception | None = None) -> None:
        self.input, self.output = torch.zeros(3, device="cuda"), torch.zeros(3, device="cuda")
        self.error, self.runs, self.reads = error, 0, False

    def __call__(self) -> torch.Tensor:
        self.runs += 1
        if self.error is not None and self.runs == 2:  # the first run is no recording
            error, self.error = self.error, None
            raise error
        if self.reads:
            float(self.input.sum())  # which no recording may
        return torch.mul(self.input, 2, out=self.output)


def ask(graphs: CudaGraphs, step: Doubling, value: float) -> list[float]:
    step.input.fill_(value)
    return graphs.run("double", step).clone().tolist()


def test_a_step_is_recorded_once_and_replayed(cuda, graphs):
    step = Doubling()
    assert [ask(graphs, step, value) for value in (1.0, 2.0, 5.0)] == [[2.0] * 3, [4.0] * 3, [10.0] * 3]
    assert graphs.refused is None and step.runs == 2
    graphs.forget()
    assert ask(graphs, step, 7.0) == [14.0] * 3 and step.runs == 4


def test_the_stand_in_sees_a_race(cuda):
    value, other = torch.zeros(3, device="cuda"), cuda.stream()
    with torch.cuda.stream(other), pytest.raises(cuda.Race):
        value.add_(1)
    other.wait_stream(cuda.default)
    with torch.cuda.stream(other):
        value.add_(1)
    with pytest.raises(cuda.Race):
        value.clone()


def test_a_device_that_records_nothing_is_told_at_once(cuda, caplog):
    cuda.cannot_record = "CUDA error: stream capture is not supported"
    graphs = CudaGraphs(DEVICE)
    assert graphs.refused == "recording failed: CUDA error: stream capture is not supported"
    assert graphs.refused in caplog.text
    assert ask(graphs, Doubling(), 3.0) == [6.0] * 3


def test_a_device_whose_recordings_are_wrong_is_told_at_once(cuda, monkeypatch):
    monkeypatch.setattr(cuda.Graph, "replay", lambda graph: None)
    assert CudaGraphs(DEVICE).refused == "a recorded 41 + 1 is 2 on this device"


def test_a_step_that_cannot_be_recorded_runs_as_it_is(cuda, graphs, caplog):
    """On the stream that it was called on, where the next work finds what it made."""

    def step() -> torch.Tensor:
        return memory * float(memory.sum())

    memory = torch.full((2,), 3.0, device="cuda")
    for _ in range(2):
        assert graphs.run("reading", step).clone().tolist() == [18.0, 18.0]
        assert cuda.current is cuda.default
    # Of the two errors the one that says why.
    assert graphs.refused == "recording failed: CUDA error: operation not permitted when stream is capturing"
    assert caplog.text.count("kernel by kernel") == 1


def test_a_refusal_of_the_engine_is_no_recording(cuda, graphs):
    assert ask(graphs, Doubling(MolmoError("the engine does not run")), 4.0) == [8.0] * 3
    assert graphs.refused == "recording failed: the engine does not run"
    assert cuda.current is cuda.default


def test_work_of_a_stream_of_its_own_is_done_before_others_read_it(cuda, graphs):
    """As an engine's runner has one; a recording that fails must not leave it for another."""
    own, step = cuda.stream("own"), Doubling()
    step.reads = True
    for value in (4.0, 5.0):
        own.wait_stream(cuda.default)
        with torch.cuda.stream(own):
            step.input.fill_(value)
            result = graphs.run("double", step).clone()
        cuda.default.wait_stream(own)
        assert result.tolist() == [2 * value] * 3


def test_without_memory_for_a_recording_the_next_one_is_tried(cuda, graphs):
    step = Doubling(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    with pytest.raises(torch.OutOfMemoryError):
        ask(graphs, step, 1.0)
    assert cuda.current is cuda.default and graphs.refused is None
    assert ask(graphs, step, 2.0) == [4.0] * 3
    assert graphs.refused is None


def test_a_lost_device_is_no_refusal(cuda, graphs):
    """Whoever runs without recordings goes on; with such a device nobody does."""

    def step() -> torch.Tensor:
        if cuda.recording is not None:
            cuda.break_down()
        return memory.add(1)

    memory = torch.zeros(2, device="cuda")
    with pytest.raises(torch.AcceleratorError, match="illegal memory access"):
        graphs.run("breaking", step)
    assert graphs.refused is None

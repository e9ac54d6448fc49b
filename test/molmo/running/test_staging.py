# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is sent arrives; on CUDA devices through memory that is used again, once and in one transfer."""

import pytest
import torch

from molmo_ros.molmo.running.staging import ALIGNMENT, Staging

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")),
]
DEVICE = torch.device("cuda")


def made(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "bytes": torch.randint(0, 256, (7, 11, 3), generator=generator).to(torch.uint8),
        "floats": torch.randn(3, 5, generator=generator),
        "nothing": torch.empty(0, 4),
        "turned": torch.arange(6).view(2, 3).T,
        "one": torch.tensor(True),
    }


@pytest.mark.parametrize("device", DEVICES)
def test_values_arrive(device):
    staging = Staging(torch.device(device))
    for seed in range(3):
        values = made(seed)
        sent = staging.send(values)
        assert list(sent) == list(values)
        for name, value in values.items():
            assert sent[name].device.type == device and sent[name].dtype == value.dtype
            assert torch.equal(sent[name].cpu(), value)
    assert staging.nbytes == (0 if device == "cpu" else 4 * ALIGNMENT)


def test_one_copy_and_one_transfer(cuda):
    """Whatever lies on the host, in one go, from memory that is pinned once; nobody waits for it."""
    staging = Staging(DEVICE)
    first = {name: cuda.host(value) for name, value in made(0).items()}
    there = torch.arange(5)
    sent = staging.send(first | {"there": there})
    assert cuda.transfers == [4 * ALIGNMENT] and cuda.waiting == cuda.reads == 0
    assert sent["there"] is there
    again = staging.send({name: cuda.host(value) for name, value in made(1).items()})
    assert cuda.transfers == [4 * ALIGNMENT] * 2 and staging.nbytes == 4 * ALIGNMENT
    for seed, arrived in ((0, sent), (1, again)):
        for name, value in made(seed).items():
            assert torch.equal(arrived[name], value) and arrived[name].dtype == value.dtype
            assert not cuda.is_host(arrived[name])


def test_memory_that_is_still_read_is_not_written(cuda):
    """The device of the test notices: without the wait it is a race."""
    staging = Staging(DEVICE)
    staging.send({"value": cuda.host(torch.zeros(100))})
    with pytest.raises(cuda.Race, match="pinned memory that a transfer may still be reading"):
        staging._memory.fill_(1)
    staging.send({"value": cuda.host(torch.ones(100))})


def test_larger_values_get_larger_memory(cuda):
    staging = Staging(DEVICE)
    for count in (10, 1000, 500):
        value = torch.arange(count)
        assert torch.equal(staging.send({"value": cuda.host(value.clone())})["value"], value)
    assert staging.nbytes == 8000 // ALIGNMENT * ALIGNMENT + ALIGNMENT
    assert cuda.transfers == [ALIGNMENT, staging.nbytes, 4096]

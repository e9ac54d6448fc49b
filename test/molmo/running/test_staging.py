# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is sent arrives; on CUDA devices through memory that is used again."""

import pytest
import torch

from molmo_ros.molmo.running.staging import Staging

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")),
]


@pytest.mark.parametrize("device", DEVICES)
def test_values_arrive(device):
    staging = Staging(torch.device(device))
    values = [torch.randn(3, 5), torch.randn(7, 2, 2), torch.empty(0, 4), torch.arange(6).view(2, 3).T]
    sent = [staging.send(value) for value in values]
    half = staging.send(values[0], torch.float16)
    for value, arrived in zip(values, sent, strict=True):
        assert arrived.device.type == device and arrived.dtype == value.dtype
        assert torch.equal(arrived.cpu(), value)
    assert torch.equal(half.cpu(), values[0].half())
    assert staging.nbytes == (0 if device == "cpu" else 7 * 2 * 2 * 4)

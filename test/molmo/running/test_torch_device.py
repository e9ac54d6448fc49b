"""Devices by name: those that are not there are told in one sentence."""

import pytest
import torch

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.running.torch_device import torch_device


def test_a_device_that_works():
    assert torch_device("cpu") == torch.device("cpu")
    assert torch_device(torch.device("cpu", 0)).type == "cpu"


@pytest.mark.parametrize(
    "device",
    ["mps", "cuda:99", "xpu", "vulkan", "meta", "gpu", "", "cuda:-3", "c" * 5000, "cuda:99999999999", 3.5],
)
def test_a_device_that_is_not_there_is_told_in_a_sentence(device):
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(CheckpointError) as error:
        torch_device(device)
    message = str(error.value)
    assert len(message) < 400 and "\n" not in message
    assert repr(str(device))[:80] in message and "this machine has cpu" in message
    assert "GB" not in message

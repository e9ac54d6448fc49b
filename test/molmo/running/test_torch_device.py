# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Devices by name: those that are not there are told in one sentence."""

import pytest
import torch

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.running.torch_device import runs_on, torch_device


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


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((8, 6), ["sm_50", "sm_80", "sm_90"], True),  # an RTX 3060 with code of 8.0
        ((8, 9), ["sm_75", "sm_86"], True),
        ((8, 0), ["sm_86"], False),  # code for a newer chip
        ((12, 0), ["sm_80", "sm_90"], False),  # an RTX 5090 with a torch from before it
        ((12, 0), ["sm_80", "sm_90", "compute_90"], True),
        ((12, 0), ["sm_90a", "compute_90a"], False),
        ((9, 0), ["sm_90a"], True),
        ((8, 7), ["sm_80", "sm_86", "sm_90"], False),  # an Orin with a torch for PCs
        ((8, 7), ["sm_87"], True),
        ((8, 7), ["sm_80", "compute_80"], True),
        ((8, 9), ["sm_87"], False),
        ((11, 0), ["sm_100", "sm_110", "sm_120"], True),  # a Thor
        ((6, 1), ["sm_75", "compute_90"], False),
        ((8, 6), ["gfx90a"], False),
    ],
)
def test_which_code_runs_on_which_chip(capability, built_for, runs):
    assert runs_on(capability, built_for) is runs


@pytest.mark.parametrize(
    ("capability", "cure"), [((8, 7), "NVIDIA's torch for its JetPack"), ((12, 0), "newer ones a newer")]
)
def test_a_torch_without_code_for_the_chip_is_told_before_its_first_kernel(
    cuda, monkeypatch, capability, cure
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_86", "sm_90"])
    with pytest.raises(CheckpointError) as error:
        torch_device("cuda")
    message = str(error.value)
    assert cure in message and "{}.{}".format(*capability) in message and "sm_80, sm_86, sm_90" in message
    assert cuda.launches == 0 and len(message) < 500


def test_a_gpu_that_computes_nothing_does_not_work(cuda):
    """Memory can be set and read without one kernel of torch's own."""
    assert torch_device("cuda").type == "cuda"
    cuda.without = {"arange": "CUDA error: no kernel image is available for execution on the device"}
    with pytest.raises(CheckpointError, match="no kernel image"):
        torch_device("cuda")
    cuda.without = {"mm": "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"}
    with pytest.raises(CheckpointError, match="CUBLAS_STATUS_NOT_INITIALIZED"):
        torch_device("cuda")

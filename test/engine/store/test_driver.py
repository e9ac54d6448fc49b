# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The GPU as the driver knows it."""

import pytest
import torch

from molmo_ros.engine.store import driver
from molmo_ros.engine.targets import this_gpu


def test_it_is_torchs_gpu_or_none_where_torch_sees_none():
    gpu = torch.cuda.get_device_capability() if torch.cuda.is_available() else None
    assert this_gpu() == gpu
    assert driver.gpu_capability() == (None if gpu is None else f"{gpu[0]}.{gpu[1]}")


@pytest.mark.parametrize(
    ("written", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n",
            "535.183.01",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\n", "540.4.0"),
        ("NVRM version: none\n", None),
    ],
)
def test_the_drivers_version_is_read(written, version, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "VERSION", tmp_path / "version")
    assert driver.driver_version() is None
    driver.VERSION.write_text(written)
    assert driver.driver_version() == version

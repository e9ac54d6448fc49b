# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The devices' rates, computed from SMs and clocks, against the figures that NVIDIA prints."""

import pytest

from molmo_ros.engine.cost.device import DEVICES, SIXTEEN, devices_of, find_device
from molmo_ros.engine.errors import UnsupportedBuildError
from molmo_ros.engine.targets import GPU_TARGETS


@pytest.mark.parametrize(
    ("name", "inputs", "printed"),
    [
        ("rtx3090", SIXTEEN, 71),  # Ampere GA102 paper: dense, summed in float32
        ("rtx3090", "int8", 284),
        ("rtx3080", SIXTEEN, 59.5),
        ("rtx4090", SIXTEEN, 165.2),  # Ada paper
        ("rtx4090", "fp8", 330.3),
        ("rtx4090", "int8", 660.6),
        ("rtx4080", SIXTEEN, 97.5),
        ("rtx5090", SIXTEEN, 209.5),  # RTX Blackwell paper
        ("rtx5090", "fp8", 419),
        ("rtx5080", SIXTEEN, 112.6),
        ("agx-orin", "int8", 170 / 2),  # technical brief: sparse
        ("orin-nano", "int8", 67 / 2),
        ("thor", "fp8", 2070 / 4),  # sparse FP4
        ("thor-t4000", "fp8", 1200 / 4),
    ],
)
def test_rates_are_those_that_are_printed(name, inputs, printed):
    assert DEVICES[name].rate(inputs) / 1e12 == pytest.approx(printed, rel=0.01)


def test_a_rate_that_is_not_known_is_that_of_16_bit():
    thor = DEVICES["thor"]
    assert thor.rate("int8") == thor.rate(SIXTEEN)


@pytest.mark.parametrize("name", ["AGX Orin", "agx_orin", "agx-orin"])
def test_names_are_found_however_they_are_spaced(name):
    assert find_device(name) is DEVICES["agx-orin"]


def test_an_unknown_device_is_refused_with_the_names():
    with pytest.raises(
        UnsupportedBuildError, match="'gtx1080' is not known; it must be one of orin-nano, .*rtx5090"
    ):
        find_device("gtx1080")


def test_every_target_has_devices():
    assert all(devices_of(target.capability) for target in GPU_TARGETS.values())
    assert {one.capability for one in DEVICES.values()} == {one.capability for one in GPU_TARGETS.values()}


def test_a_jetson_shares_its_memory():
    assert DEVICES["orin-nx-16"].memory - DEVICES["orin-nx-16"].usable > 2e9
    assert DEVICES["rtx3060"].memory - DEVICES["rtx3060"].usable < 1e9

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Muon in float32 against torch's own, and against the singular values that it promises."""

import pytest
import torch

from molmo_ros.train.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (16, 48), (48, 16)])
def test_steps_are_those_of_torch_up_to_its_bfloat16(shape):
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(4)]
    moved = []
    for make in (
        lambda p: Muon([p], lr=1e-2, weight_decay=0.05),
        lambda p: torch.optim.Muon([p], lr=1e-2, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
    ):
        parameter = torch.nn.Parameter(start.clone())
        optimizer = make(parameter)
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
        moved.append((parameter - start).detach())
    assert (moved[0] - moved[1]).norm() < 0.02 * moved[1].norm()


@pytest.mark.parametrize("shape", [(20, 60), (60, 20)])
def test_an_update_has_singular_values_near_one(shape):
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert values.min() > 0.6 and values.max() < 1.3


def test_what_has_no_gradient_stays():
    still = torch.nn.Parameter(torch.ones(3, 3))
    Muon([still], lr=0.1, weight_decay=0.5).step()
    assert torch.equal(still, torch.ones(3, 3))

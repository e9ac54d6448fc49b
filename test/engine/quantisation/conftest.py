# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Calibrated models and their prompts, made once."""

import pytest
import torch

from molmo_ros.engine.quantisation.decoder_prompts import calibration_prompts
from molmo_ros.engine.quantisation.decoder_quantiser import quantise_decoder
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.train.examples import simulated_examples


@pytest.fixture(scope="session")
def tiny():
    """The embedded model."""
    return Molmo.from_pretrained("tiny")


@pytest.fixture(scope="session")
def prompts(tiny):
    """Sixteen prompts of the simulator: the first eight to calibrate on, the others to measure on."""
    return calibration_prompts(tiny, list(simulated_examples(16)))


@pytest.fixture(scope="session")
def calibrated(tiny, prompts, tmp_path_factory):
    """The embedded model's decoder at a precision, quantised once."""
    made = {}

    def get(precision):
        if precision not in made:
            model = tiny.runtime.model
            made[precision] = quantise_decoder(
                tmp_path_factory.mktemp(precision),
                model.config.decoder,
                precision,
                torch.bfloat16,
                model.state_dict().__getitem__,
                prompts[:8],
            )
        return made[precision]

    return get


@pytest.fixture(scope="session")
def folder():
    """Of the embedded checkpoint."""
    return EMBEDDED / "tiny"

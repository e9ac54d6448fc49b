# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The shapes that descriptions of models stand for, against the numbers of parameters that the hub holds."""

from dataclasses import replace

import pytest

from molmo_ros.engine.cost.pass_cost import stored_values
from molmo_ros.engine.cost.released_shape import released_shape
from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.catalog.registry import find_model, registry
from molmo_ros.molmo.errors import RegistryError


@pytest.mark.parametrize("entry", registry().values(), ids=lambda entry: entry.name)
def test_parameters_are_as_many_as_the_hub_has(entry):
    assert sum(count for _, count in stored_values(released_shape(entry))) == entry.loaded_parameters


def test_a_description_that_does_not_add_up_is_refused():
    entry = find_model("molmo2-4b")
    wider = {**entry.shape, "decoder": entry.shape["decoder"] | {"mlp_width": 9729}}
    with pytest.raises(
        RegistryError, match=r"molmo2-4b makes 4,851,145,680 parameters; .* says 4,850,869,200"
    ):
        released_shape(replace(entry, shape=wider))


def test_the_embedded_model_counts_as_its_own_config():
    stored = read_config(EMBEDDED / "tiny")
    assert dict(stored_values(released_shape(find_model("tiny")))) == dict(stored_values(stored))

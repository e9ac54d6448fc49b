# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Vectors that are changed, to be told from those of the reference."""

import numpy as np
import pytest


@pytest.fixture
def change():
    """Puts what a function makes of a stored array in its place; None takes it out."""

    def apply(folder, file, name, function):
        with np.load(folder / file) as stored:
            arrays = {key: stored[key] for key in stored.files}
        arrays[name] = function(arrays[name])
        if arrays[name] is None:
            del arrays[name]
        np.savez(folder / file, **arrays)

    return apply

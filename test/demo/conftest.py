# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A plan of the demo, whose scenes are rendered once."""

import pytest


@pytest.fixture(scope="session")
def plan():
    from molmo_ros.demo.plan import make_plan

    return make_plan(7)

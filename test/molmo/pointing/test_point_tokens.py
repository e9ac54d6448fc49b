# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The ids of point tokens against the bounds that the reference gave for its vectors."""

from pathlib import Path

import numpy as np

from molmo_ros.molmo.pointing.point_tokens import PointTokens

VECTORS = Path(__file__).parents[2] / "vectors" / "molmopoint-8b-tiny"


def test_ids_follow_each_other_as_in_the_reference():
    pooling = np.load(VECTORS / "input.npz")["image_token_pooling"]
    bounds = np.load(VECTORS / "logits.npz")["bounds"].tolist()
    tokens = PointTokens(320 + 128, *pooling.shape, 9)
    patch_start, no_more_points, _, subpatch_start, subpatch_stop, location_start, location_stop = bounds
    assert tokens.patch == range(patch_start, no_more_points)
    assert tokens.no_more_points == no_more_points
    assert tokens.subpatch == range(subpatch_start, subpatch_stop)
    assert tokens.location == range(location_start, location_stop)
    assert tokens.all == range(patch_start, location_stop)


def test_spelled_as_in_the_reference():
    tokens = PointTokens(448, 518, 4, 9)
    text = str(np.load(VECTORS / "input.npz")["point_text"])
    steps = np.load(VECTORS / "logits.npz")["steps"].tolist()
    for step in steps[1:4]:
        assert tokens.spelling(step) in text
    assert tokens.spelling(tokens.no_more_points) in text

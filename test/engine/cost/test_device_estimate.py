# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Estimates against what others measured, and what must hold of them whatever they are."""

from dataclasses import replace

import pytest

from molmo_ros.engine.cost.device import DEVICES
from molmo_ros.engine.cost.device_estimate import LEAST, LIKELY, MOST, DeviceEstimate
from molmo_ros.engine.cost.pass_cost import stored_values
from molmo_ros.engine.cost.published_speed import PUBLISHED, decoding_shares, prefill_shares
from molmo_ros.engine.cost.released_shape import released_shape
from molmo_ros.engine.errors import UnsupportedBuildError
from molmo_ros.molmo.catalog.registry import find_model
from molmo_ros.molmo.images.crop_budget import image_cost


def estimate(model="molmo2-4b", precision="int4", device="agx-orin", max_crops=None, **changes):
    entry = find_model(model)
    images = entry.image_processor
    images = images if max_crops is None else images.with_max_crops(max_crops)
    image = image_cost(images, (720, 1280))
    return DeviceEstimate.of(released_shape(entry), images, image, precision, DEVICES[device], **changes)


def test_nobody_is_faster_than_a_floor():
    for one in PUBLISHED:
        if one.alike:
            assert one.tokens_per_second < one.floor, one
        assert one.prefill_share is None or one.prefill_share < 1, one


def test_floors_are_near_what_was_measured():
    """Decoding is a matter of bytes: others reach at least two thirds."""
    assert decoding_shares()[0] > 0.65
    (molmo,) = [one for one in PUBLISHED if one.model == "molmo-7b-d"]
    # 7.07 billion weights of 2 bytes, as the decoder has them without its embedding, at 273 GB/s.
    assert molmo.floor == pytest.approx(273 / (2 * 7.07), rel=0.01)


def test_the_range_holds_what_others_reached():
    decoding, prefill = decoding_shares(), prefill_shares()
    assert LEAST[0] <= decoding[0] <= LIKELY[0] <= decoding[-1] <= MOST[0]
    assert LEAST[1] <= prefill[0] <= LIKELY[1] <= prefill[-1] <= MOST[1]


@pytest.mark.parametrize(("precision", "peak"), [("bf16", 18.26), ("int8", 11.68), ("int4", 8.72)])
def test_memory_is_near_what_others_saw(precision, peak):
    """MolmoPoint-8B on a card, in torch: an 8-bit or 4-bit language model, the rest at 16 bit [GiB]."""
    table = (
        2 * dict(stored_values(released_shape(find_model("molmopoint-8b"))))["embedding"]
    )  # of torch alone
    found = (estimate("molmopoint-8b", precision, "rtx5090").memory + table) / 2**30
    assert found == pytest.approx(peak, rel=0.12)


def test_spans_are_in_order():
    one = estimate()
    speed, seconds = one.tokens_per_second, one.first_point
    assert speed.worst < speed.likely < speed.best < speed.floor
    assert seconds.floor < seconds.best < seconds.likely < seconds.worst


def test_fewer_bits_and_crops_cost_less():
    wide, narrow = estimate(precision="bf16"), estimate(precision="int4")
    assert narrow.memory < wide.memory and narrow.tokens_per_second.floor > 2 * wide.tokens_per_second.floor
    few = estimate(max_crops=1)
    assert few.first_point.floor < narrow.first_point.floor and few.cache < narrow.cache


def test_what_does_not_fit_is_said():
    assert not estimate("molmo2-8b", "bf16", "orin-nx-16").fits
    assert estimate("molmo2-8b", "int4", "orin-nx-16").fits
    small = replace(DEVICES["orin-nano"], memory=4e9)
    assert not replace(estimate(), device=small).fits


def test_a_context_that_is_too_small_is_refused():
    with pytest.raises(UnsupportedBuildError, match="max_context 100 is too small"):
        estimate(context=100)


def test_a_copied_cache_costs_by_its_length():
    """36 layers of 8 heads of 128 numbers, keys and values, read and written, at 204.8 GB/s."""
    found = estimate(context=4096)
    assert found.cache_copy == pytest.approx(2 * (2 * 36 * 8 * 128 * 4096 * 2) / 204.8e9)
    assert estimate(context=2048).cache_copy == found.cache_copy / 2

"""What an encoded image keeps between queries."""

import numpy as np
import pytest

from molmo_ros.molmo.pipeline import Molmo

IMAGE = np.full((60, 80, 3), 120, np.uint8)


@pytest.fixture(scope="module")
def tiny():
    return Molmo.from_pretrained("tiny")


def test_only_the_first_query_about_an_image_tells_the_budget_what_an_image_costs(tiny, monkeypatch):
    timings = []
    monkeypatch.setattr(tiny.crop_budget, "measured", timings.append)
    encoded = tiny.encode(IMAGE)
    tiny.point(encoded, "red cube")
    assert len(timings) == 1
    assert timings[0].image == pytest.approx(sum(encoded.timing_ms.values()) / 1e3)
    tiny.point(encoded, "mug")
    assert len(timings) == 1
    tiny.point(IMAGE, "mug")
    assert len(timings) == 2

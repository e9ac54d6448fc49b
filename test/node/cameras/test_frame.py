import pytest

from molmo_ros.node.cameras.frame import refusal

SECOND = 1_000_000_000
NOW = 1000 * SECOND


@pytest.mark.parametrize("age", [0.0, 0.999, 1.0, -0.5, -1.0])
def test_fresh(age):
    assert refusal(NOW - int(age * SECOND), NOW, 1.0) == ""


@pytest.mark.parametrize(
    ("stamp", "now", "reason"),
    [
        (NOW - 2 * SECOND, NOW, "2.00 s old, max_frame_age is 1 s"),
        (NOW + 2 * SECOND, NOW, "2.00 s in the future"),
        (0, NOW, "no stamp"),
        (NOW, 0, "/clock"),
    ],
)
def test_refused(stamp, now, reason):
    assert reason in refusal(stamp, now, 1.0)
    assert refusal(stamp, now, 0.0) == ""

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Following points through pictures whose motion is known to the pixel."""

import cv2
import numpy as np
import pytest

from molmo_ros.tracking import GrayFrame, LossReason, PointTracker, TrackedPoint

WIDTH, HEIGHT = 320, 240


def as_frame(pixels, stamp=0):
    return GrayFrame.from_image(stamp, np.ascontiguousarray(pixels))


def view(world, left, top):
    """What a camera sees of a larger picture."""
    return as_frame(world[top : top + HEIGHT, left : left + WIDTH])


def follow(frames, points):
    """The tracks of the last step, and every loss by id."""
    tracker = PointTracker()
    tracks, losses = tracker.start(frames[0], points), {}
    for frame in frames[1:]:
        tracks = tracker.step(frame)
        losses.update((track.id, track.lost) for track in tracks if track.lost)
    return tracks, losses


def grid_of_points(step=60, margin=50):
    return [
        TrackedPoint(x, y)
        for y in range(margin, HEIGHT - margin, step)
        for x in range(margin, WIDTH - margin, step)
    ]


def squares(*places, background, side=60):
    """A noisy picture with plain squares: (left, top, gray level)."""
    picture = background.copy()
    for left, top, level in places:
        cv2.rectangle(picture, (left, top), (left + side - 1, top + side - 1), level, -1)
    noise = np.random.default_rng(left + top).normal(0, 2, picture.shape)
    return as_frame(np.clip(picture + noise, 0, 255).astype(np.uint8))


def test_a_static_picture_keeps_points_exactly(wide_texture):
    points = [TrackedPoint(100.25, 80.5, "a"), TrackedPoint(200, 150, "b")]
    tracks, losses = follow([view(wide_texture, 0, 0)] * 10, points)
    assert [(track.x, track.y, track.label) for track in tracks] == [
        (pytest.approx(point.x, abs=1e-3), pytest.approx(point.y, abs=1e-3), point.label) for point in points
    ]
    assert not losses


@pytest.mark.parametrize("shift", [(1, 0), (-3, 2), (7, -5), (12, 9)])
def test_a_pure_shift(wide_texture, shift):
    steps = 6
    frames = [view(wide_texture, 100 + n * shift[0], 80 + n * shift[1]) for n in range(steps)]
    points = [TrackedPoint(x, y) for x in (130, 160, 190) for y in (100, 125)]
    tracks, losses = follow(frames, points)
    assert not losses
    moved = (steps - 1) * np.array(shift)
    for point, track in zip(points, tracks, strict=True):
        assert (track.x, track.y) == pytest.approx((point.x - moved[0], point.y - moved[1]), abs=0.1)


@pytest.mark.parametrize("angle, scale", [(2, 1.0), (0, 1.03), (-1.5, 0.98)])
def test_rotation_and_scale(wide_texture, angle, scale):
    def moved(n):
        return cv2.getRotationMatrix2D((160, 120), n * angle, scale**n)

    world = wide_texture[:HEIGHT, :WIDTH]
    frames = [
        as_frame(cv2.warpAffine(world, moved(n), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))
        for n in range(8)
    ]
    points = [TrackedPoint(130.5, 100.5), TrackedPoint(200.5, 140.5)]
    tracks, losses = follow(frames, points)
    assert not losses
    for point, track in zip(points, tracks, strict=True):
        # The matrix is of places that count from the first pixel's centre.
        expected = moved(7) @ (point.x - 0.5, point.y - 0.5, 1)
        assert (track.x - 0.5, track.y - 0.5) == pytest.approx(expected.tolist(), abs=0.7)


def test_pixels_are_those_of_the_original_image(texture):
    world = texture(900, 1600, coarse=20)
    frames = [as_frame(world[100:820, 100 + 10 * n : 1380 + 10 * n]) for n in range(5)]
    assert frames[0].pixels.shape[1] == 640
    tracks, losses = follow(frames, [TrackedPoint(700, 300)])
    assert not losses
    assert (tracks[0].x, tracks[0].y) == pytest.approx((660, 300), abs=0.5)


@pytest.mark.parametrize("level", [30, 220])
def test_a_point_in_a_plain_square_follows_its_outline_and_not_the_background(texture, level):
    background = texture(HEIGHT, WIDTH, seed=3) // 2 + 60
    frames = [squares((60 + 2 * n, 80 + n, level), background=background) for n in range(15)]
    tracks, losses = follow(frames, [TrackedPoint(90, 110)])
    assert not losses
    assert (tracks[0].x, tracks[0].y) == pytest.approx((90 + 28, 110 + 14), abs=2)


def test_a_point_that_leaves_the_image_is_lost_and_reported_once(wide_texture):
    tracker = PointTracker()
    [track] = tracker.start(view(wide_texture, 0, 60), [TrackedPoint(60, 120)])
    reports = [tracker.step(view(wide_texture, 8 * n, 60)) for n in range(1, 13)]
    lost = [report[0] for report in reports if report and report[0].lost]
    assert [(one.id, one.lost) for one in lost] == [(track.id, LossReason.OUT_OF_IMAGE)]
    assert lost[0].x < 20
    assert reports[-1] == [] and tracker.tracks == []


@pytest.mark.parametrize("speed", [3, 8, 20, 45])
@pytest.mark.parametrize("textured", [False, True])
def test_an_occluder_takes_no_point_along(texture, speed, textured):
    """The point stays where it is; what is reported must stay with it, and never lie on the occluder."""
    rng = np.random.default_rng(speed)
    background = texture(HEIGHT, WIDTH, seed=4)
    cover = texture(HEIGHT, 100, seed=5) if textured else np.full((HEIGHT, 100), 128, np.uint8)
    tracker, hidden, on_occluder = PointTracker(), 0, 0
    lefts = range(-100, WIDTH, speed)
    for number, left in enumerate(lefts):
        picture = squares((130, 90, 40), background=background).pixels.copy()
        inside = slice(max(left, 0), min(left + 100, WIDTH))
        picture[:, inside] = cover[:, inside.start - left : inside.stop - left]
        noisy = as_frame(np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8))
        tracks = tracker.step(noisy) if number else tracker.start(noisy, [TrackedPoint(160, 120)])
        hidden += left <= 160 < left + 100
        for track in tracks:
            if not track.lost:
                on_occluder += left <= track.x < left + 100
                assert abs(track.x - 160) < 12 and abs(track.y - 120) < 12
    assert hidden and on_occluder == 0 and tracker.tracks == []


def test_an_object_of_the_same_look_beside_it_does_not_attract_the_point(texture):
    background = texture(HEIGHT, WIDTH, seed=6)
    frames = [squares((200 - 4 * n, 90, 200), (60, 90, 200), background=background) for n in range(15)]
    tracks, _ = follow(frames, [TrackedPoint(90, 120)])
    assert all(track.lost or (60 <= track.x < 120 and 90 <= track.y < 150) for track in tracks)


def test_a_scene_cut_loses_all(texture, wide_texture):
    points = grid_of_points()
    tracks, losses = follow([view(wide_texture, 0, 0), as_frame(texture(HEIGHT, WIDTH, seed=9))], points)
    assert len(tracks) == len(losses) == len(points)


def test_a_picture_that_goes_black_loses_all(wide_texture):
    points = grid_of_points()
    tracks, losses = follow([view(wide_texture, 0, 0), as_frame(np.zeros((HEIGHT, WIDTH), np.uint8))], points)
    assert len(tracks) == len(losses) == len(points)


def test_light_that_changes_loses_nothing(wide_texture):
    world = wide_texture.astype(float)
    frames = [view((world * (1 - 0.04 * n)).astype(np.uint8), 4 * n, 0) for n in range(8)]
    points = [TrackedPoint(120, 100), TrackedPoint(220, 140)]
    tracks, losses = follow(frames, points)
    assert not losses
    for point, track in zip(points, tracks, strict=True):
        assert (track.x, track.y) == pytest.approx((point.x - 28, point.y), abs=0.3)


@pytest.mark.parametrize("noise", [0, 3])
def test_without_texture_a_point_is_lost_at_once(noise):
    plain = 120 + np.random.default_rng(0).normal(0, noise, (HEIGHT, WIDTH))
    tracks = PointTracker().start(as_frame(plain.astype(np.uint8)), [TrackedPoint(100, 100)])
    assert [track.lost for track in tracks] == [LossReason.NO_TEXTURE]


def test_another_image_size_loses_all_and_a_new_start_works(wide_texture):
    tracker = PointTracker()
    tracker.start(view(wide_texture, 0, 0), [TrackedPoint(100, 100)])
    other = as_frame(wide_texture)
    assert [track.lost for track in tracker.step(other)] == [LossReason.IMAGE_SIZE]
    assert tracker.step(other) == []
    [track] = tracker.start(other, [TrackedPoint(300, 300)])
    assert track.lost is None and tracker.step(other)[0].id == track.id


@pytest.mark.parametrize("outside", [(-0.1, 100), (100, HEIGHT + 0.1), (1e6, 1e6), (float("nan"), 5)])
def test_a_point_outside_of_the_image_is_lost_at_once(wide_texture, outside):
    tracker = PointTracker()
    tracks = tracker.start(view(wide_texture, 0, 0), [TrackedPoint(*outside), TrackedPoint(100, 100)])
    assert [track.lost for track in tracks] == [LossReason.OUT_OF_IMAGE, None]
    assert [track.id for track in tracker.tracks] == [tracks[1].id]


@pytest.mark.parametrize("corner", [(0, 0), (WIDTH, 0), (0, HEIGHT), (WIDTH, HEIGHT)])
def test_a_point_on_the_very_edge_is_followed(wide_texture, corner):
    tracks, losses = follow([view(wide_texture, 40, 40)] * 3, [TrackedPoint(*corner)])
    assert not losses and (tracks[0].x, tracks[0].y) == pytest.approx(corner, abs=0.01)


def test_no_points(wide_texture):
    tracker = PointTracker()
    assert tracker.step(view(wide_texture, 0, 0)) == [] and tracker.tracks == []
    assert tracker.start(view(wide_texture, 0, 0), []) == []
    assert tracker.step(view(wide_texture, 1, 0)) == [] and tracker.tracks == []


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (16, 16), (1, 640)])
def test_tiny_images_are_no_error(texture, shape):
    tracker = PointTracker()
    frame = as_frame(texture(*shape))
    tracker.start(frame, [TrackedPoint(0.5, 0.5)])
    assert all(np.isfinite((track.x, track.y)).all() for track in tracker.step(frame))


def test_thousands_of_points(wide_texture):
    rng = np.random.default_rng(0)
    points = [TrackedPoint(x, y) for x, y in rng.uniform((80, 80), (560, 400), (2000, 2)).tolist()]
    frames = [as_frame(np.roll(wide_texture, -2 * n, axis=1)) for n in range(3)]
    tracks, losses = follow(frames, points)
    assert len(tracks) >= 0.99 * len(points)
    start = {n: point for n, point in enumerate(points)}
    first = min(track.id for track in tracks)
    errors = (
        [abs(track.x + 4 - start[track.id - first].x) for track in tracks if not track.lost]
        if not losses
        else []
    )
    assert losses or np.percentile(errors, 99) < 0.3


class TestAdopt:
    """A new answer's points go on in place of the last answer's."""

    def trackers(self, world, old, new):
        live, fresh = PointTracker(), PointTracker()
        frame = view(world, 0, 0)
        return live, fresh, live.start(frame, old), fresh.start(frame, new), frame

    def test_the_same_object_keeps_its_id(self, wide_texture):
        old = [TrackedPoint(100, 100, "cup"), TrackedPoint(200, 150, "cup")]
        new = [TrackedPoint(202, 149, "cup"), TrackedPoint(60, 180, "cup")]
        live, fresh, before, after, frame = self.trackers(wide_texture, old, new)
        assert live.adopt(fresh, {track.id for track in before}) == {after[0].id: before[1].id}
        assert [(t.id, t.x, t.y) for t in live.tracks] == [
            (before[1].id, pytest.approx(202), pytest.approx(149)),
            (after[1].id, pytest.approx(60), pytest.approx(180)),
        ]
        assert fresh.tracks == []
        moved = live.step(view(wide_texture, 3, 0))
        assert [(t.id, t.lost) for t in moved] == [(before[1].id, None), (after[1].id, None)]
        assert [t.x for t in moved] == pytest.approx([199, 57], abs=0.2)

    def test_points_of_other_queries_stay(self, wide_texture):
        old = [TrackedPoint(100, 100, "cup"), TrackedPoint(200, 150, "plate")]
        live, fresh, before, after, _ = self.trackers(wide_texture, old, [TrackedPoint(101, 100, "cup")])
        live.adopt(fresh, {before[0].id})
        assert {track.id: track.label for track in live.tracks} == {
            before[0].id: "cup",
            before[1].id: "plate",
        }

    def test_more_points_than_features_allow_join_few(self, wide_texture):
        rng = np.random.default_rng(0)
        many = [TrackedPoint(x, y) for x, y in rng.uniform((60, 60), (260, 180), (600, 2)).tolist()]
        live, fresh, before, after, _ = self.trackers(wide_texture, [TrackedPoint(100, 100, "cup")], many)
        live.adopt(fresh, ())
        assert len(live.tracks) == 601 and len(live.step(view(wide_texture, 1, 0))) == 601

    def test_an_empty_tracker_takes_all(self, wide_texture):
        frame = view(wide_texture, 0, 0)
        live, fresh = PointTracker(), PointTracker()
        live.step(frame)
        [track] = fresh.start(frame, [TrackedPoint(100, 100)])
        assert live.adopt(fresh, ()) == {}
        assert [one.id for one in live.tracks] == [track.id]

    def test_what_is_forgotten_is_followed_no_longer(self, wide_texture):
        live = PointTracker()
        live.forget([1])
        before = live.start(view(wide_texture, 0, 0), [TrackedPoint(100, 100), TrackedPoint(200, 150)])
        live.forget([before[0].id, 10**6])
        assert [track.id for track in live.step(view(wide_texture, 1, 0))] == [before[1].id]
        live.forget([before[1].id])
        assert live.step(view(wide_texture, 2, 0)) == []

    def test_refuses_points_of_another_frame(self, wide_texture):
        live, fresh, before, after, _ = self.trackers(wide_texture, [], [TrackedPoint(100, 100)])
        live.step(as_frame(wide_texture[:HEIGHT, :WIDTH], stamp=5))
        with pytest.raises(ValueError, match="of the frame of 0 ns, not of the frame of 5 ns"):
            live.adopt(fresh, ())
        with pytest.raises(ValueError, match="no frame"):
            PointTracker().adopt(fresh, ())

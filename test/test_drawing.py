# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from molmo_ros.drawing import CAPTION, GAP, PINK, annotate, draw_regions, drawable
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.status import Status


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.any(before != after[: before.shape[0]], axis=-1)


def test_marks_the_point_and_leaves_the_image_alone():
    image = np.full((480, 640, 3), 90, np.uint8)
    answer = Answer(Status.FOUND, "red cube", (Point(100.0, 300.0, "red cube"),))
    picture = annotate(image, answer, "point to the red cube")
    assert (image == 90).all()
    assert picture.dtype == np.uint8 and picture.shape[1:] == (640, 3) and picture.shape[0] > 480
    assert tuple(picture[300, 100]) == PINK
    rows, columns = np.nonzero(changed(image, picture))
    assert columns.min() > 70 and columns.max() < 250 and rows.min() > 270 and rows.max() < 330


@pytest.mark.parametrize("x,y", [(0, 0), (64, 48), (64, 0), (0, 48)])
def test_points_on_the_very_edge_are_drawn(x, y):
    image = np.zeros((48, 64, 3), np.uint8)
    picture = annotate(image, Answer(Status.FOUND, points=(Point(x, y, "edge"),)))
    assert changed(image, picture).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (3000, 4000)])
def test_any_size_of_image(size):
    picture = annotate(np.zeros((*size, 3), np.uint8), Answer(Status.NOT_FOUND, "There are none."), "q")
    assert picture.shape[1] == size[1]


def test_text_outside_of_the_font_becomes_question_marks():
    assert drawable("ein\nroter\x07 Würfel") == "ein roter? W?rfel"


def test_several_images_stand_side_by_side_each_with_its_own_points():
    images = [np.full((480, 640, 3), 90, np.uint8), np.full((600, 300, 3), 160, np.uint8)]
    points = (Point(100.0, 300.0, index=1), Point(50.0, 550.0, index=2, image=1))
    picture = annotate(images, Answer(Status.FOUND, points=points), "cube")
    assert picture.shape[1] == 640 + GAP + 300 and picture.shape[0] > 600
    left, right = picture[:, :640], picture[:, 640 + GAP :]
    assert tuple(left[300, 100]) == PINK and tuple(right[550, 50]) == PINK
    assert (left[480:600] == CAPTION).all() and (picture[:600, 640 : 640 + GAP] == CAPTION).all()
    for image, shown, point in zip(images, (left, right), points, strict=True):
        rows, columns = np.nonzero(changed(image, shown))
        assert np.abs(rows - point.y).max() < 40 and np.abs(columns - point.x).max() < 60
        assert len(np.unique(image)) == 1, "the originals are left alone"


@pytest.mark.parametrize("x,y", [(10, 200), (630, 200), (630, 6), (320, 470)])
def test_the_label_does_not_cover_its_point(x, y):
    image = np.full((480, 640, 3), 90, np.uint8)
    picture = annotate(image, Answer(Status.FOUND, points=(Point(x, y, "a long label " * 3),)))
    assert tuple(picture[y, x]) == PINK


def test_a_region_is_tinted_and_outlined_and_its_neighbour_looks_different():
    picture = np.full((480, 640, 3), 90, np.uint8)
    labels = np.zeros((480, 640), np.uint16)
    labels[100:200, 100:200], labels[100:200, 200:300], labels[300:310, 0:20] = 1, 2, 700
    draw_regions(picture, labels)
    drawn = (picture != 90).any(axis=-1)
    assert drawn[100:200, 100:300].all() and drawn[300:310, 0:20].all()
    drawn[95:205, 95:305] = drawn[295:315, 0:25] = False
    assert not drawn.any(), "nothing else is touched"
    left, right = picture[150, 150], picture[150, 250]
    assert (left != right).any() and np.abs(left.astype(int) - 90).max() < 70, "the picture shows through"
    assert (picture[150, 100] != left).any(), "the outline is stronger than the tint"

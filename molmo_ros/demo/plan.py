# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the demo asks, and the right answers: both follow from the seed, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from molmo_ros.sim.renderer import Rendering, render
from molmo_ros.sim.scene import SENSOR, Camera, Scene
from molmo_ros.train.queries import QueryMaker, SceneQuery, mask_points

ROUNDS = (
    ("one", "many", "absent"),
    ("pair", "count", "presence"),
    ("one", "many", "color"),
    ("one", "count", "absent"),
)
"""The kinds of query, scene by scene."""

WORDING = {
    "one": "point to the {x}",
    "pair": "{x}",
    "many": "point to the {x}",
    "absent": "point to the {x}",
    "count": "how many {x} are there?",
    "presence": "is there a {x}?",
    "color": "what color is the {x}?",
}
WAYS = {"pair": "service", "many": "action"}
"""Which interface of the node a kind is asked through: the service takes several labels, and the action streams
points as they come. All others go through the topic."""
SMALLEST_MASK = 150
"""Scenes that show less than this of some object [px] are passed over: asking about it would be unfair."""
DRAWS = 400


@dataclass(frozen=True)
class PlannedQuery:
    """One query with its truth.

    Attributes:
        seed: The scene it is about.
        kind: A key of `WORDING`.
        text: What is asked, as it is written on the topic.
        labels: The names in it; several only for the kind "pair".
        answer: The whole right answer, as the model was taught it.
        members: Index of every object that the query means.
        camera: Where the camera stands in the world.
        frame: The noise-free view, with depth and segmentation.
        centers: [n, 2] the mask's pixel nearest to its middle, x and y [px]; edges at integers.
    """

    seed: int
    kind: str
    text: str
    labels: tuple[str, ...]
    answer: str
    members: tuple[int, ...]
    camera: Camera
    frame: Rendering
    centers: np.ndarray

    @property
    def way(self) -> str:
        """How it is asked: "topic", "service" or "action"."""
        return WAYS.get(self.kind, "topic")

    @property
    def expected(self) -> str:
        """The truth in a few words."""
        if self.kind in ("one", "pair", "many"):
            return f"{len(self.members)} point" + ("s" if len(self.members) > 1 else "")
        return {"absent": "not there", "count": str(len(self.members))}.get(
            self.kind, self.answer.rstrip(".")
        )


def make_plan(seed: int) -> list[PlannedQuery]:
    """Twelve queries about four scenes; equal seeds give equal plans.

    Args:
        seed: First scene that is tried. Seeds below a million are never used for training.
    """
    scenes = _clear_scenes(seed)
    cases: list[PlannedQuery] = []
    for kinds in ROUNDS:
        while not (found := _ask(*next(scenes), kinds)):
            pass
        cases += found
    return cases


def _clear_scenes(seed: int) -> Iterator[tuple[int, Scene, Rendering]]:
    """Scenes from `seed` on whose objects can all be seen."""
    while True:
        scene = Scene.random(seed)
        frame = render(scene, *SENSOR)
        if all((frame.segmentation == index).sum() >= SMALLEST_MASK for index in range(len(scene.objects))):
            yield seed, scene, frame
        seed += 1


def _ask(seed: int, scene: Scene, frame: Rendering, kinds: tuple[str, ...]) -> list[PlannedQuery]:
    """One case per kind, all different; empty where the scene has no such query (no group to count, say)."""
    height, width = frame.segmentation.shape
    per_mille = mask_points(frame.segmentation, len(scene.objects))
    centers = per_mille / 1000 * (width, height)
    maker = QueryMaker(
        [(thing.color, thing.shape) for thing in scene.objects], per_mille, np.random.default_rng(seed)
    )
    cases: list[PlannedQuery] = []
    for kind in kinds:
        asked = {case.text for case in cases}
        if kind == "pair":
            drawn = _draw_pair(maker, {thing.name for thing in scene.objects})
        else:
            drawn = _draw(getattr(maker, kind), kind, asked)
        if not drawn:
            return []
        labels = tuple(query.label for query in drawn)
        members = tuple(member for query in drawn for member in query.members)
        text = WORDING[kind].format(x=", ".join(labels))
        cases.append(
            PlannedQuery(seed, kind, text, labels, drawn[0].answer, members, scene.camera, frame, centers)
        )
    return cases


def _draw(draw: Callable[[], SceneQuery], kind: str, asked: set[str]) -> list[SceneQuery]:
    """A query of that very kind (the maker falls back to another where it has none); none where none comes."""
    for _ in range(DRAWS):
        query = draw()
        fits = (
            len(query.members) >= 2 if kind in ("many", "count") else kind != "one" or len(query.members) == 1
        )
        if query.kind == kind and fits and WORDING[kind].format(x=query.label) not in asked:
            return [query]
    return []


def _draw_pair(maker: QueryMaker, names: set[str]) -> list[SceneQuery]:
    """Two queries about one object each, by its full name; none where none come."""
    drawn: dict[str, SceneQuery] = {}
    for _ in range(DRAWS):
        query = maker.one()
        if query.label in names and len(query.members) == 1:
            drawn[query.label] = query
        if len(drawn) == 2:
            return list(drawn.values())
    return []

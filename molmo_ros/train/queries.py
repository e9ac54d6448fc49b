# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is asked about a rendered scene, and the right answer, in Molmo2's answer format.

Labels name every object they fit: "cube" with two cubes in view means both. Answers list points from left to right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from molmo_ros.sim.objects import COLORS, OTHER_NAMES, PLURALS, SHAPES

ABSENT_NOUNS = (
    "apple", "dog", "cat", "phone", "fork", "knife", "spoon", "hammer", "book", "shoe", "car", "person", "keyboard",
    "lamp", "plate", "scissors", "screwdriver", "teddy bear", "clock", "carrot", "key", "pen", "chair", "plant",
    "laptop", "hat", "glove", "wrench", "box of cereal", "sponge", "orange juice", "remote", "coin", "bowl", "pear",
)  # fmt: skip
GENERIC = ("object", "thing")

ONE = (
    "Point to {x}\nPlease say 'There are none.' if it is not in the image.",
    "Point to the {x}\nPlease say 'There are none.' if it is not in the image.",
    "Point to {x}", "Point to the {x}.", "Point to the {x} in the image.", "Where is the {x}?", "Find the {x}.",
    "Locate the {x}.", "Show me the {x}.", "Point at the {x}.", "pointing: {x}",
)  # fmt: skip
MANY = (
    "Point to {x}\nPlease say 'There are none.' if it is not in the image.",
    "Point to the {x}\nPlease say 'There are none.' if it is not in the image.",
    "Point to all {x}.", "Point to every {x}", "Where are the {x}?", "Find all the {x}.", "Locate every {x}.",
    "Show me where the {x} are", "Point to all the {x} in the image.", "pointing: {x}",
)  # fmt: skip
COUNT = (
    "How many {x} are there?", "How many {x} are in the image?", "How many {x} do you see?", "Count the {x}.",
    "how many {x}?", "Count the {x} in the image.", "Point to and count the {x} in the picture.", "point_count: {x}",
)  # fmt: skip
IS_THERE = (
    "Is there a {x}?",
    "Is there a {x} in the image?",
    "Do you see a {x}?",
    "is there a {x} on the table?",
)
COLOR_OF = (
    "What color is the {x}?",
    "What colour is the {x}?",
    "what is the color of the {x}?",
    "Which color is the {x}?",
)
SHAPE_OF = ("What shape is the {x}?", "What is the {x}?", "what kind of object is the {x}?")
NONE = "There are none."
TIE = 4.0
"""Points whose x differ by about this much [per mille] come in either order."""


@dataclass(frozen=True)
class SceneQuery:
    """A question about a scene with its answer.

    Attributes:
        kind: "one", "many", "count", "absent", "presence", "color" or "shape".
        prompt: The user's text.
        answer: The text to learn, starting at the first character after the assistant tag.
        targets: [n, 2] the points in the answer, x and y in per mille of the image, in answer order.
        label: What was asked for.
        members: Indices of the objects that the label names, in answer order.
    """

    kind: str
    prompt: str
    answer: str
    targets: np.ndarray
    label: str
    members: tuple[int, ...] = ()


def mask_points(segmentation: np.ndarray, count: int) -> np.ndarray:
    """[count, 2] per mille x, y of each object: its mask's centroid, moved to the nearest pixel of the mask.

    NaN where an object has no visible pixel.
    """
    height, width = segmentation.shape
    points = np.full((count, 2), np.nan)
    for index in range(count):
        rows, cols = np.nonzero(segmentation == index)
        if len(rows) == 0:
            continue
        nearest = np.argmin((rows - rows.mean()) ** 2 + (cols - cols.mean()) ** 2)
        points[index] = (cols[nearest] + 0.5) / width * 1000, (rows[nearest] + 0.5) / height * 1000
    return points


def points_text(targets: np.ndarray, label: str) -> str:
    """`<points coords="1 1 234 567 2 …">label</points>`; coordinates are three digits, 999 at most."""
    triples = " ".join(
        f"{i} {x:03d} {y:03d}" for i, (x, y) in enumerate(np.rint(targets).astype(int).clip(0, 999), 1)
    )
    return f'<points coords="1 {triples}">{label}</points>'


class QueryMaker:
    """Draws queries about one scene.

    Args:
        names: (color, shape) of every object.
        points: [n, 2] from `mask_points`.
        rng: Source of every choice.
        other_names: How often a shape is called by another of its names.
    """

    def __init__(
        self,
        names: Sequence[tuple[str, str]],
        points: np.ndarray,
        rng: np.random.Generator,
        other_names: float = 0.0,
    ):
        self.names, self.points, self.rng, self.other_names = list(names), points, rng, other_names

    def draw(self) -> SceneQuery:
        kinds: list[tuple[Callable[[], SceneQuery], float]] = [
            (self.one, 0.20), (self.many, 0.28), (self.count, 0.28), (self.absent, 0.12),
            (self.presence, 0.06), (self.color, 0.04), (self.shape, 0.02),
        ]  # fmt: skip
        chosen = self.rng.choice(len(kinds), p=np.array([weight for _, weight in kinds]))
        return kinds[chosen][0]()

    def one(self) -> SceneQuery:
        label, members = self._present_label()
        return self._pointing("one", self._pick(ONE), label, members)

    def many(self) -> SceneQuery:
        label, members = self._group_label()
        return self._pointing("many", self._pick(MANY), label, members)

    def count(self) -> SceneQuery:
        if self.rng.random() < 0.12:
            label = self._absent_label(plural=True)
            members: tuple[int, ...] = ()
        else:
            label, members = self._group_label()
        prompt = self._pick(COUNT).format(x=label)
        if not members:
            return SceneQuery("count", prompt, NONE, np.zeros((0, 2)), label)
        targets, members = self._ordered(members)
        text = f"Counting the {points_text(targets, label)} shows a total of {len(targets)}."
        return SceneQuery("count", prompt, text, targets, label, members)

    def absent(self) -> SceneQuery:
        plural = self.rng.random() < 0.3
        label = self._absent_label(plural)
        prompt = self._pick(MANY if plural else ONE).format(x=label)
        return SceneQuery("absent", prompt, NONE, np.zeros((0, 2)), label)

    def presence(self) -> SceneQuery:
        if self.rng.random() < 0.5:
            label, members = self._present_label()
            return SceneQuery(
                "presence", self._pick(IS_THERE).format(x=label), "Yes.", np.zeros((0, 2)), label, members
            )
        label = self._absent_label(plural=False)
        return SceneQuery("presence", self._pick(IS_THERE).format(x=label), "No.", np.zeros((0, 2)), label)

    def color(self) -> SceneQuery:
        unique = [i for i, (_, shape) in enumerate(self.names) if sum(s == shape for _, s in self.names) == 1]
        if not unique:
            return self.one()
        index = int(self.rng.choice(unique))
        color, shape = self.names[index]
        return SceneQuery(
            "color",
            self._pick(COLOR_OF).format(x=self._noun(shape)),
            f"{color.capitalize()}.",
            np.zeros((0, 2)),
            shape,
            (index,),
        )

    def shape(self) -> SceneQuery:
        unique = [i for i, (color, _) in enumerate(self.names) if sum(c == color for c, _ in self.names) == 1]
        if not unique:
            return self.one()
        index = int(self.rng.choice(unique))
        color, shape = self.names[index]
        label = f"{color} {self._pick(GENERIC)}"
        return SceneQuery(
            "shape", self._pick(SHAPE_OF).format(x=label), f"A {shape}.", np.zeros((0, 2)), label, (index,)
        )

    def _pointing(self, kind: str, template: str, label: str, members: tuple[int, ...]) -> SceneQuery:
        targets, members = self._ordered(members)
        return SceneQuery(
            kind, template.format(x=label), points_text(targets, label), targets, label, members
        )

    def _ordered(self, members: Sequence[int]) -> tuple[np.ndarray, tuple[int, ...]]:
        """From left to right; near ties in either order, since no eye tells 265 from 268 per mille.

        A model that has learned a strict order takes the lower of two for the last one, and skips the upper.
        """
        shift = self.rng.normal(0, TIE, len(self.points))
        order = sorted(members, key=lambda i: self.points[i, 0] + shift[i])
        return self.points[order], tuple(order)

    def _matching(self, color: str | None, shape: str | None) -> tuple[int, ...]:
        return tuple(i for i, (c, s) in enumerate(self.names) if color in (None, c) and shape in (None, s))

    def _present_label(self) -> tuple[str, tuple[int, ...]]:
        color, shape = self.names[self.rng.integers(len(self.names))]
        form = self.rng.random()
        if form < 0.6:
            return f"{color} {self._noun(shape)}", self._matching(color, shape)
        if form < 0.85:
            return self._noun(shape), self._matching(None, shape)
        return f"{color} {self._pick(GENERIC)}", self._matching(color, None)

    def _group_label(self) -> tuple[str, tuple[int, ...]]:
        """A plural label; drawn so that groups of several are likely where there are any."""
        options = []
        for color, shape in sorted(set(self.names)):  # a set's own order changes from process to process
            options += [(f"{color} {self._noun(shape, plural=True)}", self._matching(color, shape))]
            options += [(self._noun(shape, plural=True), self._matching(None, shape))]
            options += [(f"{color} {self._pick(GENERIC)}s", self._matching(color, None))]
        if len(self.names) <= 5:
            options.append((f"{self._pick(GENERIC)}s", tuple(range(len(self.names)))))
        weights = np.array([1.0 if len(members) == 1 else 1.5 * len(members) for _, members in options])
        return options[self.rng.choice(len(options), p=weights / weights.sum())]

    def _absent_label(self, plural: bool) -> str:
        """Mostly near misses: a colour and a shape that are both in view, but not on one object."""
        present = set(self.names)
        colors = sorted({color for color, _ in present}) if self.rng.random() < 0.7 else list(COLORS)
        shapes = sorted({shape for _, shape in present}) if self.rng.random() < 0.7 else list(SHAPES)
        form = self.rng.random()
        free = [
            (c, s)
            for c in colors
            for s in shapes
            if (c, s) not in present and (s != "banana" or c == "yellow")
        ]
        if form < 0.62 and free:
            color, shape = free[self.rng.integers(len(free))]
            return f"{color} {self._noun(shape, plural)}"
        gone = [shape for shape in SHAPES if not self._matching(None, shape)]
        if form < 0.76 and gone:
            return self._noun(str(self.rng.choice(gone)), plural)
        missing = [color for color in COLORS if not self._matching(color, None)]
        if form < 0.86 and missing:
            return f"{self.rng.choice(missing)} {self._pick(GENERIC)}" + ("s" if plural else "")
        word = self._pick(ABSENT_NOUNS) if self.rng.random() < 0.8 else self._gibberish()
        if self.rng.random() < 0.3:
            word = f"{self.rng.choice(list(COLORS))} {word}"
        return word + ("s" if plural else "")

    def _noun(self, shape: str, plural: bool = False) -> str:
        """What a shape is called."""
        if self.other_names and shape in OTHER_NAMES and self.rng.random() < self.other_names:
            return OTHER_NAMES[shape][int(self.rng.integers(len(OTHER_NAMES[shape])))][plural]
        return PLURALS[shape] if plural else shape

    def _gibberish(self) -> str:
        """A word that the vocabulary does not hold, so that unknown words are met in training."""
        return "".join(self.rng.choice(list("abcdefghijklmnoprstuvwz"), self.rng.integers(3, 9)))

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self.rng.integers(len(options)))]

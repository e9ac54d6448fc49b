# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys

import numpy as np

from molmo_ros.demo.plan import ROUNDS, WORDING
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene


def test_asks_at_least_ten_queries_of_every_kind(plan):
    assert len(plan) >= 10
    assert [case.kind for case in plan] == [kind for kinds in ROUNDS for kind in kinds]
    assert {case.kind for case in plan} == set(WORDING)


def test_truth_is_rebuilt_from_the_seed_alone(plan):
    case = plan[-1]
    frame = render(Scene.random(case.seed), *SENSOR)
    np.testing.assert_array_equal(frame.segmentation, case.frame.segmentation)
    np.testing.assert_array_equal(frame.rgb, case.frame.rgb)


def test_equal_seeds_give_equal_plans_in_another_process(plan):
    code = "from molmo_ros.demo.plan import make_plan\nfor c in make_plan(7): print(c.seed, c.text)"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.splitlines() == [f"{case.seed} {case.text}" for case in plan]


def test_members_are_what_the_text_names(plan):
    for case in plan:
        objects = Scene.random(case.seed).objects
        fitting = {
            index
            for words in (label.split() for label in case.labels)
            for index, thing in enumerate(objects)
            if (
                thing.shape in words
                or thing.shape + "s" in words
                or {"object", "thing", "objects", "things"} & set(words)
            )
            and (thing.color in words or not any(other.color in words for other in objects))
        }
        assert all(label in case.text for label in case.labels)
        if case.kind in ("one", "pair", "many", "count"):
            assert set(case.members) == fitting, case.text
        if case.kind == "absent":
            assert not case.members and not any(thing.name in case.text for thing in objects)


def test_centers_lie_on_their_objects(plan):
    for case in plan:
        for member in case.members:
            x, y = case.centers[member]
            assert case.frame.segmentation[int(y), int(x)] == member

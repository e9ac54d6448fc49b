# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What makes one set of labels."""

from dataclasses import replace

import pytest

from molmo_ros.labelling.label_task import LabelTask
from molmo_ros.labelling.labelling_error import LabellingError

TASK = LabelTask(("red cube", "@wrist count: cups"), revision="a" * 64, parameters={"max_crops": 4})


@pytest.mark.parametrize(
    "change",
    [
        {"queries": ("red cube",)},
        {"revision": "b" * 64},
        {"model": "molmo2-4b"},
        {"dtype": "bfloat16"},
        {"engine": "torch"},
        {"rate": 2.0},
        {"track": True},
        {"parameters": {}},
    ],
)
def test_what_is_asked_names_the_set(change):
    assert replace(TASK, **change).name != TASK.name
    assert LabelTask.from_json(TASK.to_json()).name == TASK.name


def test_where_a_model_lies_does_not():
    assert replace(TASK, model="/a/my model").name == replace(TASK, model="/b/my model").name
    assert replace(TASK, model="/a/my model").name.startswith("my_model-")


def test_queries_of_a_camera():
    def asked(camera):
        return [query.written for query in TASK.queries_of(camera)]

    assert asked("/wrist/color/image_raw") == asked("observation.images.wrist") == list(TASK.queries)
    assert asked("/top/image") == ["red cube"]


@pytest.mark.parametrize("queries", [("",), ("x" * 5000,), tuple(map(str, range(1001)))])
def test_queries_that_cannot_be_asked(queries):
    with pytest.raises(LabellingError):
        replace(TASK, queries=queries).parsed()


def test_a_manifest_without_a_task():
    for content in ({}, {"queries": ["a"], "colour": 3}, {"queries": [""]}):
        with pytest.raises(LabellingError, match="it holds no task"):
            LabelTask.from_json(content)

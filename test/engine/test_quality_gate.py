# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the quality gate asks, and that an engine which is wrong about one kind of picture does not pass."""

import numpy as np
import pytest

from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.engine_build import build
from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.quality import QualityThreshold
from molmo_ros.engine.quality_gate import MANY, ONE, GateReport, questions, record
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.store.manifest import Manifest
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.images.crop_budget import CropBudget
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.padded_style import PADDED
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.status import Status
from molmo_ros.train.examples import simulated_examples
from molmo_ros.train.precision import scenes_with_queries

SEED = 600_000
SMALL, LARGE = np.zeros((240, 320, 3), np.uint8), np.zeros((480, 640, 3), np.uint8)


def asked(pictures, budget, most=None):
    found = questions(budget, pictures, most)
    return [(one.image.shape[:2], one.query, one.max_crops, one.kind) for one in found]


@pytest.mark.parametrize("style", [PADDED, STRETCHED], ids=str)
def test_both_kinds_are_asked(style):
    budget = CropBudget(ImageProcessorConfig.released(style), 4096)
    large, small = (480, 640), (240, 320)
    assert asked([(LARGE, "a"), (LARGE, "b"), (SMALL, "c")], budget) == [
        (large, "a", None, MANY),
        (large, "b", None, MANY),
        (small, "c", None, ONE),
        (large, "a", 1, ONE),
    ]
    # Nothing but small pictures: each is enlarged until it has tiles.
    assert asked([(SMALL, "a"), (SMALL, "b")], budget) == [
        (small, "a", None, ONE),
        (small, "b", None, ONE),
        (large, "a", None, MANY),
    ]
    one_tile = CropBudget(ImageProcessorConfig.released(PADDED, max_crops=1), 4096)
    assert asked([(LARGE, "a")], one_tile) == [(large, "a", None, ONE)]


def test_a_kind_that_is_wrong_is_named():
    points = [Answer(Status.FOUND, "a", (Point(5, 5, index=1),))] * 20
    far = [Answer(Status.FOUND, "a", (Point(50, 5, index=1),))]
    budget = CropBudget(ImageProcessorConfig.released(PADDED), 4096)
    found = questions(budget, [(LARGE, str(number)) for number in range(19)])
    assert [one.kind for one in found] == [MANY] * 19 + [ONE]
    report = GateReport(found, points, points[:19] + far)
    # 95 % of all points are where they were; none of those in pictures of one tile is.
    assert report.all.passes(QualityThreshold(drift=10))
    assert report.failed(QualityThreshold(drift=10)) == [ONE]
    assert report.as_dict()["tiles"][ONE]["drift_px"]["largest"] == 45.0
    assert report.text().startswith("Pictures of one tile: 0 of 1 answers")


@pytest.fixture(scope="module")
def gate():
    scenes = scenes_with_queries(range(SEED, SEED + 2), 2)
    return [(picture, query.prompt) for _, picture, queries in scenes for query in queries]


def test_an_engine_that_is_wrong_about_one_kind_fails_the_build(gate, tmp_path, monkeypatch):
    """As marks of padding of one tile were wrong, and nothing else."""
    encode, plan, home = (
        EngineRuntime.encode_image,
        BuildPlan.make("tiny", "onnx", max_crops=2),
        tmp_path / "home",
    )
    for kind in (ONE, MANY):

        def wrong(self, image, kind=kind):
            features = encode(self, image)
            if image.single_view == (kind == ONE):
                features = features._replace(tokens=-features.tokens)
            return features

        with monkeypatch.context() as patch:
            patch.setattr(EngineRuntime, "encode_image", wrong)
            with pytest.raises(EngineError, match=f"answers to pictures of {kind} are too far from"):
                build(plan, [], gate, home=home)
    folder, said = build(plan, [], gate, home=home)
    assert Manifest.read(folder).quality["tiles"].keys() == {ONE, MANY}
    assert "Pictures of one tile: 4 of 4" in said and "Pictures of many tiles: 2 of 2" in said


def test_answers_are_recorded_and_a_picture_is_encoded_once(monkeypatch):
    model, counts, encoded = Molmo.from_pretrained("tiny"), [], []
    encode = model.encode
    monkeypatch.setattr(model, "encode", lambda image, **how: encoded.append(image) or encode(image, **how))
    first, second = (example.image for example in simulated_examples(2))
    pairs = [
        (first, "Point to the ball."),
        (first, "How many cubes are there?"),
        (second, "Point to the ball."),
    ]
    found = questions(model.crop_budget, pairs)
    answers = record(model, found, counts.append)
    assert counts == [1, 2, 3] and len(encoded) == 2
    for got, (image, query) in zip(answers, pairs, strict=True):
        assert got.text == Molmo.query(model, image, query).text
    assert GateReport(found, answers, record(model, found)).all.identical == 3


def test_a_query_that_is_none_is_refused():
    model = Molmo.from_pretrained("tiny")
    with pytest.raises(PromptError, match="empty"):
        record(model, questions(model.crop_budget, [(np.zeros((50, 50, 3), np.uint8), "")]))


def test_the_embedded_model_is_asked_about_one_tile():
    """And about two, only if its engine is built for more than it was trained with."""
    budget = CropBudget(read_image_processing(EMBEDDED / "tiny"), 1536)
    as_one = ((480, 640), "a", None, ONE)
    assert asked([(LARGE, "a")], budget, 1) == [as_one]
    assert asked([(LARGE, "a")], budget, 2) == [as_one, ((480, 640), "a", 2, MANY)]

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Training batches against the product's own prompt, image processor and parser."""

import numpy as np
import pytest
import torch

from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.families import molmo2
from molmo_ros.molmo.families.table import parse_config
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.prompts.prompt import PromptBuilder
from molmo_ros.molmo.prompts.tokenizer import Tokenizer as ProductTokenizer
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import Scene
from molmo_ros.train.batches import IGNORE, BatchStream, QueryEncoder, attention_mask, dense_labels, patchify
from molmo_ros.train.queries import QueryMaker, mask_points
from molmo_ros.train.scenes import VIEW
from molmo_ros.train.shape import GRID, POOLED, config_json
from molmo_ros.train.trainer import write_processor
from molmo_ros.train.vocabulary import make_tokenizer, write_tokenizer


@pytest.fixture(scope="module")
def view():
    scene = Scene.random(2)
    frame = render(scene, VIEW, VIEW)
    names = [(thing.color, thing.shape) for thing in scene.objects]
    return frame, names, mask_points(frame.segmentation, len(names))


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_tokenizer(folder)
    write_processor(folder)
    return ProductTokenizer.from_folder(folder), ImageProcessor(read_image_processing(folder))


def test_sequence_is_the_products_prompt_and_answer(view, product):
    frame, names, points = view
    tokenizer, processor = product
    builder = PromptBuilder(
        tokenizer, molmo2.PROMPT, low_res_columns=processor.config.low_res_columns, max_tokens=2048
    )
    prefix = builder.prefix([processor(frame.rgb)])
    encoder = QueryEncoder(make_tokenizer())
    assert encoder.prefix == prefix.ids.tolist()
    maker = QueryMaker(names, points, np.random.default_rng(0))
    for _ in range(40):
        query = maker.draw()
        ids, labels, _, _ = encoder.encode(query)
        prompt = builder.query(query.prompt, len(prefix)).tolist()
        assert ids[: len(prompt)] == prompt
        answer = [label for label in labels if label != IGNORE]
        assert tokenizer.decode(answer[:-1]) == query.answer and answer[-1] == tokenizer.special_id(
            "<|im_end|>"
        )


def test_patches_are_the_products_crops(view, product):
    frame, _, _ = view
    crops = product[1](frame.rgb).crops
    np.testing.assert_allclose(patchify(frame.rgb) / 127.5 - 1, crops[0], atol=1e-6)


def test_coordinates_and_cells_point_at_the_targets(view):
    _, names, points = view
    encoder = QueryEncoder(make_tokenizer())
    query = QueryMaker(names, points, np.random.default_rng(1)).many()
    _, _, coordinate, cells = encoder.encode(query)
    found = np.array([value for value in coordinate if np.isfinite(value)]).reshape(-1, 2)
    np.testing.assert_allclose(found, query.targets)
    expected = [int(y // (1000 / POOLED)) * POOLED + int(x // (1000 / POOLED)) for x, y in query.targets]
    assert [cell for cell in cells if cell != IGNORE][::2] == expected


def test_blur_moves_coordinates_a_little_and_nothing_else(view):
    _, names, points = view
    encoder = QueryEncoder(make_tokenizer())
    ids, *_ = encoder.encode(QueryMaker(names, points, np.random.default_rng(1)).many())
    blurred = encoder.blur(ids, np.random.default_rng(2))
    moved = [(a, b) for a, b in zip(ids, blurred, strict=True) if a != b]
    assert moved
    assert all(abs(encoder.value_of[a] - encoder.value_of[b]) < 60 for a, b in moved)


def test_dense_labels_name_what_fills_a_cell(view):
    frame, names, points = view
    shape, color, center, peak = dense_labels(frame.segmentation, names, points)
    assert peak.sum() == len(names)
    assert ((shape > 0) == (color > 0)).all() and ((shape > 0) == np.isfinite(center[:, 0])).all()
    assert (shape[peak > 0] > 0).all()


def test_queries_see_the_image_and_themselves_only():
    segment = torch.tensor([[0, 0, 0, 1, 1, 2, 2, -1]])
    image = torch.tensor([[False, True, True, False, False, False, False, False]])
    mask = attention_mask(segment, image)[0, 0]
    assert mask[1, 2] and not mask[0, 1], "image tokens see each other; the start token sees only itself"
    assert mask[3, 0] and mask[3, 2] and mask[4, 3] and not mask[3, 4]
    assert not mask[5, 3] and not mask[6, 4] and not mask[2, 3]


def test_stream_makes_batches_from_shards(tmp_path, monkeypatch):
    monkeypatch.setattr("molmo_ros.train.scenes.SHARD", 4)
    from molmo_ros.train.scenes import write_shard

    write_shard(tmp_path, 1)
    batch = next(iter(BatchStream(tmp_path, views=3, queries=2, seed=0)))
    assert (
        batch.patches.shape == (3, GRID**2, 588)
        and batch.ids.shape == batch.labels.shape == batch.segment.shape
    )
    assert set(batch.segment.unique().tolist()) >= {0, 1, 2}
    assert int((batch.ids == parse_config(config_json()).token_ids["im_patch"]).sum()) == 3 * 2 * POOLED**2

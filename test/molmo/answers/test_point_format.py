# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""MolmoPoint from an image and words to an answer, on a checkpoint that recites points.

As in test_pipeline.py, attention and MLP outputs are zero, so that a token's state is its embedding and the head is
a table from each token to the next. All image tokens have the same key before it is rotated, so a query prefers the
patch at a fixed distance from the last; subpatches score alike, so that the first one allowed is chosen.
"""

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers

from molmo_ros.molmo.errors import CheckpointError
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.rope import RotaryEmbedding, rotate
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.choosing import Greedy
from molmo_ros.molmo.running.generate import generate
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status
from molmo_ros.molmo.weights.checkpoint import load_checkpoint, save_checkpoint

VECTOR = Path(__file__).parents[2] / "vectors" / "molmopoint-8b-tiny"
IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
FIRST_PHRASE = 280
START, NUMBER, END = '<points coords="', "1", '">cups</point>'
PLACE = 5  # second column, third row
PER_IMAGE = 14 * 14  # pointable tokens of an image of one tile
X, Y = (1 + 0.5) * 0.33, (2 + 0.5) * 0.33


def reciting_folder(folder, write_tokenizer, distance=0, stops=False):
    """Says `START`, a point and its number as long as there may be points, `END`, and no more.

    Args:
        distance: Of the first patch from the first pointable one, and of each from the one before.
        stops: Whether "no more points" wins over every patch.
    """
    write_tokenizer(folder)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    symbols = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    kept = {text: i for text, i in tokenizer["model"]["vocab"].items() if i < FIRST_PHRASE}
    spelled = ["".join(piece for piece, _ in symbols.pre_tokenize_str(text)) for text in (START, END)]
    start, end, number = FIRST_PHRASE, FIRST_PHRASE + 1, kept[NUMBER]
    filler = {f"<unused{i}>": i for i in range(end + 1, 316)}
    tokenizer["model"]["vocab"] = {**kept, **dict(zip(spelled, (start, end), strict=True)), **filler}
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][: FIRST_PHRASE - 256]
    path.write_text(json.dumps(tokenizer))

    model = load_checkpoint(VECTOR)
    config, decoder, head = model.config.point_head, model.decoder, model.point_head
    vocab, eye = model.config.decoder.vocab, torch.eye(model.config.decoder.width)
    with torch.no_grad():
        for block in decoder.blocks:
            block.attention.output.weight.zero_()
            block.mlp.down.weight.zero_()
        decoder.norm.weight.fill_(1)
        decoder.head.weight.zero_()
        decoder.extra_head.weight.zero_()
        point = decoder.extra_head.weight[config.patch_id - vocab]
        embedding = {number: decoder.embedding.base[number], start: decoder.embedding.base[start]}
        embedding |= {end: decoder.embedding.base[end], kept["Ċ"]: decoder.embedding.base[kept["Ċ"]]}
        embedding[config.location_id] = decoder.embedding.extra[config.location_id - vocab]
        embedding[config.patch_id] = decoder.embedding.extra[config.patch_id - vocab]
        for dimension, row in enumerate(embedding.values()):
            row.copy_(eye[dimension])
        dimension = {token: eye[at] for at, token in enumerate(embedding)}
        decoder.head.weight[start] = dimension[kept["Ċ"]]
        point += 2 * dimension[start] + 2 * dimension[number]
        decoder.head.weight[number] = dimension[config.location_id]
        decoder.head.weight[end] = dimension[number] + dimension[start] + dimension[config.patch_id]
        decoder.head.weight[318] = dimension[end]  # <|im_end|>

        for part in (head.patch_query, head.patch_key, head.subpatch_query, head.subpatch_key, head.location):
            part.weight.zero_()
        head.subpatch_query.bias.zero_()
        key = torch.randn(config.width, generator=torch.Generator().manual_seed(1))
        head.patch_key.bias.copy_(key)
        cosine, sine = RotaryEmbedding(config.width, config.rope_theta)(torch.tensor([[distance]]))
        head.patch_query.bias.copy_(rotate(key[None, None, None], cosine, sine)[0, 0, 0])
        head.no_more_points.copy_(100 * head.patch_query.bias if stops else torch.zeros(config.width))
        head.location.bias.copy_(torch.eye(9)[PLACE])
    save_checkpoint(model, folder)
    return folder


@pytest.fixture(scope="module")
def recite(write_tokenizer, tmp_path_factory):
    def make(**settings):
        folder = tmp_path_factory.mktemp("pointing")
        return Molmo.from_pretrained(reciting_folder(folder, write_tokenizer, **settings))

    return make


@pytest.fixture(scope="module")
def same_patch(recite):
    return recite()


def positions(points, image=IMAGE):
    height, width = image.shape[:2]
    return [(point.x / width * 27, point.y / height * 27) for point in points]


SLOTS = [pytest.approx((column + X, row + Y)) for row, column in [(0, 0), (0, 1), (1, 0), (1, 1)]]


def test_all_subpatches_of_one_patch(same_patch):
    pieces, given_out = [], []
    answer = same_patch.point(IMAGE, "Mug", on_text=pieces.append, on_point=given_out.append)
    assert answer.status is Status.FOUND and not answer.truncated
    assert positions(answer.points) == SLOTS
    assert {(point.label, point.index, point.image) for point in answer.points} == {("cups", 1, 0)}
    assert [(point.x, point.y) for point in given_out] == [(point.x, point.y) for point in answer.points]
    assert [point.confidence for point in given_out] == [point.confidence for point in answer.points]
    assert all(0 < point.confidence <= 1 for point in answer.points) and not answer.calibrated
    assert 0 < answer.not_found_probability < 1
    first, slot = PER_IMAGE, 2 * PER_IMAGE + 1
    triples = [f"<POINT_{first}><POINT_{slot + n}><POINT_{slot + 4 + PLACE}>1" for n in range(4)]
    assert answer.text == "".join(pieces) == START + "".join(triples) + END
    assert answer.tokens == 1 + 4 * 4 + 1


def test_the_same_on_every_size(same_patch):
    image = np.zeros((120, 160, 3), np.uint8)
    assert positions(same_patch.point(image, "cup").points, image) == SLOTS


def test_patches_in_reading_order_across_images(recite):
    """One patch of each image: the distance is that of the images' first pointable tokens."""
    molmo = recite(distance=PER_IMAGE)
    images = [IMAGE, np.zeros((30, 50, 3), np.uint8), IMAGE]
    answer = molmo.point(molmo.encode(images), "cup", max_points=2)
    assert [point.image for point in answer.points] == [1, 2]
    for point in answer.points:
        assert positions([point], images[point.image]) == SLOTS[:1]


def test_frames_of_a_video(recite):
    """Nine subpatches a patch; the distance is that of the frames' first tokens."""
    molmo = recite(distance=81)
    frames = [np.roll(IMAGE, 7 * number, axis=1) for number in range(3)]
    answer = molmo.point(molmo.encode_video(frames, [0.0, 0.5, 1.0]), "cup", max_points=2)
    assert [point.image for point in answer.points] == [1, 2]
    assert positions(answer.points) == [pytest.approx((X, Y))] * 2
    assert answer.text.startswith(
        f"{START}<POINT_81><POINT_{243 + 1}><POINT_{243 + 1 + 9 + PLACE}>1<POINT_162>"
    )


def add_tokens(folder, names):
    """Adds tokens that are not flagged special behind the last id."""
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    settings = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    first = max(token["id"] for token in tokenizer["added_tokens"]) + 1
    tokenizer["added_tokens"] += [
        {"id": number, "content": name, **settings} for number, name in enumerate(names, first)
    ]
    path.write_text(json.dumps(tokenizer))
    return {token["content"]: token["id"] for token in tokenizer["added_tokens"]}


def test_a_tokenizer_may_know_the_point_tokens(write_tokenizer, tmp_path, same_patch):
    folder = reciting_folder(tmp_path, write_tokenizer)
    highest = max(add_tokens(folder, []).values())
    filler = [f"<EXTRA_TOKENS_POINT_{k}>" for k in range(448 - 1 - highest)]
    ids = add_tokens(folder, [*filler, *(f"<POINT_{k}>" for k in range(500))])
    assert ids["<POINT_0>"] == 448
    answer = Molmo.from_pretrained(folder).point(IMAGE, "<POINT_3> cup")
    assert answer.points and answer.text == same_patch.point(IMAGE, "cup").text


def test_no_more_points(recite):
    answer = recite(stops=True).point(IMAGE, "cup")
    assert answer.points == () and answer.status is Status.NOT_FOUND and answer.count == 0
    assert answer.text == f"{START}<POINT_{2 * PER_IMAGE}>{END}"


@pytest.mark.parametrize("count", [1, 3])
def test_stops_as_soon_as_there_are_points_enough(same_patch, count):
    answer = same_patch.point(IMAGE, "mug", max_points=count)
    assert positions(answer.points) == SLOTS[:count] and not answer.truncated
    assert answer.points[-1].label == "mug"
    assert answer.tokens == 1 + 4 * count + 1  # up to the token that shows that the number is complete


def test_what_is_asked_decides_what_words_may_mean(same_patch):
    """Points are tokens of their own, so an answer to a question holds those that the model chose, and no others."""
    asked = same_patch.ask(IMAGE, "What is it?")
    assert asked.status is Status.FOUND and asked.points == same_patch.point(IMAGE, "cup").points
    counted = same_patch.count(IMAGE, "cups")
    assert (
        counted.status is Status.FOUND and counted.count is None and len(counted.points) == len(asked.points)
    )


def test_cancelled_between_points(same_patch):
    cancel, seen = threading.Event(), []

    def take(point):
        seen.append(point)
        cancel.set()

    answer = same_patch.point(IMAGE, "mug", cancel=cancel, on_point=take)
    assert answer.status is Status.CANCELLED and len(seen) == len(answer.points) == 1
    cut = same_patch.point(IMAGE, "mug", options=GenerateOptions(max_new_tokens=6))
    assert cut.truncated and positions(cut.points) == SLOTS[:1]


@torch.inference_mode()
def say_points(molmo, image, text):
    """Makes `<|token_index|>` likelier than a word that the model would say."""
    model, encoded = molmo.runtime.model, molmo.encode(image)
    query = molmo.prompts.query(text, len(encoded.prefix))
    ids = torch.from_numpy(np.concatenate([encoded.prefix.ids, query]))[None]
    cache = KVCache(model.config.decoder, ids.shape[1] + 5)
    mask = model.prefill_mask(model.is_image_token(ids))
    words = generate(
        molmo.runtime,
        cache,
        model.embed(ids, encoded.features),
        mask,
        max_new_tokens=5,
        eos_ids=(),
        chooser=Greedy(molmo.runtime),
    )
    row = model.config.point_head.patch_id - model.config.decoder.vocab
    rows = torch.cat([model.decoder.head.weight, model.decoder.extra_head.weight])
    model.decoder.extra_head.weight[row] = 1.3 * rows[words.token_ids[2]]


def test_queries_on_one_encoded_image_do_not_meet(write_tokenizer, tmp_path):
    write_tokenizer(tmp_path)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(VECTOR / name, tmp_path)
    molmo = Molmo.from_pretrained(tmp_path)
    for block in molmo.runtime.model.decoder.blocks:
        block.attention.output.weight.data *= 4  # else the answer hardly depends on the words before the last
    options = GenerateOptions(max_new_tokens=30)
    texts = ["Point to the cup.", "Where is it? " * 60, "Point to the cup.", "Describe this."]
    image = np.random.default_rng(5).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    say_points(molmo, image, texts[0])
    alone = [molmo.query(image, text, options=options) for text in texts]
    encoded = molmo.encode(image)
    for asked in (encoded, encoded, image):
        answers = molmo.query_many(asked, texts, options=options)
        assert [answer.text for answer in answers] == [answer.text for answer in alone]
        for answer, other in zip(answers, alone, strict=True):
            # All in one pass, which rounds otherwise.
            scores = [[point.confidence for point in one.points] for one in (answer, other)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-5)
            assert [replace(point, confidence=None) for point in answer.points] == [
                replace(point, confidence=None) for point in other.points
            ]
    assert alone[0].text != alone[1].text
    assert alone[0].points


def test_a_prefill_that_was_not_seen_is_done_again(same_patch):
    """As after running out of memory between the decoder and the point head."""
    encoded = same_patch.encode(IMAGE)
    first = same_patch.point(encoded, "mug")
    encoded.pointable.keys = None
    assert same_patch.point(encoded, "mug").points == first.points


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("<|token_index|>", "patch_token_id"),
        ("<|vit_loc|>", "location_token_id"),
        ("<im_low>", "image_non_indexable_patch_id"),
    ],
)
def test_ids_at_odds_with_the_tokenizer_are_refused(write_tokenizer, tmp_path, name, key):
    write_tokenizer(tmp_path)
    shutil.copy(VECTOR / "model.safetensors", tmp_path)
    ids = add_tokens(tmp_path, ["<unused>", "<|token_index|>", "<|vit_index|>", "<|vit_loc|>"])
    config = json.loads((VECTOR / "config.json").read_text())
    config |= {"patch_token_id": ids["<|token_index|>"], "subpatch_token_id": ids["<|vit_index|>"]}
    config |= {"location_token_id": ids["<|vit_loc|>"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    Molmo.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {key: 400}))
    with pytest.raises(
        CheckpointError, match=rf"{name.replace('|', '.')} is {ids[name]} in the tokenizer and 400"
    ):
        Molmo.from_pretrained(tmp_path)

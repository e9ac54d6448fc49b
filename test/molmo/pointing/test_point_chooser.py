# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Free-running decoding with points, token by token as the reference's; and one answer knows nothing of another."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.model import ImageFeatures, PatchFeatures
from molmo_ros.molmo.pointing.patch_points import PatchPlaces, PatchPointStream
from molmo_ros.molmo.pointing.point_chooser import PointableImages, PointChooser
from molmo_ros.molmo.running.generate import generate
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
STORED = json.loads((VECTORS / "points" / "molmopoint_free_run.json").read_text())
CASES, VIDEO_CASES = STORED["cases"], STORED["video_cases"]
FOLDER = VECTORS / "molmopoint-8b-tiny"


def image_prompt():
    """Ids without the words, crops, pooling, and which tokens are an image's."""
    inputs = np.load(FOLDER / "input.npz")
    ids, pooling = inputs["input_ids"][0, :-9], inputs["image_token_pooling"]
    return ids, inputs["pixel_values"], pooling, inputs["token_type_ids"][0, :-9].astype(bool)


def video_prompt():
    """The same of three frames, with nine patches to a token."""
    image = np.load(FOLDER / "input.npz")["image_u8"]
    process = ImageProcessor(ImageProcessorConfig.released(STRETCHED))
    frames = [process(np.ascontiguousarray(one)) for one in (image, image[:, ::-1], image[::-1])]
    numbers = np.arange(27 * 27).reshape(9, 3, 9, 3).transpose(0, 2, 1, 3).reshape(81, 9)
    ids = np.array([3, *[7, 8, 327, *[322] * 81, 328] * 3])
    pooling = np.concatenate([numbers + 27 * 27 * frame for frame in range(3)])
    return ids, np.concatenate([one.crops[:1] for one in frames]), pooling, np.isin(ids, (322, 327, 328))


class Prompt:
    """Images with the words of one stored answer, and the vector's model changed as for that."""

    def __init__(self, case, dtype="float32", attention="sdpa", images=image_prompt):
        self.model = load_checkpoint(FOLDER, dtype=dtype, attention=attention)
        head, decoder = self.model.point_head, self.model.decoder
        with torch.no_grad():
            row = self.model.config.point_head.patch_id - self.model.config.decoder.vocab
            decoder.extra_head.weight[row] = case["gain"] * decoder.head.weight[case["row_of"]]
            head.patch_query.weight *= case["query_scale"]
            head.patch_query.bias *= case["query_scale"]
            head.no_more_points *= case["no_more_points_scale"]
        ids, crops, pooling, is_image = (torch.from_numpy(array) for array in images())
        self.ids = torch.cat([ids, torch.tensor(case["text_ids"])]).unsqueeze(0)
        is_image = torch.nn.functional.pad(is_image, (0, len(case["text_ids"]))).unsqueeze(0)
        is_patch = self.model.is_patch_token(self.ids)
        pointable = self.ids[is_patch] == self.model.config.token_ids["im_patch"]
        with torch.inference_mode():
            features = self.model.image_features(crops.to(self.model.dtype), pooling=pooling)
            self.embeddings = self.model.embed(self.ids, features.tokens)
            self.mask = self.model.prefill_mask(is_image)
        self.images = PointableImages(features.tokens, features.patches, is_patch[0], pointable)

    def run(self, count, chooser=None, cut=0, cache=None, **options):
        cache = cache or KVCache(self.model.config.decoder, self.ids.shape[1] + count, dtype=self.model.dtype)
        return generate(
            TorchRuntime(self.model),
            cache,
            self.embeddings[:, cut:],
            self.mask[:, :, cut:],
            max_new_tokens=count,
            eos_ids=(),
            chooser=chooser or PointChooser(TorchRuntime(self.model), self.images),
            on_states=None if cut else lambda states: self.images.see(self.model.point_head, states),
            **options,
        )


@pytest.mark.parametrize("attention", ["sdpa", "explicit"])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_decodes_what_the_reference_decodes(number, attention):
    case = CASES[number]
    found = Prompt(case, attention=attention).run(len(case["tokens"]))
    assert list(found.token_ids) == case["tokens"]


@pytest.mark.parametrize("number", range(len(VIDEO_CASES)))
def test_decodes_what_the_reference_decodes_about_a_video(number):
    case = VIDEO_CASES[number]
    prompt = Prompt(case, images=video_prompt)
    assert list(prompt.run(len(case["tokens"])).token_ids) == case["tokens"]
    mosaics = [np.arange(27 * 27).reshape(27, 27) + 27 * 27 * frame for frame in range(3)]
    pooling = prompt.images.patches.pooling.numpy()
    places = PatchPlaces(prompt.images.point_tokens(prompt.model.config), pooling, mosaics, [(200, 500)] * 3)
    stream = PatchPointStream(places)
    stream.feed(case["answer"])
    found = [(point.index, point.image, point.x, point.y) for point in stream.finish().points]
    assert np.allclose(found, case["points"], rtol=0, atol=1e-9) and len(found) == len(case["points"]) > 0


def test_the_stored_answers_show_every_kind_of_token():
    tokens = Prompt(CASES[0]).images.point_tokens(load_checkpoint(FOLDER).config)
    patches = [[token for token in case["tokens"] if token in tokens.patch] for case in CASES]
    assert all(patch == sorted(patch) for patch in patches)
    assert any(len(set(patch)) < len(patch) for patch in patches)  # one patch more than once
    assert any(tokens.no_more_points in case["tokens"] for case in CASES)
    assert len({token for case in CASES for token in case["tokens"] if token in tokens.subpatch}) >= 3


def test_several_answers_on_one_image():
    """The second is prefilled behind the cached image; neither its words nor its points meet the first's."""
    prompt = Prompt(CASES[0])
    alone = prompt.run(24).token_ids
    cut = int((prompt.ids[0] == prompt.model.config.token_ids["im_end"]).nonzero()[-1]) + 1
    cache = KVCache(prompt.model.config.decoder, prompt.ids.shape[1] + 24)
    assert prompt.run(24, cache=cache).token_ids == alone
    keys = prompt.images.keys
    for _ in range(2):
        cache.truncate(cut)
        assert prompt.run(24, cut=cut, cache=cache).token_ids == alone
        assert prompt.images.keys is keys


def test_choices_tell_what_they_were_chosen_among():
    prompt, choices = Prompt(CASES[0]), []
    prompt.run(24, on_token=lambda choice: choices.append(choice))
    tokens, seen = prompt.images.point_tokens(prompt.model.config), set()
    for choice in choices:
        assert choice.logits.shape == (tokens.all.stop,) and int(choice.logits.argmax()) == choice.token
        sizes = {tokens.patches + 1: tokens.patch, 4: tokens.subpatch, 9: tokens.location}
        if choice.token not in tokens.all:
            assert choice.candidates is None
            continue
        part = sizes[len(choice.candidates)]
        seen.add(part)
        assert part[choice.candidate] == choice.token
        assert int(choice.candidates.argmax()) == choice.candidate
        probabilities = choice.candidates.softmax(-1)
        assert 1 / len(part) < float(probabilities[choice.candidate]) <= 1
        if part == tokens.patch:
            assert not probabilities[:-1][~prompt.images.pointable].any()
    assert len(seen) == 3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_dtypes_keep_to_the_grammar(dtype):
    prompt = Prompt(CASES[0], dtype)
    found = prompt.run(40).token_ids
    tokens = prompt.images.point_tokens(prompt.model.config)
    at = [number for number, token in enumerate(found[:-2]) if token in tokens.patch]
    assert at and all(found[i + 1] in tokens.subpatch and found[i + 2] in tokens.location for i in at)


def test_images_are_numbered_through():
    def features(tokens, patches, pooling):
        values = torch.randn(patches, 5)
        return ImageFeatures(torch.randn(tokens, 3), PatchFeatures(values, torch.tensor(pooling)))

    one, two = features(2, 4, [[0, -1], [1, 3]]), features(1, 3, [[2, -1]])
    joined = ImageFeatures.join([one, two])
    assert joined.patches.pooling.tolist() == [[0, -1], [1, 3], [6, -1]]
    assert torch.equal(joined.patches.values[joined.patches.pooling[2, 0]], two.patches.values[2])
    assert torch.equal(joined.tokens, torch.cat([one.tokens, two.tokens]))
    assert ImageFeatures.join([one]).tokens is one.tokens

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The model against what the published code computed, and what must not change its result."""

from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.errors import ImageError, PromptError
from molmo_ros.molmo.network.model import ImageFeatures, MolmoModel, prefill_mask
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
MOLMO = ["molmo-7b-d", "molmo-7b-o", "molmo-72b"]
MOLMO2 = ["molmo2-4b", "molmo2-8b", "molmo2-o-7b"]


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


def arrays(variant, name):
    with np.load(VECTORS / f"{variant}-tiny" / f"{name}.npz") as stored:
        return {key: torch.from_numpy(stored[key]) for key in stored.files}


def load(variant, **options):
    return load_checkpoint(VECTORS / f"{variant}-tiny", **options)


def encode(model, inputs, **options):
    if "images" in inputs:
        masks, cells = inputs["image_masks"][0], inputs["image_input_idx"][0]
        return model.encode_image(inputs["images"][0], masks=masks, input_idx=cells, **options)
    return model.encode_image(inputs["pixel_values"], pooling=inputs["image_token_pooling"], **options)


def difference(found, expected):
    assert found.shape == expected.shape
    return (found - expected).abs().max().item()


@pytest.mark.parametrize("attention", ["explicit", "sdpa"])
@pytest.mark.parametrize("variant", MOLMO + MOLMO2)
def test_logits_of_the_published_code(variant, attention):
    inputs, expected = arrays(variant, "input"), arrays(variant, "logits")
    model = load(variant, attention=attention)
    output = model(inputs["input_ids"], encode(model, inputs))
    assert difference(output.logits[:, expected["positions"]], expected["logits"]) < 2e-5
    assert difference(output.hidden[:, expected["positions"]], expected["hidden_states"][-1]) < 2e-5
    text = model(inputs["input_ids"][:, -9:]).logits
    assert difference(text, expected["text_only_logits"]) < 1e-5


@pytest.mark.parametrize("variant", MOLMO)
def test_vision_features_of_every_cell_0924(variant):
    inputs, expected = arrays(variant, "input"), arrays(variant, "logits")["vision_features"][0]
    model = load(variant)
    features = model.encode_image(inputs["images"][0], masks=inputs["image_masks"][0])
    assert difference(features, expected.flatten(0, 1)) < 1e-4
    # With the token positions, only the used cells, in the order of the tokens.
    cells = inputs["image_input_idx"][0].flatten()
    used = sorted((position, cell) for cell, position in enumerate(cells.tolist()) if position >= 0)
    found = encode(model, inputs)
    assert difference(found, expected.flatten(0, 1)[[cell for _, cell in used]]) < 1e-4


@pytest.mark.parametrize("variant", MOLMO2)
def test_vision_features_molmo2(variant):
    inputs, expected = arrays(variant, "input"), arrays(variant, "logits")
    assert difference(encode(load(variant), inputs), expected["vision_features"]) < 1e-4


@pytest.mark.parametrize("variant", MOLMO2)
def test_the_mask_of_molmo2_matters(variant):
    inputs, expected = arrays(variant, "input"), arrays(variant, "logits")
    model = load(variant)
    features, ids = encode(model, inputs), inputs["input_ids"]
    assert torch.equal(model.is_image_token(ids), inputs["token_type_ids"].bool())
    causal = model(ids, features, mask=prefill_mask(torch.zeros_like(ids, dtype=torch.bool), False))
    assert difference(causal.logits[:, -9:], expected["logits_if_fully_causal"]) < 1e-5
    block = model(ids, features)
    assert difference(block.logits[:, -9:], expected["logits_if_fully_causal"]) > 1e-2


def test_prefill_masks():
    is_image = torch.tensor([[False, True, True, False]])
    assert prefill_mask(is_image, False)[0, 0].int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, 1, 1, 1],
    ]
    assert prefill_mask(is_image, True)[0, 0].int().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 1, 0],
        [1, 1, 1, 0],
        [1, 1, 1, 1],
    ]


@pytest.mark.parametrize("image_block", [False, True])
def test_prefill_masks_of_what_follows_the_cache(image_block):
    is_image = torch.rand(3, 20, generator=torch.Generator().manual_seed(0)) < 0.5
    whole = prefill_mask(is_image, image_block)
    for start in (0, 1, 7, 19):
        assert torch.equal(prefill_mask(is_image, image_block, start), whole[:, :, start:])


def test_without_a_point_head_no_patches_are_kept():
    inputs = arrays("molmo2-4b", "input")
    features = load("molmo2-4b").image_features(inputs["pixel_values"], pooling=inputs["image_token_pooling"])
    assert features.patches is None and ImageFeatures.join([features, features]).patches is None


@pytest.mark.parametrize("variant", ["molmo-7b-d", "molmo2-4b"])
def test_features_are_added_to_the_patch_embeddings(variant):
    inputs = arrays(variant, "input")
    model = load(variant)
    ids, features = inputs["input_ids"], encode(model, inputs)
    patches = ids == model.config.token_ids["im_patch"]
    embedded, plain = model.embed(ids, features), model.decoder.embedding(ids)
    assert difference(embedded[patches], plain[patches] + features) == 0
    assert difference(embedded[~patches], plain[~patches]) == 0


@pytest.mark.parametrize("variant", ["molmo-72b", "molmo2-8b"])
def test_one_view_runs_the_tower_once_with_the_same_result(variant):
    inputs = arrays(variant, "input")
    model = load(variant)
    if "images" in inputs:
        # Two crops of the same picture still differ in their masks.
        inputs["images"] = inputs["images"][:, :1].repeat(1, 2, 1, 1)
        inputs["image_masks"] = inputs["image_masks"][:, :2].clone()
        inputs["image_masks"][0, 1] = -1
        inputs["image_input_idx"] = inputs["image_input_idx"][:, :2]
    else:
        inputs["pixel_values"] = inputs["pixel_values"][:1].repeat(2, 1, 1)
        pooling = inputs["image_token_pooling"]
        inputs["image_token_pooling"] = pooling[(pooling < 2 * 729).all(-1)]
    seen = []
    hook = model.vision.blocks[0].register_forward_hook(
        lambda module, args, output: seen.append(len(args[0]))
    )
    once = encode(model, inputs, single_view=True)
    twice = encode(model, inputs)
    hook.remove()
    assert seen == [1, 2]
    assert difference(once, twice) < 1e-4
    assert once.shape[0] > 144


@pytest.mark.parametrize("variant", MOLMO2)
def test_a_batch_of_images_equals_single_images(variant):
    inputs = arrays(variant, "input")
    model = load(variant)
    generator = torch.Generator().manual_seed(1)
    crops = torch.stack(
        [inputs["pixel_values"], torch.randn(inputs["pixel_values"].shape, generator=generator)]
    )
    pooling = torch.stack([inputs["image_token_pooling"], inputs["image_token_pooling"].flip(0)])
    pooling[1, 300:] = -1
    batch = model.encode_images(crops, pooling)
    assert difference(batch[0], model.encode_image(crops[0], pooling=pooling[0])) < 1e-4
    # Empty rows are dropped from the features of one image, and zero in a batch.
    assert difference(batch[1, :300], model.encode_image(crops[1], pooling=pooling[1])) < 1e-4
    assert not batch[1, 300:].any()


def test_order_of_the_slots_of_a_token_does_not_matter():
    inputs = arrays("molmo2-8b", "input")
    model = load("molmo2-8b")
    features = encode(model, inputs)
    inputs["image_token_pooling"] = inputs["image_token_pooling"].flip(1)
    assert difference(encode(model, inputs), features) < 1e-4


@pytest.mark.parametrize("variant", MOLMO + MOLMO2)
def test_bfloat16_stays_near_float32(variant):
    inputs, expected = arrays(variant, "input"), arrays(variant, "logits")
    model = load(variant, dtype="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    logits = model(inputs["input_ids"], encode(model, inputs)).logits[:, expected["positions"]]
    assert logits.dtype == torch.bfloat16
    error = (logits.float() - expected["logits"]).square().mean().sqrt()
    assert error < 0.05 * expected["logits"].square().mean().sqrt()


def test_casting_the_model_keeps_rotary_frequencies_in_float32():
    inputs = arrays("molmo2-o-7b", "input")
    loaded, cast = load("molmo2-o-7b", dtype="bfloat16"), load("molmo2-o-7b").to(torch.bfloat16)
    features = encode(loaded, inputs)
    one, other = loaded(inputs["input_ids"], features).logits, cast(inputs["input_ids"], features).logits
    assert torch.equal(one, other)


@pytest.mark.parametrize("variant", ["molmo-7b-o", "molmo2-4b"])
def test_gradients_reach_every_parameter_in_autocast(variant):
    with torch.inference_mode(False):
        inputs = arrays(variant, "input")
        model = load(variant, attention="explicit")
        model.requires_grad_(True).train()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(inputs["input_ids"], encode(model, inputs), logits_for=slice(-20, None))
        output.logits.float().logsumexp(-1).sum().backward()
        silent = {
            name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()
        }
        # The special ids of 7B-O lie in the base table, so that no extra row is ever read.
        assert silent == ({"decoder.embedding.extra"} if variant == "molmo-7b-o" else set())


def test_set_attention_reaches_every_layer():
    model = load("molmo2-8b", attention="sdpa")
    model.set_attention("explicit")
    kinds = {
        value for module in model.modules() if isinstance(value := getattr(module, "attention", None), str)
    }
    assert kinds == {"explicit"}
    with pytest.raises(ValueError, match="explicit, sdpa"):
        model.set_attention("flash")
    with pytest.raises(ValueError, match="explicit, sdpa"):
        MolmoModel(model.config, "flash")


def test_wrong_shapes_are_image_errors():
    inputs = arrays("molmo-7b-d", "input")
    model, crops, masks = load("molmo-7b-d"), inputs["images"][0], inputs["image_masks"][0]
    with pytest.raises(ImageError, match=r"\(576, 588\)"):
        model.encode_image(crops[:, :-1], masks=masks)
    with pytest.raises(ImageError, match="needs masks of shape"):
        model.encode_image(crops)
    with pytest.raises(ImageError, match="needs masks of shape"):
        model.encode_image(crops, masks=masks[:-1])
    with pytest.raises(ImageError, match="input_idx has 288 cells; 3 crops have 432"):
        model.encode_image(crops, masks=masks, input_idx=inputs["image_input_idx"][0, :2])
    inputs = arrays("molmo2-4b", "input")
    model = load("molmo2-4b")
    with pytest.raises(ImageError, match="needs the pooling table"):
        model.encode_image(inputs["pixel_values"])
    with pytest.raises(ImageError, match="takes no masks"):
        model.encode_image(
            inputs["pixel_values"], pooling=inputs["image_token_pooling"], masks=torch.ones(3, 729)
        )
    with pytest.raises(ImageError, match="2187 patches"):
        model.encode_image(inputs["pixel_values"], pooling=inputs["image_token_pooling"] + 2000)


def test_features_must_be_as_many_as_patch_tokens():
    inputs = arrays("molmo2-4b", "input")
    model = load("molmo2-4b")
    features = encode(model, inputs)
    with pytest.raises(PromptError, match="517 image features for 518 patch tokens"):
        model.embed(inputs["input_ids"], features[1:])

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Several images and videos as one prompt, against transformers' own Molmo2 with the same weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import Molmo2ForConditionalGeneration

from molmo_ros.molmo.catalog.model_parts import read_video_processing
from molmo_ros.molmo.errors import CheckpointError, ImageError, PromptError
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"
TEXT = "Point to the red cube in the image."
FEW = GenerateOptions(max_new_tokens=8)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def folder_of(variant, folder, write_tokenizer):
    write_tokenizer(folder, "molmo" if variant.startswith("molmo-") else "molmo2")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(VECTORS / variant / name, folder)
    return folder


@pytest.fixture(scope="module", params=["molmo2-4b-tiny", "molmo2-o-7b-tiny"])
def both(request, write_tokenizer, tmp_path_factory):
    """Ours and theirs."""
    folder = folder_of(request.param, tmp_path_factory.mktemp("molmo2"), write_tokenizer)
    theirs = Molmo2ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
    return Molmo.from_pretrained(folder), theirs


@torch.inference_mode()
def compare(molmo, theirs, encoded, inputs):
    """Logits of a whole prompt, and what is generated with the images' part in the cache."""
    ids = np.concatenate([encoded.prefix.ids, molmo.prompts.query(TEXT, len(encoded.prefix))])
    ids = torch.from_numpy(ids).unsqueeze(0)
    kinds = torch.isin(ids, torch.tensor(sorted(molmo.runtime.config.token_ids.values())))
    expected = theirs(input_ids=ids, mm_token_type_ids=kinds.long(), **inputs)
    words = ids.shape[1] - len(encoded.prefix)
    is_patch = functional.pad(torch.from_numpy(encoded.prefix.is_patch), (0, words)).unsqueeze(0)
    is_image = functional.pad(torch.from_numpy(encoded.prefix.is_image), (0, words)).unsqueeze(0)
    found = molmo.runtime.model(ids, encoded.features, is_patch=is_patch, is_image=is_image)
    assert (found.logits - expected.logits).abs().max() < 1e-4
    generated = theirs.generate(
        input_ids=ids, mm_token_type_ids=kinds.long(), max_new_tokens=8, do_sample=False, **inputs
    )
    text = molmo.tokenizer.decode(generated[0, ids.shape[1] :].tolist())
    for _ in range(2):  # the second time with the images in the cache
        assert molmo.query(encoded, TEXT, options=FEW).text == text.strip()


@pytest.mark.parametrize("sizes", [[(200, 350), (60, 90)], [(60, 90), (300, 300), (120, 500)]], ids=str)
def test_several_images_of_different_sizes(both, sizes):
    molmo, theirs = both
    pictures = [picture(*size, seed) for seed, size in enumerate(sizes)]
    encoded = molmo.encode(pictures)
    assert encoded.sizes == sizes and encoded.prefix.about == "images"
    pixels, pooling, grids, first = [], [], [], 0
    for one in map(molmo.image_processor, pictures):
        pixels.append(torch.from_numpy(one.crops))
        pooling.append(torch.from_numpy(np.where(one.pooling < 0, -1, one.pooling + first)))
        grids.append([*one.low_res_grid, *one.high_res_grid])
        first += one.crops.shape[0] * one.crops.shape[1]
    compare(
        molmo,
        theirs,
        encoded,
        {
            "pixel_values": torch.cat(pixels),
            "image_token_pooling": torch.cat(pooling),
            "image_grids": torch.tensor(grids),
        },
    )


def video_inputs(frames, side=27, patch=14):
    """As transformers' Molmo2VideoProcessor makes them, which needs torchvision.

    In one thread: with several, torch rounds some values that are halfway between two to the other side.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    pixels, pooling = [], []
    for number, frame in enumerate(frames):
        image = torch.from_numpy(frame).permute(2, 0, 1).unsqueeze(0).float()
        image = functional.interpolate(
            image, (side * patch, side * patch), mode="bilinear", align_corners=False
        )
        image = (image[0].round() / 255 - 0.5) / 0.5
        patches = image.reshape(3, side, patch, side, patch).permute(1, 3, 2, 4, 0)
        pixels.append(patches.reshape(side * side, patch * patch * 3))
        numbers = torch.arange(side * side).view(side // 3, 3, side // 3, 3).permute(0, 2, 1, 3)
        pooling.append(numbers.reshape(-1, 9) + number * side * side)
    torch.set_num_threads(threads)
    return {
        "pixel_values_videos": torch.stack(pixels),
        "video_token_pooling": torch.cat(pooling),
        "video_grids": torch.tensor([[len(frames), side // 3, side // 3]]),
    }


@pytest.mark.parametrize("own_tokens", [False, True])
def test_video(both, own_tokens, write_tokenizer, tmp_path):
    molmo, theirs = both
    (tmp_path / "processor_config.json").write_text(json.dumps({"use_frame_special_tokens": own_tokens}))
    video = read_video_processing(tmp_path, molmo.image_processor.config)
    molmo = Molmo(molmo.runtime, molmo.tokenizer, molmo.image_processor, video=video)
    frames = [picture(120, 200, seed) for seed in range(3)]
    encoded = molmo.encode_video(frames, [0.0, 0.5, 1.0])
    starts = encoded.prefix.ids == molmo.tokenizer.special_id("<frame_start>" if own_tokens else "<im_start>")
    assert starts.sum() == 3 and encoded.prefix.about == "video" and encoded.features.shape[0] == 3 * 81
    compare(molmo, theirs, encoded, video_inputs(frames))


def test_a_list_of_one_image_is_that_image(both):
    molmo, _ = both
    one = picture(90, 70)
    alone, listed = molmo.encode(one), molmo.encode([one])
    assert np.array_equal(alone.prefix.ids, listed.prefix.ids) and torch.equal(
        alone.features, listed.features
    )
    assert listed.prefix.about == "image"


def test_what_another_model_encoded_is_refused(both):
    molmo, _ = both
    other = Molmo(
        TorchRuntime(load_checkpoint(VECTORS / "molmo2-4b-tiny")), molmo.tokenizer, molmo.image_processor
    )
    with pytest.raises(PromptError, match="encoded by another model"):
        other.point(molmo.encode(picture(60, 90)), "cup")


def test_too_many_images_are_refused_before_any_is_processed(both, monkeypatch):
    molmo, _ = both
    one = picture(100, 100)
    pictures = [one, one, picture(700, 700), picture(700, 700)]
    lengths = [
        len(molmo.encode(image).prefix) - 1 + len(molmo.tokenizer.encode(f"Image {number}"))
        for number, image in enumerate(pictures, 1)
    ]
    assert 1 + sum(lengths[:3]) < 2048 <= 1 + sum(lengths)
    monkeypatch.setattr(ImageProcessor, "__call__", lambda *_: pytest.fail("a pixel was touched"))
    found = f"4 images have {1 + sum(lengths)} image tokens.* of 2048 tokens; it holds the first 3 of them"
    with pytest.raises(PromptError, match=found):
        molmo.point(pictures, "cup")
    with pytest.raises(
        PromptError, match="7 images have at least .* of 2048 tokens; it holds at most 4 of them"
    ):
        molmo.point([one] * 7, "cup")
    with pytest.raises(
        PromptError, match=r"30 frames have \d+ image tokens.* it holds the first 2\d of them"
    ):
        molmo.encode_video([one] * 30, [0.5 * i for i in range(30)])


def test_bad_lists(both, write_tokenizer, tmp_path):
    molmo, _ = both
    one = picture(100, 100)
    with pytest.raises(PromptError, match="needs an image"):
        molmo.encode([])
    with pytest.raises(ImageError, match="float64"):
        molmo.encode([one, one / 255])
    with pytest.raises(ImageError, match=r"\[100, 100\]"):
        molmo.encode_video([one, one[..., 0]], [0, 1])
    with pytest.raises(PromptError, match="2 frames and 3 times"):
        molmo.encode_video([one, one], [0, 1, 2])
    old = Molmo.from_pretrained(folder_of("molmo-7b-d-tiny", tmp_path, write_tokenizer))
    with pytest.raises(PromptError, match="2 images: models of the 0924 family take one"):
        old.point((one, one), "cup")
    with pytest.raises(PromptError, match="no video"):
        old.encode_video([one], [0])
    with pytest.raises(PromptError, match="take no video"):
        old.track(old.encode(one), "cup")


def test_a_folder_whose_frames_are_of_another_size(write_tokenizer, tmp_path):
    folder = folder_of("molmo2-4b-tiny", tmp_path, write_tokenizer)
    (folder / "video_preprocessor_config.json").write_text(
        json.dumps({"size": {"height": 336, "width": 336}})
    )
    with pytest.raises(CheckpointError, match=r"video processor makes crops of \(24, 24\) patches"):
        Molmo.from_pretrained(folder)

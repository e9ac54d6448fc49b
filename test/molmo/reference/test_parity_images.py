# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Parity of folders about several pictures, and of those of other sizes, with transformers' own Molmo2."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Molmo2ForConditionalGeneration

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.families.table import parse_config
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.reference.parity import WEIGHTS, check_folder
from molmo_ros.molmo.weights.checkpoint import save_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"


@torch.inference_mode()
def test_vectors_of_other_sizes_depths_and_ids(tmp_path):
    """A vector that transformers makes: another vocabulary, other ids, depth, widths, crop and picture."""
    raw = json.loads((VECTORS / "molmo2-o-7b-tiny" / "config.json").read_text())
    raw["vit_config"] |= {"hidden_size": 36, "num_attention_heads": 3, "head_dim": 12, "num_hidden_layers": 5}
    raw["vit_config"] |= {"image_default_input_size": [252, 252], "image_num_pos": 324}
    raw["adapter_config"] |= {
        "hidden_size": 36,
        "num_attention_heads": 3,
        "head_dim": 12,
        "vit_layers": [-2, -4],
    }
    raw["adapter_config"] |= {"text_hidden_size": 96}
    raw["text_config"] |= {
        "hidden_size": 96,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "vocab_size": 401,
    }
    raw["text_config"] |= {"num_hidden_layers": 3, "rope_scaling_layers": [0, 2]}
    for key in [
        key for key in raw if key.startswith(("image_", "frame_", "low_res_")) and key.endswith("_id")
    ]:
        raw[key] += 81
    torch.manual_seed(3)
    config = parse_config(raw)
    model = MolmoModel(config)
    for parameter in model.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    save_checkpoint(model, tmp_path)
    reference = Molmo2ForConditionalGeneration.from_pretrained(tmp_path, attn_implementation="eager").eval()

    random = np.random.default_rng(4)
    image_u8 = random.integers(0, 256, (310, 220, 3), dtype=np.uint8)
    image = ImageProcessor(ImageProcessorConfig.released(STRETCHED, crop_size=252))(image_u8)
    ids, (rows, columns) = config.token_ids, image.high_res_grid
    low = [ids["low_res_im_start"], *[ids["im_patch"]] * (image.low_res_grid[0] * image.low_res_grid[1])]
    high = [ids["im_start"], *([*[ids["im_patch"]] * columns, ids["im_col"]] * rows), ids["im_end"]]
    tokens = torch.tensor([[7, *low, ids["im_end"], *high, *random.integers(0, 401, 11).tolist()]])
    inputs = {
        "input_ids": tokens,
        "pixel_values": torch.from_numpy(image.crops),
        "image_token_pooling": torch.from_numpy(image.pooling),
        "image_grids": torch.tensor([[*image.low_res_grid, *image.high_res_grid]]),
        "mm_token_type_ids": torch.isin(tokens, torch.tensor(list(ids.values()))).long(),
    }
    output = reference(**inputs, output_hidden_states=True)
    greedy = reference.generate(**inputs, max_new_tokens=5, min_new_tokens=5, do_sample=False)[0, -5:]
    np.savez(
        tmp_path / "input.npz",
        token_type_ids=inputs.pop("mm_token_type_ids"),
        image_u8=image_u8,
        **{name: value.numpy() for name, value in inputs.items()},
    )
    np.savez(
        tmp_path / "logits.npz",
        logits=output.logits,
        hidden_states=torch.stack(output.hidden_states),
        vision_features=output.image_hidden_states,
        text_only_logits=reference(input_ids=tokens[:, -11:]).logits,
        greedy_tokens=greedy,
    )
    report = check_folder(tmp_path)
    assert (report.status, report.reason) == ("ok", "")
    assert report.greedy_agree
    assert max(report.errors.values()) < 1e-4


@pytest.fixture(scope="module")
def two_images(tmp_path_factory):
    """A folder about two pictures of different sizes, with what transformers' own Molmo2 makes of them."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("config.json", WEIGHTS[0]):
        shutil.copyfile(VECTORS / "molmo2-4b-tiny" / name, folder / name)
    reference = Molmo2ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager").eval()
    random, ids = np.random.default_rng(5), read_config(folder).token_ids
    pictures = [random.integers(0, 256, shape, dtype=np.uint8) for shape in ((60, 90, 3), (70, 50, 3))]
    images = [ImageProcessor(ImageProcessorConfig.released(STRETCHED))(picture) for picture in pictures]
    tokens = [7]
    for image in images:
        low, (rows, columns) = image.low_res_grid, image.high_res_grid
        tokens += [ids["low_res_im_start"], *[ids["im_patch"]] * (low[0] * low[1]), ids["im_end"]]
        tokens += [ids["im_start"], *([*[ids["im_patch"]] * columns, ids["im_col"]] * rows), ids["im_end"]]
    tokens = torch.tensor([[*tokens, *random.integers(0, 300, 9).tolist()]])
    first = images[0].crops.shape[0] * images[0].crops.shape[1]
    from_zero = [image.pooling for image in images]
    running = [from_zero[0], np.where(from_zero[1] < 0, -1, from_zero[1] + first)]
    inputs = {
        "input_ids": tokens.numpy(),
        "pixel_values": np.concatenate([image.crops for image in images]),
        "image_token_pooling": np.concatenate(running),
        "image_grids": np.array([[*image.low_res_grid, *image.high_res_grid] for image in images]),
        "image_num_crops": np.array([len(image.crops) for image in images]),
        "token_type_ids": np.isin(tokens.numpy(), list(ids.values())).astype(np.int64),
    }
    asked = {name: torch.from_numpy(value) for name, value in inputs.items()}
    with torch.inference_mode():
        logits = reference(mm_token_type_ids=asked.pop("token_type_ids"), **asked).logits
    np.savez(folder / "logits.npz", logits=logits.numpy())
    np.savez(folder / "input.npz", image_u8=pictures[0], image_u8_2=pictures[1], **inputs)
    return folder, np.concatenate(from_zero), pictures


def test_two_images_agree_in_either_numbering(two_images, tmp_path, change):
    folder, from_zero, _ = two_images
    hub = shutil.copytree(folder, tmp_path / "hub")
    change(hub, "input.npz", "image_token_pooling", lambda _: from_zero)
    for numbered in (folder, hub):
        report = check_folder(numbered)
        assert (report.status, report.reason) == ("ok", ""), numbered
        assert report.preprocessing == {"pixels": 0, "pooling": 0, "grids": 0}


def test_a_wrong_second_image_is_seen(two_images, tmp_path, change):
    folder, _, pictures = two_images
    folder = shutil.copytree(folder, tmp_path / "wrong")
    change(folder, "input.npz", "image_u8_2", lambda a: a[:, ::-1])
    report = check_folder(folder)
    assert report.status == "failed" and "preprocessing: pixels" in report.reason
    with np.load(folder / "input.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(folder / "input.npz", image_u8_3=arrays.pop("image_u8_2"), **arrays)
    assert "the stored images are image_u8, image_u8_3" in check_folder(folder).reason

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Parity reports: sound vectors pass, and every kind of damage or difference is seen and named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from molmo_ros.molmo.reference.parity import FILES, WEIGHTS, VectorError, check_folder, find_vector_folders
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[2] / "vectors"


DENSE = [
    "molmo-7b-d-tiny",
    "molmo-7b-o-tiny",
    "molmo-72b-tiny",
    "molmo2-4b-tiny",
    "molmo2-8b-tiny",
    "molmo2-o-7b-tiny",
]


@pytest.fixture
def copy(tmp_path):
    def make(variant):
        folder = tmp_path / variant
        folder.mkdir()
        for name in (*FILES, WEIGHTS[0]):
            shutil.copyfile(VECTORS / variant / name, folder / name)
        return folder

    return make


@pytest.mark.parametrize("attention", ["sdpa", "explicit"])
@pytest.mark.parametrize("variant", DENSE)
def test_reference_vectors_agree(variant, attention):
    report = check_folder(VECTORS / variant, attention)
    assert (report.status, report.reason) == ("ok", "")
    assert {
        "logits",
        "vision_features",
        "hidden_states",
        "text_only_logits",
        "greedy_logits",
    } <= report.errors.keys()
    assert max(report.errors.values()) < 1e-4
    assert report.greedy_agree
    assert len(report.greedy_tokens) == 6
    assert report.preprocessing["pixels"] <= 1e-5
    assert {value for name, value in report.preprocessing.items() if name != "pixels"} == {0.0}


@pytest.mark.parametrize("attention", ["sdpa", "explicit"])
def test_a_picture_of_many_tiles_agrees(attention):
    """2x2 tiles, by transformers' own Molmo2 (vectors/make_tiles.py)."""
    report = check_folder(VECTORS / "molmo2-4b-tiles", attention)
    assert (report.status, report.reason, report.greedy_agree) == ("ok", "", True)
    assert report.errors.keys() == {"vision_features", "logits", "text_only_logits", "greedy_logits"}
    with np.load(VECTORS / "molmo2-4b-tiles" / "input.npz") as stored:
        assert stored["image_num_crops"].tolist() == [1 + 2 * 2]


def test_what_is_allowed_grows_with_the_largest_value(copy, change):
    """Features of 30 may be 3e-4 apart, logits of 4 not."""
    folder = copy("molmo2-4b-tiny")
    change(folder, "logits.npz", "vision_features", lambda a: a + np.float32(2e-4))
    assert check_folder(folder).status == "ok"
    change(folder, "logits.npz", "logits", lambda a: a + np.float32(2e-4))
    report = check_folder(folder)
    assert report.status == "failed" and report.reason.startswith("logits differs by 2")
    change(folder, "logits.npz", "vision_features", lambda a: a + np.float32(2e-4))
    assert "vision_features differs by 4" in check_folder(folder).reason


@pytest.mark.parametrize("attention", ["sdpa", "explicit"])
def test_every_step_of_the_point_head_agrees(attention):
    folder = VECTORS / "molmopoint-8b-tiny"
    report = check_folder(folder, attention)
    assert (report.status, report.reason) == ("ok", "")
    assert report.errors.keys() == set(np.load(folder / "logits.npz").files) - {"steps"}
    assert max(report.errors.values()) < 1e-4
    assert report.errors["bounds"] == report.errors["patch_k_mask"] == report.errors["decoded_points"] == 0
    assert report.preprocessing.pop("pixels") <= 1e-5
    assert report.preprocessing == {"pooling": 0, "grids": 0, "mosaic": 0}


@pytest.mark.parametrize(
    ("file", "name", "function", "reason"),
    [
        ("logits.npz", "prefill_logits", lambda a: first(a, 2e-4), "prefill_logits differs by 2.0"),
        ("logits.npz", "patch_k", lambda a: first(a, 2e-4), "patch_k differs"),
        ("logits.npz", "patch_k_mask", np.logical_not, "patch_k_mask differs by 1.0"),
        ("logits.npz", "subpatch_k", lambda a: first(a, 2e-4), "subpatch_k differs"),
        ("logits.npz", "bounds", lambda a: first(a, 1), "bounds differs"),
        ("logits.npz", "step2_location_logits", lambda a: first(a, 2e-4), "step2_location_logits differs"),
        ("logits.npz", "step5_subpatch_logits", lambda a: first(a, 2e-4), "step5_subpatch_logits differs"),
        ("logits.npz", "decoded_points", lambda a: a + 1e-3, "decoded_points differs by 1.0"),
        ("logits.npz", "decoded_points", lambda a: a[:0], "decoded_points differs by inf"),
        ("logits.npz", "steps", lambda a: first(a, 1), "step0_patch_logits differs"),
        ("input.npz", "subpatch_mapping", lambda a: a.T, "preprocessing: mosaic differs by inf"),
        ("input.npz", "subpatch_mapping", lambda a: a[::-1], "decoded_points differs"),
        ("input.npz", "point_text", lambda a: np.array(str(a)[::-1]), "decoded_points differs by inf"),
    ],
)
def test_every_difference_of_the_point_head_is_seen(copy, file, name, function, reason, change):
    folder = copy("molmopoint-8b-tiny")
    change(folder, file, name, function)
    report = check_folder(folder)
    assert report.status == "failed"
    assert reason in report.reason


def test_steps_that_do_not_score_what_is_stored_are_an_error(copy, change):
    folder = copy("molmopoint-8b-tiny")
    change(folder, "logits.npz", "steps", lambda a: a * 0 + 11)
    report = check_folder(folder)
    assert report.status == "error" and "step1_subpatch_logits has shape" in report.reason


def test_kinds_without_code_are_unsupported(tmp_path):
    shutil.copytree(VECTORS / "molmo2-4b-tiny", tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text('{"model_type": "llama"}')
    report = check_folder(tmp_path / "other")
    assert report.status == "unsupported"
    assert "supported: 'molmo'" in report.reason


def first(values, amount):
    values = values.copy()
    values.flat[0] += amount
    return values


@pytest.mark.parametrize(
    ("file", "name", "function", "reason"),
    [
        ("logits.npz", "logits", lambda a: first(a, 2e-4), "logits differs by 2.0"),
        ("logits.npz", "logits", lambda a: first(a, np.nan), "logits differs by nan"),
        ("logits.npz", "hidden_states", lambda a: first(a, 1e-2), "hidden_states differs"),
        ("logits.npz", "vision_features", lambda a: first(a, 1e-2), "vision_features differs"),
        ("logits.npz", "text_only_logits", lambda a: first(a, 2e-4), "text_only_logits differs"),
        ("logits.npz", "logits_if_fully_causal", lambda a: first(a, 2e-4), "logits_if_fully_causal differs"),
        ("logits.npz", "greedy_logits", lambda a: first(a, 2e-4), "greedy_logits differs"),
        ("logits.npz", "greedy_tokens", lambda a: first(a, 1), "greedy decoding chose"),
        ("input.npz", "pixel_values", lambda a: first(a, 1e-4), "preprocessing: pixels"),
        ("input.npz", "image_grids", lambda a: first(a, 1), "preprocessing: grids"),
        ("input.npz", "image_u8", lambda a: a[:, ::-1], "preprocessing: pixels"),
        ("input.npz", "image_u8", lambda a: a[:, :100], "preprocessing: pixels differs by inf"),
        ("input.npz", "token_type_ids", np.zeros_like, "logits differs"),
    ],
)
def test_every_difference_is_seen(copy, file, name, function, reason, change):
    folder = copy("molmo2-8b-tiny")
    change(folder, file, name, function)
    report = check_folder(folder)
    assert report.status == "failed"
    assert reason in report.reason


@pytest.mark.parametrize(
    ("name", "function", "reason"),
    [
        ("image_masks", lambda a: np.roll(a, 1, axis=1), "preprocessing: masks"),
        ("image_input_idx", lambda a: np.where(a < 0, a, a.max() + a[a >= 0].min() - a), "input_idx"),
    ],
)
def test_differences_of_0924_preprocessing(copy, name, function, reason, change):
    folder = copy("molmo-7b-d-tiny")
    change(folder, "input.npz", name, function)
    report = check_folder(folder)
    assert report.status == "failed"
    assert reason in report.reason
    assert "logits differs" in report.reason


@pytest.mark.parametrize(
    "tensor", ["vision_backbone.image_vit.patch_embedding", "blocks.1.ff_out", "blocks.0.q_norm"]
)
def test_one_changed_weight_is_seen(copy, tensor):
    folder = copy("molmo-7b-o-tiny")
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if tensor in name)
    tensors[name].view(-1)[1] += 0.5
    save_file(tensors, folder / "model.safetensors")
    assert check_folder(folder).status == "failed"


def test_vectors_may_hold_less(copy, change):
    folder = copy("molmo2-4b-tiny")
    for name in (
        "hidden_states",
        "vision_features",
        "greedy_tokens",
        "greedy_logits",
        "logits_if_fully_causal",
    ):
        change(folder, "logits.npz", name, lambda a: None)
    change(folder, "input.npz", "image_u8", lambda a: None)
    report = check_folder(folder)
    assert (report.status, report.greedy_agree, report.preprocessing) == ("ok", None, None)
    assert report.errors.keys() == {"logits", "text_only_logits"}


@pytest.mark.parametrize("file", ["input.npz", "logits.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and then nothing", b"\x93NUMPY"])
def test_damaged_arrays_are_an_error(copy, file, content):
    folder = copy("molmo2-4b-tiny")
    (folder / file).write_bytes(content)
    report = check_folder(folder)
    assert report.status == "error"
    assert file in report.reason


def test_half_an_array_file_is_an_error(copy):
    folder = copy("molmo2-4b-tiny")
    content = (folder / "logits.npz").read_bytes()
    (folder / "logits.npz").write_bytes(content[: len(content) // 2])
    assert check_folder(folder).status == "error"


def test_missing_arrays_and_wrong_shapes_are_named(copy, change):
    folder = copy("molmo2-4b-tiny")
    change(folder, "logits.npz", "logits", lambda a: a[:, :, :-1])
    assert "logits has shape (1, 106, 319)" in check_folder(folder).reason
    change(folder, "logits.npz", "logits", lambda a: None)
    report = check_folder(folder)
    assert report.status == "error"
    assert "lack the array 'logits'" in report.reason


@pytest.mark.parametrize(
    "file,name,function",
    [
        ("input.npz", "input_ids", lambda ids: ids + 5000),
        ("input.npz", "input_ids", lambda ids: ids - 5000),
        ("input.npz", "input_ids", lambda ids: ids[0]),
        ("input.npz", "input_ids", lambda ids: ids.astype(np.float32)),
        ("input.npz", "image_input_idx", lambda cells: cells + 5000 * (cells >= 0)),
        ("logits.npz", "positions", lambda positions: positions + 5000),
        ("logits.npz", "logits", lambda logits: logits.astype("U5")),
    ],
)
def test_arrays_that_fit_no_model_are_an_error(copy, file, name, function, change):
    folder = copy("molmo-7b-d-tiny")
    change(folder, file, name, function)
    report = check_folder(folder)
    assert report.status == "error" and "do not fit" in report.reason


def test_folders_are_found_themselves_or_below(tmp_path, copy):
    folder = copy("molmo2-4b-tiny")
    assert find_vector_folders([folder]) == [folder]
    assert find_vector_folders([tmp_path, folder]) == [folder, folder]
    assert [path.name for path in find_vector_folders([VECTORS])][:2] == ["molmo-72b-tiny", "molmo-7b-d-tiny"]
    with pytest.raises(VectorError, match="no such folder"):
        find_vector_folders([tmp_path / "absent"])
    with pytest.raises(VectorError, match=r"preprocess is not a vector folder: it lacks config.json"):
        find_vector_folders([VECTORS / "preprocess"])
    (folder / "logits.npz").unlink()
    with pytest.raises(VectorError, match=r"is not a vector folder: it lacks logits.npz"):
        find_vector_folders([folder])


def test_vectors_with_sharded_weights(copy):
    folder = copy("molmo-7b-d-tiny")
    tensors = load_file(folder / WEIGHTS[0])
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate([names[::2], names[1::2]], 1):
        shard = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / shard)
        weight_map |= dict.fromkeys(part, shard)
    (folder / WEIGHTS[0]).unlink()
    with pytest.raises(VectorError, match="lacks model.safetensors or model.safetensors.index.json"):
        find_vector_folders([folder])
    (folder / WEIGHTS[1]).write_text(json.dumps({"weight_map": weight_map}))
    assert find_vector_folders([folder]) == find_vector_folders([folder.parent]) == [folder]
    assert check_folder(folder).status == "ok"


def test_greedy_scores_of_words_alone(copy):
    """Without an image, the family tells which of the scores around a token are stored."""
    folder = copy("molmo-7b-d-tiny")
    model = load_checkpoint(folder)
    ids = torch.arange(5, 14)[None]
    logits, tokens, after = model(ids).logits, [], []
    while len(tokens) < 3:
        tokens.append(int(model(torch.tensor([[*ids[0], *tokens]])).logits[0, -1].argmax()))
        after.append(model(torch.tensor([[*ids[0], *tokens]])).logits[0, -1])
    np.savez(folder / "input.npz", input_ids=ids.numpy())
    stored = {"logits": logits, "greedy_tokens": torch.tensor(tokens), "greedy_logits": torch.stack(after)}
    np.savez(folder / "logits.npz", **{name: value.detach().numpy() for name, value in stored.items()})
    report = check_folder(folder)
    assert report.status == "ok" and report.errors["greedy_logits"] < 1e-4, report

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""LoRA adapters in PEFT's format: merged as the formula says; transformers' own Molmo2 is the second one."""

import json
import math
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Molmo2ForConditionalGeneration

from molmo_ros.engine.store.checkpoint_hash import checkpoint_sha256
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.errors import CheckpointError, UnsupportedModelError
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.weights.checkpoint import load_checkpoint
from molmo_ros.molmo.weights.weight_reader import WeightReader

VECTORS = Path(__file__).parents[2] / "vectors"
BASE = VECTORS / "molmo2-4b-tiny"
WEIGHTS, CONFIG, TENSORS = "model.safetensors", "adapter_config.json", "adapter_model.safetensors"
ATTENTION = "model.transformer.blocks.0.self_attn.att_proj"
MLP = "model.transformer.blocks.1.mlp.ff_out"
TOWER = "model.vision_backbone.image_vit.transformer.resblocks.2.attention.wq"
SETTINGS = {
    "peft_type": "LORA",
    "base_model_name_or_path": str(BASE),
    "r": 4,
    "lora_alpha": 6,
    "bias": "none",
    "fan_in_fan_out": False,
    "init_lora_weights": True,
    "lora_dropout": 0.05,
    "modules_to_save": None,
    "peft_version": "0.21.2",
    "target_modules": ["att_proj", "ff_out", "wq"],
    "task_type": "CAUSAL_LM",
    "use_dora": False,
    "use_rslora": False,
    "rank_pattern": {},
    "alpha_pattern": {},
}


def pair(shape, rank=4, seed=0):
    random = torch.Generator().manual_seed(seed)
    a = torch.randn(rank, shape[1], generator=random)
    return a, torch.randn(shape[0], rank, generator=random)


def write(folder, modules, extra=(), shapes=None, form="base_model.model.{}.lora_{}.weight", **settings):
    """Writes an adapter; returns A and B by module."""
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(SETTINGS | settings))
    shapes = shapes or {name: value.shape for name, value in load_file(BASE / WEIGHTS).items()}
    made = {
        name: pair(shapes[f"{name}.weight"], rank, seed) for seed, (name, rank) in enumerate(modules.items())
    }
    tensors = {
        form.format(name, part): value
        for name, ab in made.items()
        for part, value in zip("AB", ab, strict=True)
    }
    save_file(tensors | dict(extra), folder / TENSORS)
    return made


def merged(tmp_path, changes, base=BASE):
    """What the loader makes of a whole model with these tensors in place of the base's."""
    folder = tmp_path / "merged"
    folder.mkdir()
    shutil.copyfile(base / "config.json", folder / "config.json")
    save_file(load_file(base / WEIGHTS) | changes, folder / WEIGHTS)
    return load_checkpoint(folder).state_dict()


def assert_close(model, expected):
    found = model.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=2e-5, msg=name)


@pytest.mark.parametrize(
    "settings, scale",
    [
        ({}, 6 / 4),
        ({"use_rslora": True}, 6 / math.sqrt(4)),
        ({"lora_alpha": 0.5}, 0.125),
        ({"fan_in_fan_out": True}, 6 / 4),  # PEFT turns it off for linear layers, which all of Molmo's are
    ],
)
@pytest.mark.parametrize("form", ["base_model.model.{}.lora_{}.weight", "{}.lora_{}.default.weight"])
def test_the_sum_is_w_and_b_a(tmp_path, settings, scale, form):
    pairs = write(tmp_path / "lora", dict.fromkeys((ATTENTION, MLP, TOWER), 4), form=form, **settings)
    weights = load_file(BASE / WEIGHTS)
    changes = {
        f"{name}.weight": weights[f"{name}.weight"] + scale * (b @ a) for name, (a, b) in pairs.items()
    }
    expected = merged(tmp_path, changes)
    assert_close(load_checkpoint(tmp_path / "lora"), expected)
    assert not torch.equal(expected["decoder.blocks.0.attention.qkv.weight"], weights[f"{ATTENTION}.weight"])


@pytest.mark.parametrize("variant", ["molmo-7b-d-tiny", "molmoe-1b-tiny", "molmopoint-8b-tiny"])
def test_other_families(tmp_path, variant):
    base = VECTORS / variant
    weights = load_file(base / WEIGHTS)
    names = [name for name in weights if ".att_proj.weight" in name or ".3.gate_proj.weight" in name]
    modules = {name.removesuffix(".weight"): 4 for name in names}
    shapes = {name: value.shape for name, value in weights.items()}
    pairs = write(tmp_path / "lora", modules, shapes=shapes, base_model_name_or_path=str(base))
    changes = {f"{name}.weight": weights[f"{name}.weight"] + 1.5 * (b @ a) for name, (a, b) in pairs.items()}
    assert_close(load_checkpoint(tmp_path / "lora"), merged(tmp_path, changes, base))


def test_ranks_and_alphas_by_module(tmp_path):
    pairs = write(
        tmp_path / "lora",
        {ATTENTION: 2, MLP: 4},
        rank_pattern={"att_proj": 2, "nothing": 9},
        alpha_pattern={r"^model\.transformer\.blocks\.\d+\.mlp\.ff_out": 10},
    )
    weights, (a, b), (c, d) = load_file(BASE / WEIGHTS), *pairs.values()
    changes = {
        f"{ATTENTION}.weight": weights[f"{ATTENTION}.weight"] + 6 / 2 * (b @ a),
        f"{MLP}.weight": weights[f"{MLP}.weight"] + 10 / 4 * (d @ c),
    }
    assert_close(load_checkpoint(tmp_path / "lora"), merged(tmp_path, changes))


def test_dora_gives_each_row_its_length(tmp_path):
    weights = load_file(BASE / WEIGHTS)
    length = torch.rand(weights[f"{MLP}.weight"].shape[0]) + 0.5
    name = f"base_model.model.{MLP}.lora_magnitude_vector"
    ((a, b),) = write(tmp_path / "lora", {MLP: 4}, {name: length}, use_dora=True).values()
    total = weights[f"{MLP}.weight"] + 1.5 * (b @ a)
    rows = [value * row / math.sqrt(float((row**2).sum())) for value, row in zip(length, total, strict=True)]
    assert_close(load_checkpoint(tmp_path / "lora"), merged(tmp_path, {f"{MLP}.weight": torch.stack(rows)}))


def test_modules_that_were_trained_as_a_whole(tmp_path):
    weights = load_file(BASE / WEIGHTS)
    head, norm = torch.randn_like(weights["lm_head.weight"]), torch.rand(48)
    extra = {
        "base_model.model.lm_head.modules_to_save.default.weight": head,
        "base_model.model.model.transformer.ln_f.weight": norm,
    }
    ((a, b),) = write(tmp_path / "lora", {MLP: 4}, extra, modules_to_save=["lm_head", "ln_f"]).values()
    changes = {
        "lm_head.weight": head,
        "model.transformer.ln_f.weight": norm,
        f"{MLP}.weight": weights[f"{MLP}.weight"] + 1.5 * (b @ a),
    }
    assert_close(load_checkpoint(tmp_path / "lora"), merged(tmp_path, changes))


def test_an_adapter_of_a_tied_head_parts_it(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    raw = json.loads((BASE / "config.json").read_text()) | {"tie_word_embeddings": True}
    (base / "config.json").write_text(json.dumps(raw))
    weights = load_file(BASE / WEIGHTS)
    del weights["lm_head.weight"]
    save_file(weights, base / WEIGHTS)
    table = weights["model.transformer.wte.embedding"]
    shapes = {"lm_head.weight": table.shape}
    ((a, b),) = write(
        tmp_path / "lora", {"lm_head": 4}, shapes=shapes, base_model_name_or_path="../base"
    ).values()
    decoder = load_checkpoint(tmp_path / "lora").decoder
    torch.testing.assert_close(decoder.head.weight, table + 1.5 * (b @ a), rtol=0, atol=2e-5)
    assert torch.equal(decoder.embedding.base, table)


NATIVE = {
    **{f"model.language_model.layers.0.self_attn.{part}_proj": 4 for part in "qkvo"},
    **{f"model.language_model.layers.1.mlp.{part}_proj": 4 for part in ("gate", "up", "down")},
    "model.vision_tower.layers.1.self_attn.v_proj": 4,
    "model.vision_tower.layers.1.mlp.fc1": 4,
    "model.multi_modal_projector.image_pooling_2d.k_proj": 4,
    "model.multi_modal_projector.image_projector.up_proj": 4,
    "lm_head": 4,
}


@pytest.mark.parametrize("variant", ["molmo2-4b-tiny", "molmo2-o-7b-tiny"])
def test_names_of_transformers_own_model(tmp_path, variant):
    """Its modules get the sums by their own names; then its save tells what those are under the hub's."""
    base = VECTORS / variant
    reference = Molmo2ForConditionalGeneration.from_pretrained(base)
    parameters = dict(reference.named_parameters())
    shapes = {name: value.shape for name, value in parameters.items()}
    table = parameters["model.language_model.embed_tokens.weight"]
    c, d = torch.randn(4, table.shape[0]), torch.randn(table.shape[1], 4)
    name = "base_model.model.model.language_model.embed_tokens.lora_embedding_"
    extra = {f"{name}A": c, f"{name}B": d}
    pairs = write(tmp_path / "lora", NATIVE, extra, shapes, base_model_name_or_path=str(base))
    with torch.no_grad():
        for module, (a, b) in pairs.items():
            parameters[f"{module}.weight"] += 1.5 * (b @ a)
        table += 1.5 * (d @ c).T
    reference.save_pretrained(tmp_path / "whole")
    found = load_checkpoint(tmp_path / "lora").eval()
    assert_close(found, load_checkpoint(tmp_path / "whole").state_dict())
    ids = torch.randint(0, 300, (1, 12))
    with torch.inference_mode():
        logits = reference(input_ids=ids).logits
        mask = found.prefill_mask(torch.zeros(1, 12, dtype=torch.bool))
        ours = found.decoder(found.embed(ids), torch.arange(12).unsqueeze(0), mask).logits
    torch.testing.assert_close(ours, logits[..., : ours.shape[-1]], rtol=1e-4, atol=1e-3)


def test_what_the_real_peft_writes(tmp_path):
    """Runs where PEFT is installed; it is none of this package's requirements."""
    peft = pytest.importorskip("peft")
    reference = Molmo2ForConditionalGeneration.from_pretrained(BASE)
    targets = ["q_proj", "v_proj", "gate_proj", "down_proj", "fc2", "lm_head"]
    config = peft.LoraConfig(
        r=3, lora_alpha=5, target_modules=targets, init_lora_weights=False, use_rslora=True
    )
    model = peft.get_peft_model(reference, config)
    model.save_pretrained(tmp_path / "lora")
    model.merge_and_unload().save_pretrained(tmp_path / "whole")
    assert_close(load_checkpoint(tmp_path / "lora"), load_checkpoint(tmp_path / "whole").state_dict())


def test_shards_and_16_bits_and_few_rows_at_a_time(tmp_path, monkeypatch):
    pairs = write(tmp_path / "lora", {ATTENTION: 4})
    (a, b), weights = pairs[ATTENTION], load_file(BASE / WEIGHTS)
    save_file(
        {name: value.bfloat16() for name, value in load_file(tmp_path / "lora" / TENSORS).items()},
        tmp_path / "lora" / TENSORS,
    )
    wanted = (weights[f"{ATTENTION}.weight"] + 1.5 * (b.bfloat16().float() @ a.bfloat16().float())).bfloat16()
    monkeypatch.setattr("molmo_ros.molmo.weights.stored_parameters.WeightReader", lambda: WeightReader(2048))
    found = load_checkpoint(tmp_path / "lora", dtype="bfloat16").decoder.blocks[0].attention.qkv.weight
    torch.testing.assert_close(found, wanted, rtol=2**-7, atol=1e-6)


def test_a_whole_pipeline_and_its_identity(tmp_path):
    """The tokenizer and the settings come from the base, unless the adapter brought its own."""
    name = "model.transformer.blocks.0.self_attn.att_proj"
    shapes = {key: value.shape for key, value in load_file(EMBEDDED / "tiny" / WEIGHTS).items()}
    write(tmp_path / "lora", {name: 4}, shapes=shapes, base_model_name_or_path="tiny")
    molmo = Molmo.from_pretrained(tmp_path / "lora")
    assert molmo.calibration is None, "that of the base is of other weights"
    plain = load_checkpoint(EMBEDDED / "tiny").decoder.blocks[0].attention.qkv.weight
    assert not torch.equal(molmo.runtime.model.decoder.blocks[0].attention.qkv.weight, plain)
    first = checkpoint_sha256(tmp_path / "lora", tmp_path)
    assert first != checkpoint_sha256(EMBEDDED / "tiny", tmp_path)
    write(tmp_path / "lora", {name: 4}, shapes=shapes, base_model_name_or_path="tiny", lora_alpha=7)
    assert checkpoint_sha256(tmp_path / "lora", tmp_path) != first
    shutil.copyfile(EMBEDDED / "tiny" / "tokenizer.json", tmp_path / "lora" / "tokenizer.json")
    with pytest.raises(
        CheckpointError, match="lora/tokenizer_config.json' names no eos_token|tokenizer_config.json"
    ):
        Molmo.from_pretrained(tmp_path / "lora")


@pytest.mark.parametrize(
    "settings, reason",
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; only LORA.*merge_and_unload"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights is 'pissa_niter_4'.*merge_and_unload"),
        ({"lora_bias": True}, "lora_bias is True.*merge_and_unload"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"lora_alpha": None}, "lora_alpha is None, not a number above 0"),
        ({"lora_alpha": float("inf")}, "lora_alpha is inf"),
        ({"r": 8}, "has rank 4; adapter_config.json says 8"),
        ({"use_dora": True}, "use_dora is True, which .* contradicts"),
        ({"alpha_pattern": {"(a+)+$": 3}}, "not the name of a module or a simple pattern"),
        ({"alpha_pattern": {"(": 3}}, "not the name of a module or a simple pattern"),
        ({"base_model_name_or_path": None}, "names no model that it belongs to"),
        (
            {"base_model_name_or_path": "lab/Nothing"},
            "adapter for the model 'lab/Nothing', which cannot be used",
        ),
    ],
)
def test_adapters_of_another_kind(tmp_path, settings, reason):
    write(tmp_path / "lora", {MLP: 4}, **settings)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(tmp_path / "lora")


@pytest.mark.parametrize(
    "extra, reason",
    [
        (
            {"base_model.model.model.layers.0.q_proj.lora_A.weight": torch.ones(4, 8)},
            "does not have: base_model",
        ),
        (
            {f"base_model.model.{ATTENTION}.lora_A.weight": torch.ones(4, 48)},
            "not one lora_A with one lora_B",
        ),
        (
            {f"base_model.model.{MLP}.lora_A.weight": torch.ones(4, 81)},
            r"makes \[48, 81\], expected \[48, 80\]",
        ),
        (
            {f"base_model.model.{MLP}.lora_A.weight": torch.ones(3, 80)},
            r"lora_A \[3, 80\] and lora_B \[48, 4\]",
        ),
        (
            {f"base_model.model.{MLP}.lora_A.weight": torch.ones(4, 80, dtype=torch.int8)},
            "I8; expected one of",
        ),
        (
            {"base_model.model.lm_head.weight": torch.ones(321, 48)},
            r"found \[321, 48\], expected rows of \[320",
        ),
        ({f"base_model.model.{MLP}.lora_B.bias": torch.ones(48)}, "does not have: .*lora_B.bias"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path, extra, reason):
    write(tmp_path / "lora", {MLP: 4}, extra)
    with pytest.raises(CheckpointError, match=reason):
        load_checkpoint(tmp_path / "lora")


def test_folders_that_are_not_clear(tmp_path):
    write(tmp_path / "lora", {MLP: 4})
    write(tmp_path / "twice", {MLP: 4}, base_model_name_or_path=str(tmp_path / "lora"))
    with pytest.raises(CheckpointError, match="adapter for another adapter"):
        load_checkpoint(tmp_path / "twice")
    os.rename(tmp_path / "lora" / TENSORS, tmp_path / "lora" / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="only adapter_model.bin: pickled weights are not read"):
        load_checkpoint(tmp_path / "lora")
    shutil.copyfile(BASE / WEIGHTS, tmp_path / "lora" / WEIGHTS)
    with pytest.raises(CheckpointError, match="a whole model .* and an adapter"):
        load_checkpoint(tmp_path / "lora")
    assert issubclass(UnsupportedModelError, CheckpointError)

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The benchmark of loading, at a hundredth of the size: what it writes is a checkpoint, what it measures is real."""

import json
from math import prod

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.loading import MODELS, hub_shapes, load_plain, main, measure, shrink, write_checkpoint
from molmo_ros.molmo.families.table import family, parse_config
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

# Tensors and values of the released checkpoints (7B-D: as its index says).
RELEASED = {"4b": (706, 4_850_869_200), "7b-d": (585, 8_021_025_280)}


@pytest.fixture(scope="module", params=MODELS)
def written(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    config = shrink(parse_config(MODELS[request.param]), 100)
    write_checkpoint(folder, config, shard_bytes=10**6)
    return folder


@pytest.mark.parametrize("model", MODELS)
def test_names_and_sizes_are_those_of_the_released_model(model):
    shapes = hub_shapes(parse_config(MODELS[model]))
    assert (len(shapes), sum(map(prod, shapes.values()))) == RELEASED[model]


def test_what_is_written_loads_with_equal_tensors(written):
    shards = sorted(written.glob("*.safetensors"))
    assert len(shards) > 2
    stored = {name: value for shard in shards for name, value in load_file(shard).items()}
    index = json.loads((written / "model.safetensors.index.json").read_text())
    assert index["weight_map"] == {name: shard.name for shard in shards for name in load_file(shard)}
    assert index["metadata"]["total_size"] == sum(value.nbytes for value in stored.values())
    model = load_checkpoint(written, dtype="bfloat16", tie_equal_head=True)
    names = family(model.config.family).tensor_names
    for own, value in model.state_dict().items():
        assert torch.equal(value, stored[names.name(own)].bfloat16()), own
    assert len({value.std().item() for value in stored.values()}) >= len(stored) - 1


def test_the_loader_it_compares_with_gives_the_same_model(written):
    ours = load_checkpoint(written, dtype="bfloat16").state_dict()
    plain = load_plain(written, torch.bfloat16).state_dict()
    assert plain.keys() == ours.keys() and all(torch.equal(plain[name], ours[name]) for name in ours)


def test_a_loader_in_a_process_of_its_own(written):
    run = measure("ours", written, "bfloat16", limit=8)
    assert not run.ended
    assert 0 < run.anonymous <= run.resident < 8
    assert measure("ours", written, "bfloat16", limit=0.01).ended


def run(monkeypatch, folder, *arguments):
    monkeypatch.setattr("sys.argv", ["loading.py", "--folder", str(folder), "--loaders", "ours", *arguments])
    main()


def test_a_folder_of_ones_own_is_used_again_and_left(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "checkpoint"
    run(monkeypatch, folder, "--shrink", "100")
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    run(monkeypatch, folder, "--shrink", "100")
    assert times == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert capsys.readouterr().out.count("| ours | cold |") == 2
    for other in (("--shrink", "50"), ("--shrink", "100", "--stored", "bfloat16")):
        with pytest.raises(SystemExit, match="another checkpoint"):
            run(monkeypatch, folder, *other)
    assert times == {path: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_files_of_others_are_left_alone(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("mine")
    with pytest.raises(SystemExit, match="holds other files"):
        run(monkeypatch, tmp_path, "--shrink", "100")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    assert (tmp_path / "config.json").read_text() == "mine"

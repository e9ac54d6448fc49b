# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A decoder quantised block by block into a folder: what is read when, interruption, resumption, damage."""

from dataclasses import replace

import pytest
import torch

from molmo_ros.engine.errors import EngineError, UnsupportedBuildError
from molmo_ros.engine.quantisation.decoder_quantiser import quantise_decoder
from molmo_ros.engine.quantisation.quantised_parameters import QuantisedParameters, block_file

DTYPE = torch.bfloat16


class Quantising:
    """The embedded model's decoder, and what is read of it."""

    def __init__(self, tiny, prompts, folder):
        self.config, self.prompts, self.folder = tiny.runtime.config.decoder, prompts[:2], folder
        self.state, self.reads, self.finished = tiny.runtime.model.state_dict(), [], []

    def read(self, name):
        self.reads.append(name)
        return self.state[name]

    def run(self, precision="int4", progress=None, prompts=None):
        return quantise_decoder(
            self.folder,
            self.config,
            precision,
            DTYPE,
            self.read,
            self.prompts if prompts is None else prompts,
            progress=progress or self.finished.append,
        )

    def states(self):
        return {path.name: path.stat().st_mtime_ns for path in self.folder.iterdir()}


@pytest.fixture
def quantising(tiny, prompts, tmp_path):
    return Quantising(tiny, prompts, tmp_path / "work")


def test_one_block_is_read_after_the_other(quantising):
    quantising.run()
    layers = [int(name.split(".")[2]) for name in quantising.reads]
    assert layers == sorted(layers) and set(layers) == {0, 1, 2, 3}
    assert len(quantising.reads) == len(set(quantising.reads))
    assert quantising.finished == [0, 1, 2, 3]
    assert sorted(quantising.states()) == [f"block_00{layer}.safetensors" for layer in range(4)]


def test_an_interrupted_run_goes_on_and_gives_the_same(quantising, tmp_path):
    class Interrupted(Exception):
        pass

    def interrupt(layer):
        if layer == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        quantising.run(progress=interrupt)
    kept = quantising.states()
    assert sorted(kept) == ["block_000.safetensors", "block_001.safetensors"]
    with pytest.raises(EngineError, match="lacks 2 of 4 quantised blocks, the first is 2"):
        QuantisedParameters(quantising.folder, quantising.config, "int4", quantising.read)
    resumed = quantising.run()
    assert {name: quantising.states()[name] for name in kept} == kept
    quantising.folder = tmp_path / "other"
    whole = quantising.run()
    for name in whole.formats:
        assert torch.equal(resumed.linear(name).values, whole.linear(name).values)
        assert torch.equal(resumed.linear(name).scales, whole.linear(name).scales)


def test_a_finished_folder_is_left_alone_and_nothing_is_read(quantising):
    quantising.run()
    states = quantising.states()
    quantising.reads.clear()
    quantising.run()
    assert quantising.states() == states and quantising.reads == []


def test_a_missing_block_is_made_again(quantising):
    quantising.run()
    states = quantising.states()
    block_file(quantising.folder, 1).unlink()
    quantising.run()
    changed = {name for name, state in quantising.states().items() if states[name] != state}
    assert changed == {"block_001.safetensors"}


def test_a_block_that_was_cut_off_is_made_again(quantising):
    quantising.run()
    path = block_file(quantising.folder, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    quantising.run()
    assert path.read_bytes() == whole


def test_other_pictures_or_another_precision_make_everything_again(quantising, prompts):
    quantising.run()
    states = quantising.states()
    quantising.run(prompts=prompts[2:4])
    second = quantising.states()
    assert all(second[name] != states[name] for name in states)
    quantising.run("int8", prompts=prompts[2:4])
    assert all(quantising.states()[name] != second[name] for name in states)


def test_a_folder_that_cannot_be_written_to_is_told_and_leaves_no_block(quantising):
    quantising.folder.mkdir()
    block_file(quantising.folder, 0).with_suffix(".new").mkdir()  # in the way of the file
    with pytest.raises(EngineError, match="block_000.safetensors cannot be written"):
        quantising.run()
    assert not block_file(quantising.folder, 0).exists()


def test_a_file_where_the_folder_should_be_is_told(quantising):
    quantising.folder.write_text("")
    with pytest.raises(EngineError, match="work cannot be made"):
        quantising.run()


def test_a_damaged_block_is_told_when_it_is_read(quantising):
    made = quantising.run()
    path = block_file(quantising.folder, 0)
    path.write_bytes(b"no tensors")
    with pytest.raises(EngineError, match=r"block_000.safetensors cannot be read.*build again"):
        made.linear("decoder.blocks.0.mlp.down")
    with pytest.raises(EngineError, match="cannot be read"):
        made.read("decoder.blocks.0.mlp_norm.weight")


def test_no_prompts_and_experts_are_refused(quantising):
    with pytest.raises(EngineError, match="at least one"):
        quantising.run(prompts=[])
    quantising.config = replace(quantising.config, experts=4, experts_per_token=2)
    with pytest.raises(UnsupportedBuildError, match="4 experts"):
        quantising.run()
    assert not quantising.folder.exists()


def test_what_no_block_has_comes_from_the_checkpoint(quantising):
    made = quantising.run()
    assert made.read("decoder.norm.weight") is quantising.state["decoder.norm.weight"]
    norm = "decoder.blocks.0.attention_norm.weight"
    assert made.read(norm).dtype == DTYPE
    assert not torch.equal(made.read(norm).float(), quantising.state[norm])  # with scales folded into it

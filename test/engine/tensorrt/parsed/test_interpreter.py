# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What TensorRT parsed, computed and held against torch and the reference vectors, for every family and lowering."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.graphs.export import export_graphs
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.parsed_runner import ParsedRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.parsed import interpreter
from molmo_ros.engine.tensorrt.parsed.interpreter import Interpreter
from molmo_ros.engine.tensorrt.parsed.parser import parse_graph
from molmo_ros.engine.tensorrt.process_runtime import process_log
from molmo_ros.molmo.network.model import prefill_mask
from molmo_ros.molmo.running.runtime import ImageTensors
from molmo_ros.molmo.running.torch_runtime import TorchRuntime

VECTORS = Path(__file__).parents[3] / "vectors"
MODELS = [*sorted(path.name for path in VECTORS.glob("*-tiny")), "tiny"]
CONTEXT = 1536
LOWERINGS = ["native", "legacy"]


def close(expected, found):
    """Within 1e-4, or 1e-5 of the largest value."""
    return float((expected - found).abs().max()) <= max(1e-4, 1e-5 * float(expected.abs().max()))


@pytest.fixture
def runtime(exported, parsed):
    def make(name, lowering, **limits):
        one = exported(name)
        pool = one.config.connector.pool
        usual = {"max_crops": 12, "max_context": CONTEXT, "max_prompt": CONTEXT, "max_image_tokens": 4096}
        shapes = Shapes(**({"slots": pool[0] * pool[1]} | usual | limits))
        graphs = [parsed(name, part, lowering) for part in ("vision", "decoder")]
        runner = ParsedRunner(*graphs, one.config, shapes, torch.float32)
        return EngineRuntime(
            one.config, shapes, runner, one.model.decoder.embedding, one.model.point_head
        ), TorchRuntime(one.model)

    return make


def prompt(name, one):
    """The vectors' own image and tokens; of the embedded model, made-up ones."""
    if name == "tiny":
        torch.manual_seed(0)
        vision = one.config.vision
        crops = torch.randn(2, vision.patches, vision.patch_values)
        return None, crops, torch.zeros(1, 12, dtype=torch.bool), torch.randn(1, 12, one.config.decoder.width)
    arrays = {key: torch.from_numpy(value) for key, value in np.load(VECTORS / name / "input.npz").items()
              if value.dtype.kind != "U"}  # fmt: skip
    if "images" in arrays:
        image = ImageTensors(arrays["images"][0], arrays["image_masks"][0], arrays["image_input_idx"][0])
        return image, None, torch.zeros_like(arrays["input_ids"], dtype=torch.bool), arrays["input_ids"]
    image = ImageTensors(arrays["pixel_values"], pooling=arrays["image_token_pooling"])
    return image, None, arrays["token_type_ids"] > 0, arrays["input_ids"]


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_every_family_computes_what_torch_does(name, lowering, exported, runtime):
    """Pictures, a prompt, tokens decoded over the filled cache, several tokens verified, and two packed prompts."""
    one = exported(name)
    engine, torchs = runtime(name, lowering)
    image, crops, is_image, ids = prompt(name, one)
    if image is None:
        table = torch.randint(0, 2 * one.config.vision.patches, (9, 4))
        table[3, 2:] = -1
        found = engine.runner.vision(crops, table, None)[0]
        features = one.model.connector(
            one.model.vision(crops).flatten(0, 1).unsqueeze(0), table.unsqueeze(0)
        ).squeeze(0)
        assert close(features, found)
        embeddings = ids
    else:
        features, found = torchs.encode_image(image), engine.encode_image(image)
        assert close(features.tokens, found.tokens)
        if features.patches is not None:
            assert close(features.patches.values, found.patches.values)
        embeddings = one.model.embed(ids, features.tokens)
    count = embeddings.shape[1]
    mask = prefill_mask(is_image, one.config.image_block)
    caches = [one_.cache(count + 16) for one_ in (torchs, engine)]

    def same(step):
        expected, answer = (step(one_, cache) for one_, cache in zip((torchs, engine), caches, strict=True))
        assert close(expected.logits, answer.logits)
        if expected.states is not None and answer.states is not None:
            assert close(expected.states, answer.states)

    every = torch.arange(count)[-40:]
    same(lambda one_, cache: one_.prefill(embeddings, mask, cache, logits_for=every))
    for token in (5, 77):
        same(lambda one_, cache, token=token: one_.decode(one.model.decoder.embedding.row(token), cache))
    # Two prompts behind one image: neither sees the other, both go on at the same position.
    start = caches[0].length
    packed = torch.cat([one.model.decoder.embedding.row(token) for token in (3, 9, 4, 8)], 1)
    rows = torch.ones(4, start + 4, dtype=torch.bool).tril(start)
    rows[2:, start : start + 2] = False
    positions = torch.tensor([[start, start + 1, start, start + 1]])
    same(
        lambda one_, cache: one_.prefill(
            packed, rows[None, None], cache, positions=positions, logits_for=torch.tensor([1, 3])
        )
    )
    for cache in caches:
        cache.truncate(start)
    # Guessed tokens, verified at once, over slots that were written before.
    guessed = torch.cat([one.model.decoder.embedding.row(token) for token in (6, 2, 7)], 1)
    causal = torch.ones(3, start + 3, dtype=torch.bool).tril(start)[None, None]
    same(lambda one_, cache: one_.prefill(guessed, causal, cache, logits_for=torch.arange(3)))


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_profile_that_is_too_small_is_told(lowering, exported, runtime):
    one = exported("molmo2-4b-tiny")
    engine, _ = runtime("molmo2-4b-tiny", lowering, max_prompt=8)
    embeddings = torch.zeros(1, 9, one.config.decoder.width)
    with pytest.raises(
        EngineError, match=r"decoder input embeddings is \(1, 9, .*the engine takes .* to \(1, 8"
    ):
        engine.runner.decoder(
            embeddings, torch.arange(9)[None], torch.ones(1, 1, 9, 9).tril().bool(), 0, torch.tensor([8])
        )


@pytest.mark.parametrize("width", [1, 1536])
def test_the_ends_of_the_profile(width, exported, runtime):
    """One slot, and every slot of the cache."""
    one = exported("molmo2-4b-tiny")
    engine, _ = runtime("molmo2-4b-tiny", "native")
    embedding = torch.ones(1, 1, one.config.decoder.width)
    found = engine.runner.decode(embedding, width - 1)
    assert found.logits.isfinite().all()
    with pytest.raises(EngineError, match="writes slots 1536 to 1536 of a cache of 1536|engine takes"):
        engine.runner.decode(embedding, CONTEXT)


@pytest.mark.parametrize("name", ["molmo-7b-d-tiny", "molmo2-4b-tiny", "molmopoint-8b-tiny"])
@torch.inference_mode()
def test_pictures_of_one_tile_and_of_as_many_as_there_may_be(name, exported, runtime):
    one, generator = exported(name), torch.Generator().manual_seed(0)
    engine, _ = runtime(name, "native")
    vision, pad_embed = one.config.vision, one.config.connector.pad_embed
    for crops in (1, 13):
        pixels = torch.randn(crops, vision.patches, vision.patch_values, generator=generator)
        table = torch.randint(0, crops * vision.patches, (5, engine.shapes.slots), generator=generator)
        table[2, 1:] = -1
        masks = torch.rand(crops, vision.patches, generator=generator).round() if pad_embed else None
        features = one.model.vision(pixels)
        if masks is not None:
            features = one.model.connector.mark_padding(features, masks)
        expected = one.model.connector(features.flatten(0, 1)[None], table[None])[0]
        assert close(expected, engine.runner.vision(pixels, table, masks)[0])
    with pytest.raises(EngineError, match="vision input crops is .14, .*the engine takes"):
        engine.runner.vision(
            pixels[:1].expand(14, -1, -1), table, None if masks is None else masks[:1].expand(14, -1)
        )


@torch.inference_mode()
def test_an_interrupted_pass_leaves_the_next_answer_right(exported, runtime, monkeypatch):
    one = exported("molmo2-4b-tiny")
    engine, torchs = runtime("molmo2-4b-tiny", "native")
    embeddings = torch.cat([one.model.decoder.embedding.row(token) for token in (3, 9, 4)], 1)
    mask, real, calls = torch.ones(3, 3).tril().bool()[None, None], interpreter.compute, []

    def interrupted(layer, inputs, wide):
        calls.append(layer)
        if len(calls) == 300:
            raise KeyboardInterrupt
        return real(layer, inputs, wide)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(interpreter, "compute", interrupted)
        engine.prefill(2 * embeddings, mask, engine.cache(8))
    found = engine.prefill(embeddings, mask, engine.cache(8)).logits
    assert close(torchs.prefill(embeddings, mask, torchs.cache(8)).logits, found)


def test_the_cache_is_updated_where_it_lies(parsed):
    network = parsed("molmo2-4b-tiny", "decoder").network
    aliases = network.aliases()
    assert len(aliases) == 2 * sum(layer.kind == "ATTENTION_INPUT" for layer in network.layers)
    assert all(past == present.replace("present", "past") for present, past in aliases.items())
    assert parsed("molmo2-4b-tiny", "decoder", "legacy").network.aliases() == {}


def test_a_cache_that_is_read_as_it_was_is_refused(parsed):
    from dataclasses import replace

    network = parsed("molmo2-4b-tiny", "decoder").network
    update = next(layer for layer in network.layers if layer.kind == "KV_CACHE_UPDATE")
    reader = next(layer for layer in network.layers if update.outputs[0].name in layer.needs)
    old = replace(reader, inputs=(update.inputs[0], *reader.inputs[1:]))
    layers = tuple(old if layer is reader else layer for layer in network.layers)
    with pytest.raises(EngineError, match="reads past_key_0 beside .*KV_CACHE_UPDATE.*in place"):
        Interpreter(replace(network, layers=layers))


def test_values_are_not_kept_longer_than_they_are_read(parsed, exported):
    """A pass of eight tokens holds less than a tenth of all values at any time."""
    one, network = exported("molmo2-4b-tiny"), parsed("molmo2-4b-tiny", "decoder").network
    computed, held, total = Interpreter(network, kept=0), [], []
    run_layer = computed._run_layer

    def watched(layer, values, fixed):
        run_layer(layer, values, fixed)
        total.append(len(layer.outputs))
        held.append(len(values))

    computed._run_layer = watched
    cache = {
        tensor.name: torch.zeros(tensor.shape) for tensor in network.inputs if tensor.name.startswith("past")
    }
    computed.run(
        cache
        | {
            "embeddings": torch.ones(1, 8, one.config.decoder.width),
            "positions": torch.arange(8)[None],
            "mask": torch.ones(1, 1, 8, 8).tril().bool(),
            "write_index": torch.tensor([0]),
            "logits_for": torch.tensor([7]),
        }
    )
    assert max(held) < len(network.inputs) + len(network.outputs) + sum(total) / 10


def test_a_layer_that_is_not_known_is_named(trt):
    logger = process_log(trt)
    definition = trt.Builder(logger).create_network(
        1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    )
    x = definition.add_input("x", trt.float32, (1, 4))
    layer = definition.add_cumulative(
        x, definition.add_constant((), np.array([1], np.int32)).get_output(0), trt.CumulativeOperation.SUM, False, False
    )  # fmt: skip
    layer.name = "running sum"
    from molmo_ros.engine.tensorrt.parsed.network_reader import read_network

    with pytest.raises(EngineError, match="layer 'running sum' is of kind CUMULATIVE, which is not known"):
        read_network(trt, definition)


def test_an_activation_that_is_not_known_is_named(trt):
    from molmo_ros.engine.tensorrt.parsed.network_reader import read_network

    logger = process_log(trt)
    definition = trt.Builder(logger).create_network(
        1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    )
    layer = definition.add_activation(definition.add_input("x", trt.float32, (1, 4)), trt.ActivationType.ELU)
    definition.mark_output(layer.get_output(0))
    network = read_network(trt, definition)
    with pytest.raises(EngineError, match="has the activation ELU, which is not known"):
        Interpreter(network).run({"x": torch.ones(1, 4)})


def test_an_attribute_that_is_not_known_is_named(trt, exported, monkeypatch):
    from molmo_ros.engine.tensorrt.parsed import network_reader

    fewer = tuple(one for one in network_reader.ATTRIBUTES["NORMALIZATION"] if one != "num_groups")
    monkeypatch.setitem(network_reader.ATTRIBUTES, "NORMALIZATION", fewer)
    with pytest.raises(EngineError, match="NORMALIZATION.* has an attribute num_groups, which is not known"):
        parse_graph(trt, exported("molmo2-4b-tiny").folder / "vision.onnx", "native")


@pytest.mark.parametrize("kept", [0, -1])
def test_weights_that_are_missing_or_cut_short_are_told(kept, exported, trt, tmp_path):
    from molmo_ros.engine.tensorrt.parsed.memory_need import check_memory

    one = exported("molmo2-4b-tiny")
    graph = tmp_path / "decoder.onnx"
    graph.write_bytes((one.folder / "decoder.onnx").read_bytes())
    if kept:
        graph.with_suffix(".weights").write_bytes((one.folder / "decoder.weights").read_bytes()[:-1000])
    shapes = Shapes(12, CONTEXT, CONTEXT, 4096, 4)
    with pytest.raises(EngineError, match="missing or cut short"):
        check_memory([graph], one.config.decoder, shapes)
    with pytest.raises(EngineError, match="does not take the graph"):
        parse_graph(trt, graph, "native")


def test_memory_that_is_too_small_is_told_before(exported, tmp_path, monkeypatch):
    from molmo_ros.engine.tensorrt.parsed import memory_need

    one = exported("molmo2-4b-tiny")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 999 kB\nMemAvailable:    500 kB\n")
    monkeypatch.setattr(memory_need, "MEMINFO", meminfo)
    with pytest.raises(
        memory_need.NotEnoughMemoryError, match=r"takes about [\d.]+ GB of memory; 0.0 GB are"
    ):
        memory_need.check_memory(
            [one.folder / "decoder.onnx"], one.config.decoder, Shapes(12, CONTEXT, CONTEXT, 4096, 4)
        )


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
@torch.inference_mode()
def test_sixteen_bits_are_as_near_as_in_torch(dtype, lowering, exported, trt, tmp_path):
    """In the network's own types: no further from float32 than torch's model is in the same type."""
    one = exported("molmo2-4b-tiny")
    export_graphs(tmp_path, one.config, 64, dtype, one.model.state_dict().__getitem__)
    graph = parse_graph(trt, tmp_path / "decoder.onnx", lowering)
    halves = copy.deepcopy(one.model).to(dtype)
    embeddings = torch.cat([halves.decoder.embedding.row(token) for token in (3, 9, 4, 8, 1, 5)], 1)
    mask = torch.ones(6, 6).tril().bool()[None, None]
    positions = torch.arange(6)[None]
    exact = one.model.decoder(embeddings.float(), positions, mask).logits
    in_torch = halves.decoder(embeddings, positions, mask).logits.float()
    cache = {
        tensor.name: torch.zeros(tensor.shape, dtype=dtype)
        for tensor in graph.network.inputs
        if tensor.name.startswith("past")
    }
    inputs = {
        "embeddings": embeddings,
        "positions": positions,
        "mask": mask,
        "write_index": torch.tensor([0]),
        "logits_for": torch.arange(6),
    }
    found = Interpreter(graph.network).run(cache | inputs, ["logits"])["logits"]
    rounded, error = ((one_ - exact).square().mean().sqrt() for one_ in (in_torch, found))
    assert 0 < error < 1.3 * rounded
    wide = {
        name: value.float() if value.dtype == dtype else value for name, value in (cache | inputs).items()
    }
    exact = halves.float().decoder(embeddings.float(), positions, mask).logits
    assert close(exact, Interpreter(graph.network, wide=True).run(wide, ["logits"])["logits"])

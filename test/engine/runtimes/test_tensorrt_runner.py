# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The runner of TensorRT's engines: all but the GPU, over the real graphs; and what the real TensorRT refuses."""

import numpy as np
import pytest
import torch

from molmo_ros.engine.errors import EngineError, EngineMismatchError
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.tensorrt_runner import TensorRTRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.shape_profiles import decoder_profile
from molmo_ros.molmo.network.model import prefill_mask
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.reference.tolerance import agree
from molmo_ros.molmo.running.runtime import ImageTensors, StepOutput
from molmo_ros.molmo.running.static_decode import WIDTH_STEP
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.running.verify_widths import VERIFY_WIDTHS, verify_width
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

CONTEXT = 1536
QUERIES = ["Point to the red cube", "how many things are there?", "Point to the thing"]
KINDS = pytest.mark.parametrize("kind", ["native", "legacy", "rtx"])


def shapes(**limits) -> Shapes:
    wide = {
        "max_crops": 12,
        "max_context": CONTEXT,
        "max_prompt": CONTEXT,
        "max_image_tokens": 4096,
        "slots": 4,
    }
    return Shapes(**(wide | limits))


def runner(model, trt, config=None, limits=None, dtype=torch.float32) -> TensorRTRunner:
    plans = [str(model.folder / name).encode() for name in ("vision.onnx", "decoder.onnx")]
    config, limits = config or model.config, limits or shapes()
    return TensorRTRunner(*plans, config, limits, dtype, trt, torch.device("cpu"), "molmo-ros build MODEL")


def runtime(model, trt) -> EngineRuntime:
    embedding, head = model.model.decoder.embedding, model.model.point_head
    return EngineRuntime(model.config, shapes(), runner(model, trt), embedding, head)


class Both:
    """The same steps in an engine and in torch; every output is compared."""

    def __init__(self, model, trt) -> None:
        self.config = model.config
        self.runtimes = (runtime(model, trt), TorchRuntime(model.model))
        self.caches = [one.cache(600) for one in self.runtimes]
        self.generator = torch.Generator().manual_seed(0)

    def step(self, count: int) -> StepOutput:
        x = torch.randn(1, count, self.config.decoder.width, generator=self.generator)
        start = self.caches[0].length
        mask = prefill_mask(torch.zeros(1, start + count, dtype=torch.bool), False, start)
        outputs = [
            one.decode(x, cache)
            if count == 1
            else one.prefill(x, mask, cache, logits_for=torch.arange(count)[-3:])
            for one, cache in zip(self.runtimes, self.caches, strict=True)
        ]
        assert agree(outputs[0].logits, outputs[1].logits)
        if self.config.point_head is not None:
            assert agree(outputs[0].states, outputs[1].states)
        return outputs[0]


@KINDS
@pytest.mark.parametrize("name", ["molmo2-4b-tiny", "molmopoint-8b-tiny"])
@torch.inference_mode()
def test_steps_are_torchs(exported, fake_tensorrt, name, kind):
    """Prefill, tokens across the width at which more of the cache is read, a truncation, several tokens, a token."""
    both = Both(exported(name), fake_tensorrt(kind))
    both.step(WIDTH_STEP - 2)
    first = both.step(1)
    kept = first.logits.clone()
    for _ in range(3):
        both.step(1)
    assert torch.equal(first.logits, kept), "an output outlives the next step"
    for cache in both.caches:
        cache.truncate(40)
    for count in (1, 5, 1, 3, 3, 1):
        both.step(count)


@KINDS
def test_whole_answers_are_torchs(exported, fake_tensorrt, kind):
    """Pictures take turns; the engine's cache serves one after the other."""
    model = exported("tiny")
    ours = Molmo.from_runtime(runtime(model, fake_tensorrt(kind)), model.checkpoint)
    theirs = Molmo.from_pretrained("tiny")
    pictures, points = [render(Scene.random(seed), *SENSOR).rgb for seed in (20_001, 20_002)], 0
    images = [ours.encode(picture) for picture in pictures]
    for text in QUERIES:
        for picture, image in zip(pictures, images, strict=True):
            one, other = ours.query(image, text), theirs.query(picture, text)
            assert (one.status, one.text, one.tokens) == (other.status, other.text, other.tokens)
            assert [(p.x, p.y) for p in one.points] == [(p.x, p.y) for p in other.points]
            points += len(one.points)
    assert points > 3


@torch.inference_mode()
def test_the_vision_side_is_torchs(exported, fake_tensorrt):
    """With masks (0924), without (Molmo2), and with patches for a point head."""
    for name in ("molmo-7b-d-tiny", "molmo2-4b-tiny", "molmopoint-8b-tiny"):
        model = exported(name)
        ours = runner(model, fake_tensorrt())
        vision, generator = model.config.vision, torch.Generator().manual_seed(0)
        crops = torch.randn(3, vision.patches, vision.patch_values, generator=generator)
        pooling = torch.randint(-1, 3 * vision.patches, (17, 4), generator=generator)
        pooling[:, 0] = torch.arange(17)
        padding = model.config.connector.pad_embed
        masks = torch.rand(3, vision.patches, generator=generator).round(decimals=1) if padding else None
        found = ours.vision(crops, pooling, masks)
        features = model.model.vision(crops)
        if masks is not None:
            features = model.model.connector.mark_padding(features, masks)
        patches = features.flatten(0, 1)
        expected = model.model.connector(patches[None], pooling[None])[0]
        assert agree(found[0], expected)
        assert (found[1] is not None) == (model.config.point_head is not None)
        if found[1] is not None:
            assert agree(found[1], patches)


@torch.inference_mode()
@pytest.mark.parametrize("profiles", [1, 2])
def test_passes_of_several_tokens_take_the_kernels_for_prompts(exported, fake_tensorrt, profiles):
    """Where an engine has them; tokens one by one or a few at a time, and the vision side, have the first profile's."""
    trt = fake_tensorrt()
    trt.prompt_profile = profiles - 1
    both = Both(exported("molmo2-4b-tiny"), trt)
    counts = (20, 1, 1, 5, 1, 3, 65)
    for count in counts:
        both.step(count)
    assert trt.profiles == [profiles - 1 if count in (20, 65) else 0 for count in counts]


@torch.inference_mode()
def test_contexts_follow_widths_and_turns(exported, fake_tensorrt):
    """One for vision, one for prefill, one for each width; twice as many where the cache has two copies."""
    model = exported("molmo2-4b-tiny")
    x = torch.zeros(1, 1, model.config.decoder.width)
    for kind, expected in (("native", [3, 7]), ("legacy", [2, 1, 4, 3])):
        trt = fake_tensorrt(kind)
        engine = runner(model, trt)
        for length in (*range(WIDTH_STEP - 3, WIDTH_STEP), *range(WIDTH_STEP, WIDTH_STEP + 7)):
            engine.decode(x, length)
        vision, decoder = trt.engines
        assert len(vision._contexts) == 1
        prefill, *decode = decoder._contexts
        assert prefill._passes == 0
        assert [context._passes for context in decode] == expected
        widths = [context._shapes["mask"][-1] for context in decode]
        assert widths == sorted([WIDTH_STEP, 2 * WIDTH_STEP] * (len(expected) // 2))
        addresses = [context._addresses for context in decode]
        for name in ("embeddings", "positions", "mask", "write_index", "logits_for", "logits"):
            assert len({one[name] for one in addresses}) == 1, name


@KINDS
@torch.inference_mode()
def test_what_a_failed_answer_left_is_not_read(exported, fake_tensorrt, kind):
    """In float16 it may be infinite, and the next answer reads the same memory behind a mask."""
    model = exported("molmo2-4b-tiny")
    x = torch.randn(1, 30, model.config.decoder.width, generator=torch.Generator().manual_seed(0))
    mask = prefill_mask(torch.zeros(1, 10, dtype=torch.bool), False)

    def answer(engine):
        cache = engine.cache(100)
        engine.prefill(x[:, :10], mask, cache)
        return engine.decode(x[:, 10:11], cache).logits

    engine = runtime(model, fake_tensorrt(kind))
    expected = answer(engine)
    cache = engine.cache(100)
    engine.prefill(torch.full_like(x, torch.inf), torch.ones(1, 1, 30, 30, dtype=torch.bool), cache)
    assert not engine.decode(x[:, :1], cache).logits.isfinite().all()
    assert torch.equal(answer(engine), expected)


def test_memory_is_reported_by_part(exported, fake_tensorrt):
    model = exported("molmo2-4b-tiny")
    decoder = model.config.decoder
    one = 2 * decoder.layers * decoder.kv_heads * CONTEXT * decoder.head_dim * 4
    for kind, copies in (("native", 1), ("legacy", 2)):
        memory = runner(model, fake_tensorrt(kind)).memory()
        assert set(memory) == {"weights", "activations", "kv_cache", "staging"}
        assert memory["kv_cache"] == copies * one and memory["activations"] == 1000
        assert (
            memory["weights"]
            == len(str(model.folder / "vision.onnxdecoder.onnx")) + len(str(model.folder)) + 1
        )


def test_an_engine_of_another_model_is_refused(exported, fake_tensorrt):
    model, other = exported("molmo2-4b-tiny"), exported("molmo-7b-d-tiny")
    wrong = [
        (dict(config=other.config), r"vision engine is of another model.*molmo-ros build MODEL"),
        (dict(limits=shapes(max_context=CONTEXT - 1)), r"decoder engine.*past_key_0.*1536.*1535"),
        (dict(dtype=torch.float16), r"crops is .*float32.* should be .*float16"),
    ]
    for change, message in wrong:
        with pytest.raises(EngineMismatchError, match=message):
            runner(model, fake_tensorrt(), **change)


def test_a_cache_that_is_updated_in_part_is_refused(exported, fake_tensorrt, monkeypatch):
    model, trt = exported("molmo2-4b-tiny"), fake_tensorrt()
    engine = trt.kind
    monkeypatch.setattr(
        engine,
        "get_aliased_input_tensor",
        lambda self, name: "past_key_0" if name == "present_key_0" else None,
    )
    with pytest.raises(EngineMismatchError, match="only a part of its cache in place.*'present_key_0'"):
        runner(model, trt)


def test_what_the_engine_was_not_built_for_is_refused(exported, fake_tensorrt):
    model = exported("molmo2-4b-tiny")
    vision = model.config.vision
    limits = {"crops": (2, vision.patches, vision.patch_values)}
    engine = runner(model, fake_tensorrt(limits=limits))
    pooling = torch.zeros(5, 4, dtype=torch.int64)
    assert len(engine.vision(torch.zeros(2, vision.patches, vision.patch_values), pooling, None)[0]) == 5
    with pytest.raises(EngineError, match=r"vision engine does not take crops of shape \(3, .*no reason"):
        engine.vision(torch.zeros(3, vision.patches, vision.patch_values), pooling, None)


def test_no_plan_at_all(exported):
    """The real TensorRT's own words are in the message; without a GPU it loads nothing."""
    trt = pytest.importorskip("tensorrt_rtx")
    model = exported("molmo2-4b-tiny")
    for plan in (b"no engine" * 100, b""):
        with pytest.raises(
            EngineMismatchError, match=r"vision engine here: .*deserialize.*molmo-ros build 4b"
        ):
            TensorRTRunner(
                plan,
                plan,
                model.config,
                shapes(),
                torch.float16,
                trt,
                torch.device("cpu"),
                "molmo-ros build 4b",
            )


def test_images_of_the_host_may_be_of_any_float(exported, fake_tensorrt):
    model = exported("molmo2-4b-tiny")
    ours = runtime(model, fake_tensorrt())
    vision = model.config.vision
    crops = np.random.default_rng(0).normal(size=(1, vision.patches, vision.patch_values))
    image = ImageTensors(torch.from_numpy(crops), pooling=torch.arange(8).view(2, 4))
    found = ours.encode_image(image).tokens
    assert torch.equal(found, ours.encode_image(image._replace(crops=image.crops.float())).tokens)


@KINDS
@pytest.mark.parametrize("name", ["molmo2-4b-tiny", "molmopoint-8b-tiny"])
@torch.inference_mode()
def test_passes_over_a_few_tokens_are_torchs(exported, fake_tensorrt, name, kind):
    """Each sees some of what is there; at fixed widths, each with one context that serves again, and turn by turn."""
    trt = fake_tensorrt(kind)
    both = Both(exported(name), trt)
    both.step(20)
    contexts = trt.engines[1]._contexts
    before, met = len(contexts), set()
    for number, count in enumerate((3, 5, 4, 16, 2, 7, 33, 64, 30, 3)):
        start = both.caches[0].length
        x = torch.randn(1, count, both.config.decoder.width, generator=both.generator)
        sees = torch.rand(1, 1, count, start + count, generator=both.generator) < 0.5
        sees[..., start:] = sees[..., start:].tril() | torch.eye(count, dtype=torch.bool)
        positions = torch.randint(0, 300, (1, count), generator=both.generator)
        scored = torch.randperm(count, generator=both.generator)[:5]
        found, expected = (
            one.prefill(x, sees, cache, positions=positions, logits_for=scored)
            for one, cache in zip(both.runtimes, both.caches, strict=True)
        )
        assert found.logits.shape == expected.logits.shape and agree(found.logits, expected.logits)
        if both.config.point_head is not None:
            assert found.states.shape == expected.states.shape and agree(found.states, expected.states)
        met.add((verify_width(count, start, CONTEXT), both.runtimes[0].runner._cache.turn))
        for cache in both.caches:
            cache.truncate(start + 1)
        for _ in range(1 + number // 5):
            both.step(1)
    tokens = 2 if kind == "legacy" else 1  # contexts of one token
    assert len(contexts) == before + len(met) + tokens
    assert {width for width, _ in met} == set(VERIFY_WIDTHS)


@torch.inference_mode()
def test_passes_over_a_few_tokens_are_replayed(exported, fake_tensorrt, cuda):
    with cuda.left_out():
        model = exported("molmo2-4b-tiny")
        x = torch.randn(1, 40, model.config.decoder.width, generator=torch.Generator().manual_seed(0))
        mask, later = torch.ones(1, 1, 20, 20).tril().bool(), torch.ones(1, 1, 6, 26).tril(20).bool()
        plain = TorchRuntime(model.model)
        cache = plain.cache(100)
        plain.prefill(x[:, :20], mask, cache)
        expected = plain.prefill(x[:, 20:26], later, cache, logits_for=torch.arange(6)).logits
    trt = fake_tensorrt()
    trt.cuda = cuda
    plans = [str(model.folder / name).encode() for name in ("vision.onnx", "decoder.onnx")]
    one = TensorRTRunner(*plans, model.config, shapes(), torch.float32, trt, torch.device("cuda"))
    engine = EngineRuntime(model.config, shapes(), one, model.model.decoder.embedding, None)
    cache = engine.cache(100)
    engine.prefill(x[:, :20], mask, cache)
    recordings = cuda.recordings
    for _ in range(3):
        cache.truncate(20)
        assert agree(engine.prefill(x[:, 20:26], later, cache, logits_for=torch.arange(6)).logits, expected)
    assert (cuda.recordings, cuda.replays) == (recordings + 1, 3 + 1) and engine.graphs_refused() == ""


@pytest.mark.parametrize(
    "prompt, logits, widths", [(1536, 64, (4, 8, 16, 32, 64)), (40, 64, (4, 8, 16, 32)), (64, 3, ())]
)
def test_widths_that_an_engine_takes(exported, prompt, logits, widths):
    """Every one of them is in the range that it is built for."""
    limits = shapes(max_prompt=prompt, max_logits=logits)
    assert limits.fixed_widths == widths
    profile = decoder_profile(exported("molmo2-4b-tiny").config, limits)
    for width in widths:
        for name, axis in (("embeddings", 1), ("positions", 1), ("mask", 2), ("logits_for", 0)):
            least, _, most = profile[name]
            assert least[axis] <= width <= most[axis]

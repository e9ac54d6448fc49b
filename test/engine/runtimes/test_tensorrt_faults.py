# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""When TensorRT refuses, is out of memory or fails on its way: an outcome of the one query, and the next one works."""

import gc
import os

import pytest
import torch

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.tensorrt_runner import TensorRTRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.store.build_folder import remove_engine
from molmo_ros.engine.store.jit_cache import JitCacheFile
from molmo_ros.molmo.network.model import ImageFeatures, prefill_mask
from molmo_ros.molmo.running.runtime import ImageTensors

SHAPES = Shapes(max_crops=12, max_context=1536, max_prompt=1536, max_image_tokens=4096, slots=4)
KINDS = pytest.mark.parametrize("kind", ["native", "legacy", "rtx"])


@pytest.fixture(scope="module")
def model(exported):
    return exported("molmo2-4b-tiny")


def runtime(model, trt, home=None) -> EngineRuntime:
    plans = [str(model.folder / name).encode() for name in ("vision.onnx", "decoder.onnx")]
    runner = TensorRTRunner(
        *plans, model.config, SHAPES, torch.float32, trt, torch.device("cpu"), "molmo-ros build MODEL", home
    )
    return EngineRuntime(model.config, SHAPES, runner, model.model.decoder.embedding, None)


@torch.inference_mode()
def answer(engine, model, cache=None):
    """A prompt of ten tokens and three more; the last one's scores."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 13, model.config.decoder.width, generator=generator)
    cache = engine.cache(100, cache)
    engine.prefill(x[:, :10], prefill_mask(torch.zeros(1, 10, dtype=torch.bool), False), cache)
    for token in range(10, 13):
        output = engine.decode(x[:, token : token + 1], cache)
    return output.logits


@KINDS
@pytest.mark.parametrize(
    "what, after, message",
    [
        ("enqueue", 0, "decoder engine does not run: an error on the way"),
        ("enqueue", 2, "decoder engine does not run: an error on the way"),
        ("context", 0, "no room to run the decoder engine: out of memory"),
        ("another shape", 0, "decoder engine makes .* of shape"),
    ],
)
def test_a_failure_ends_one_answer(model, fake_tensorrt, kind, what, after, message):
    trt = fake_tensorrt(kind)
    engine = runtime(model, trt)
    trt.checks_memory = after == 2  # takes its time
    cache = engine.cache(100)
    trt.failing[what] = after
    with pytest.raises(EngineError, match=message):
        answer(engine, model, cache)
    assert cache.length == 0 and not trt.failing
    found = answer(engine, model, engine.cache(100, cache))
    assert torch.equal(found, answer(runtime(model, fake_tensorrt(kind)), model))


@KINDS
def test_the_first_logger_outlives_its_engine(model, fake_tensorrt, kind):
    """And every engine tells its own reasons alone."""
    trt = fake_tensorrt(kind)
    first = runtime(model, trt)
    trt.failing["enqueue"] = 0
    with pytest.raises(EngineError, match="an error on the way"):
        answer(first, model)
    del first
    gc.collect()
    trt.failing["deserialize"] = 1
    with pytest.raises(EngineError, match="no room for the decoder engine: out of memory$"):
        runtime(model, trt)
    second = runtime(model, trt)
    trt.failing["context"] = 0
    with pytest.raises(EngineError, match="to run the decoder engine: out of memory$"):
        answer(second, model)


def test_memory_that_torch_does_not_find_ends_one_answer(model, fake_tensorrt, monkeypatch):
    engine = runtime(model, fake_tensorrt())

    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(engine.runner, "_decoder_outputs", full)
        with pytest.raises(EngineError, match=r"no memory left for a pass over 10 tokens.*max_crops"):
            answer(engine, model)
    assert answer(engine, model).isfinite().all()


def test_a_cache_that_was_taken_over_is_not_read(model, fake_tensorrt):
    engine = runtime(model, fake_tensorrt())
    mine = engine.cache(100)
    engine.cache(100)
    with pytest.raises(EngineError, match="taken over by another"):
        engine.decode(torch.zeros(1, 1, model.config.decoder.width), mine)


@torch.inference_mode()
def test_prompts_of_any_length_are_compiled_once(model, fake_tensorrt):
    """TensorRT for RTX compiles for every shape it meets."""
    trt = fake_tensorrt("rtx")
    ours, theirs = runtime(model, trt), runtime(model, fake_tensorrt())
    generator = torch.Generator().manual_seed(0)
    for count in (3, 17, 40, 64):
        x = torch.randn(1, count, model.config.decoder.width, generator=generator)
        mask = prefill_mask(torch.zeros(1, count, dtype=torch.bool), False)
        found, wanted = (one.prefill(x, mask, one.cache(200)) for one in (ours, theirs))
        assert torch.allclose(found.logits, wanted.logits, atol=1e-5)
    assert {(one["embeddings"], one["mask"]) for one in trt.shapes} == {
        ((1, 64, model.config.decoder.width), (1, 1, 64, 64))
    }


def test_decoding_of_rtx_is_compiled_at_once(model, fake_tensorrt):
    trt = fake_tensorrt("rtx")
    answer(runtime(model, trt), model)
    prefill, decode = trt.engines[1]._contexts
    assert prefill._settings.cuda_graph_strategy == "as it is"
    assert decode._settings.cuda_graph_strategy == "whole"
    assert decode._settings.dynamic_shapes_kernel_specialization_strategy == "eager"


def test_what_rtx_compiled_is_kept_beside_the_engine(model, fake_tensorrt, tmp_path):
    home = tmp_path / "engine"
    home.mkdir(mode=0o700)
    vision = model.config.vision
    picture = torch.zeros(1, vision.patches, vision.patch_values), torch.arange(8).view(2, 4), None
    engine = runtime(model, fake_tensorrt("rtx"), home)
    answer(engine, model)
    engine.runner.vision(*picture)  # the next picture: now there is time
    kept = home / "decoder.jit"
    assert kept.read_bytes() == b"kernels:a kernel" and kept.stat().st_mode & 0o777 == 0o600
    kept.write_bytes(b"kernels:an older one")
    trt = fake_tensorrt("rtx")
    answer(runtime(model, trt, home), model)
    assert trt.engines[1]._contexts[0]._settings._cache._known == {b"a kernel", b"an older one"}


def test_an_engine_that_has_run_can_be_removed(tmp_path):
    home = tmp_path / "engine"
    home.mkdir(mode=0o700)
    JitCacheFile(home, "vision").write(b"ours")
    (home / ".decoder.jit.new").touch()  # as a process leaves it that ends while it writes
    remove_engine(home)
    assert not home.exists()


@pytest.mark.parametrize("spoil", ["writable", "link"])
def test_kernels_that_others_could_have_written_are_not_loaded(tmp_path, spoil, caplog):
    path, file = tmp_path / "decoder.jit", JitCacheFile(tmp_path, "decoder")
    assert file.read() == b"" and not caplog.messages
    file.write(b"ours")
    assert file.read() == b"ours"
    if spoil == "writable":
        path.chmod(0o666)
    else:
        path.rename(tmp_path / "other")
        os.symlink(tmp_path / "other", path)
    assert file.read() == b"" and "compiled again" in caplog.text


def test_the_time_of_a_picture_has_its_work(model, monkeypatch):
    """Passes are only enqueued; the milliseconds of vision decide how many crops there may be."""
    done = []

    class Enqueues:
        name, device, dtype = "tensorrt", torch.device("cuda"), torch.float32

        def vision(self, *_):
            done.append("enqueued")
            return torch.zeros(2, 4), None

    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: done.append("waited"))
    engine = EngineRuntime(model.config, SHAPES, Enqueues(), model.model.decoder.embedding, None)
    vision = model.config.vision
    image = ImageTensors(
        torch.zeros(1, vision.patches, vision.patch_values), pooling=torch.arange(8).view(2, 4)
    )
    assert isinstance(engine.encode_image(image), ImageFeatures)
    assert done == ["enqueued", "waited"]

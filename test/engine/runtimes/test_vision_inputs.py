# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Patches of 8 bits through graphs that take them, and through graphs that were built before there were any."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.engine_build import build
from molmo_ros.engine.graphs.graph_writer import GraphWriter
from molmo_ros.engine.graphs.vision_graph import normalise_patches
from molmo_ros.engine.load import load_molmo
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.parsed_runner import ParsedRunner
from molmo_ros.engine.runtimes.tensorrt_runner import TensorRTRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.engine.tensorrt.parsed.interpreter import Interpreter
from molmo_ros.engine.tensorrt.parsed.parser import parse_graph
from molmo_ros.molmo.answers.image_encoder import image_tensors
from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.reference.tolerance import agree
from molmo_ros.molmo.running.colours import normalise
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

CONTEXT = 1536
LIMITS = Shapes(max_crops=12, max_context=CONTEXT, max_prompt=CONTEXT, max_image_tokens=4096, slots=4)
CLIP = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}
IN_BYTES = ["molmo2-4b-tiny", "molmopoint-8b-tiny", "tiny"]
LOWERINGS = ["native", "legacy"]


def picture(model, size=(200, 300)):
    process = ImageProcessor(read_image_processing(model.checkpoint))
    return image_tensors(process(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)))


def in_floats(image):
    return image._replace(crops=normalise(image.crops, image.colours), colours=None)


@pytest.fixture(scope="module")
def normalising(tmp_path_factory):
    """A graph of nothing else, and every byte in every channel with what processors of two kinds say of them."""

    def make(dtype):
        folder = tmp_path_factory.mktemp("normalising")
        graph = GraphWriter("vision", dtype, lambda name: torch.zeros(()))
        crops = graph.input("crops", torch.uint8, ["views", 256, 3 * 196])
        values = normalise_patches(graph, crops, graph.input("colours", torch.float32, [2, 3 * 196]))
        graph.output(values, "values", dtype, ["views", 256, 3 * 196])
        graph.save(folder / "vision.onnx")
        return folder / "vision.onnx"

    crops = torch.arange(256, dtype=torch.uint8).view(1, 256, 1).expand(1, 256, 3 * 196).contiguous()
    kinds = []
    for changes in ({}, CLIP):
        process = ImageProcessor(ImageProcessorConfig.released(STRETCHED, **changes))
        colours = torch.from_numpy(process(np.zeros((9, 9, 3), np.uint8)).colours)
        kinds.append((colours, normalise(crops, colours)))
    return make, crops, kinds


def test_onnxruntime_normalises_bit_for_bit(normalising):
    make, crops, kinds = normalising
    for dtype, numpys in ((torch.float32, np.float32), (torch.float16, np.float16)):
        session = onnxruntime.InferenceSession(str(make(dtype)), providers=["CPUExecutionProvider"])
        for colours, expected in kinds:
            found = session.run(None, {"crops": crops.numpy(), "colours": colours.numpy()})[0]
            assert found.dtype == numpys and found.tobytes() == expected.to(dtype).numpy().tobytes()


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_what_tensorrt_parsed_normalises_bit_for_bit(normalising, lowering):
    make, crops, kinds = normalising
    trt = load_tensorrt("tensorrt_rtx")
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        graph = parse_graph(trt, make(dtype), lowering)
        network = Interpreter(graph.network)
        for colours, expected in kinds:
            assert torch.equal(
                network.run({"crops": crops, "colours": colours})["values"], expected.to(dtype)
            )


@torch.inference_mode()
@pytest.mark.parametrize("name", IN_BYTES)
def test_features_in_onnxruntime(name, exported):
    """To the bit those of the graph that takes floats, and torch's as near as ever."""
    model = exported(name)
    image = picture(model)
    found = model.runtime(model.in_bytes).encode_image(image)
    assert torch.equal(found.tokens, model.runtime().encode_image(in_floats(image)).tokens)
    assert agree(found.tokens, TorchRuntime(model.model).encode_image(image).tokens)


@torch.inference_mode()
@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", IN_BYTES)
def test_features_of_the_parsed_network(name, lowering, exported):
    model, trt = exported(name), load_tensorrt("tensorrt_rtx")
    image, tokens = picture(model), []
    decoder = parse_graph(trt, model.folder / "decoder.onnx", lowering)
    for folder, given in ((model.in_bytes, image), (model.folder, in_floats(image)), (model.folder, image)):
        vision = parse_graph(trt, folder / "vision.onnx", lowering)
        runner = ParsedRunner(vision, decoder, model.config, LIMITS, torch.float32)
        engine = EngineRuntime(
            model.config, LIMITS, runner, model.model.decoder.embedding, model.model.point_head
        )
        tokens.append(engine.encode_image(given).tokens)
    assert torch.equal(tokens[0], tokens[1]) and torch.equal(tokens[0], tokens[2])
    assert agree(tokens[0], TorchRuntime(model.model).encode_image(image).tokens)


def tensorrt(model, trt, folder, device="cpu"):
    plans = [str(folder / name).encode() for name in ("vision.onnx", "decoder.onnx")]
    runner = TensorRTRunner(*plans, model.config, LIMITS, torch.float32, trt, torch.device(device))
    return EngineRuntime(model.config, LIMITS, runner, model.model.decoder.embedding, model.model.point_head)


@torch.inference_mode()
@pytest.mark.parametrize("in_bytes", [True, False], ids=["bytes", "built before"])
def test_a_quarter_of_the_bytes_goes_to_the_device(exported, fake_tensorrt, cuda, in_bytes):
    """Also to an engine that takes floats: its patches are normalised on the device."""
    with cuda.left_out():
        model = exported("molmo2-4b-tiny")
        image = picture(model, (500, 700))
        expected = model.runtime().encode_image(in_floats(image)).tokens
    trt = fake_tensorrt()
    trt.cuda = cuda
    engine = tensorrt(model, trt, model.in_bytes if in_bytes else model.folder, "cuda")
    given = image._replace(
        **{name: cuda.host(getattr(image, name)) for name in ("crops", "pooling", "colours")}
    )
    for _ in range(2):
        cuda.transfers.clear()
        found = engine.encode_image(given).tokens
        assert agree(found, expected)
        assert len(cuda.transfers) == 1 and cuda.waiting == 0
        assert (
            0
            <= cuda.transfers[0] - image.crops.numel() - image.colours.nbytes
            < image.pooling.nbytes + 3 * 256
        )


@torch.inference_mode()
def test_floats_for_a_graph_of_bytes_are_refused(exported, fake_tensorrt):
    model = exported("molmo2-4b-tiny")
    image = picture(model)
    for engine in (model.runtime(model.in_bytes), tensorrt(model, fake_tensorrt(), model.in_bytes)):
        with pytest.raises(ImageError, match=r"takes patches of 8 bits.*these are torch.float32"):
            engine.encode_image(in_floats(image))
        with pytest.raises(ImageError, match=r"need the colours of shape \(2, \d+\).*found None"):
            engine.encode_image(image._replace(colours=None))
        assert len(engine.encode_image(image).tokens)


def test_a_model_whose_pictures_are_not_rounded_gets_floats(exported):
    assert not exported("molmo-7b-d-tiny").in_bytes.exists()
    plans = [
        BuildPlan.make(str(exported(name).checkpoint), "onnx", max_crops=1)
        for name in ("molmo-7b-d-tiny", "molmo2-4b-tiny")
    ]
    assert [plan.eight_bits for plan in plans] == [False, True]


def test_an_engine_that_was_built_before_still_answers(tmp_path):
    """Told by its graph; answers are those of one that is built now, and of torch."""
    plan = BuildPlan.make("tiny", "onnx")
    made = {}
    for eight_bits in (True, False):
        folder, _ = build(replace(plan, eight_bits=eight_bits), [], [], home=tmp_path / str(eight_bits))
        made[eight_bits] = load_molmo("tiny", engine="onnx", engine_path=folder)
        takes = made[eight_bits].runtime.runner._vision_inputs.eight_bits
        assert takes == eight_bits
    torchs = load_molmo("tiny", engine="torch")
    points = 0
    for seed in (20_001, 20_002):
        rgb = render(Scene.random(seed), *SENSOR).rgb
        answers = [one.query(rgb, "Point to the thing") for one in (*made.values(), torchs)]
        assert len({answer.text for answer in answers}) == 1
        points += len(answers[0].points)
    assert points

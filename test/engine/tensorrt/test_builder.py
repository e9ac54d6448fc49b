# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Real builds by TensorRT for RTX on a machine without a GPU, what its parser makes of the graphs, and failures."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx import helper

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.graphs.export import export_graphs
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.tensorrt.builder import BuildRequest, build_engine
from molmo_ros.engine.tensorrt.guards import Expected, check_network
from molmo_ros.engine.tensorrt.lowering import lower_file
from molmo_ros.engine.tensorrt.module import load_tensorrt
from molmo_ros.engine.tensorrt.process_runtime import process_log
from molmo_ros.engine.tensorrt.shape_profiles import decoder_profile, prompt_profile, vision_profile
from molmo_ros.molmo.catalog.model_parts import read_image_processing

PATIENCE = 300.0
"""How long a process may take on a machine that is busy otherwise [s]."""

MODELS = [*sorted(path.name for path in (Path(__file__).parents[2] / "vectors").glob("*-tiny")), "tiny"]
PROFILES = {"vision": vision_profile, "decoder": decoder_profile}


@pytest.fixture(scope="module")
def trt():
    return load_tensorrt("tensorrt_rtx")


@pytest.fixture(scope="module", params=[torch.float16, torch.bfloat16], ids=["fp16", "bf16"])
def graphs(request, exported, tmp_path_factory):
    """The embedded model's graphs in 16 bits, and a request for each."""
    one, folder = exported("tiny"), tmp_path_factory.mktemp("tiny16")
    shapes = Shapes.of(one.config, read_image_processing(one.checkpoint), None, None)
    read = one.model.state_dict().__getitem__
    export_graphs(folder, one.config, shapes.max_context, request.param, read, eight_bits=True)
    return {
        part: BuildRequest(
            graph=folder / f"{part}.onnx",
            engine=folder / f"{part}.engine",
            tensorrt="tensorrt_rtx",
            lowering="native",
            capability=(8, 6),
            profile=profile(one.config, shapes),
        )
        for part, profile in PROFILES.items()
    }


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"timing_cache": Path("a b/cache"), "workspace": 1 << 30, "capability": None},
        {"prompt_profile": {"crops": ((1, 2), (9, 2), (9, 2))}},
    ],
)
def test_the_building_process_gets_the_request_as_it_was(given):
    profile = {"crops": ((1, 2), (3, 2), (9, 2)), "logits_for": ((1,), (1,), (64,))}
    request = BuildRequest(Path("g.onnx"), Path("e"), "tensorrt", "legacy", (8, 6), profile)
    request = replace(request, **given)
    assert BuildRequest.from_json(request.to_json()) == request


def parse(trt, path):
    logger = process_log(trt)
    network = trt.Builder(logger).create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(path)), [str(parser.get_error(i)) for i in range(parser.num_errors)]
    return network, parser


@pytest.mark.parametrize("capability", [(8, 6), (8, 9), (12, 0)])
@pytest.mark.parametrize("part", PROFILES)
def test_builds_without_a_gpu(part, capability, graphs):
    seen = []
    request = replace(graphs[part], capability=capability)
    report = build_engine(request, lambda *step: seen.append(step))
    blob = request.engine.read_bytes()
    assert report.engine_size == len(blob) > graphs[part].graph.with_suffix(".weights").stat().st_size
    assert request.engine.stat().st_mode & 0o777 == 0o600
    attentions = 4 if part == "decoder" else 7  # of the decoder's layers; of the tower's, and one that pools
    assert report.layers["ATTENTION_INPUT"] == attentions
    if part == "decoder":
        assert report.layers["KV_CACHE_UPDATE"] == report.layers["ROTARY_EMBEDDING"] == 8
    assert [step for step in seen if step[0] == "Building engine"][-1][1:] == (6, 6)
    assert report.lowering == "native"
    assert report.seconds > 0 and 10**8 < report.peak_memory < 4 * 10**9
    left = {path.name for path in request.engine.parent.iterdir()}
    assert not {name for name in left if name.startswith(".")}


@pytest.mark.parametrize("part", PROFILES)
def test_the_legacy_graph_builds_too(part, graphs):
    report = build_engine(replace(graphs[part], lowering="legacy"))
    assert report.lowering == "legacy"
    assert not {"ATTENTION_INPUT", "KV_CACHE_UPDATE", "ROTARY_EMBEDDING"} & set(report.layers)


@pytest.mark.parametrize("lowering", ["native", "legacy"])
@pytest.mark.parametrize("name", MODELS)
def test_every_family_parses_as_meant(name, lowering, exported, trt):
    one = exported(name)
    for part in PROFILES:
        lowered = one.folder / f"{part}.{lowering}.onnx"
        model = lower_file(one.folder / f"{part}.onnx", lowered, lowering)
        network, _parser = parse(trt, lowered)
        check_network(trt, network, Expected.of(model))


class Wrong:
    """A decoder's graph with something changed, so that a guard must see it."""

    def __init__(self, folder):
        self.folder = folder
        self.model = onnx.load(str(folder / "decoder.onnx"), load_external_data=False)
        self.attention = next(node for node in self.model.graph.node if node.op_type == "Attention")

    def network(self, trt):
        path = self.folder / "decoder.wrong.onnx"
        path.write_bytes(self.model.SerializeToString())
        return parse(trt, path)


def test_lengths_that_the_parser_drops_are_seen(exported, trt):
    """The trap: an attention with lengths parses, and the lengths are gone."""
    wrong = Wrong(exported("molmo2-4b-tiny").folder)
    length = wrong.model.graph.input.add()
    length.CopyFrom(helper.make_tensor_value_info("kv_length", onnx.TensorProto.INT64, [1]))
    meant = Expected.of(wrong.model)
    for node in wrong.model.graph.node:
        if node.op_type == "Attention":
            node.input[:] = [*node.input[:3], "", "", "", "kv_length"]
            node.attribute.append(helper.make_attribute("is_causal", 1))
    with pytest.raises(EngineError, match="causal or has lengths"):
        Expected.of(wrong.model)
    network, _parser = wrong.network(trt)
    with pytest.raises(EngineError, match="no layer of the parsed network uses the inputs kv_length"):
        check_network(trt, network, meant)


def test_an_attention_that_lost_its_mask_is_seen(exported, trt):
    wrong = Wrong(exported("molmo2-4b-tiny").folder)
    meant = Expected.of(wrong.model)
    del wrong.attention.input[3:]
    network, _parser = wrong.network(trt)
    with pytest.raises(EngineError, match="has no mask in the parsed network; one was meant"):
        check_network(trt, network, meant)


def test_an_attention_that_became_causal_is_seen(exported, trt):
    wrong = Wrong(exported("molmo2-4b-tiny").folder)
    meant = Expected.of(wrong.model)
    del wrong.attention.input[3:]
    wrong.attention.attribute.append(helper.make_attribute("is_causal", 1))
    network, _parser = wrong.network(trt)
    meant = replace(meant, attentions=(False, *meant.attentions[1:]))
    with pytest.raises(EngineError, match="has a causal mask in the parsed network; none was meant"):
        check_network(trt, network, meant)


def test_caches_that_were_swapped_are_seen(exported, trt):
    wrong = Wrong(exported("molmo2-4b-tiny").folder)
    meant = Expected.of(wrong.model)
    keys = [node for node in wrong.model.graph.node if node.op_type == "TensorScatter"][::2][:2]
    keys[0].input[0], keys[1].input[0] = keys[1].input[0], keys[0].input[0]
    network, _parser = wrong.network(trt)
    with pytest.raises(EngineError, match="updates past_key_1 into present_key_0"):
        check_network(trt, network, meant)


def test_missing_layers_and_names_are_seen(exported, trt):
    one = exported("molmo2-4b-tiny")
    network, _parser = parse(trt, one.folder / "decoder.onnx")
    meant = Expected.of(onnx.load(str(one.folder / "decoder.onnx"), load_external_data=False))
    for field, message in (("cache_updates", "KV-cache updates"), ("rotations", "rotary embeddings")):
        with pytest.raises(EngineError, match=rf"{message}; {getattr(meant, field) + 1} were meant"):
            check_network(trt, network, replace(meant, **{field: getattr(meant, field) + 1}))
    with pytest.raises(EngineError, match="outputs differ: missing .'more'"):
        check_network(trt, network, replace(meant, outputs=(*meant.outputs, "more")))


def test_a_graph_that_tensorrt_refuses(graphs, tmp_path):
    model = onnx.load(str(graphs["decoder"].graph), load_external_data=False)
    model.graph.node[0].op_type = "NoSuchOperator"
    bad = graphs["decoder"].graph.with_name("bad.onnx")
    bad.write_bytes(model.SerializeToString())
    with pytest.raises(EngineError, match="does not take the graph bad.onnx.*NoSuchOperator"):
        build_engine(replace(graphs["decoder"], graph=bad, engine=tmp_path / "decoder.engine"))
    assert not list(tmp_path.iterdir())
    assert not list(bad.parent.glob(".*"))


def test_a_chip_that_tensorrt_does_not_know(graphs, tmp_path):
    with pytest.raises(EngineError, match="not for SM90"):
        build_engine(replace(graphs["vision"], capability=(9, 0), engine=tmp_path / "vision.engine"))
    assert not list(tmp_path.iterdir())


def test_a_missing_range_of_shapes(graphs, tmp_path):
    with pytest.raises(EngineError, match="no range of shapes was given for the inputs pooling"):
        profile = {name: shape for name, shape in graphs["vision"].profile.items() if name != "pooling"}
        build_engine(replace(graphs["vision"], profile=profile, engine=tmp_path / "vision.engine"))


def test_a_second_profile_has_kernels_of_its_own_and_the_same_weights(graphs, exported, tmp_path):
    one, request = exported("tiny"), replace(graphs["decoder"], engine=tmp_path / "decoder.engine")
    shapes = Shapes.of(one.config, read_image_processing(one.checkpoint), None, None)
    prompts = prompt_profile(one.config, shapes)
    assert {name: (least, most) for name, (least, _, most) in prompts.items()} == {
        name: (least, most) for name, (least, _, most) in request.profile.items()
    }
    sizes = [
        build_engine(replace(request, prompt_profile=profile)).engine_size for profile in (None, prompts)
    ]
    assert sizes[0] < 0.8 * sizes[1]
    with pytest.raises(EngineError, match="no range of shapes was given for the inputs mask"):
        build_engine(replace(request, prompt_profile={k: v for k, v in prompts.items() if k != "mask"}))


def in_child(request, before=""):
    """A process that builds, so that limits and signals meet it alone."""
    code = (
        f"{before}\nfrom pathlib import PosixPath\nimport sys\n"
        "from molmo_ros.engine.errors import EngineError\n"
        "from molmo_ros.engine.tensorrt.builder import BuildRequest, build_engine\n"
        f"request = {request!r}\n"
        "try:\n    build_engine(request, lambda *step: print(*step, flush=True))\n"
        "except EngineError as error:\n    sys.exit(str(error))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_full_disk_leaves_no_half_engine(graphs, tmp_path):
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({1 << 20}, {1 << 20}))"
    child = in_child(replace(graphs["decoder"], engine=tmp_path / "decoder.engine"), limit)
    _, error = child.communicate(timeout=PATIENCE)
    assert child.returncode == 1
    assert "cannot be written to" in error and "MB were to be written" in error
    assert "what is finished is kept" in error
    assert not list(tmp_path.iterdir())


def test_a_killed_build_is_told_as_out_of_memory(graphs, tmp_path, monkeypatch):
    """The kernel's own way to end a build: SIGKILL, without a word."""
    child = in_child(replace(graphs["decoder"], engine=tmp_path / "decoder.engine"))
    for line in child.stdout:
        if line.startswith("Building engine"):
            break
    builder = next(pid for pid in children(child.pid))
    os.kill(builder, signal.SIGKILL)
    _, error = child.communicate(timeout=PATIENCE)
    assert child.returncode == 1 and "memory runs out" in error and "--max-context" in error
    assert not list(tmp_path.iterdir())
    assert not list(graphs["decoder"].graph.parent.glob(".*"))


def test_an_interrupt_ends_the_build(graphs, tmp_path):
    # Ignored where the tests run in the background.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    child = in_child(replace(graphs["decoder"], engine=tmp_path / "decoder.engine"), heard)
    for line in child.stdout:
        if line.startswith("Building engine"):
            break
    builder = next(pid for pid in children(child.pid))
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=PATIENCE)
    assert child.returncode != 0 and "KeyboardInterrupt" in error
    deadline = time.monotonic() + 10
    while Path(f"/proc/{builder}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{builder}").exists()
    assert not list(tmp_path.iterdir())


def children(pid):
    return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_a_build_hears_an_interrupt_that_its_parent_ignores(graphs, tmp_path):
    """As those of a shell's background jobs do; the process that builds ends, and the one that asked says so."""
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    child = in_child(replace(graphs["decoder"], engine=tmp_path / "decoder.engine"), deaf)
    for line in child.stdout:
        if line.startswith("Building engine"):
            break
    os.kill(next(children(child.pid)), signal.SIGINT)
    _, error = child.communicate(timeout=PATIENCE)
    assert child.returncode == 1 and f"ended with {-signal.SIGINT}" in error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_none_is_told(graphs, tmp_path):
    with pytest.raises(EngineError, match="the engine cannot be built: .*nowhere.*No such file"):
        build_engine(replace(graphs["vision"], engine=tmp_path / "nowhere" / "vision.engine"))

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Whole builds of the embedded model: what is installed, what is measured, and builds that end early."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from molmo_ros.cli.main import main
from molmo_ros.engine import engine_build, gate_measurement, network_check
from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.engine_build import build
from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.quality import QualityThreshold
from molmo_ros.engine.store.build_folder import BUILDING
from molmo_ros.engine.store.manifest import Manifest
from molmo_ros.engine.store.verified_files import verify_files
from molmo_ros.engine.tensorrt.parsed import layer_functions, memory_need
from molmo_ros.train.examples import simulated_examples
from molmo_ros.train.precision import scenes_with_queries

PATIENCE = 300.0
"""How long a process may take on a machine that is busy otherwise [s]."""

SEED = 600_000


@pytest.fixture(scope="module")
def examples():
    return list(simulated_examples(3))


@pytest.fixture(scope="module")
def gate():
    scenes = scenes_with_queries(range(SEED, SEED + 3), 3)
    return [(picture, query.prompt) for _, picture, queries in scenes for query in queries]


@pytest.fixture
def home(tmp_path):
    return tmp_path / "engines"


@pytest.fixture(scope="module")
def quantised(examples, gate, tmp_path_factory):
    """A quantised build whose answers moved too far for its threshold, and the same with --force."""
    home, plan, stages = (
        tmp_path_factory.mktemp("home") / "engines",
        BuildPlan.make("tiny", "rtx40", "int4"),
        [],
    )
    building = home / BUILDING / plan.name / "decoder.engine"

    def run(**options):
        return build(
            plan,
            examples,
            gate,
            home=home,
            threshold=QualityThreshold(drift=0.0),
            progress=lambda stage, *_: stages.append(stage),
            **options,
        )

    with pytest.raises(EngineError) as refusal:
        run()
    installed, built = (home / plan.name).exists(), building.stat().st_mtime_ns
    folder, said = run(force=True)
    return SimpleNamespace(
        home=home, plan=plan, stages=stages, refusal=str(refusal.value), installed_when_refused=installed,
        built=built, folder=folder, said=said,
    )  # fmt: skip


def test_a_quantised_engine(quantised, gate):
    home, plan, folder, said = quantised.home, quantised.plan, quantised.folder, quantised.said
    stages = quantised.stages
    manifest = Manifest.read(folder)
    verify_files(folder, manifest)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "vision.engine", "decoder.engine"}
    assert folder == home / "tiny-rtx40-int4" and folder.stat().st_mode & 0o777 == 0o700
    assert (manifest.runtime, manifest.precision, manifest.dtype) == ("tensorrt_rtx", "int4", "bfloat16")
    assert manifest.compute_capability == "8.9" and manifest.shapes == plan.shapes
    assert manifest.versions["tensorrt_rtx"].startswith("1.")
    assert manifest.quality["answers"] == len(gate)
    assert manifest.quality["measured"] == "the networks that TensorRT parsed, on the CPU"
    parts = manifest.quality["network"]["parts"]
    assert set(parts) == {"vision", "head", *(f"block {layer}" for layer in range(4))}
    assert f"of {len(gate)} answers" in said
    order = [
        "calibration",
        "quantised blocks",
        "graphs",
        "vision: parse",
        "decoder: parse",
        "parsed network",
        "the engine's answers",
    ]
    assert sorted(order, key=stages.index) == order
    assert not (home / BUILDING / plan.name).exists()


def test_an_engine_for_onnxruntime_says_what_torch_says(gate, home):
    folder, said = build(BuildPlan.make("tiny", "onnx"), [], gate, home=home)
    quality = Manifest.read(folder).quality
    assert quality["identical"] == quality["answers"] == len(gate) and quality["drift_px"]["largest"] == 0
    assert "onnxruntime" in said


def test_a_sixteen_bit_engine_is_measured_without_its_gpu(gate, home):
    """On the network that TensorRT parsed, in float16."""
    folder, said = build(BuildPlan.make("tiny", "rtx50", "fp16"), [], gate[:1], home=home)
    quality = Manifest.read(folder).quality
    assert quality["answers"] == 1 and "compute what torch does (vision, all blocks)" in said
    assert quality["network"]["largest_difference"] < 1e-3


@pytest.fixture
def unbuilt(monkeypatch):
    """TensorRT only parses: of its engines there are the files."""

    def build_engine(request, _):
        request.engine.write_bytes(b"none")
        return SimpleNamespace(lowering=request.lowering)

    monkeypatch.setattr(engine_build, "build_engine", build_engine)


def test_of_a_large_model_some_blocks_are_computed(gate, home, unbuilt, monkeypatch):
    monkeypatch.setattr(gate_measurement, "SMALL_GRAPH", 0)
    folder, said = build(BuildPlan.make("tiny", "rtx50", "fp16"), [], gate[:1], home=home)
    assert said.startswith("not measured: nothing on this machine computes answers in fp16 as a rtx50 will")
    assert "(vision, 3 of 4 blocks)" in said
    quality = Manifest.read(folder).quality
    assert set(quality["network"]["parts"]) == {"vision", "block 0", "block 2", "block 3"}


def test_memory_that_is_too_small_for_the_gate_loses_no_build(gate, home, unbuilt, monkeypatch, tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemAvailable: 5000 kB\n")
    monkeypatch.setattr(memory_need, "MEMINFO", meminfo)
    folder, said = build(BuildPlan.make("tiny", "rtx50", "fp16"), [], gate[:1], home=home)
    assert re.search("not measured: computing the parsed networks takes about .* GB of memory; 0.0 GB", said)
    assert Manifest.read(folder).quality is None


def test_memory_that_runs_out_in_the_gate_loses_no_build(gate, home, unbuilt, monkeypatch):
    def no_room(*_, **__):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(gate_measurement, "load_checkpoint", no_room)
    folder, said = build(BuildPlan.make("tiny", "rtx50", "fp16"), [], gate[:1], home=home)
    assert said.startswith("not measured: memory ran out (CUDA out of memory.") and "all blocks" in said
    assert Manifest.read(folder).quality["network"]


def test_a_parsed_network_that_is_not_the_model_fails_the_build(gate, home, unbuilt, monkeypatch):
    """As a parser would that takes the epsilon of a norm for another."""
    real = layer_functions._reduce
    monkeypatch.setitem(
        layer_functions.FUNCTIONS, "REDUCE", lambda *given: tuple(1.01 * one for one in real(*given))
    )
    with pytest.raises(EngineError, match="the network that TensorRT parsed is not the model: block 0 is"):
        build(BuildPlan.make("tiny", "rtx50", "fp16"), [], gate[:1], home=home)
    assert not (home / "tiny-rtx50-fp16").exists()


def test_answers_that_moved_too_far_fail_the_build(quantised):
    assert re.search("too far from.*95 % of the points.*--pictures.*--force", quantised.refusal)
    assert not quantised.installed_when_refused
    # What was built is kept: with --force only the answers are asked again.
    assert (quantised.folder / "decoder.engine").stat().st_mtime_ns == quantised.built


def test_a_build_goes_on_where_it_was_interrupted(examples, home, monkeypatch):
    plan, real, built = BuildPlan.make("tiny", "rtx30", "int4"), engine_build.build_engine, []

    def interrupted(request, progress):
        built.append(request.engine.name)
        if len(built) == 2:
            raise KeyboardInterrupt
        return real(request, progress)

    monkeypatch.setattr(engine_build, "build_engine", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(plan, examples, [], home=home)
    assert not (home / plan.name).exists()
    folder = home / BUILDING / plan.name
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert {"vision.engine", "decoder.weights", "block_003.safetensors"} <= {path.name for path in times}
    written = []
    monkeypatch.setattr("molmo_ros.engine.graphs.graph_writer.GraphWriter.save", lambda *_: written.append(1))
    build(plan, examples, [], home=home)
    assert built == ["vision.engine", "decoder.engine", "decoder.engine"] and not written


def test_the_network_that_is_checked_is_the_one_that_was_built(gate, home, monkeypatch):
    """Where the builder went back to older operators for a part, perhaps in a build that was interrupted after it."""
    plan, built = BuildPlan.make("tiny", "rtx50", "fp16"), []
    monkeypatch.setattr(gate_measurement, "SMALL_GRAPH", 0)

    def build_engine(request, _):
        built.append(request.graph.name)
        if built == ["vision.onnx", "decoder.onnx"]:
            raise KeyboardInterrupt
        request.engine.write_bytes(b"none")
        return SimpleNamespace(lowering="legacy" if request.graph.name == "vision.onnx" else "native")

    monkeypatch.setattr(engine_build, "build_engine", build_engine)
    checked, real = {}, network_check.parse_graph

    def parse_graph(trt, graph, lowering):
        parsed = real(trt, graph, lowering)
        checked[graph.name] = {layer.kind for layer in parsed.network.layers}
        return parsed

    monkeypatch.setattr(network_check, "parse_graph", parse_graph)
    with pytest.raises(KeyboardInterrupt):
        build(plan, [], gate[:1], home=home)
    build(plan, [], gate[:1], home=home)
    assert built == ["vision.onnx", "decoder.onnx", "decoder.onnx"]
    assert "ATTENTION_INPUT" not in checked["vision.onnx"] and "SOFTMAX" in checked["vision.onnx"]
    assert "ATTENTION_INPUT" in checked["decoder.onnx"]


@pytest.mark.parametrize("copies", [1, 2])
def test_kernels_for_prompts_must_not_cost_the_weights_once_more(copies, home, monkeypatch):
    """Where the build chooses kernels: an engine that holds its weights for each profile is built again with one."""
    plan, built = BuildPlan.make("tiny", "rtx50", "fp16"), []
    assert not plan.prompts_apart
    plan = replace(plan, target=replace(plan.target, ahead=False))
    monkeypatch.setattr(engine_build, "KERNELS", 1000)

    def build_engine(request, _):
        built.append((request.graph.stem, request.prompt_profile is not None))
        request.engine.write_bytes(b"none")
        weights = request.graph.with_suffix(".weights").stat().st_size
        size = weights * (1 if request.prompt_profile is None else copies) + 900
        return SimpleNamespace(lowering=request.lowering, engine_size=size)

    monkeypatch.setattr(engine_build, "build_engine", build_engine)
    build(plan, [], [], home=home)
    assert built == [("vision", False), ("decoder", True)] + [("decoder", False)] * (copies - 1)
    assert not replace(plan, precision="int4").prompts_apart


def test_a_build_of_something_else_begins_anew(home, monkeypatch):
    """Parts of another context are not taken for this one's."""

    def stop(*_):
        raise KeyboardInterrupt

    plan = BuildPlan.make("tiny", "rtx30", "fp16")
    monkeypatch.setattr(engine_build, "build_engine", stop)
    with pytest.raises(KeyboardInterrupt):
        build(plan, [], [], home=home)
    graph = home / BUILDING / plan.name / "decoder.onnx"
    old = graph.read_bytes()
    other = BuildPlan.make("tiny", "rtx30", "fp16", max_context=1024)
    with pytest.raises(KeyboardInterrupt):
        build(other.__class__(**(vars(other) | {"name": plan.name})), [], [], home=home)
    assert graph.read_bytes() != old


def test_other_pictures_are_another_build(examples, home, monkeypatch):
    """As many, of the same size, with the same words: their engine is not the old one."""

    def stop(*_):
        raise KeyboardInterrupt

    plan = BuildPlan.make("tiny", "rtx30", "int4")
    monkeypatch.setattr(engine_build, "build_engine", stop)
    graphs = []
    for image in (examples[0].image, examples[1].image):
        with pytest.raises(KeyboardInterrupt):
            build(plan, [examples[0]._replace(image=image)], [], home=home)
        graphs.append((home / BUILDING / plan.name / "decoder.weights").read_bytes())
    assert graphs[0] != graphs[1]


def test_a_disk_that_is_too_small_is_told_before(home, monkeypatch):
    usage = engine_build.shutil.disk_usage("/")._replace(free=10**6)
    monkeypatch.setattr(engine_build.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(EngineError, match="0.0 GB of disk left; the build needs about.*MOLMO_ROS_HOME"):
        build(BuildPlan.make("tiny", "rtx30", "fp16"), [], [], home=home)


def ignore_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def command(home, *words, limit=0, background=False, quality=False):
    """The command line, in a process of its own; in the background it begins with SIGINT ignored, as shells do it."""
    before = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));" if limit else ""
    )
    code = f"{before}import sys; from molmo_ros.cli.main import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, "build", "tiny", *([] if quality else ["--no-quality"]), *words],
        env={**os.environ, "MOLMO_ROS_HOME": str(home.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=ignore_interrupts if background else None,
    )


def test_an_interrupt_leaves_no_engine_and_the_command_goes_on(home):
    words = ("--target", "rtx30", "--precision", "fp16")
    process = command(home, *words, background=True)
    seen = b""
    while b"decoder: building engine" not in seen and (part := process.stderr.read1(4096)):
        seen += part
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert not list(home.glob("[!.]*/manifest.json"))
    again = command(home, *words)
    out, error = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, error
    assert b"vision: " not in error  # it was finished before
    assert out.decode().splitlines() == [
        "quality: not measured: it was left out",
        str(home / "tiny-rtx30-fp16"),
    ]


def test_an_interrupt_of_the_gate_leaves_what_was_built(home):
    """While the parsed networks are computed: no engine yet, and none of it is built again."""
    words = ("--target", "rtx30", "--precision", "fp16")
    process = command(home, *words, quality=True)
    seen = b""
    while b"parsed network" not in seen and (part := process.stderr.read1(4096)):
        seen += part
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and b"Traceback" not in seen + error
    assert not list(home.glob("[!.]*/manifest.json"))
    again = command(home, *words)
    _, error = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, error
    assert b"vision: " not in error and b"decoder: " not in error
    assert (home / "tiny-rtx30-fp16" / "manifest.json").exists()


def test_a_disk_that_fills_up_leaves_no_engine(home):
    """Every file may have a megabyte: the weights do not fit."""
    process = command(home, "--target", "rtx30", limit=1 << 20)
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert b"cannot be written to" in error and b"Traceback" not in error
    assert not list(home.glob("[!.]*/manifest.json"))


def test_a_dry_run_builds_nothing(home, monkeypatch, capsys):
    monkeypatch.setenv("MOLMO_ROS_HOME", str(home.parent))
    assert main(["build", "tiny", "--target", "rtx40", "--precision", "int4", "--dry-run"]) == 0
    out, error = capsys.readouterr()
    assert "of memory; the engine will have about" in error
    assert "nothing was measured" in out and {"rtx4060", "rtx4090"} <= set(out.split())
    assert not home.exists() or not [path for path in home.iterdir() if path.is_dir()]


def test_pictures_of_ones_own(home, tmp_path, gate, monkeypatch, capsys):
    import cv2

    folder = tmp_path / "pictures"
    folder.mkdir()
    monkeypatch.setenv("MOLMO_ROS_HOME", str(home.parent))
    words = ["--target", "rtx40", "--precision", "int4", "--no-quality", "--pictures", str(folder)]
    assert main(["build", "tiny", *words]) == 2 and "holds 0 pictures" in capsys.readouterr().err
    for number in range(2):
        cv2.imwrite(str(folder / f"{number}.png"), gate[3 * number][0][..., ::-1])
    process = command(
        home,
        "--target",
        "rtx40",
        "--precision",
        "int4",
        "--pictures",
        str(folder),
        "--query",
        "Point to the cube.",
    )
    out, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, error
    assert (home / "tiny-rtx40-int4" / "manifest.json").exists()

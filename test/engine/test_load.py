# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Opening models with each engine: what is chosen, what is refused, and that nothing breaks where a package lacks."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from types import ModuleType

import pytest
import torch

from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.engine_build import build
from molmo_ros.engine.errors import EngineError, EngineMismatchError, TamperedEngineError
from molmo_ros.engine.load import load_molmo
from molmo_ros.engine.runtime_table import ENGINES, ONNXRUNTIME, RUNTIMES, EngineChoice
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.onnx_runner import open_runner
from molmo_ros.engine.store.kept_pass_times import PASS_TIMES
from molmo_ros.engine.store.manifest import Manifest
from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.checkpoint import load_checkpoint, save_checkpoint
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

QUERY = "how many things are there?"


@pytest.fixture(scope="module")
def picture():
    return render(Scene.random(20_003), *SENSOR).rgb


@pytest.fixture(scope="module")
def expected(picture):
    answer = Molmo.from_pretrained("tiny").query(picture, QUERY)
    assert answer.points
    return answer


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home with the embedded model's engine for onnxruntime, and one for RTX 30."""
    folder = tmp_path_factory.mktemp("home")
    folder.chmod(0o700)
    for target in ("onnx", "rtx30"):
        build(BuildPlan.make("tiny", target), [], [], home=folder / "engines")
    return folder


@pytest.fixture
def home(built, tmp_path, monkeypatch):
    """A copy of that home, so that a test can spoil it."""
    folder = tmp_path / "home"
    shutil.copytree(built, folder)
    for path in (tmp_path, folder):
        path.chmod(0o700)
    monkeypatch.setenv("MOLMO_ROS_HOME", str(folder))
    return folder / "engines"


def test_what_tensorrt_parsed_says_the_same(picture, expected):
    """Word for word, point for point, without its GPU."""
    molmo = load_molmo("tiny", engine="parsed")
    assert molmo.runtime.name == "parsed"
    answer = molmo.query(picture, QUERY)
    assert answer.text == expected.text
    assert [(p.x, p.y) for p in answer.points] == [(p.x, p.y) for p in expected.points]


def test_what_is_for_tests_is_not_in_lists(tmp_path):
    assert "parsed" not in ENGINES
    with pytest.raises(MolmoError, match="one of auto, torch, onnx, tensorrt, remote$"):
        load_molmo("tiny", engine="nonsense")
    with pytest.raises(MolmoError, match="engine_path goes with engine onnx or tensorrt, not with parsed"):
        load_molmo("tiny", engine="parsed", engine_path=tmp_path)


@pytest.mark.parametrize("engine", ["auto", "torch", "onnx"])
def test_every_engine_says_the_same(engine, picture, expected, home):
    molmo = load_molmo("tiny", engine=engine)
    assert isinstance(molmo.runtime, TorchRuntime if engine == "torch" else EngineRuntime)
    assert molmo.runtime.name == ("torch" if engine == "torch" else "onnx")
    answer = molmo.query(picture, QUERY)
    assert (answer.text, answer.tokens) == (expected.text, expected.tokens)
    assert [(p.x, p.y) for p in answer.points] == [(p.x, p.y) for p in expected.points]


def test_an_engine_that_was_built(picture, expected, home):
    for path in ("tiny-onnx-fp32", home / "tiny-onnx-fp32"):
        molmo = load_molmo("tiny", engine="onnx", engine_path=path)
        assert molmo.runtime.shapes == Manifest.read(home / "tiny-onnx-fp32").shapes
        assert molmo.query(picture, QUERY).text == expected.text


def test_a_new_runtime_is_a_row_and_its_runner(home, picture, expected, monkeypatch):
    """Nothing else has to know of it: neither manifests nor what finds, checks and opens engines."""
    row = replace(ONNXRUNTIME, name="echo", runner="echo_runner")
    monkeypatch.setitem(RUNTIMES, "echo", row)
    monkeypatch.setitem(ENGINES, "echo", EngineChoice("echo", "as onnx", (row,), target="onnx"))
    opened = []
    runner = ModuleType("echo_runner")
    runner.open_runner = lambda setup: opened.append(setup.runtime) or open_runner(setup)
    monkeypatch.setitem(sys.modules, "molmo_ros.engine.runtimes.echo_runner", runner)
    with pytest.raises(EngineError, match="no echo engine was built for tiny.*--target onnx"):
        load_molmo("tiny", engine="echo")
    engine = home / "tiny-onnx-fp32"
    replace(Manifest.read(engine), runtime="echo").write(engine)
    assert load_molmo("tiny", engine="echo").query(picture, QUERY).text == expected.text
    assert opened == [row]
    with pytest.raises(EngineMismatchError, match="an engine of echo; here one of onnx"):
        load_molmo("tiny", engine="onnx", engine_path=engine)


def test_an_engine_looks_no_closer_than_it_was_built_for(home):
    with pytest.raises(
        EngineError, match="max_crops 2 is more than the 1.*--max-crops 2: molmo-ros build tiny"
    ):
        load_molmo("tiny", engine="onnx", engine_path="tiny-onnx-fp32", max_crops=2)
    assert (
        load_molmo("tiny", engine="onnx", max_crops=2).crop_budget.max_crops == 2
    )  # exported as it is loaded


def test_auto_keeps_to_torch_where_answers_would_differ():
    assert isinstance(load_molmo("tiny", dtype="bfloat16").runtime, TorchRuntime)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "onxx"}, "'onxx' is not known; it must be one of auto, torch, onnx, tensorrt"),
        ({"engine": "torch", "engine_path": "x"}, "goes with engine onnx or tensorrt, not with torch"),
        ({"engine": "onnx", "dtype": "float16"}, "dtype float16 goes with engine torch"),
        ({"engine": "onnx", "engine_path": "nobody"}, "neither.*tiny-onnx-fp32, tiny-rtx30-bf16"),
        ({"engine": "tensorrt", "engine_path": "tiny-onnx-fp32"}, "an engine of onnx; here one of tensorrt"),
        ({"engine": "onnx", "engine_path": "tiny-rtx30-bf16"}, "an engine of tensorrt_rtx; here one of onnx"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message, home):
    with pytest.raises(MolmoError, match=message):
        load_molmo("tiny", **arguments)


def test_without_an_engine_the_message_has_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLMO_ROS_HOME", str(tmp_path))
    with pytest.raises(EngineError, match="no tensorrt engine was built.*molmo-ros build tiny --target this"):
        load_molmo("tiny", engine="tensorrt")


def test_an_engine_of_a_gpu_needs_one(home):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EngineMismatchError, match="runs on a GPU, and CUDA sees none"):
        load_molmo("tiny", engine="tensorrt")


def test_an_engine_of_other_weights_is_refused(home, tmp_path):
    """The same shapes, one value changed: a fine-tuned model."""
    model = load_checkpoint(EMBEDDED / "tiny")
    with torch.no_grad():
        model.decoder.norm.weight[0] += 0.5
    other = tmp_path / "tuned"
    shutil.copytree(EMBEDDED / "tiny", other)
    for name in ("checksums.json", "calibration.json"):
        (other / name).unlink(missing_ok=True)
    save_checkpoint(model, other)
    with pytest.raises(EngineMismatchError, match="molmo-ros build tiny --target onnx"):
        load_molmo(other, engine="onnx", engine_path="tiny-onnx-fp32")


def test_tampering_is_seen_before_anything_is_used(home):
    engine = home / "tiny-onnx-fp32"
    weights = engine / "decoder.weights"
    content = bytearray(weights.read_bytes())
    content[5000] ^= 1
    weights.write_bytes(content)
    with pytest.raises(
        TamperedEngineError, match="decoder.weights is not what was built.*molmo-ros build tiny"
    ):
        load_molmo("tiny", engine="onnx", engine_path=engine)
    content[5000] ^= 1
    weights.write_bytes(content)
    load_molmo("tiny", engine="onnx", engine_path=engine)
    manifest = json.loads((engine / "manifest.json").read_text())
    manifest["shapes"]["max_context"] = 99999
    (engine / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TamperedEngineError, match="manifest.json"):
        load_molmo("tiny", engine="onnx", engine_path=engine)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_context": 1 << 30}, "of 1073741824 tokens of context; the model ends at"),
        ({"max_context": 700}, "decoder graph is of another model, other limits.*past_key_0"),
        ({"slots": 9}, "image features of 9 patches; the model's have 4"),
    ],
    ids=str,
)
def test_shapes_that_are_not_the_graphs_are_refused_before_anything_is_allocated(change, says, home):
    """Signed, as somebody who knows the format would; or the files of another build."""
    engine = home / "tiny-onnx-fp32"
    manifest = Manifest.read(engine)
    replace(manifest, shapes=replace(manifest.shapes, **change)).write(engine)
    with pytest.raises(EngineMismatchError, match=f"{says}.*molmo-ros build tiny --target onnx"):
        load_molmo("tiny", engine="onnx", engine_path=engine)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_type_that_is_not_the_graphs_is_refused(dtype, home):
    engine = home / "tiny-onnx-fp32"
    replace(Manifest.read(engine), dtype=dtype).write(engine)
    with pytest.raises(
        EngineMismatchError, match=r"decoder graph is of another model.*embeddings \(tensor\(float\)"
    ):
        load_molmo("tiny", engine="onnx", engine_path=engine)


def test_a_cache_that_others_can_write_to_is_refused(home):
    for path in (home / "tiny-onnx-fp32" / "vision.onnx", home / "tiny-onnx-fp32", home):
        path.chmod(path.stat().st_mode | 0o020)
        with pytest.raises(TamperedEngineError, match="chmod go-w"):
            load_molmo("tiny", engine="onnx", engine_path="tiny-onnx-fp32")
        path.chmod(path.stat().st_mode & ~0o020)
    load_molmo("tiny", engine="onnx", engine_path="tiny-onnx-fp32")


@pytest.mark.parametrize(
    "missing", [("onnx",), ("onnxruntime",), ("onnx", "onnxruntime", "tensorrt", "tensorrt_rtx")]
)
def test_nothing_breaks_where_packages_are_missing(missing):
    """A machine with torch only: auto is torch, and the others say what to install."""
    code = f"""
import importlib.util, sys
for name in {missing!r}:
    sys.modules[name] = None
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {missing!r} else find(name, *rest)
import importlib.metadata as metadata
version = metadata.version
def hidden(name):
    if name in {missing!r}:
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = hidden
from molmo_ros.engine.load import load_molmo
from molmo_ros.engine.errors import EngineError
print(type(load_molmo("tiny").runtime).__name__)
try:
    load_molmo("tiny", engine="tensorrt")
except EngineError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("TorchRuntime\n")
    assert "molmo-ros build" in result.stdout


def asked_in_a_process(before, *engines, **environment):
    """Of each engine, where the machine is as `before` makes it: which runtime answers with which text, and stderr."""
    code = f"""{before}
import logging, sys
logging.basicConfig(level="WARNING")
import numpy as np
from molmo_ros.engine.load import load_molmo
from molmo_ros.molmo.errors import MolmoError
for engine in {engines!r}:
    try:
        molmo = load_molmo("tiny", engine=engine)
    except MolmoError as error:
        print("refused:", error)
    else:
        print(molmo.runtime.name, molmo.ask(np.zeros((240, 320, 3), np.uint8), "how many things are there?").text)
    print("\\0", end="", flush=True)
    print("\\0", end="", flush=True, file=sys.stderr)
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    said, errors = (text.split("\0") for text in (result.stdout, result.stderr))
    assert len(said) == len(errors) == len(engines) + 1 and said[-1] == errors[-1] == ""
    return list(zip(map(str.strip, said[:-1]), errors[:-1], strict=True))


def test_auto_needs_no_folder_to_write_to(tmp_path):
    """A temporary folder that is none, a home that is none, and a disk on which no file may have a byte."""
    no_folder = tmp_path / "file"
    no_folder.write_text("")
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    nowhere = {name: str(no_folder) for name in ("TMPDIR", "TEMP", "TMP", "HOME", "MOLMO_ROS_HOME")}
    for said, error in asked_in_a_process(full, "auto", "onnx", **nowhere, PYTHONDONTWRITEBYTECODE="1"):
        assert said.startswith("onnx ") and error == ""


def test_an_export_leaves_nothing_behind_however_it_ends(tmp_path):
    """Killed, it has no time to clear up: so nothing may be there at any time."""
    code = (
        "from molmo_ros.engine.load import load_molmo\nprint('loading', flush=True)\n"
        "while True: load_molmo('tiny', engine='onnx'); print('loaded', flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    seen = set()
    for line in process.stdout:
        seen |= set(os.listdir(tmp_path))
        if line.startswith("loaded"):
            break
    process.terminate()
    process.wait(timeout=60)
    assert not seen and not os.listdir(tmp_path)


BROKEN = {
    "import": "import sys; sys.modules['onnxruntime'] = None",
    "session": """
import onnxruntime
def refuse(*_, **__):
    raise RuntimeError("no such operator")
onnxruntime.InferenceSession = refuse
""",
    "export": """
import molmo_ros.engine.graphs.export as export
def full(*_, **__):
    raise OSError(28, "No space left on device", "/tmp/x")
export.graphs_in_memory = full
""",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_auto_is_what_works(kind):
    (said, error), (onnx, onnx_error) = asked_in_a_process(BROKEN[kind], "auto", "onnx")
    assert said.startswith("torch ") and "onnxruntime cannot run" in error and "so torch does" in error
    assert onnx.startswith("refused: ") and onnx_error == ""


def test_what_passes_cost_is_kept_with_the_engine(home, picture, request):
    """The engine's first answers measure it, once; a later process begins with it."""
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    engine = home / "tiny-onnx-fp32"
    first = load_molmo("tiny", engine="onnx", engine_path=engine, threads=1)
    kept = engine / PASS_TIMES
    assert not kept.exists()
    encoded = first.encode(picture)
    for number in range(60):
        first.answers(
            encoded, [ImageQuery(asked=Asked.COUNT, label=f"thing {n}") for n in range(number % 17 + 1)]
        )
        if kept.exists():
            break
    content = kept.read_bytes()
    later = load_molmo("tiny", engine="onnx", engine_path=engine, threads=1)
    fresh = load_molmo("tiny", engine="onnx", engine_path=engine, threads=2)  # other threads, other times
    assert later.answerer.pass_times.cost(16) > 1
    assert later.answerer.pass_times.cost(16) != fresh.answerer.pass_times.cost(16)
    later.point(picture, "cube")
    assert kept.read_bytes() == content

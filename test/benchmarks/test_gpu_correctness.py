# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The comparison of all ways of running the embedded model, on the CPU and on few scenes."""

import json

import pytest
import torch

from benchmarks import gpu_correctness


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    file = tmp_path_factory.mktemp("gpu") / "figures.json"
    with pytest.MonkeyPatch.context() as patch:
        arguments = [
            "--device",
            "cpu",
            "--precisions",
            "float32,float16",
            "--scenes",
            "2",
            "--json",
            str(file),
        ]
        patch.setattr("sys.argv", ["gpu_correctness", *arguments])
        gpu_correctness.main()
    return json.loads(file.read_text())


def test_float32_answers_word_for_word(found):
    results = found["results"]
    names = [gpu_correctness.REFERENCE, "float32, onnxruntime", "float32, eager", "float32, static"]
    assert list(results)[:4] == names
    for name in names:
        one = results[name]
        assert one["answers"] == 16 and one["identical"] == 16
        assert one["drifts"] and max(one["drifts"]) == 0


def test_other_formats_are_compared(found):
    eager, static = (found["results"][f"float16, {name}"] for name in ("eager", "static"))
    assert eager["answers"] == static["answers"] == 16
    assert min(eager["identical"], static["identical"]) > 8


@pytest.mark.skipif(torch.cuda.is_available(), reason="without a GPU")
def test_engines_say_what_they_miss(found):
    assert set(found["failed"]) == {"float16, tensorrt", "float16, tensorrt_rtx"}
    assert all("cannot" in reason for reason in found["failed"].values())


def test_unknown_precisions_are_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu_correctness", "--device", "cpu", "--precisions", "float8"])
    with pytest.raises(SystemExit):
        gpu_correctness.main()
    assert "no such precisions: float8; there are float32, bfloat16, float16" in capsys.readouterr().err

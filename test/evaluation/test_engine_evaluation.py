# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The gate of builds: the engine's score beside the 16-bit model's."""

import numpy as np
import pytest

from molmo_ros.engine.benchmark_gate import BenchmarkVerdict
from molmo_ros.engine.build_plan import BuildPlan
from molmo_ros.engine.engine_build import build
from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.store.manifest import Manifest
from molmo_ros.evaluation.answer_record import AnswerRecord
from molmo_ros.evaluation.engine_evaluation import EngineEvaluation, surely_worse
from molmo_ros.evaluation.evaluation_error import EvaluationError
from molmo_ros.evaluation.format_table import read_benchmark, rules_named
from molmo_ros.molmo.status import Status

IN, OUT = (35.0, 15.0), (5.0, 5.0)


@pytest.mark.parametrize(
    "losses, worse",
    [
        ([0] * 100, False),
        ([1] * 10, True),
        ([1, 0], False),  # one question of two: chance
        ([1] + [0] * 99, False),  # a hundredth
        ([1] * 5 + [-1] * 3 + [0] * 92, False),  # two hundredths, and what is won and lost is more than that
        ([1] * 9 + [0] * 91, True),
        ([0.01] * 100, False),  # surely, and less than is allowed
        ([1] * 6 + [-1] * 5 + [0] * 20, False),
        ([-1] * 10, False),  # better
        ([1], False),
        ([], False),
    ],
)
def test_what_is_surely_worse(losses, worse):
    assert surely_worse(np.array(losses, float)) is worse


@pytest.fixture
def evaluation(point_bench, entry):
    folder = point_bench(*(entry(f"{number:02d}.png") for number in range(20)))
    benchmark = read_benchmark("point-bench", folder)
    return EngineEvaluation(benchmark, rules_named("point-bench", ["lmms-eval", "ai2"]))


def answers(*points):
    return {
        str(number): AnswerRecord(str(number), Status.FOUND, "", one, (40, 60))
        for number, one in enumerate(points)
    }


def test_an_engine_that_is_as_good(evaluation):
    verdict = evaluation.judge(answers(*[(IN,)] * 19, (OUT,)), answers((OUT,), *[(IN,)] * 19))
    assert verdict.refusal == ""
    assert (
        "point-bench by rule lmms-eval: the 16-bit model 95.00, the engine 95.00, on 20 questions, of which it "
        "answers 1 better and 1 worse." in verdict.text
    )
    assert verdict.figures["rules"]["ai2"] == {
        "reference": 0.95,
        "engine": 0.95,
        "questions": 20,
        "better": 1,
        "worse": 1,
    }


def test_an_engine_that_has_become_worse(evaluation):
    """Half of each answer of eight is wrong: a fifth of the score by the first rule, which decides."""
    verdict = evaluation.judge(answers(*[(IN,)] * 20), answers(*[(IN, OUT)] * 8, *[(IN,)] * 12))
    assert verdict.refusal == (
        "the engine loses 20.0 points of the point-bench benchmark by rule lmms-eval, more than 2 and more than chance"
    )
    assert verdict.figures["rules"]["ai2"]["engine"] == 0.6


def test_nothing_that_can_be_asked(evaluation):
    with pytest.raises(EvaluationError, match="no question of the point-bench benchmark could be asked"):
        evaluation.judge({}, {})


class Refusing:
    """Stands for a benchmark: notes which models it is given, and refuses the engine."""

    def __init__(self):
        self.asked, self.judged = [], None

    def ask(self, model, progress):
        self.asked.append(model.runtime.name)
        progress(1, 1)
        return {"0": len(self.asked)}

    def judge(self, reference, candidate):
        self.judged = (reference, candidate)
        return BenchmarkVerdict("It has fallen.", {"score": 3}, "the engine is worse")


def test_a_build_asks_both_and_keeps_what_was_found(tmp_path):
    plan, refusing = BuildPlan.make("tiny", "onnx"), Refusing()
    with pytest.raises(EngineError, match=r"^the engine is worse: It has fallen\. .* with --force$"):
        build(plan, [], [], benchmark=refusing, home=tmp_path)
    assert not (tmp_path / plan.name).exists()
    assert refusing.asked == ["torch", "onnx"] and refusing.judged == ({"0": 1}, {"0": 2})
    folder, said = build(plan, [], [], benchmark=Refusing(), home=tmp_path, force=True)
    assert said == "It has fallen. Measured with onnxruntime and the engine's graphs."
    assert Manifest.read(folder).quality["benchmark"] == {"score": 3}

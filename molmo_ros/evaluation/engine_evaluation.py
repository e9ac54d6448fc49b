# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A benchmark as a gate of builds: the score of the 16-bit model beside that of its engine, on the same pictures.

An engine is refused where it is surely worse: where its mean loss is more than `MOST_LOST` and more than `SURE` times
its standard error, over the same questions. A handful of questions can therefore not refuse an engine by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from molmo_ros.engine.benchmark_gate import BenchmarkVerdict
from molmo_ros.evaluation.answer_record import AnswerRecord
from molmo_ros.evaluation.evaluation_error import EvaluationError
from molmo_ros.evaluation.evaluation_report import SCORE, EvaluationReport
from molmo_ros.evaluation.evaluation_run import ask
from molmo_ros.evaluation.question import Benchmark
from molmo_ros.evaluation.rules import Rule
from molmo_ros.molmo.pipeline import Molmo

MOST_LOST = 0.02
"""Of the score, which is 0 to 1."""
SURE = 2.0
"""Standard errors."""


class EngineEvaluation:
    """A `BenchmarkGate`."""

    def __init__(self, benchmark: Benchmark, rules: Sequence[Rule], limit: int | None = None) -> None:
        """Asks nothing yet.

        Args:
            benchmark: What is asked.
            rules: To score by; the first decides.
            limit: Most questions; None for all.
        """
        self.benchmark, self.rules = benchmark, list(rules)
        self.questions = benchmark.part(limit)

    def ask(self, model: Molmo, progress: Callable[[int, int], None]) -> dict[str, AnswerRecord]:
        """See `BenchmarkGate`."""
        records: dict[str, AnswerRecord] = {}
        for step in ask(model, self.questions, lambda _: False):
            records |= {record.id: record for record in step.records}
            progress(step.done, step.total)
        return records

    def judge(
        self, reference: Mapping[str, AnswerRecord], candidate: Mapping[str, AnswerRecord]
    ) -> BenchmarkVerdict:
        """See `BenchmarkGate`.

        Raises:
            EvaluationError: No question could be asked.
        """
        before, after = (self._report(records) for records in (reference, candidate))
        if not before.answers:
            raise EvaluationError(f"no question of the {self.benchmark.format} benchmark could be asked")
        said, figures, refusal = [], {}, ""
        for number, rule in enumerate(self.rules):
            scores = [self._score(report, rule) for report in (before, after)]
            losses = self._losses(before, after, rule)
            better, worse = int((losses < 0).sum()), int((losses > 0).sum())
            said.append(
                f"{self.benchmark.format} by rule {rule.name}: the 16-bit model {100 * scores[0]:.2f}, the engine "
                f"{100 * scores[1]:.2f}, on {len(losses)} questions, of which it answers {better} better and {worse} "
                "worse."
            )
            figures[rule.name] = {
                "reference": scores[0],
                "engine": scores[1],
                "questions": len(losses),
                "better": better,
                "worse": worse,
            }
            if number == 0 and surely_worse(losses):
                refusal = (
                    f"the engine loses {100 * losses.mean():.1f} points of the {self.benchmark.format} benchmark by "
                    f"rule {rule.name}, more than {100 * MOST_LOST:g} and more than chance"
                )
        skipped = len(before.skipped)
        if skipped:
            said.append(f"{skipped} questions were skipped: {before.skipped[0].reason}.")
        return BenchmarkVerdict(" ".join(said), {"format": self.benchmark.format, "rules": figures}, refusal)

    def _report(self, records: Mapping[str, AnswerRecord]) -> EvaluationReport:
        return EvaluationReport.of(
            self.benchmark.format, self.questions, records, self.rules, self.benchmark.skipped
        )

    @staticmethod
    def _score(report: EvaluationReport, rule: Rule) -> float:
        return next(result.score for result in report.results if result.rule is rule)

    @staticmethod
    def _losses(before: EvaluationReport, after: EvaluationReport, rule: Rule) -> np.ndarray:
        """float [n]: by how much each question's score is lower."""
        scores = [
            {one.question.id: one.scores[rule.name][SCORE] for one in report.answers}
            for report in (before, after)
        ]
        return np.array(
            [score - scores[1][number] for number, score in scores[0].items() if number in scores[1]]
        )


def surely_worse(losses: np.ndarray) -> bool:
    """Whether losses [n] of the same questions are more than is allowed, and more than chance."""
    if len(losses) < 2:
        return False
    error = float(losses.std(ddof=1)) / len(losses) ** 0.5
    return bool(losses.mean() > max(MOST_LOST, SURE * error))

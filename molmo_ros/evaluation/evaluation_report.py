# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The score of a benchmark's answers: by category and in all, by each rule that was chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from molmo_ros.evaluation.answer_record import AnswerRecord
from molmo_ros.evaluation.evaluation_error import UnusableError
from molmo_ros.evaluation.question import BenchmarkQuestion, Skipped
from molmo_ros.evaluation.rules import Rule

SCORE = "score"
SHOWN = 10
"""Skipped questions and notes that are printed; the JSON has all."""


@dataclass(frozen=True)
class ScoredReply:
    """An answer with what each rule says of it.

    Attributes:
        question: What was asked.
        record: What came of it.
        scores: By rule: "score", and what else it says.
        note: What was assumed of the truth, empty for nothing.
    """

    question: BenchmarkQuestion
    record: AnswerRecord
    scores: Mapping[str, Mapping[str, float]]
    note: str = ""


@dataclass(frozen=True)
class RuleResult:
    """What one rule says of all answers.

    Attributes:
        rule: Which.
        categories: Mean of each category, by what the rule says ("score", ...).
        questions: The mean of the questions, likewise.
    """

    rule: Rule
    categories: Mapping[str, Mapping[str, float]]
    questions: Mapping[str, float]

    @property
    def mean_of_categories(self) -> float:
        """Each category counts as much as another, however many questions it has."""
        return float(np.mean([means[SCORE] for means in self.categories.values()]))

    @property
    def score(self) -> float:
        """The figure for all, as this rule's published figures are."""
        return self.mean_of_categories if self.rule.by_category else self.questions[SCORE]


@dataclass(frozen=True)
class EvaluationReport:
    """A benchmark's result.

    Attributes:
        format: Of the benchmark.
        answers: Those that were scored, in the benchmark's order.
        skipped: What was not asked or cannot be scored.
        notes: What was assumed of the benchmark.
        results: Of each rule.
        wanted: How many questions were to be asked, with those that were skipped.
    """

    format: str
    answers: tuple[ScoredReply, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    results: tuple[RuleResult, ...]
    wanted: int

    @classmethod
    def of(
        cls,
        format_name: str,
        questions: Sequence[BenchmarkQuestion],
        records: Mapping[str, AnswerRecord],
        rules: Sequence[Rule],
        skipped: Sequence[Skipped] = (),
        notes: Sequence[str] = (),
    ) -> EvaluationReport:
        """Scores answers.

        Args:
            format_name: Of the benchmark.
            questions: What was asked.
            records: The answers by the question's id; a question without one must be among the skipped.
            rules: To score by.
            skipped: What could not be asked.
            notes: What was assumed of the benchmark.
        """
        answers, missing = [], {one.id: one for one in skipped}
        for question in questions:
            record = records.get(question.id)
            if record is None:
                continue
            try:
                truth, note = question.truth(record.size)
            except UnusableError as error:  # its mask has gone since it was asked
                missing[question.id] = Skipped(question.id, question.category, str(error))
                continue
            scores = {rule.name: rule.score(truth, record.reply) for rule in rules}
            answers.append(ScoredReply(question, record, scores, note))
        results = tuple(_result(rule, answers) for rule in rules) if answers else ()
        wanted = len({*missing, *(question.id for question in questions)})
        return cls(format_name, tuple(answers), tuple(missing.values()), tuple(notes), results, wanted)

    @property
    def statuses(self) -> dict[str, int]:
        """How many answers have each, most first."""
        return dict(Counter(answer.record.status.value for answer in self.answers).most_common())

    @property
    def assumed(self) -> list[str]:
        """What was assumed of the benchmark and of single truths."""
        return [*self.notes, *(answer.note for answer in self.answers if answer.note)]

    def worst(self, count: int) -> list[ScoredReply]:
        """So many answers that are not right by the first rule, the worst first."""
        name = self.results[0].rule.name if self.results else ""
        wrong = [answer for answer in self.answers if answer.scores[name][SCORE] < 1]
        return sorted(wrong, key=lambda answer: answer.scores[name][SCORE])[:count]

    def table(self) -> list[list[str]]:
        """Rows of the table, the first its heading: scores in percent."""
        columns = [(result, key) for result in self.results for key in result.questions]
        heading = [result.rule.name if key == SCORE else key for result, key in columns]
        rows = [["category", "questions", *heading]]
        counts = Counter(answer.question.category for answer in self.answers)
        for category in counts:
            cells = [f"{100 * result.categories[category][key]:.2f}" for result, key in columns]
            rows.append([category, str(counts[category]), *cells])
        total, marked = str(len(self.answers)), len(counts) > 1
        by_question = [
            f"{100 * result.questions[key]:.2f}{'*' if marked and not result.rule.by_category and key == SCORE else ''}"
            for result, key in columns
        ]
        rows.append(["all, mean of questions" if marked else "all", total, *by_question])
        if marked:
            by_category = [
                f"{100 * np.mean([means[key] for means in result.categories.values()]):.2f}"
                f"{'*' if result.rule.by_category and key == SCORE else ''}"
                for result, key in columns
            ]
            rows.append(["all, mean of categories", total, *by_category])
        return rows

    def remarks(self) -> list[str]:
        """What belongs to the table: statuses, rules, what was skipped and assumed."""
        lines = [", ".join(f"{status} {count}" for status, count in self.statuses.items())]
        if len({answer.question.category for answer in self.answers}) > 1:
            lines.append("* the figure for all, as that rule's published figures are")
        lines += [
            f"{result.rule.name}: {result.rule.explanation}. {result.rule.of}" for result in self.results
        ]
        if self.skipped:
            lines.append(
                f"{len(self.skipped)} of {self.wanted} questions were skipped: these are figures of the rest, and not "
                "comparable with figures of all"
            )
            lines += [f"  {one.category} {one.id}: {one.reason}" for one in self.skipped[:SHOWN]]
            lines += [f"  and {len(self.skipped) - SHOWN} more (--json OUT has all)"] * (
                len(self.skipped) > SHOWN
            )
        assumed = self.assumed
        lines += [
            *assumed[:SHOWN],
            *[f"and {len(assumed) - SHOWN} more such remarks"] * (len(assumed) > SHOWN),
        ]
        return lines

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "rule": {result.rule.name: _plain(result) for result in self.results},
            "questions": self.wanted,
            "scored": len(self.answers),
            "statuses": self.statuses,
            "skipped": [vars(one) for one in self.skipped],
            "notes": list(self.notes),
            "answers": [
                answer.record.plain()
                | {
                    "category": answer.question.category,
                    "picture": answer.question.picture.name,
                    "words": answer.question.words,
                    "scores": {rule: dict(scores) for rule, scores in answer.scores.items()},
                    "note": answer.note,
                }
                for answer in self.answers
            ],
        }


def _result(rule: Rule, answers: Sequence[ScoredReply]) -> RuleResult:
    by_category: dict[str, list[Mapping[str, float]]] = {}
    for answer in answers:
        by_category.setdefault(answer.question.category, []).append(answer.scores[rule.name])
    everything = [scores for one in by_category.values() for scores in one]
    return RuleResult(
        rule, {name: _means(scores) for name, scores in by_category.items()}, _means(everything)
    )


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([one[key] for one in scores])) for key in scores[0]}


def _plain(result: RuleResult) -> dict[str, Any]:
    return {
        "explanation": result.rule.explanation,
        "comparable_with": result.rule.of,
        "score": result.score,
        "mean_of_questions": dict(result.questions),
        "mean_of_categories": result.mean_of_categories,
        "categories": {name: dict(means) for name, means in result.categories.items()},
    }

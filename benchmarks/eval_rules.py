# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The rules of each benchmark format beside each other, on the same answers of the embedded model.

    python -m benchmarks.eval_rules [--model tiny] [--scenes 40]

The sets are simulated scenes in the layouts of the public benchmarks (`simulated_benchmarks`): half of them wide, half
typed, 640x480 to 1920x1080, none of them seen in training. Every question is asked once; each rule scores the
answers that there are. Beside each score its mean over categories. Prints the table of docs/eval.md; minutes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.simulated_benchmarks import WRITERS
from molmo_ros.engine.load import load_molmo
from molmo_ros.evaluation.answer_record import AnswerRecord
from molmo_ros.evaluation.evaluation_report import EvaluationReport
from molmo_ros.evaluation.evaluation_run import Answering, ask
from molmo_ros.evaluation.format_table import FORMATS, read_benchmark
from molmo_ros.train.held_out import HeldOutScene, typed_scenes, wide_scenes


def scenes(count: int) -> Iterator[HeldOutScene]:
    """Half of each kind."""
    return chain(wide_scenes(count // 2), typed_scenes(count - count // 2))


def evaluated(format_name: str, folder: Path, model: Answering) -> EvaluationReport:
    """The answers to a set, by every rule of its format."""
    benchmark = read_benchmark(format_name, folder)
    records: dict[str, AnswerRecord] = {}
    skipped = list(benchmark.skipped)
    for progress in ask(model, benchmark.questions, lambda _: False):
        records |= {record.id: record for record in progress.records}
        skipped += progress.skipped
    rules = FORMATS[format_name].rules
    return EvaluationReport.of(format_name, benchmark.questions, records, rules, skipped)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--scenes", type=int, default=40)
    args = parser.parse_args()
    model = load_molmo(args.model)
    rendered = list(scenes(args.scenes))
    print("| format | questions | rule | mean of questions | mean of categories |\n|---|---|---|---|---|")
    for format_name, write in WRITERS.items():
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            # The same queries about the same pictures in every layout that takes them.
            write(folder, [replace(one, rng=np.random.default_rng(n)) for n, one in enumerate(rendered)])
            report = evaluated(format_name, folder, model)
        assert not report.skipped, report.skipped
        for result in report.results:
            question, category = 100 * result.questions["score"], 100 * result.mean_of_categories
            count = len(report.answers)
            print(
                f"| {format_name} | {count} | `{result.rule.name}` | {question:.2f} | {category:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

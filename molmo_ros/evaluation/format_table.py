# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The formats of benchmarks: what reads each, and the rules that it may be scored by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from molmo_ros.evaluation import pixmo_points, point_bench, robospatial, rules, spatial_questions
from molmo_ros.evaluation.evaluation_error import EvaluationError, MissingEvalLibraryError
from molmo_ros.evaluation.question import Benchmark
from molmo_ros.evaluation.rules import Rule


@dataclass(frozen=True)
class BenchmarkFormat:
    """A format.

    Attributes:
        name: On the command line.
        files: What a folder of it has.
        rules: That its answers may be scored by; all look at the same kind of truth.
        read: Reads a folder; raises `EvaluationError`.
        read_worded: As `read`, where the user may choose which of the benchmark's words go to the model; None where
            there is no choice.
    """

    name: str
    files: str
    rules: tuple[Rule, ...]
    read: Callable[[Path], Benchmark]
    read_worded: Callable[[Path, str], Benchmark] | None = None


def _spatial(name: str, files: str) -> BenchmarkFormat:
    read = partial(spatial_questions.read_spatial_questions, name)
    return BenchmarkFormat(name, files, rules.SHARE, read, read)


FORMATS = {
    one.name: one
    for one in (
        BenchmarkFormat(
            point_bench.NAME,
            "data.json, selected_images/CATEGORY/, selected_masks/CATEGORY/",
            rules.POINT_BENCH,
            point_bench.read_point_bench,
        ),
        BenchmarkFormat(
            pixmo_points.NAME,
            "data/*.parquet with label, points, masks, and image or image_sha256; then the pictures below the folder",
            rules.PIXMO_POINTS,
            pixmo_points.read_pixmo_points,
        ),
        _spatial(
            spatial_questions.REFSPATIAL, "TASK/question.json with its pictures and masks, or data/*.parquet"
        ),
        _spatial(
            spatial_questions.WHERE2PLACE,
            "question.json with its pictures and masks, or point_questions.jsonl, images/, masks/",
        ),
        BenchmarkFormat(
            robospatial.NAME,
            "annotations.json and images/, or data/*.parquet",
            rules.ROBOSPATIAL,
            robospatial.read_robospatial,
        ),
    )
}


def read_benchmark(format_name: str, folder: Path, words: str | None = None) -> Benchmark:
    """A benchmark in a folder.

    Args:
        format_name: A key of `FORMATS`.
        folder: Where it lies.
        words: Which of its words go to the model; None for the usual ones.

    Raises:
        EvaluationError: There is no such benchmark, it has no question that can be asked, or has no choice of words.
    """
    chosen = FORMATS[format_name]
    if not folder.is_dir():
        raise EvaluationError(f"there is no folder {folder}; a {format_name} benchmark has {chosen.files}")
    if words is None:
        benchmark = chosen.read(folder)
    elif chosen.read_worded is None:
        raise EvaluationError(
            f"--words goes with {spatial_questions.REFSPATIAL} and {spatial_questions.WHERE2PLACE}, "
            f"whose questions have several texts, not with {format_name}"
        )
    else:
        benchmark = chosen.read_worded(folder, words)
    if not benchmark.questions:
        why = f": {benchmark.skipped[0].reason}" if benchmark.skipped else ""
        raise EvaluationError(f"{folder} has no question that can be asked{why}")
    return benchmark


def rules_named(format_name: str, names: Iterable[str]) -> list[Rule]:
    """The rules of these names, each once.

    Raises:
        EvaluationError: None was named, or a format has no such rule; the message explains those that it has. Or a
            rule needs what is not installed.
    """
    known = {rule.name: rule for rule in FORMATS[format_name].rules}
    names = list(dict.fromkeys(names))
    unknown = [name for name in names if name not in known]
    if names and not unknown:
        for rule in (known[name] for name in names):
            if rule.library and find_spec(rule.library) is None:  # now, and not when all was asked
                raise MissingEvalLibraryError(rule.library, f"rule {rule.name}")
        return [known[name] for name in names]
    wrong = f"{format_name} has no rule {unknown[0]!r:.80}" if unknown else "--rule NAME is needed"
    lines = "\n".join(f"{rule.name}: {rule.explanation}. {rule.of}" for rule in known.values())
    raise EvaluationError(
        f"{wrong}: rules score the same answers differently, so choose the one whose figures you compare with. "
        f"Those of {format_name}:\n{lines}"
    )

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros eval FOLDER --format FORMAT --rule RULE`: how well a model points, measured on a public benchmark.

FOLDER holds a benchmark as it is published; nothing is downloaded. Its words go to the model as they are. Rules that
are in use for one benchmark give the same answers different scores, so one has to be chosen, or several that are then
shown beside each other; without --rule those of the format are explained.

With --json OUT every answer is kept in OUT.answers.jsonl as it comes. An evaluation that was broken off goes on with
--resume; one that is complete is scored again by other rules with --resume, without asking the model.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmo_ros.cli.arguments import add_model_options, given_path, local_choice, positive_int, positive_number
from molmo_ros.cli.printable import aligned, complain, say
from molmo_ros.molmo.errors import MolmoError

if TYPE_CHECKING:
    from molmo_ros.evaluation.evaluation_report import EvaluationReport
    from molmo_ros.evaluation.question import Benchmark, BenchmarkQuestion

EXIT_OK, EXIT_FAILED, EXIT_BAD_INPUT = 0, 1, 2
PAUSE = 30.0
"""Between two lines about how far it is [s]."""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; `args.run` runs it."""
    from molmo_ros.evaluation.format_table import FORMATS

    formats = "\n".join(f"  {one.name}: {one.files}" for one in FORMATS.values())
    parser = subparsers.add_parser(
        "eval",
        help="score a model on a public pointing benchmark",
        description=f"{__doc__}\nformats and what is in their folders:\n{formats}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=given_path, metavar="FOLDER", help="the benchmark, unpacked")
    add_benchmark_options(parser, required=True)
    parser.add_argument(
        "--limit", type=positive_int, metavar="N", help="ask N questions only, of every category in turn"
    )
    parser.add_argument(
        "--json", type=given_path, metavar="OUT", help="write the report to OUT, answers beside it"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the answers of --json OUT; begin where there are none",
    )
    parser.add_argument(
        "--worst",
        type=given_path,
        metavar="DIR",
        help="write pictures of the worst answers to the new folder DIR",
    )
    parser.add_argument(
        "--time-limit", type=positive_number, metavar="S", help="stop each answer after that many seconds"
    )
    parser.add_argument(
        "--max-new-tokens",
        type=positive_int,
        metavar="N",
        help="longest answer in tokens (default: 448; a count 3584)",
    )
    parser.add_argument(
        "--max-crops", type=positive_int, metavar="N", help="cut each picture into at most N tiles"
    )
    add_model_options(parser)
    parser.set_defaults(run=run)


def add_benchmark_options(parser: argparse.ArgumentParser, required: bool) -> None:
    """How a benchmark is read and scored."""
    from molmo_ros.evaluation.format_table import FORMATS
    from molmo_ros.evaluation.spatial_questions import WORDS

    parser.add_argument("--format", choices=list(FORMATS), required=required, help="what the folder holds")
    rules = "; ".join(f"{one.name}: {', '.join(rule.name for rule in one.rules)}" for one in FORMATS.values())
    parser.add_argument(
        "--rule",
        action="append",
        default=[],
        metavar="RULE",
        help=f"how answers are scored; repeatable ({rules})",
    )
    words = "; ".join(f"{name}: {what}" for name, what in WORDS.items())
    parser.add_argument(
        "--words",
        choices=list(WORDS),
        help=f"of refspatial and where2place, what goes to the model ({words})",
    )


def run(args: argparse.Namespace) -> int:
    """Asks and scores; returns the exit code, see `molmo_ros.cli.main`."""
    from molmo_ros.evaluation.answers_file import answers_path, check_out
    from molmo_ros.evaluation.evaluation_error import NotKeptError
    from molmo_ros.evaluation.format_table import read_benchmark, rules_named
    from molmo_ros.evaluation.worst_pictures import MOST, check_folder_for_pictures, write_worst

    try:
        rules = rules_named(args.format, args.rule)
    except MolmoError as error:
        for line in str(error).splitlines():
            complain(line)
        return EXIT_BAD_INPUT
    try:
        if args.resume and args.json is None:
            raise MolmoError("--resume goes on with the answers beside a report: name it with --json OUT")
        if args.json is not None:
            check_out(args.json, args.resume)
        if args.worst is not None:
            check_folder_for_pictures(args.worst)
        benchmark = read_benchmark(args.format, args.folder, args.words)
        report, identity = _evaluate(args, benchmark, rules, answers_path(args.json) if args.json else None)
    except MolmoError as error:
        complain(error)
        return EXIT_FAILED if isinstance(error, NotKeptError) else EXIT_BAD_INPUT
    except (RuntimeError, AssertionError) as error:  # torch: no such device, out of memory
        complain(error)
        return EXIT_FAILED
    if not report.answers:
        complain(f"none of {report.wanted} questions could be scored: {report.skipped[0].reason}")
        return EXIT_BAD_INPUT
    try:
        if args.json is not None:
            from molmo_ros.evaluation.answers_file import write_report
            from molmo_ros.evaluation.model_identity import versions

            head = {"format": args.format, "folder": str(args.folder), **identity, "versions": versions()}
            write_report(args.json, head | {"limit": args.limit} | report.plain())
        if args.worst is not None:
            write_worst(args.worst, report.worst(MOST))
    except MolmoError as error:
        complain(error)
        return EXIT_FAILED
    say("\n".join(aligned(report.table())))
    say("\n".join(report.remarks()))
    return EXIT_OK


def _evaluate(
    args: argparse.Namespace, benchmark: Benchmark, rules: list[Any], kept: Path | None
) -> tuple[EvaluationReport, dict[str, Any]]:
    """The report, and what was asked of which model."""
    from contextlib import nullcontext

    from molmo_ros.evaluation.answers_file import AnswersFile
    from molmo_ros.evaluation.evaluation_report import EvaluationReport
    from molmo_ros.evaluation.evaluation_run import ask
    from molmo_ros.evaluation.model_identity import engine_identity, model_identity
    from molmo_ros.molmo.running.generation import GenerateOptions

    questions = benchmark.part(args.limit)
    model = local_choice(args).load()
    identity = {
        "model": model_identity(args.model),
        "engine": engine_identity(model.runtime),
        "benchmark": {"questions_sha256": _questions_sha256(benchmark.questions), "words": args.words},
        "limits": {key: getattr(args, key) for key in ("time_limit", "max_new_tokens", "max_crops")},
    }
    options = GenerateOptions(args.max_new_tokens or "auto", args.time_limit)
    skipped, records = list(benchmark.skipped), {}
    answers = nullcontext() if kept is None else AnswersFile(kept, identity, args.resume)
    with answers as file:
        if file is not None:
            records = dict(file.answers)
        told = time.monotonic()
        try:
            for progress in ask(model, questions, records.__contains__, options):
                if file is not None and progress.records:
                    file.add(progress.records)
                records |= {record.id: record for record in progress.records}
                skipped += progress.skipped
                if time.monotonic() - told > PAUSE:
                    told = time.monotonic()
                    print(f"{progress.done} of {progress.total} questions", file=sys.stderr)
        except KeyboardInterrupt:
            kept_so_far = "none is kept without --json OUT" if file is None else "--resume goes on with them"
            complain(f"{len(records)} of {len(questions)} questions are answered; {kept_so_far}")
            raise
    notes = list(benchmark.notes)
    if len(questions) < len(benchmark.questions):
        notes.append(f"{len(questions)} of {len(benchmark.questions)} questions were asked (--limit)")
    report = EvaluationReport.of(args.format, questions, records, rules, skipped, notes)
    return report, identity


def _questions_sha256(questions: tuple[BenchmarkQuestion, ...]) -> str:
    """Tells whether the same was asked."""
    import hashlib
    import json

    asked = [[one.id, one.category, one.picture.name, one.words, one.is_label] for one in questions]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

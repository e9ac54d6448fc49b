# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros point`, `ask`, `count` and `describe`: one query about picture files, and how its answer is printed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from molmo_ros.cli.arguments import (
    add_model_options,
    given_path,
    local_choice,
    positive_int,
    positive_number,
    server_arguments,
)
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.status import Status

EXIT_OK, EXIT_FAILED, EXIT_BAD_INPUT = 0, 1, 2


class PictureQuery(NamedTuple):
    """A subcommand that is one query.

    Attributes:
        method: Of `Molmo`, and what the subcommand is called.
        help: In the list of subcommands.
        description: In its own help.
        words: What its words are called there, and what they say; none where it takes none.
        limits_points: Whether it can be told after how many points to stop.
    """

    method: str
    help: str
    description: str
    words: tuple[str, str] | None = None
    limits_points: bool = False


PICTURE_QUERIES = (
    PictureQuery(
        "point",
        "point at a thing in a picture, or in several",
        '`molmo-ros point IMAGE [IMAGE ...] "red cube"`: where is it, in pixels of its picture?',
        ("LABEL", 'what to point at, such as "red cube"'),
        limits_points=True,
    ),
    PictureQuery(
        "ask",
        "ask a question about a picture, or about several",
        '`molmo-ros ask IMAGE [IMAGE ...] "how many cups are there?"`: a question in free words.',
        ("QUESTION", 'such as "how many cups are there?"'),
    ),
    PictureQuery(
        "count",
        "count things in a picture, or in several",
        '`molmo-ros count IMAGE [IMAGE ...] "cups"`: how many are there, with a point on each?',
        ("LABEL", 'what to count, in the plural, such as "cups"'),
    ),
    PictureQuery(
        "describe",
        "describe a picture, or several",
        "`molmo-ros describe IMAGE [IMAGE ...]`: what is to be seen, in the words the models were trained on.",
    ),
)


def add_parser(subparsers: Any) -> None:
    """Adds these subcommands; `args.run` runs the one that was given."""
    for query in PICTURE_QUERIES:
        parser = subparsers.add_parser(query.method, help=query.help, description=query.description)
        _add_pictures(parser)
        parser.set_defaults(words=None, words_metavar="", max_points=None)
        if query.words:
            _add_words(parser, *query.words)
        _add_options(parser)
        if query.limits_points:
            parser.add_argument("--max-points", type=positive_int, metavar="N", help="stop after N points")
        parser.set_defaults(run=run)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    """The picture files: `args.pictures`."""
    parser.add_argument(
        "pictures",
        nargs="+",
        type=given_path,
        metavar="IMAGE",
        help="picture file; an EXIF rotation is applied, points are in the upright picture. Several go into one "
        "prompt, for Molmo2 and MolmoPoint (tiny has learnt from single pictures and takes every point to be in the "
        "first). Options stand before the first or after the words",
    )


def _add_words(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    """What is asked, after the pictures: `args.words`."""
    words = parser.add_argument("words", metavar=metavar, help=help)
    words.required = False  # where one argument is missing, `_check_words` knows which
    parser.set_defaults(usage_error=parser.error, words_metavar=metavar)


def _add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every subcommand that runs a model on picture files."""
    add_model_options(parser, remote=True)
    parser.add_argument(
        "--time-limit", type=positive_number, metavar="S", help="stop after that many seconds"
    )
    parser.add_argument(
        "--max-new-tokens",
        type=positive_int,
        metavar="N",
        help="longest answer in tokens (default: 448, about 40 points; for a count 3584, about 300 points)",
    )
    parser.add_argument(
        "--max-crops",
        type=positive_int,
        metavar="N",
        help="cut each picture into at most N tiles (default: as many as the model was trained with)",
    )
    parser.add_argument(
        "--latency",
        type=positive_number,
        metavar="S",
        help="use as many tiles as let a query take S seconds; measured first, which takes some queries",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--save",
        type=given_path,
        metavar="OUT.png",
        help="write the picture with the answer drawn in; several pictures side by side, in their order",
    )


def _check_words(args: argparse.Namespace) -> None:
    """Ends with a usage error where the words or the pictures were forgotten."""
    from molmo_ros.cli.picture import is_picture

    last = str(args.pictures[-1]) if args.words is None else args.words
    if is_picture(last):
        args.usage_error(f"{args.words_metavar} is missing: the last argument, {last}, is a picture")
    if args.words is None:
        args.usage_error(f"an IMAGE and a {args.words_metavar} are needed; there is only {last!r}")


def run(args: argparse.Namespace) -> int:
    """Loads the model, asks it about the pictures and prints the answer.

    Returns:
        The exit code, see `molmo_ros.cli.main`.
    """
    words: str | None = args.words
    if args.words_metavar:
        _check_words(args)
    from molmo_ros.cli.picture import read_picture, write_picture

    try:
        if words is not None and not words.strip():
            raise MolmoError("the query is empty")
        images = [read_picture(path) for path in args.pictures]
        # Loading torch takes a second or two: only now, when the input is known to be good.
        from molmo_ros.engine.open_model import open_model
        from molmo_ros.molmo.running.generation import GenerateOptions
        from molmo_ros.remote.server_arguments import ServerArguments

        model = open_model(local_choice(args), ServerArguments(**server_arguments(args)))
        # No warm-up, also on a GPU: for one query it would take longer than what it saves.
        options = GenerateOptions(args.max_new_tokens or "auto", args.time_limit)
        asked = () if words is None else (words,)
        answer = getattr(model, args.command)(images, *asked, options=options, max_points=args.max_points)
        if args.save:
            from molmo_ros.drawing import annotate

            write_picture(args.save, annotate(images, answer, words or args.command))
    except MolmoError as error:
        return report_error(str(error), args.json, EXIT_BAD_INPUT)
    except (RuntimeError, AssertionError) as error:
        # torch: no such device, out of memory. (A torch without CUDA asserts.)
        return report_error(str(error), args.json, EXIT_FAILED)
    print(json.dumps(answer_object(answer)) if args.json else answer_text(answer, args.pictures))
    more = "; --max-new-tokens N allows more" if answer.limit == "max_new_tokens" else ""
    for line in (answer.error + more, answer.crops.note if answer.crops else ""):
        if line:
            print(f"molmo-ros: {line}", file=sys.stderr)
    return EXIT_OK if answer.status.success else EXIT_FAILED


def report_error(message: str, as_json: bool, code: int) -> int:
    """One line on stderr and, for scripts, an object of the same shape as an answer."""
    line = " ".join(message.split())
    print(f"molmo-ros: {line}", file=sys.stderr)
    if as_json:
        print(json.dumps({**answer_object(Answer(Status.ERROR)), "error": line}))
    return code


def answer_object(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; `error` is there only where it is none that was asked for."""
    fields: dict[str, Any] = {
        "status": answer.status.value,
        "points": [_point_object(p) for p in answer.points],
        "count": answer.count,
        "truncated": answer.truncated,
        "limit": answer.limit or None,
        "not_found_probability": _probability(answer.not_found_probability),
        "calibrated": answer.calibrated,
        "text": answer.text,
        "timing_ms": {stage: round(value, 2) for stage, value in answer.timing_ms.items()},
        "crops": answer.crops.record() if answer.crops else None,
    }
    if answer.error and not answer.status.success:
        fields["error"] = answer.error
    return fields


def _point_object(point: Point) -> dict[str, Any]:
    return {
        "image": point.image,
        "x": round(point.x, 2),
        "y": round(point.y, 2),
        "label": point.label,
        "confidence": _probability(point.confidence),
    }


def _probability(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def answer_text(answer: Answer, pictures: Sequence[Path]) -> str:
    """For people: the status, a line per point, the count, and the text where it says more than that.

    A confidence that is not calibrated has a "~" before it. Where there are several pictures, each point's line
    names its own.
    """
    mark = "" if answer.calibrated else "~"
    names = [f"{path}  " for path in pictures] if len(pictures) > 1 else [""]
    widest = max(map(len, names))
    lines = [answer.status.value]
    for p in answer.points:
        sure = "" if p.confidence is None else f"{mark}{p.confidence:.2f}  "
        name = names[p.image].ljust(widest)
        lines.append(f"  {p.index}  {name}x {p.x:.1f} px  y {p.y:.1f} px  {sure}{p.label}".rstrip())
    if answer.count:
        lines.append(f"  count {answer.count}")
    if answer.text and not answer.points:
        lines.append(f"  {answer.text}")
    return "\n".join(lines)

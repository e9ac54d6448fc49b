"""What `point`, `ask`, `count` and `describe` share: their arguments, one inference, how its answer is printed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from molmo_ros.cli.path_argument import given_path
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.status import Status

EXIT_OK, EXIT_FAILED, EXIT_BAD_INPUT = 0, 1, 2


def add_pictures(parser: argparse.ArgumentParser) -> None:
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


def add_words(parser: argparse.ArgumentParser, metavar: str, help: str) -> None:
    """What is asked, after the pictures: `args.words`."""
    words = parser.add_argument("words", metavar=metavar, help=help)
    words.required = False  # where one argument is missing, `check_words` knows which
    parser.set_defaults(usage_error=parser.error, words_metavar=metavar)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every subcommand that runs a model on picture files."""
    add_model_options(parser)
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


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """What is loaded, and what runs it."""
    parser.add_argument(
        "--model",
        default="tiny",
        help="tiny, the name of a fetched model, or the folder of a Hugging Face checkpoint (default: tiny)",
    )
    parser.add_argument("--device", default="cpu", help="torch device: cpu, cuda, cuda:1 (default: cpu)")
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=["float32", "bfloat16", "float16"],
        help="of torch's weights and activations; an engine has its own (default: float32)",
    )
    parser.add_argument(
        "--engine",
        default="auto",
        choices=["auto", "torch", "onnx", "tensorrt"],
        help="what runs the model: torch, or an engine of `molmo-ros build`; auto is onnxruntime for a small model "
        "in float32 on the CPU, else torch (default: auto)",
    )
    parser.add_argument(
        "--engine-path",
        metavar="ENGINE",
        help="folder or name of the engine (default: the newest that was built for this model)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="threads of the CPU that the model computes with (default: all cores, or OMP_NUM_THREADS)",
    )


def positive_number(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return value


def check_words(args: argparse.Namespace) -> None:
    """Ends with a usage error where the words or the pictures were forgotten."""
    from molmo_ros.cli.picture import is_picture

    last = str(args.pictures[-1]) if args.words is None else args.words
    if is_picture(last):
        args.usage_error(f"{args.words_metavar} is missing: the last argument, {last}, is a picture")
    if args.words is None:
        args.usage_error(f"an IMAGE and a {args.words_metavar} are needed; there is only {last!r}")


def run_query(
    args: argparse.Namespace, method: str, words: str | None = None, max_points: int | None = None
) -> int:
    """Loads the model, calls its `method` with the pictures and prints the answer.

    Args:
        args: With what `add_pictures` and `add_options` define.
        method: Of `Molmo`: "point", "ask", "count" or "describe".
        words: The label or the question; None where the method takes none.
        max_points: Stop after so many points.

    Returns:
        The exit code, see `molmo_ros.cli.main`.
    """
    from molmo_ros.cli.picture import read_picture, write_picture

    try:
        if words is not None and not words.strip():
            raise MolmoError("the query is empty")
        images = [read_picture(path) for path in args.pictures]
        # Loading torch takes a second or two: only now, when the input is known to be good.
        from molmo_ros.engine.load import load_molmo
        from molmo_ros.molmo.running.generate import GenerateOptions

        model = load_molmo(
            args.model,
            engine=args.engine,
            engine_path=args.engine_path,
            device=args.device,
            dtype=args.dtype,
            max_crops=args.max_crops,
            latency_target=args.latency,
            threads=args.threads,
        )
        options = GenerateOptions(args.max_new_tokens or "auto", args.time_limit)
        asked = () if words is None else (words,)
        answer = getattr(model, method)(images, *asked, options=options, max_points=max_points)
        if args.save:
            from molmo_ros.drawing import annotate

            write_picture(args.save, annotate(images, answer, words or method))
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

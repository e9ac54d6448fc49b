"""What `point` and `ask` share: their options, one inference, and how its answer is printed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from molmo_ros.molmo.answer import Answer, Point, Status
from molmo_ros.molmo.errors import MolmoError

ANSWERED = (Status.FOUND, Status.NOT_FOUND, Status.ANSWERED)
EXIT_OK, EXIT_FAILED, EXIT_BAD_INPUT = 0, 1, 2


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every subcommand that runs a model on a picture."""
    parser.add_argument(
        "image", type=Path, metavar="IMAGE", help="picture file; an EXIF rotation is not applied"
    )
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
        help="of weights and activations (default: float32)",
    )
    parser.add_argument(
        "--time-limit", type=positive_number, metavar="S", help="stop after that many seconds"
    )
    parser.add_argument(
        "--max-crops",
        type=positive_int,
        metavar="N",
        help="cut the picture into at most N tiles (default: as many as the model was trained with)",
    )
    parser.add_argument(
        "--latency",
        type=positive_number,
        metavar="S",
        help="use as many tiles as let a query take S seconds; measured first, which takes some queries",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--save", type=Path, metavar="OUT.png", help="write the picture with the answer drawn in"
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


def run_query(args: argparse.Namespace, method: str, text: str, max_points: int | None = None) -> int:
    """Loads the model, calls its `method` ("point" or "ask") and prints the answer.

    Returns:
        The exit code, see `molmo_ros.cli.main`.
    """
    from molmo_ros.cli.picture import read_picture, write_picture

    try:
        if not text.strip():
            raise MolmoError("the query is empty")
        image = read_picture(args.image)
        # Loading torch takes a second or two: only now, when the input is known to be good.
        from molmo_ros.molmo.generate import GenerateOptions
        from molmo_ros.molmo.pipeline import Molmo

        model = Molmo.from_pretrained(
            args.model,
            device=args.device,
            dtype=args.dtype,
            max_crops=args.max_crops,
            latency_target=args.latency,
        )
        options = GenerateOptions(time_limit=args.time_limit) if args.time_limit else None
        answer = getattr(model, method)(image, text, options=options, max_points=max_points)
        if args.save:
            from molmo_ros.drawing import annotate

            write_picture(args.save, annotate(image, answer, text))
    except MolmoError as error:
        return report_error(str(error), args.json, EXIT_BAD_INPUT)
    except (RuntimeError, AssertionError) as error:
        # torch: no such device, out of memory. (A torch without CUDA asserts.)
        return report_error(str(error), args.json, EXIT_FAILED)
    print(json.dumps(answer_object(answer)) if args.json else answer_text(answer))
    for line in (answer.error, answer.crops.note if answer.crops else ""):
        if line:
            print(f"molmo-ros: {line}", file=sys.stderr)
    return EXIT_OK if answer.status in ANSWERED else EXIT_FAILED


def report_error(message: str, as_json: bool, code: int) -> int:
    """One line on stderr and, for scripts, an object of the same shape as an answer."""
    line = " ".join(message.split())
    print(f"molmo-ros: {line}", file=sys.stderr)
    if as_json:
        print(json.dumps({**answer_object(Answer(Status.ERROR)), "error": line}))
    return code


def answer_object(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer; `error` is there only where there is one."""
    fields: dict[str, Any] = {
        "status": answer.status.value,
        "points": [_point_object(p) for p in answer.points],
        "not_found_probability": _probability(answer.not_found_probability),
        "calibrated": answer.calibrated,
        "text": answer.text,
        "timing_ms": {stage: round(value, 2) for stage, value in answer.timing_ms.items()},
        "crops": answer.crops.record() if answer.crops else None,
    }
    if answer.error:
        fields["error"] = answer.error
    return fields


def _point_object(point: Point) -> dict[str, Any]:
    confidence = _probability(point.confidence)
    return {"x": round(point.x, 2), "y": round(point.y, 2), "label": point.label, "confidence": confidence}


def _probability(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def answer_text(answer: Answer) -> str:
    """For people: the status, a line per point, and the text where it says more than the points.

    A confidence that is not calibrated has a "~" before it.
    """
    mark = "" if answer.calibrated else "~"
    lines = [answer.status.value]
    for p in answer.points:
        sure = "" if p.confidence is None else f"{mark}{p.confidence:.2f}  "
        lines.append(f"  {p.index}  x {p.x:.1f} px  y {p.y:.1f} px  {sure}{p.label}".rstrip())
    if answer.text and not answer.points:
        lines.append(f"  {answer.text}")
    return "\n".join(lines)

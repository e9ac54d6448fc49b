# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros bag IN --query TEXT [--out OUT.mcap]`: asks about the pictures of a recorded bag.

The bag is a rosbag2 folder, a .db3 or an .mcap file. The results are written as the node's topics (/molmo_node/result,
objects, point, points, pixels, markers, ...) into a new MCAP file, which Foxglove and `ros2 bag play` open: log time
and header are those of the picture.

Exit codes: 0 done, 1 the model has failed, 2 bad input, 130 interrupted. What was done until then is written. Of a
damaged bag everything is asked about that can be read; what is missing is said at the end, with exit code 2.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import signal
import statistics
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from molmo_ros.cli.arguments import (
    add_model_options,
    given_path,
    number_from_zero,
    positive_number,
    server_arguments,
)
from molmo_ros.cli.parameters import add_parameter_options, given_parameters
from molmo_ros.cli.printable import complain, printable
from molmo_ros.molmo.errors import MolmoError

WITHOUT = {
    "queries": "--query asks",
    "tracking": "--track follows points",
    "autostart": "there is no life cycle",
    "cameras": "--query '@NAME ...' names the camera",
    "image_transport": "--image names the topic, whatever its transport",
    "depth_source": "--depth names the topic, of images or of clouds",
    "depth_transport": "--depth names the topic, whatever its transport",
    "max_frame_age": "a recorded picture is as old as it is",
    "max_queued_queries": "nothing waits",
    "region_rate": "--regions looks for objects at all points",
    "depth_patience": "depth is found wherever it was recorded",
    "transform_patience": "transforms are found wherever they were recorded",
}
"""Parameters of the node that a recording has no use for."""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; `args.run` runs it."""
    parser = subparsers.add_parser(
        "bag",
        help="ask about the pictures of a recorded bag",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bag", type=given_path, metavar="IN", help="rosbag2 folder, .db3 or .mcap file")
    parser.add_argument(
        "--query",
        action="append",
        required=True,
        metavar="TEXT",
        help="what to ask, written as on the node's query topic: 'red cube', 'count: cups', 'is the door open?', "
        "'@wrist red cube' for the camera whose topics are under /wrist; repeatable",
    )
    parser.add_argument(
        "--out", type=given_path, metavar="OUT.mcap", help="the new bag (default: IN_molmo.mcap beside IN)"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT.mcap where it exists")
    for option, what in (
        ("--image", "pictures, raw or compressed"),
        ("--depth", "depth, raw or compressedDepth, aligned to them or not; or a cloud"),
        ("--camera-info", "the pictures' calibration"),
        ("--depth-camera-info", "that of depth which is not aligned to them"),
    ):
        parser.add_argument(
            option, default="", metavar="TOPIC", help=f"{what} (default: found by type and name)"
        )
    parser.add_argument(
        "--rate",
        type=number_from_zero,
        default=1.0,
        metavar="HZ",
        help="ask at most so often, in the time of the recording; 0 asks about every picture (default: 1)",
    )
    parser.add_argument(
        "--target-frame",
        default="",
        metavar="FRAME",
        help="frame of the points in metres, by the bag's /tf and /tf_static (default: the optical frame)",
    )
    parser.add_argument(
        "--start", type=number_from_zero, default=0.0, metavar="S", help="begin so many seconds into the bag"
    )
    parser.add_argument(
        "--duration", type=positive_number, default=math.inf, metavar="S", help="read so many seconds of it"
    )
    parser.add_argument(
        "--track",
        action="store_true",
        help="follow the points between the answers, so that every picture has some",
    )
    parser.add_argument(
        "--annotated", action="store_true", help="write the pictures with the points drawn in"
    )
    parser.add_argument(
        "--regions",
        action="store_true",
        help="write the objects at the points, too: boxes, pixels, surfaces, grasps",
    )
    parser.add_argument("--copy", action="store_true", help="copy the topics of IN into OUT.mcap")
    add_model_options(parser, remote=True)
    parser.add_argument("--json", action="store_true", help="print one JSON object per answer")
    add_parameter_options(parser, WITHOUT)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Asks; returns the exit code."""
    missing = [one for one in ("rclpy", "molmo_msgs", "rosbags") if find_spec(one) is None]
    if missing:
        return _fail(f"bags need ROS 2, molmo_msgs and rosbags; not installed: {', '.join(missing)}", 2)
    from molmo_ros.node.answers.fatal_error import FatalModelError

    try:
        return _run(args)
    except MolmoError as error:
        return _fail(str(error), 2)
    except (FatalModelError, RuntimeError, AssertionError) as error:  # torch: no such device, out of memory
        return _fail(str(error), 1)


def _run(args: argparse.Namespace) -> int:
    from molmo_ros.bag.camera_topics import UNNAMED, find_camera
    from molmo_ros.bag.query_run import QueryRun, RunSettings
    from molmo_ros.bag.recorded_bag import RecordedBag
    from molmo_ros.bag.result_bag import ResultBag
    from molmo_ros.node.answers.inference import load_model, warm_up
    from molmo_ros.node.records.model_choice import ModelChoice

    queries, camera = _queries(args.query)
    settings = RunSettings(
        queries,
        args.rate,
        {"target_frame": args.target_frame} | given_parameters(args),
        args.start,
        args.duration,
        args.track,
        args.copy,
        args.regions,
    )
    stop = threading.Event()
    with RecordedBag(args.bag) as bag:
        for note in bag.notes:
            complain(f"{args.bag}: {note}")
        types = {one.topic: one.msgtype for one in bag.connections if one.msgcount}
        topics = find_camera(
            types,
            image=args.image,
            depth=args.depth,
            info=args.camera_info,
            depth_info=args.depth_camera_info,
            camera=camera,
        )
        run = QueryRun(bag, topics, camera or UNNAMED, settings, stop)
        path = args.out or beside(args.bag)
        if path.exists() and path.samefile(args.bag):
            return _fail(f"{path} is the bag that is read", 2)
        output = ResultBag(path, force=args.force, without=_unwanted(args))
        _say_topics(topics, settings.parameters)
        model, options = load_model(
            ModelChoice(
                args.model,
                args.device,
                args.dtype,
                args.engine,
                args.engine_path or "",
                args.threads,
                **server_arguments(args),
            )
        )
        try:
            warm_up(model, lambda _done: None)  # on a GPU; the recorded times are to be those of queries
            with _set_at_signals(stop), output, _RecordingBar((run.end - run.start) * 1e-9) as bar:
                on_answer = bar.print_answer if args.json else lambda _array: None
                run.run(model, options, output, on_answer=on_answer, on_progress=bar.show)
        finally:
            for loss in bag.losses:
                complain(f"{args.bag}: {loss}")
            if run.summary.pictures:
                _say_summary(run.summary, path, sys.stderr if args.json else sys.stdout)
        if stop.is_set():
            whole = (run.end - run.start) * 1e-9
            return _fail(f"interrupted after {run.summary.done:.1f} s of {whole:.1f} s", 130)
        if not run.summary.pictures:
            return _fail(f"no picture of {topics.image} is in that part of the bag", 2)
        if run.summary.failed:
            return _fail(f"no picture of {topics.image} could be answered: {run.summary.failed}", 2)
        return 2 if bag.losses else 0


def _unwanted(args: argparse.Namespace) -> tuple[str, ...]:
    """The node's topics that the new bag is not to have: pictures that the old one has, and what takes long."""
    unwanted = ["~/annotated", *(f"~/answered/{name}" for name in ("image", "depth", "camera_info"))]
    if not args.annotated:
        unwanted.append("~/annotated/compressed")
    if not args.regions:
        unwanted += ["~/object_regions", "~/regions", "~/clouds", "~/grasps"]
    return tuple(unwanted)


def beside(bag: Path) -> Path:
    """Where the results of a bag go if nothing else is said."""
    whole = bag.resolve()
    return whole.parent / f"{whole.name if whole.is_dir() else whole.stem}_molmo.mcap"


def _queries(written: list[str]) -> tuple[list[Any], str]:
    """The queries, and the one camera that they are about; empty where none is named.

    Raises:
        MolmoError: A query cannot be asked, or they are about several cameras.
    """
    from molmo_ros.node.records.query import QueryError, parse_query

    try:
        queries = [parse_query(one) for one in written]
    except QueryError as error:
        raise MolmoError(f"--query: {error}") from error
    cameras = sorted({one.camera for one in queries if one.camera})
    if len(cameras) > 1:
        raise MolmoError(
            f"the queries are about several cameras ({', '.join(cameras)}): one run is about one"
        )
    return queries, cameras[0] if cameras else ""


@contextmanager
def _set_at_signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set the event, so that the new bag is completed; a second Ctrl-C interrupts as ever."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say_topics(topics: Any, parameters: Mapping[str, Any]) -> None:
    needed = {"depth": topics.depth, "camera_info": topics.info or any(parameters.get("camera_matrix", ()))}
    missing = [what for what, there in needed.items() if not there]
    complain(
        f"reading {', '.join(filter(None, (topics.image, topics.depth, topics.info, topics.depth_info)))}"
    )
    if missing:
        complain(f"the bag has no {' and no '.join(missing)}: points in pixels only")


def _say_summary(summary: Any, path: Path, to: Any) -> None:
    answers = (
        ", ".join(f"{count} {status}" for status, count in summary.statuses.most_common()) or "no answers"
    )
    print(f"{summary.pictures} pictures, {summary.asked} asked about: {answers}", file=to)
    if summary.answer_ms:
        print(f"{statistics.median(summary.answer_ms):.0f} ms per answer (median)", file=to)
    if path.exists():
        print(printable(path), file=to)


def _fail(message: str, code: int) -> int:
    complain(message)
    return code


def answer_line(array: Any) -> str:
    """One answer as a line of JSON: times in nanoseconds, pixels of the picture, metres in `frame_id`."""
    stamp = array.header.stamp
    return json.dumps(
        {
            "stamp_ns": stamp.sec * 1_000_000_000 + stamp.nanosec,
            "camera": array.camera,
            "query": array.query,
            "status": array.status,
            "reason": array.reason,
            "text": array.text,
            "count": array.count if array.has_count else None,
            "frame_id": array.frame_id,
            "points": [_point(point) for point in array.points],
        }
    )


def _point(point: Any) -> dict[str, Any]:
    position = point.position
    return {
        "label": point.label,
        "x": round(point.pixel.x, 2),
        "y": round(point.pixel.y, 2),
        "confidence": round(point.score, 4) if point.has_score else None,
        "position": [position.x, position.y, position.z] if point.has_position else None,
        "spread": point.spread if point.has_position else None,
        "reason": point.reason,
    }


class _RecordingBar:
    """A progress bar in seconds of the recording, and lines beside it."""

    def __init__(self, seconds: float) -> None:
        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        self._redirect = logging_redirect_tqdm([logging.getLogger("molmo_ros")])
        self._bar = tqdm(total=seconds, unit="s", bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} s{postfix}")

    def __enter__(self) -> _RecordingBar:
        self._redirect.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._redirect.__exit__(*exception)
        self._bar.close()

    def show(self, summary: Any) -> None:
        """Sets the bar to what is done."""
        self._bar.set_postfix_str(f"{sum(summary.statuses.values())} answers", refresh=False)
        self._bar.update(max(0.0, summary.done - self._bar.n))

    def print_answer(self, array: Any) -> None:
        """A line on stdout, which the bar makes room for."""
        self._bar.write(answer_line(array), file=sys.stdout)
        sys.stdout.flush()

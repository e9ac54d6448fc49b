# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros label IN... --query TEXT --out OUT`: asks about all episodes of logs and data sets, by many workers.

IN are bags, folders of bags, and LeRobot data sets (v3.0). OUT gets a folder for what was asked of which model: a table
of all labels (labels.parquet), a bag of answers for each bag, an annotated copy of each LeRobot data set (its videos
linked), and a manifest. The same command again does what is missing; another model or other queries are another set.

Exit codes: 0 all is labelled, 1 an episode failed or could be read in part only, 2 bad input or a run that could not go
on, 130 interrupted. What was done until then is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from molmo_ros.cli.arguments import add_model_options, given_path, number_from_zero, positive_int
from molmo_ros.cli.bag import WITHOUT as WITHOUT_IN_BAGS
from molmo_ros.cli.parameters import add_parameter_options, given_parameters
from molmo_ros.cli.printable import complain, printable
from molmo_ros.molmo.errors import MolmoError

OBJECTS = ("collision_timeout", "gripper_opening", "hand_width", "hand_thickness")
FINGERS = ("finger_thickness", "finger_width", "finger_depth")
WITHOUT = WITHOUT_IN_BAGS | dict.fromkeys((*OBJECTS, *FINGERS), "objects at the points are not looked for")
"""Parameters of the node that recordings have no use for."""
LIBRARIES = ("ray", "pyarrow", "av")
MOST_LISTED = 20
"""Failed episodes that are listed at the end; the table and the manifest have all."""


def add_parser(subparsers: Any) -> None:
    """Adds the subcommand; `args.run` runs it."""
    parser = subparsers.add_parser(
        "label",
        help="label folders of bags and LeRobot data sets, on many workers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs", nargs="*", type=given_path, metavar="IN", help="a bag, a folder of bags, a LeRobot data set"
    )
    parser.add_argument(
        "--query",
        action="append",
        default=[],
        metavar="TEXT",
        help="what to ask, as on the node's query topic: 'red cube', 'count: cups', 'is the door open?', '@wrist red "
        "cube' for one camera; repeatable",
    )
    parser.add_argument(
        "--queries-from", type=given_path, metavar="FILE", help="a query on each line of a UTF-8 file"
    )
    parser.add_argument("--out", type=given_path, required=True, metavar="OUT", help="the output folder")
    parser.add_argument(
        "--cameras",
        type=_names,
        default=[],
        metavar="NAME,...",
        help="topics of pictures or parts of them (wrist), or keys of LeRobot (observation.images.wrist, or wrist); "
        "default: all",
    )
    parser.add_argument(
        "--rate",
        type=number_from_zero,
        default=1.0,
        metavar="HZ",
        help="ask at most so often, in the time of the recording; 0 asks about every picture (default: 1)",
    )
    parser.add_argument("--track", action="store_true", help="follow the points through the pictures between")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with what OUT's manifest says; IN and --query may be left out, and nothing new is begun",
    )
    parser.add_argument(
        "--preview",
        type=positive_int,
        default=0,
        metavar="N",
        help="label N random episodes first, and write pictures and a short film of them",
    )
    parser.add_argument("--preview-only", action="store_true", help="end after the preview")
    ray = parser.add_argument_group("workers")
    ray.add_argument(
        "--address",
        default="",
        metavar="HOST:PORT",
        help="a Ray cluster (default: a Ray of its own, on this machine)",
    )
    ray.add_argument(
        "--workers",
        type=positive_int,
        default=0,
        metavar="N",
        help="copies of the model (default: as many as fit)",
    )
    ray.add_argument(
        "--gpus-per-model",
        type=_share,
        default=0.0,
        metavar="N",
        help="GPUs of each worker, 1 or a part of one (default: 0, and 1 with --device cuda)",
    )
    ray.add_argument(
        "--cpus-per-model",
        type=positive_int,
        default=0,
        metavar="N",
        help="cores of each worker, which are its threads: the same as --threads (default: an equal share)",
    )
    add_model_options(parser)
    add_parameter_options(parser, WITHOUT)
    parser.set_defaults(run=run)


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: a model runs on one GPU, so it is a number from 0 to 1")
    return value


def _names(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def run(args: argparse.Namespace) -> int:
    """Labels; returns the exit code."""
    from molmo_ros.labelling.labelling_error import LabellingError, MissingExtraError

    try:
        if missing := [one for one in LIBRARIES if find_spec(one) is None]:
            raise MissingExtraError(missing[0])
        return _run(args)
    except LabellingError as error:
        complain(error)
        return 2
    except MolmoError as error:
        complain(error)
        return 2


def _run(args: argparse.Namespace) -> int:
    from molmo_ros.labelling.label_folder import LabelFolder
    from molmo_ros.labelling.label_inputs import find_inputs
    from molmo_ros.labelling.labelling_run import LabellingRun
    from molmo_ros.labelling.ray_workers import ray_cluster
    from molmo_ros.labelling.worker_needs import WorkerNeeds

    _resume(args)
    task = _task(args)
    task.parsed()
    gpus = args.gpus_per_model or float(args.device.startswith("cuda"))
    device = "cuda" if gpus else args.device  # Ray shows each worker its own GPU alone
    with LabelFolder(args.out, task) as folder:
        known = [(name, one["path"]) for name, one in folder.read_manifest().get("datasets", {}).items()]
        inputs = find_inputs(args.inputs, known)
        run = LabellingRun(folder, inputs, args.cameras, args.inputs, complain)
        complain(f"{len(run.episodes)} episodes, {len(task.parsed())} queries, set {task.name} in {args.out}")
        needs = WorkerNeeds(args.workers, gpus, args.cpus_per_model or args.threads, _memory(args))
        try:
            with ray_cluster(args.address) as ray, closing(run):
                if args.preview:
                    some = run.random_episodes(args.preview)
                    run.label(ray, needs, device, some)
                    complain(_preview(folder, run, some))
                if not args.preview_only:
                    run.label(ray, needs, device)
        except KeyboardInterrupt:
            complain("interrupted: what is done is kept, and the same command goes on")
            run.write_tables()
            return 130
        except MolmoError as error:
            complain(error)
            with _even_so():
                run.write_tables()
            _say_summary(run.report, folder)
            return 2
        report = run.write_tables()
        _say_summary(report, folder)
        return 1 if report.failed or report.damaged else 0


@contextmanager
def _even_so() -> Iterator[None]:
    """What may fail where the run has failed already."""
    try:
        yield
    except MolmoError as error:
        complain(error)


def _resume(args: argparse.Namespace) -> None:
    """Fills in what `--resume` leaves to the manifest.

    Raises:
        LabellingError: There is nothing to go on with, or several sets could be meant.
    """
    from molmo_ros.labelling.label_folder import read_manifest, sets_in
    from molmo_ros.labelling.label_task import LabelTask
    from molmo_ros.labelling.labelling_error import LabellingError

    args.task = None
    if not args.resume:
        if not args.inputs or not (args.query or args.queries_from):
            raise LabellingError(
                "name at least one IN and one --query (or --resume, which takes them from OUT)"
            )
        return
    sets = sets_in(args.out) if args.out.is_dir() else []
    if args.query or args.queries_from:
        wanted = _task(args).name
        sets = [one for one in sets if one.name == wanted]
    if len(sets) != 1:
        names = ", ".join(one.name for one in sets)
        raise LabellingError(
            f"--resume: {args.out} holds several sets of labels ({names}); name --query and --model of one"
            if sets
            else f"--resume: {args.out} holds no such set of labels; run without --resume to begin one"
        )
    manifest = read_manifest(sets[0])
    args.task = LabelTask.from_json(manifest["task"])
    args.inputs = args.inputs or [Path(one) for one in manifest.get("inputs", [])]
    args.cameras = args.cameras or manifest.get("cameras", [])


def _task(args: argparse.Namespace) -> Any:
    """What is asked.

    Raises:
        MolmoError: The model is not there, or the file of queries cannot be read.
    """
    from molmo_ros.engine.store.checkpoint_hash import checkpoint_sha256
    from molmo_ros.labelling.label_task import LabelTask
    from molmo_ros.molmo.catalog.model_store import checkpoint_folder

    if args.task is not None:
        return args.task
    return LabelTask(
        tuple(dict.fromkeys([*args.query, *_lines(args.queries_from)])),
        _whole(args.model),
        checkpoint_sha256(checkpoint_folder(args.model)),
        args.dtype,
        args.engine,
        _whole(args.engine_path or ""),
        args.rate,
        args.track,
        given_parameters(args),
    )


def _whole(name: str) -> str:
    """A path from the root on, as workers stand elsewhere; a name as it is."""
    return str(Path(name).resolve()) if "/" in name else name


def _lines(path: Path | None) -> list[str]:
    from molmo_ros.labelling.labelling_error import LabellingError

    if path is None:
        return []
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise LabellingError(f"--queries-from {path} cannot be read: {error}") from error
    return [line for line in lines if line]


def _memory(args: argparse.Namespace) -> int:
    """What a worker takes besides pictures [bytes]: the weights, in their type, and the libraries."""
    from molmo_ros.labelling.worker_memory import worker_memory

    return worker_memory(
        args.task.model if args.task else args.model, args.task.dtype if args.task else args.dtype
    )


def _preview(folder: Any, run: Any, episodes: Any) -> str:
    """Draws; what there is to look at."""
    from molmo_ros.labelling.label_folder import disk_errors
    from molmo_ros.labelling.preview import write_preview

    with disk_errors(folder.out):
        count, film = write_preview(folder.root / "preview", run.labelled(episodes))
    return f"preview: {count} pictures in {film.parent}, and {film.name}"


def _say_summary(report: Any, folder: Any) -> None:
    answers = (
        ", ".join(f"{count} {status}" for status, count in report.statuses.most_common()) or "no answers"
    )
    print(
        f"{report.units} units: {report.done} labelled now, {report.before} before, {len(report.failed)} failed"
    )
    print(f"{report.rows} rows of the table: {answers}")
    if report.done and report.wall:
        model, whole = report.seconds.get("model", 0.0), report.seconds.get("all", 0.0)
        share = f", {100 * (1 - model / whole):.0f} % of a worker's time not the model's" if whole else ""
        print(
            f"{report.frames} pictures asked about in {report.wall:.1f} s ({report.frames / report.wall:.2f} a second)"
            f"{share}, {report.memory / 1e6:.0f} MB a worker at most"
        )
    for title, reasons in (("failed", report.failed), ("read in part", report.damaged)):
        for unit, reason in list(reasons.items())[:MOST_LISTED]:
            print(printable(f"{title}: {unit}: {reason if isinstance(reason, str) else '; '.join(reason)}"))
        if len(reasons) > MOST_LISTED:
            print(f"{title}: and {len(reasons) - MOST_LISTED} more, see manifest.json")
    print(printable(folder.root))

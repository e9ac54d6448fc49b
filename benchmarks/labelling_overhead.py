# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What comes on top of the model when episodes are labelled, as workers are added: a model that only sleeps.

    python -m benchmarks.labelling_overhead [--workers 1 2 4 8] [--units 60] [--seconds 0.1] [--rows 40] [--ray-data]

Each unit sleeps as a model would compute, and then writes a real file of rows; the driver moves it into place. Cores
are not what limits: sleeping takes none. `--ray-data` does the same by Ray Data's pool of actors, which needs pandas
and fsspec besides.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from molmo_ros.labelling.label_folder import LabelFolder
from molmo_ros.labelling.label_table import FILE, TableWriter, read_unit, unit_files, write_rows
from molmo_ros.labelling.label_task import LabelTask
from molmo_ros.labelling.label_unit import Episode, LabelUnit, UnitOutcome
from molmo_ros.labelling.ray_workers import RayWorkers, ray_cluster
from molmo_ros.labelling.unit_worker import WorkerState
from molmo_ros.labelling.worker_needs import WorkerNeeds

QUERY = "red cube"


class SleepingWorker:
    """A worker whose model takes a fixed time."""

    def __init__(
        self, *, staging: Path, seconds: float, rows: int, threads: int = 1, number: int = 0, **_others: Any
    ) -> None:
        self._staging, self._seconds, self._rows, self._number = staging, seconds, rows, number

    def state(self) -> WorkerState:
        return WorkerState(self._number, "", os.getpid(), "sleep")

    def label(self, unit: LabelUnit) -> UnitOutcome:
        time.sleep(self._seconds)
        folder = self._staging / f"{self._number}-{unit.episode.index}"
        folder.mkdir()
        common = {"dataset": "made", "episode": unit.episode.name, "camera": unit.camera, "query": QUERY}
        rows = [
            common
            | {"frame": n, "time": n / 10, "x": 1.5 * n, "y": 2.5 * n, "status": "FOUND", "key_frame": True}
            for n in range(self._rows)
        ]
        write_rows(folder / FILE, rows, {"unit": str(unit), "statuses": {"FOUND": self._rows}})
        return UnitOutcome(unit, folder, asked=self._rows)


def measured(count: int, args: argparse.Namespace) -> dict[str, float]:
    """One run with so many workers."""
    out = Path(tempfile.mkdtemp(prefix="molmo-overhead-"))
    units = [
        LabelUnit(Episode("made", f"{n:06d}", "bag", out, n), "/top/image") for n in range(args.units * count)
    ]
    try:
        with LabelFolder(out / "out", LabelTask((QUERY,))) as folder, ray_cluster(cpus=count) as ray:
            make = {"staging": folder.staging, "seconds": args.seconds, "rows": args.rows}
            workers = RayWorkers(ray, make, WorkerNeeds(count, cpus=1), print, SleepingWorker)
            workers.run(iter(units[:count]), folder.accept, lambda _states: None)  # all are up
            before = time.perf_counter(), _cpu()
            workers.run(iter(units[count:]), folder.accept, lambda _states: None)
            wall, cpu = time.perf_counter() - before[0], _cpu() - before[1]
            workers.stop()
            begun = time.perf_counter()
            with TableWriter(folder.root / FILE) as writer:
                for path in unit_files(folder.units):
                    writer.add(read_unit(path)[0])
            table = time.perf_counter() - begun
            done = len(units) - count
            size = sum(one.stat().st_size for one in unit_files(folder.units)) / len(units)
            assert writer.rows == len(units) * args.rows
            whole = (folder.root / FILE).stat().st_size / writer.rows
    finally:
        shutil.rmtree(out)
    ideal = done / count * args.seconds
    return {
        "wall": wall,
        "ideal": ideal,
        "per unit": (wall - ideal) * count / done,
        "driver": cpu / done,
        "table": table / len(units),
        "file": size,
        "row": whole,
    }


class _DataSleeper:
    """The same for Ray Data."""

    def __init__(self, staging: str, seconds: float, rows: int) -> None:
        self._worker = SleepingWorker(staging=Path(staging), seconds=seconds, rows=rows, number=os.getpid())

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        unit = LabelUnit(
            Episode("made", f"{batch['n'][0]:06d}", "bag", Path("/"), int(batch["n"][0])), "/top/image"
        )
        staged = self._worker.label(unit).staged
        return {"n": batch["n"], "staged": [str(staged)]}


def by_ray_data(count: int, args: argparse.Namespace) -> float:
    """Time over the ideal per unit [s], of Ray Data's actors with a unit a batch."""
    out = Path(tempfile.mkdtemp(prefix="molmo-overhead-"))
    try:
        with LabelFolder(out / "out", LabelTask((QUERY,))) as folder, ray_cluster(cpus=count + 1) as ray:
            import ray.data

            ray.data.DataContext.get_current().enable_progress_bars = False
            names = args.units * count
            data = ray.data.from_items(
                [{"n": n} for n in range(names)], override_num_blocks=names
            ).map_batches(
                _DataSleeper,
                fn_constructor_args=(str(folder.staging), args.seconds, args.rows),
                batch_size=1,
                concurrency=count,
                num_cpus=1,
            )
            times = []
            for row in data.iter_rows():
                n = int(row["n"])
                unit = LabelUnit(Episode("made", f"{n:06d}", "bag", out, n), "/top/image")
                folder.accept(UnitOutcome(unit, Path(row["staged"])))
                times.append(time.perf_counter())
            wall, done = times[-1] - times[count - 1], names - count
    finally:
        shutil.rmtree(out)
    return (wall - done / count * args.seconds) * count / done


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--units", type=int, default=60, help="of each worker")
    parser.add_argument("--seconds", type=float, default=0.1, help="that the model takes for a unit")
    parser.add_argument("--rows", type=int, default=40, help="of a unit")
    parser.add_argument("--ray-data", action="store_true", help="the same by Ray Data, too")
    args = parser.parse_args()
    print(f"{args.units} units a worker, {args.seconds * 1e3:g} ms of sleep and {args.rows} rows each")
    more = " Ray Data, over [ms a unit] |" if args.ray_data else ""
    print(f"| workers | units/s | of the ideal | over it [ms a unit] | driver's CPU [ms a unit] |{more}")
    print("|---|---|---|---|---|" + ("---|" if args.ray_data else ""))
    last: dict[str, float] = {}
    for count in args.workers:
        last = one = measured(count, args)
        other = f" {by_ray_data(count, args) * 1e3:.1f} |" if args.ray_data else ""
        print(
            f"| {count} | {(args.units - 1) * count / one['wall']:.1f} | {100 * one['ideal'] / one['wall']:.1f} % | "
            f"{one['per unit'] * 1e3:.1f} | {one['driver'] * 1e3:.2f} |{other}",
            flush=True,
        )
    print(
        f"the table afterwards: {last['table'] * 1e3:.2f} ms a unit; a unit's file: {last['file'] / 1e3:.1f} kB; "
        f"a row of the table: {last['row']:.1f} bytes"
    )


if __name__ == "__main__":
    main()

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A whole run: what is to be done, what is missing of it, workers that do it, and what is made of their results."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from molmo_ros.labelling.annotated_dataset import AnnotatedDataset
from molmo_ros.labelling.label_folder import TABLE, LabelFolder, disk_errors
from molmo_ros.labelling.label_inputs import LabelInput
from molmo_ros.labelling.label_progress import LabelProgress
from molmo_ros.labelling.label_table import TableWriter, read_unit, unit_files
from molmo_ros.labelling.label_unit import Episode, LabelUnit, UnitOutcome, folder_name
from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.labelling.lerobot_dataset import LeRobotDataset, episode_name
from molmo_ros.labelling.ray_workers import RayWorkers
from molmo_ros.labelling.worker_needs import WorkerNeeds
from molmo_ros.molmo.errors import MolmoError

FORMAT = 1
LEROBOT = "lerobot"
"""Folder of the annotated data sets."""
NO_CAMERA = ""
"""Camera of the unit that stands for an episode whose cameras cannot be told."""
SEED = 0


@dataclass
class RunReport:
    """What a run has come to.

    Attributes:
        units: How many units there are; `done` by this run, done `before`.
        statuses: How many rows of each status the table has.
        failed: Why units failed, by unit.
        damaged: What of units could not be read, by unit.
        rows: Of the table.
        frames: How many were asked about by this run.
        seconds: In models, in reading, and in all of the workers' units [s].
        memory: The most that a worker had [bytes].
        wall: How long the workers were busy, from when the first had its model [s].
    """

    units: int = 0
    done: int = 0
    before: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, list[str]] = field(default_factory=dict)
    rows: int = 0
    frames: int = 0
    seconds: Counter[str] = field(default_factory=Counter)
    memory: int = 0
    wall: float = 0.0


class LabellingRun:
    """Labels data sets into an output folder.

    Args:
        folder: The output, which is ours.
        inputs: What is to be labelled.
        cameras: Their names; none for all.
        given: The paths that they were found by.
        say: Called with what a person should know, a line each.
    """

    def __init__(
        self,
        folder: LabelFolder,
        inputs: Sequence[LabelInput],
        cameras: Sequence[str],
        given: Sequence[Path],
        say: Callable[[str], None],
    ) -> None:
        self._folder, self._inputs, self._cameras, self._say = folder, inputs, list(cameras), say
        self._datasets = {
            one.name: LeRobotDataset(one.path, one.name) for one in inputs if one.kind == "lerobot"
        }
        self.episodes = [episode for one in inputs for episode in one.episodes()]
        self.report = RunReport()
        self._workers: RayWorkers | None = None
        self._settled: set[LabelUnit] = set()
        self._manifest = self._new_manifest(given)
        folder.write_manifest(self._manifest)

    def label(
        self, ray: Any, needs: WorkerNeeds, device: str, episodes: Sequence[Episode] | None = None
    ) -> None:
        """Does what is missing.

        Args:
            ray: Of `ray_cluster`.
            needs: Of each worker.
            device: A torch device.
            episodes: Only these.

        Raises:
            LabellingError: It cannot go on; what is done stays.
        """
        chosen = self.episodes if episodes is None else list(episodes)
        per_episode = max(1, len(self._cameras))
        progress = LabelProgress(len(chosen) * per_episode, 0)
        missing = self._missing(chosen, progress)
        first = next(missing, None)
        if first is None:
            return
        began = time.monotonic()
        if self._workers is None:
            self._workers = RayWorkers(
                ray,
                {
                    "task": self._folder.task,
                    "staging": self._folder.staging,
                    "out": self._folder.out,
                    "device": device,
                },
                needs,
                self._say,
            )
            got = self._workers.needs
            self._say(f"{got.count} workers, each with {got.cpus} cores and {got.gpus:g} GPUs")

        def units() -> Iterator[LabelUnit]:
            yield first
            yield from missing

        def on_outcome(outcome: UnitOutcome) -> None:
            self._settle(outcome)
            progress.finished(outcome)

        try:
            self._workers.run(units(), on_outcome, progress.show)
        finally:
            progress.close()
            self.report.wall += time.monotonic() - max(began, self._workers.ready)

    def close(self) -> None:
        """Ends the workers."""
        if self._workers is not None:
            self._workers.stop()
            self._workers = None

    def random_episodes(self, count: int) -> list[Episode]:
        """Some episodes, the same in each run."""
        return random.Random(SEED).sample(self.episodes, min(count, len(self.episodes)))

    def labelled(self, episodes: Sequence[Episode]) -> list[tuple[Episode, str, Path]]:
        """Episode, camera, and the file with its labels, of those that are done."""
        found = []
        for unit in sorted(self._settled, key=str):
            if unit.episode in episodes and self._folder.is_done(unit):
                found.append((unit.episode, unit.camera, self._folder.place(unit) / TABLE))
        return found

    def write_tables(self) -> RunReport:
        """Makes one table of all rows of this set, and the annotated data sets.

        Raises:
            LabellingError: A file is damaged, or nothing can be written.
        """
        report = self.report
        report.statuses.clear()
        with disk_errors(self._folder.out), TableWriter(self._folder.root / TABLE) as writer:
            for path in unit_files(self._folder.units):
                table, about = read_unit(path)
                writer.add(table)
                report.statuses.update(about.get("statuses", {}))
                if about.get("losses"):
                    report.damaged[about["unit"]] = about["losses"]
            for path in unit_files(self._folder.failed):
                table, _ = read_unit(path)
                writer.add(table)
                report.statuses.update(table.column("status").to_pylist())
        report.rows = writer.rows
        for name, dataset in self._datasets.items():
            annotated = AnnotatedDataset(
                dataset, self._folder.root / LEROBOT / folder_name(name), partial(self._files_of, name)
            )
            with disk_errors(self._folder.out):
                annotated.write()
            if annotated.in_the_way:
                self._say(
                    f"{name}: {annotated.in_the_way} events are left out: their frames have a vqa of that camera"
                )
        self._manifest["ended"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._manifest["statuses"] = dict(report.statuses)
        self._manifest["failed"], self._manifest["damaged"] = report.failed, report.damaged
        self._folder.write_manifest(self._manifest)
        return report

    def _files_of(self, dataset: str, index: int) -> list[Path]:
        folder = self._folder.units / folder_name(dataset) / episode_name(index)
        return sorted(folder.glob(f"*/{TABLE}"))

    def _missing(self, episodes: Sequence[Episode], progress: LabelProgress) -> Iterator[LabelUnit]:
        """The units that are not done, in order; those that cannot be begun are refused at once."""
        for episode in episodes:
            try:
                cameras = self._cameras_of(episode)
            except (MolmoError, OSError) as error:
                outcome = UnitOutcome(LabelUnit(episode, NO_CAMERA), error=str(error))
                self._settle(outcome)
                progress.finished(outcome)
                continue
            progress.whole += len(cameras) - max(1, len(self._cameras))
            for camera in cameras:
                unit = LabelUnit(episode, camera)
                if unit in self._settled:
                    progress.whole -= 1
                elif self._folder.is_done(unit):
                    self._settled.add(unit)
                    self.report.units += 1
                    self.report.before += 1
                    progress.whole -= 1
                else:
                    yield unit

    def _cameras_of(self, episode: Episode) -> list[str]:
        """The cameras of an episode that are wanted.

        Raises:
            MolmoError: One is not there, or the episode cannot be read.
        """
        if episode.kind == "lerobot":
            dataset = self._datasets[episode.dataset]
            named = [dataset.camera(one) for one in self._cameras] or dataset.cameras
            if not named:
                raise LabellingError(f"{dataset.root} has no camera, only states and actions")
        else:
            try:
                from molmo_ros.labelling.bag_labeller import bag_cameras, camera_of
            except ModuleNotFoundError as error:
                raise LabellingError(
                    f"bags need ROS 2, molmo_msgs and rosbags; not installed: {error.name}"
                ) from error
            topics = bag_cameras(episode.path)
            named = [camera_of(one, topics) for one in self._cameras] or topics
        asked = [one for one in dict.fromkeys(named) if self._folder.task.queries_of(one)]
        if not asked:
            raise LabellingError(f"no query is about a camera of it: {', '.join(named)}")
        return asked

    def _settle(self, outcome: UnitOutcome) -> None:
        """Keep an outcome: its files come into place, or its reason into the table."""
        report, unit = self.report, outcome.unit
        if unit in self._settled:
            return
        self._settled.add(unit)
        report.units += 1
        if outcome.error:
            report.failed[str(unit)] = outcome.error
            self._folder.refuse(unit, outcome.error)
            self._say(f"{unit}: {outcome.error}")
            return
        self._folder.accept(outcome)
        report.done += 1
        report.frames += outcome.asked
        report.seconds.update(outcome.seconds)
        report.memory = max(report.memory, outcome.memory)
        for loss in outcome.losses:
            self._say(f"{unit}: {loss}")

    def _new_manifest(self, given: Sequence[Path]) -> dict[str, Any]:
        """What is asked of what with which model, with what earlier runs kept."""
        from importlib.metadata import PackageNotFoundError, version

        before = self._folder.read_manifest()
        datasets = dict(before.get("datasets", {}))
        for one in self._inputs:
            datasets[one.name] = {"kind": one.kind, "path": str(one.path)}
        try:
            made_by = version("molmo_ros")
        except PackageNotFoundError:
            made_by = ""
        return {
            **before,
            "format": FORMAT,
            "molmo_ros": made_by,
            "task": self._folder.task.to_json(),
            "inputs": sorted({*before.get("inputs", []), *(str(path.resolve()) for path in given)}),
            "cameras": self._cameras or before.get("cameras", []),
            "datasets": datasets,
            "begun": before.get("begun") or time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

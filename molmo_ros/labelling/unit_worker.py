# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a worker does: holds a model, and labels one unit at a time into the staging folder."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmo_ros.labelling.label_folder import FULL, full_disk
from molmo_ros.labelling.label_task import LabelTask
from molmo_ros.labelling.label_unit import LabelUnit, UnitOutcome
from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.molmo.errors import MolmoError

if TYPE_CHECKING:  # they import torch and ROS
    from molmo_ros.labelling.queried_model import QueriedModel


@dataclass(frozen=True)
class WorkerState:
    """What a worker says of itself.

    Attributes:
        number: Its own.
        host, process: Where it runs.
        engine: What runs its model.
        unit: What it is at; empty while it waits.
        done, whole: How far that is, in frames, or tenths of a second of a bag.
        memory: The most that its process has had [bytes].
    """

    number: int
    host: str
    process: int
    engine: str
    unit: str = ""
    done: int = 0
    whole: int = 0
    memory: int = 0


class UnitWorker:
    """Becomes an actor; its methods are called from other processes.

    Args:
        task: What is asked.
        staging: Folder of the run, which all workers and the driver see.
        out: The output folder, for what is said about it.
        device: A torch device.
        threads: Of the CPU, that the model computes with.
        number: Of the worker.

    Raises:
        LabellingError: It does not see the staging folder.
        molmo_ros.molmo.errors.MolmoError: The model cannot be loaded.
    """

    def __init__(
        self, *, task: LabelTask, staging: Path, out: Path, device: str, threads: int, number: int
    ) -> None:
        if not staging.is_dir():
            raise LabellingError(
                f"{socket.gethostname()} does not see {staging}: --out has to lie on a file system that all machines "
                "of the cluster share"
            )
        self._staging, self._out, self._number, self._threads = staging, out, number, threads
        self._now = ("", 0, 0)
        self._model = self._load(task, device, threads)

    def _load(self, task: LabelTask, device: str, threads: int) -> QueriedModel:
        import cv2

        from molmo_ros.labelling.queried_model import QueriedModel

        cv2.setNumThreads(threads)
        return QueriedModel(task, device, threads)

    def state(self) -> WorkerState:
        """What it is at."""
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        host, process = socket.gethostname(), os.getpid()
        return WorkerState(self._number, host, process, self._model.engine, *self._now, memory)

    def label(self, unit: LabelUnit) -> UnitOutcome:
        """Labels a unit; whatever goes wrong is in the outcome."""
        folder = self._staging / uuid.uuid4().hex
        self._now = (str(unit), 0, 0)
        try:
            folder.mkdir()
            outcome = self._label(unit, folder)
            outcome.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            return outcome
        except Exception as error:  # whatever a damaged episode leads to
            shutil.rmtree(folder, ignore_errors=True)
            if is_full(error):
                return UnitOutcome(unit, error=full_disk(self._out), disk_full=True)
            said = str(error) if isinstance(error, MolmoError) else f"{type(error).__name__}: {error}"
            return UnitOutcome(unit, error=" ".join(said.split())[:2000])
        finally:
            self._now = ("", 0, 0)

    def _label(self, unit: LabelUnit, folder: Path) -> UnitOutcome:
        def on_progress(done: int, whole: int) -> None:
            self._now = (str(unit), done, whole)

        labeller: Any
        if unit.episode.kind == "bag":
            try:
                from molmo_ros.labelling.bag_labeller import BagLabeller
            except ModuleNotFoundError as error:
                raise LabellingError(
                    f"bags need ROS 2, molmo_msgs and rosbags; not installed: {error.name}"
                ) from error
            labeller = BagLabeller(self._model)
        else:
            from molmo_ros.labelling.video_labeller import VideoLabeller

            labeller = VideoLabeller(self._model, self._threads)
        outcome: UnitOutcome = labeller.label(unit, folder, on_progress)
        return outcome


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, is for want of room on a disk."""
    while error is not None:
        if isinstance(error, OSError) and (error.errno in FULL or _says_full(error)):
            return True
        if isinstance(error, MolmoError) and _says_full(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _says_full(error: BaseException) -> bool:
    """pyarrow's and sqlite's errors have no number."""
    return any(os.strerror(one) in str(error) for one in FULL)

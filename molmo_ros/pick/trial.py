# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""One pick from the setting of its table to the verdict."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.pick.film import captioned
from molmo_ros.pick.pick_report import PickCase, draw_pick, save_picture
from molmo_ros.pick.pick_verdict import Cause, chosen_grasp, chosen_region, judge_pick
from molmo_ros.pick.planner import LOOKS
from molmo_ros.pick.referee import HeardPick, Referee
from molmo_ros.sim.hand import HandMeasures
from molmo_ros.sim.picking_table import PickingTable

TABLE_TIMEOUT, LOOK_TIMEOUT, PICK_TIMEOUT = 60.0, 20.0, 180.0
"""On a busy machine all is slow [s]."""


def run_pick(
    referee: Referee, seed: int, film: bool, folder: Path, number: int
) -> tuple[PickCase, list[np.ndarray]]:
    """Runs pick `number` of a run, and saves its picture.

    Returns:
        The pick, and the pictures of its film, uint8 RGB; none where it is not filmed.

    Raises:
        TimeoutError: The table does not answer.
    """
    measures = HandMeasures(**asdict(Gripper()))
    table = PickingTable.of(seed, measures)
    referee.set_table(seed, film, TABLE_TIMEOUT)
    look = referee.look(table.name, LOOK_TIMEOUT)
    referee.pick(table.name)
    heard = referee.outcome(PICK_TIMEOUT)
    rises = referee.rises(TABLE_TIMEOUT)
    if heard.outcome is not None and heard.outcome.turn:
        table.look_from(heard.outcome.turn)
        look = None  # it shows another view
    verdict = judge_pick(table, measures, look, heard, rises)
    case = PickCase(seed, table.name, len(table.objects), table.cluttered, verdict, _looks(heard))
    picture = table.view.rgb if look is None else look.picture
    drawn = draw_pick(picture, table.camera, chosen_region(look, heard), chosen_grasp(heard), measures)
    save_picture(folder, number, case, drawn)
    wanted = f"pick up the {table.name}"
    came = "lifted" if verdict.cause is Cause.LIFTED else verdict.cause.value
    pictures = [captioned(frame, wanted) for frame in heard.film]
    return case, [*pictures, *(captioned(frame, f"{wanted}: {came}") for frame in heard.film[-1:])]


def _looks(heard: HeardPick) -> int:
    """From how many sides the planner looked."""
    return 1 if heard.outcome is None else 1 + LOOKS.index(heard.outcome.turn)

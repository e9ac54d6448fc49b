"""One pick from the setting of its table to the verdict."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from molmo_ros.manipulation.gripper import Gripper
from molmo_ros.pick.film import captioned
from molmo_ros.pick.pick_report import PickCase, draw_pick, save_picture
from molmo_ros.pick.pick_verdict import Cause, chosen_grasp, chosen_region, judge_pick
from molmo_ros.pick.referee import Referee
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
    verdict = judge_pick(table, measures, look, heard, rises)
    case = PickCase(seed, table.name, len(table.objects), table.cluttered, verdict)
    picture = table.view.rgb if look is None else look.picture
    drawn = draw_pick(picture, table.camera, chosen_region(look, heard), chosen_grasp(heard), measures)
    save_picture(folder, number, case, drawn)
    said = f"pick up the {table.name}: {'lifted' if verdict.cause is Cause.LIFTED else verdict.cause.value}"
    return case, [captioned(frame, said) for frame in heard.film]

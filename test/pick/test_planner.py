# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The planner against a service and a robot that only write down what they are told."""

import pytest

messages = pytest.importorskip("molmo_msgs.msg", reason="needs ROS 2")
from geometry_msgs.msg import Pose  # noqa: E402
from molmo_msgs.srv import Point  # noqa: E402

from molmo_ros.geometry import RigidTransform  # noqa: E402
from molmo_ros.pick.planner import LIFT, LOOKS, PickOutcome, pick  # noqa: E402

DOWN = (1.0, 0.0, 0.0, 0.0)


class FakeRobot:
    def __init__(self, held=0.05):
        self.told, self.held, self.turns = [], held, []

    def move(self, world_from_hand):
        self.told.append(world_from_hand)

    def set_fingers(self, opening):
        self.told.append(opening)
        return self.held if opening == 0 else opening

    def turn_camera(self, angle):
        self.turns.append(angle)


def grasp(x=0.1, score=0.9, opening=0.07):
    pose = Pose()
    pose.position.x, pose.position.z = x, 0.03
    pose.orientation.x, pose.orientation.w = 1.0, 0.0
    return messages.Grasp(pose=pose, opening=opening, score=score)


GRIPPED = ((0.9, True, [grasp()]),)


def answer(points=GRIPPED, status="FOUND", frame="world", **fields):
    """Of each point its score, whether it has a region, and its grasps."""
    response = Point.Response()
    response.result = messages.ObjectPointArray(status=status, **fields)
    response.grasps.header.frame_id = frame
    for score, valid, grasps in points:
        point = messages.ObjectPoint(
            score=score, region_valid=valid, region_reason="" if valid else "too flat"
        )
        response.result.points.append(point)
        offered = messages.ObjectGrasps(grasps=grasps, reason="" if grasps else "too wide")
        response.grasps.objects.append(offered)
    return response


def run(*answers, held=0.05):
    robot, asked, said = FakeRobot(held), [], list(answers)

    def ask(request):
        asked.append(request)
        return said.pop(0) if len(said) > 1 else said[0]

    return pick("red cube", ask, robot), robot, asked


def test_it_opens_goes_there_closes_and_lifts():
    outcome, robot, asked = run(answer())
    assert outcome == PickOutcome("red cube", True, "", 1, 0.05, 0.0)
    request = asked[0]
    assert (list(request.labels), request.grasps, request.target_frame) == (["red cube"], True, "world")
    opening, above, before, there, closed, lifted, still = robot.told
    assert (opening, closed, still) == (0.07, 0.0, 0.0)
    assert there == RigidTransform((0.1, 0.0, 0.03), DOWN)
    for pose in (above, before, lifted):
        assert pose.translation[:2] == pytest.approx((0.1, 0.0))
        assert pose.rotation == pytest.approx(DOWN)
    assert above.translation[2] >= before.translation[2] > there.translation[2]
    assert lifted.translation[2] == pytest.approx(0.03 + LIFT)
    assert robot.turns == []


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (answer((), "NOT_FOUND", text="There are none."), "NOT_FOUND: There are none."),
        (answer((), "STALE", reason="2 s old"), "STALE: 2 s old"),
        (answer(((0.9, True, []),)), "no grasp: too wide"),
        (answer(((0.9, False, []),)), "no region: too flat"),
        (answer(frame="camera"), "the grasps are in 'camera', not 'world'"),
    ],
)
def test_what_cannot_be_gripped_is_looked_at_from_all_sides_and_not_touched(response, reason):
    outcome, robot, asked = run(response)
    assert (outcome.done, outcome.reason, outcome.point) == (False, reason, 0)
    assert outcome.turn == LOOKS[-1]
    assert robot.told == []
    assert robot.turns == list(LOOKS[1:])
    assert len(asked) == len(LOOKS)


def test_what_is_seen_from_another_side_is_picked_from_there():
    outcome, robot, _ = run(answer((), "NOT_FOUND"), answer())
    assert outcome.done
    assert outcome.turn == LOOKS[1]
    assert robot.turns == [LOOKS[1]]


def test_of_several_points_the_surest():
    outcome, robot, _ = run(answer(((0.3, True, [grasp(0.5)]), (0.8, True, [grasp(-0.2)]))))
    assert outcome.point == 2
    assert robot.told[3].translation[0] == -0.2


def test_empty_fingers_are_told():
    outcome, _, _ = run(answer(), held=0.001)
    assert not outcome.done
    assert outcome.reason == "nothing is between the fingers"


def test_an_outcome_survives_its_text():
    outcome = PickOutcome("red cube", False, "no grasp: 'too wide'", 2, 0.012, -0.5)
    assert PickOutcome.from_json(outcome.to_json()) == outcome


@pytest.mark.parametrize(("clearance", "opening"), [(0.0, 0.07), (0.009, 0.08), (0.3, 0.085)])
def test_it_opens_as_wide_as_there_is_room(clearance, opening):
    offered = grasp()
    offered.clearance = clearance
    _, robot, _ = run(answer(((0.9, True, [offered]),)))
    assert robot.told[0] == pytest.approx(opening)

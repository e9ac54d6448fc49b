import copy

import numpy as np
import pytest

from molmo_ros.demo.judge import judge, surface_point
from molmo_ros.demo.plan import Case, make_plan

PLAN = make_plan(7)


def perfect(case: Case) -> dict:
    pointing = case.kind in ("one", "many", "count")
    points = [
        {
            "x": float(case.centers[m][0]),
            "y": float(case.centers[m][1]),
            "label": "",
            "xyz": surface_point(case, m).tolist(),
        }
        for m in case.members
    ]
    status = "NOT_FOUND" if case.kind == "absent" else "FOUND" if pointing else "ANSWERED"
    return {
        "query": case.text,
        "status": status,
        "points": points if pointing else [],
        "text": case.answer,
        "reason": "",
    }


def first(kind: str) -> Case:
    return next(case for case in PLAN if case.kind == kind)


@pytest.mark.parametrize("case", PLAN, ids=lambda case: case.text)
def test_the_truth_is_right_and_silence_is_wrong(case):
    verdict = judge(case, perfect(case))
    assert verdict.right
    if case.kind in ("one", "many", "count"):
        assert verdict.inside == len(case.members)
        assert verdict.pixel_error == 0 and verdict.metric_error < 1e-9
    assert not judge(case, None).right
    assert not judge(case, {**perfect(case), "status": "ERROR", "reason": "out of order"}).right


def test_order_of_the_points_does_not_matter():
    case = first("many")
    result = perfect(case)
    result["points"].reverse()
    assert judge(case, result).right


@pytest.mark.parametrize("kind", ["one", "many"])
def test_wrong_points_are_wrong(kind):
    case = first(kind)
    beside, missing, extra, flat = (copy.deepcopy(perfect(case)) for _ in range(4))
    beside["points"][0].update(x=1.0, y=1.0)
    missing["points"].pop()
    extra["points"].append(dict(extra["points"][0]))
    flat["points"][0]["xyz"] = None
    for result in (beside, missing, extra, flat):
        assert not judge(case, result).right
    assert judge(case, beside).inside == len(case.members) - 1


def test_two_points_on_one_object_do_not_count_for_two():
    case = first("many")
    result = perfect(case)
    result["points"][1] = dict(result["points"][0])
    assert not judge(case, result).right


def test_errors_are_distances():
    case = first("one")
    result = perfect(case)
    point = result["points"][0]
    point["x"] += 3
    point["y"] -= 4
    point["xyz"] = (np.array(point["xyz"]) + (0.0, 0.03, 0.04)).tolist()
    verdict = judge(case, result)
    assert verdict.pixel_error == pytest.approx(5) and verdict.metric_error == pytest.approx(0.05)


def test_words_are_compared_without_case_and_punctuation():
    case = first("color")
    assert judge(case, {**perfect(case), "text": case.answer.lower().rstrip(".")}).right
    assert not judge(case, {**perfect(case), "text": "mauve"}).right


def test_pointing_at_what_is_absent_is_wrong():
    case = first("absent")
    found = {**perfect(case), "status": "FOUND", "points": [{"x": 5, "y": 5, "label": "", "xyz": None}]}
    assert not judge(case, found).right

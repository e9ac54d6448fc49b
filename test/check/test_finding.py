# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What was found many times is told once."""

from molmo_ros.check.finding import Finding, Grade, Looks, told_once


def finding(text, change="a line", grade=Grade.WRONG, subject="depth"):
    return Finding(grade, subject, text, change, "camera")


def test_texts_that_differ_by_a_number_are_one_finding_with_its_share():
    tally = Looks()
    for look in range(20):
        tally.add("camera", [finding(f"0.{look} s apart")] if look % 2 else [])
    assert [one.text for one in tally.findings()] == ["0.19 s apart (in 10 of 20 looks)"]


def test_what_only_few_looks_had_is_not_told():
    tally = Looks()
    for look in range(20):
        tally.add("camera", [finding("late")] if look == 3 else [])
    assert tally.findings() == []


def test_groups_of_looks_have_their_own_share():
    tally = Looks()
    for look in range(20):
        tally.add("age", [])
        if look < 2:
            tally.add("camera", [finding("late")])
    assert [one.text for one in tally.findings()] == ["late"]


def test_the_worst_first_and_one_line_once():
    told = told_once(
        [
            finding("slow", "faster", Grade.WARNING, "rate"),
            finding("no picture", "press play", subject="topic"),
            finding("no depth", "press play", subject="topic"),
            finding("stands", "press play", subject="clock"),
        ]
    )
    assert [(one.subject, one.text) for one in told] == [("topic", "no picture; no depth"), ("rate", "slow")]

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is found wrong with a camera's topics, and the line that cures it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum


class Grade(Enum):
    """How bad it is: no answers, or no metres; answers that suffer; nothing that the node minds."""

    WRONG = "WRONG"
    WARNING = "WARNING"
    NOTE = "NOTE"


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        grade: How bad it is.
        subject: What it is about: `topic`, `frame`, `calibration`, `stamps`, `clock`, `rate`, `encoding`, `alignment`,
            `depth`, `losses`, `transform`, `picture`, `machine`.
        text: What is wrong, in the node's own words where it has some.
        change: The line to change, to be copied.
        camera: Whose it is; empty where it is nobody's.
    """

    grade: Grade
    subject: str
    text: str
    change: str
    camera: str = ""

    @property
    def counts(self) -> bool:
        """Whether the check fails by it."""
        return self.grade is not Grade.NOTE


NUMBER = r"-?\d+(\.\d+)?"


def told_once(findings: Sequence[Finding]) -> list[Finding]:
    """Worst first; of those that the same line cures the first, with what others of its subject say."""
    grades = list(Grade)
    first: dict[tuple[str, str], Finding] = {}
    for finding in sorted(findings, key=lambda one: grades.index(one.grade)):
        key = finding.camera, finding.change
        if key not in first:
            first[key] = finding
        elif first[key].subject == finding.subject:
            first[key] = replace(first[key], text=f"{first[key].text}; {finding.text}")
    return list(first.values())


class Looks:
    """The findings about many pictures, each told once, with the share of the pictures that had it."""

    LEAST = 0.1
    """What fewer of the pictures have is not told: something is always late."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._findings: dict[tuple[str, str], tuple[Finding, int]] = {}

    def add(self, subject_group: str, findings: list[Finding]) -> None:
        """One look: all that was found in it.

        Args:
            subject_group: Looks of one group are counted together.
            findings: What this look found, of this group.
        """
        self._seen[subject_group] = self._seen.get(subject_group, 0) + 1
        for finding in findings:
            key = (subject_group, f"{finding.subject} {re.sub(NUMBER, '#', finding.text)}")
            count = self._findings[key][1] if key in self._findings else 0
            self._findings[key] = finding, count + 1

    def findings(self) -> list[Finding]:
        """Those that more than a few looks had."""
        told = []
        for (group, _), (finding, count) in self._findings.items():
            seen = self._seen[group]
            if count < self.LEAST * seen:
                continue
            share = "" if count == seen else f" (in {count} of {seen} looks)"
            told.append(replace(finding, text=finding.text + share))
        return told

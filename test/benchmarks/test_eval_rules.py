# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A short run of the table of docs/eval.md: a row for each rule, from answers to questions of every format."""

import re

from benchmarks.eval_rules import main
from molmo_ros.evaluation.format_table import FORMATS


def test_a_row_for_each_rule(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["eval_rules", "--scenes", "4"])
    main()
    rows = re.findall(
        r"^\| ([\w-]+) \| (\d+) \| `([\w-]+)` \| ([\d.]+) \| ([\d.]+) \|$", capsys.readouterr().out, re.M
    )
    assert [(row[0], row[2]) for row in rows] == [
        (one.name, rule.name) for one in FORMATS.values() for rule in one.rules
    ]
    assert all(int(row[1]) > 0 and 50 < float(row[3]) <= 100 for row in rows)

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The commands that the README shows, as a shell would see them."""

import re
import shlex
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def blocks(language):
    """What stands in the fenced blocks of a language, in the page's order; "" is a shell's."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    return [text for name, text in fenced if name == language]


def commands():
    """Every command as its words: lines that go on are joined, comments left out, `&&` parted."""
    found = []
    for block in blocks(""):
        for line in block.replace("\\\n", " ").splitlines():
            for command in line.split(" && "):
                words = shlex.split(command, comments=True)
                if words:
                    found.append(words)
    return found


def beginning_with(*words):
    """Those of the commands that begin with these words."""
    return [command for command in commands() if tuple(command[: len(words)]) == words]

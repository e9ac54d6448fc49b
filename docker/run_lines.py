#!/usr/bin/env python3
# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What docker/Dockerfile does to a system, as a bash script: to try an image in a chroot, where there is no Docker.

    docker/run_lines.py CHECKOUT [NAME=VALUE...] | chroot FOLDER bash

CHECKOUT is the checkout as seen from inside, NAME=VALUE a build argument. COPY becomes cp, ARG and ENV variables, RUN
itself; the user is changed nowhere, and what starts the container is left out.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

DOCKERFILE = Path(__file__).with_name("Dockerfile")


def instructions(text: str) -> list[tuple[str, str]]:
    """Pairs of an instruction and its arguments, lines joined, comments left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r" *\\\n *", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def script(text: str, checkout: str, given: dict[str, str]) -> str:
    """The script; a `given` build argument takes the place of its default."""
    lines = ["set -euo pipefail"]
    names = set()
    for word, rest in instructions(text):
        if word == "ARG":
            name, has_default, default = rest.partition("=")
            value = shlex.quote(given[name]) if name in given else default
            if (has_default or name in given) and name not in names:
                lines.append(f"export {name}={value}")
            names.add(name)
        elif word == "ENV":
            lines.append(f"export {rest}")
        elif word == "COPY":
            source, target = rest.split()
            folder = "/." if source.endswith(("/", ".")) else ""
            lines.append(f"mkdir -p {target}")
            lines.append(f"cp -r {shlex.quote(f'{checkout}/{source}'.rstrip('/.') + folder)} {target}")
        elif word == "RUN":
            lines.append(f"( {rest} )")
    if unknown := given.keys() - names:
        raise SystemExit(
            f"no build argument {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    print(
        script(DOCKERFILE.read_text(), sys.argv[1], dict(pair.split("=", 1) for pair in sys.argv[2:])), end=""
    )

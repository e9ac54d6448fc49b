# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the models need of pip, looked for in the Python that the scripts will run with."""

import sys
from importlib.util import find_spec

NEEDED = ("torch", "safetensors", "tokenizers", "huggingface_hub")


def warn_of_missing_packages() -> None:
    """A build succeeds without them, and so does one whose Python gets them later."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"molmo_ros: {sys.executable}, whose scripts these are, has no {', '.join(missing)}, and the node will not "
            "start without. rosdep does not install them: docs/workspaces.md says how they come",
            file=sys.stderr,
        )

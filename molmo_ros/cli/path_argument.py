"""A path on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path


def given_path(text: str) -> Path:
    """For argparse: a path, and not the working directory where a variable of a script was empty.

    Raises:
        argparse.ArgumentTypeError: The text is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path; the working directory is .")
    return Path(text)

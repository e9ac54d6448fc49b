# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Reads and writes the picture files of the command line."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from molmo_ros.cli.printable import complain
from molmo_ros.molmo.errors import ImageError
from molmo_ros.pictures.any_picture import rgb_pixels, stored_samples
from molmo_ros.pictures.coded_picture import PictureError


def is_picture(text: str) -> bool:
    """Whether these words are the path of a picture file that can be read."""
    return os.path.isfile(text) and cv2.haveImageReader(text)


def read_picture(path: Path, tell: Callable[[str], None] = complain) -> np.ndarray:
    """Reads a picture file as people look at it: an EXIF orientation is applied, so points are in the upright picture.

    Samples of more than 8 bits are stretched by the range of their values where they leave most of it empty, as those
    of cameras with 10 to 14 bits do.

    Args:
        path: The file.
        tell: Called with what was assumed about the picture, one line each; prints it on stderr where none is given.

    Returns:
        uint8 [h, w, 3] RGB. Grey pictures are repeated into three channels, transparency is dropped.

    Raises:
        ImageError: there is no such file, or it is no picture that can be read.
    """
    try:
        # Since Python 3.14 `is_file` is silent about a path that is too long, or forbidden.
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileNotFoundError
        samples, orientation = stored_samples(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(f"no such image file: {path}") from None
    except (OSError, cv2.error) as error:
        raise ImageError(f"cannot read {str(path):.200}: {str(error):.300}") from error
    except PictureError as error:
        raise ImageError(f"{path} is not an image that can be read: {error}") from error
    pixels, notes = rgb_pixels(samples, orientation)
    for note in notes:
        tell(f"{path}{note}")
    return pixels


def write_picture(path: Path, image: np.ndarray) -> None:
    """Writes uint8 [h, w, 3] RGB; the file's ending decides its format.

    Raises:
        ImageError: the folder does not exist, or the ending names no format that OpenCV writes.
    """
    if not path.parent.is_dir():
        raise ImageError(f"cannot save {path}: there is no folder {path.parent}")
    try:
        done = cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise ImageError(
            f"cannot save {path}: its ending names no picture format (use .png or .jpg)"
        ) from error
    if not done:
        raise ImageError(f"cannot save {path}")

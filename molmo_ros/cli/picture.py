"""Reads and writes the picture files of the command line."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from molmo_ros.molmo.errors import ImageError


def is_picture(text: str) -> bool:
    """Whether these words are the path of a picture file that can be read."""
    return os.path.isfile(text) and cv2.haveImageReader(text)


def read_picture(path: Path) -> np.ndarray:
    """Reads a picture file as stored; an EXIF rotation is not applied, so points match the stored pixels.

    Returns:
        uint8 [h, w, 3] RGB. Grey pictures are repeated into three channels, transparency is dropped.

    Raises:
        ImageError: there is no such file, or it is no picture that OpenCV reads.
    """
    try:
        if not path.is_file():
            raise ImageError(f"no such image file: {path}")
        data = np.frombuffer(path.read_bytes(), np.uint8)
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(data, flags) if data.size else None
    except (OSError, cv2.error) as error:
        raise ImageError(f"cannot read {str(path):.200}: {str(error):.300}") from error
    if image is None:
        raise ImageError(f"{path} is not an image that can be read (PNG, JPEG, WebP, BMP, TIFF, ...)")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


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

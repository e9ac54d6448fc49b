# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Errors that the model side raises for bad input. Each is a `ValueError`, so that one clause catches them.

`GenerationError` is apart: the input was good, and the model failed on it.
"""

from __future__ import annotations

import sys

LONGEST = 4000
"""Characters of a message. What a damaged file holds may be quoted in it, and messages go into logs and answers."""


class MolmoError(ValueError):
    """Base of every error in this package that the caller can do something about."""

    def __init__(self, message: str = "") -> None:
        """A message that is too long loses its middle."""
        super().__init__(message if len(message) <= LONGEST else f"{message[:3000]} … {message[-900:]}")


class MissingLibraryError(MolmoError):
    """The Python that runs has not what the models need: mostly the system's, where the environment's was meant.

    Args:
        name: The module that was not found.
    """

    LIBRARIES = ("cv2", "huggingface_hub", "numpy", "safetensors", "tokenizers", "torch", "yaml")
    """The modules that no model can do without; other libraries are missed by what needs them."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{sys.executable} has no {name}, which the models need. Where apt installed ROS, requirements/apt_ros.sh "
            "makes an environment with it, and programs that colcon built while it was active start with its Python "
            "(docs/installing.md)"
        )


class CheckpointError(MolmoError):
    """A model folder is missing, incomplete, damaged, or of a family that is not supported."""


class UnsupportedModelError(CheckpointError):
    """A checkpoint is sound, as far as looked at, but of a kind that this package has no code for."""


class ImageError(MolmoError):
    """An image, or the crops made from it, have the wrong shape, type or size."""


class PromptError(MolmoError):
    """Text or token ids do not fit the model: empty, too long, or at odds with the image."""


class RegistryError(MolmoError):
    """The descriptions of the released models are missing or damaged, or none has the name asked for."""


class FetchError(MolmoError):
    """A model cannot be downloaded, or what came is not what it should be."""


class GenerationError(RuntimeError):
    """The model's scores are not numbers, as when float16 overflows."""

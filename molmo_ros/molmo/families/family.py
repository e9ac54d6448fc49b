# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What one family of models has of its own, outside of the numbers in its config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.families.tensor_names import TensorNames
from molmo_ros.molmo.families.transformers_names import OtherNames
from molmo_ros.molmo.families.wording import Wording
from molmo_ros.molmo.images.image_style import ImageStyle


class Special(str):
    """A special token in a prompt, by name; plain `str` beside it is ordinary text."""


@dataclass(frozen=True)
class PromptStyle:
    """The layout of a prompt.

    Attributes:
        turn: What follows the images: text pieces, in which "{text}" stands for what the user says, and
            special tokens.
        low_res_start: The token before the global view of an image.
        low_res_patch: The token for each pooled cell of the global view.
        many_images: Whether a prompt may hold several images.
        wording: The words it was trained on.
    """

    turn: tuple[str, ...]
    low_res_start: str
    low_res_patch: str
    many_images: bool
    wording: Wording

    @property
    def special_tokens(self) -> tuple[str, ...]:
        """Every special token that a prompt of this style needs."""
        image = ("<im_start>", "<im_end>", "<im_patch>", "<im_col>", self.low_res_start, self.low_res_patch)
        turn = (str(part) for part in self.turn if isinstance(part, Special))
        return tuple(dict.fromkeys((*image, *turn)))


@dataclass(frozen=True)
class Family:
    """One family of models.

    Attributes:
        name: What `MolmoConfig.family` holds.
        members: The released models, for messages to people.
        image_style: How images are resized and which tables come with them.
        image_types: Pattern of the `image_processor_type`, in lower case, of its image processing files.
        prompt: Layout of a prompt.
        tensor_names: The hub's names of the parameters.
        read_config: From a parsed config.json.
        write_config: To one, given the name of the stored weights' dtype.
        other_names: Further names of the hub's tensors, which adapters may carry.
    """

    name: str
    members: str
    image_style: ImageStyle
    image_types: str
    prompt: PromptStyle
    tensor_names: TensorNames
    read_config: Callable[[dict[str, Any]], MolmoConfig]
    write_config: Callable[[MolmoConfig, str], dict[str, Any]]
    other_names: OtherNames | None = None

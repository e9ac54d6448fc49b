# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The words that models are asked in and answer with, as they were trained.

Sources: the prompt templates of allenai/molmo (September 2024) and of allenai/molmo2 (Molmo2; MolmoPoint was trained
with the same), data_formatter.py; one of each kind. Style prefixes such as "pointing: " are left out: they stood
before a tenth of the training prompts of 0924 and before none of Molmo2's of these kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

About = Literal["image", "images", "video"]
"""What a prompt holds: one image, several, or frames of a video."""


@dataclass(frozen=True)
class Wording:
    """The words of one generation of models. "{label}" stands for what is asked about.

    Attributes:
        name: What config/models calls it.
        point: To point at every such thing, with what to say where there is none.
        count: To point at every one and count them.
        describe: To describe what is seen.
        track: To follow things through a video; "" where the models cannot.
        not_found: What is said where nothing is there to point at.
        no_tracks: The same where there is nothing to follow.
        answer_start: What every answer begins with.
    """

    name: str
    point: Mapping[About, str]
    count: Mapping[About, str]
    describe: Mapping[About, str]
    track: str
    not_found: tuple[str, ...]
    no_tracks: tuple[str, ...]
    answer_start: str


def _of_each(image: str, images: str, video: str) -> Mapping[About, str]:
    return MappingProxyType({"image": image, "images": images, "video": video})


def _of_image(image: str) -> Mapping[About, str]:
    return _of_each(image, image, image)


WORDING_0924 = Wording(
    name="0924",
    point=_of_image("Point to {label}\nPlease say 'This isn't in the image.' if it is not in the image."),
    count=_of_image("How many {label} are there?"),
    describe=_of_image("Describe this image."),
    track="",
    # Asked for the first, and trained on the second as well.
    not_found=("This isn't in the image.", "There are none."),
    no_tracks=(),
    answer_start=" ",
)
WORDING_MOLMO2 = Wording(
    name="molmo2",
    # Half of the training prompts about all of several images are those about one.
    point=_of_each(
        "Point to {label}\nPlease say 'There are none.' if it is not in the image.",
        "Point to {label}\nPlease say 'There are none.' if it is not in the image.",
        "Point to {label}\nPlease say 'There are none.' if it is not in the video.",
    ),
    count=_of_each(
        "How many {label} are there?",
        "How many {label} are there in all images?",
        "How many {label} are there?",
    ),
    describe=_of_each("Describe this image.", "Describe these images.", "Describe this video."),
    track="Track {label}.",
    not_found=("There are none.",),
    no_tracks=("No tracks available.",),
    answer_start="",
)

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An image after everything that needs no words, with its part of the KV cache."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from molmo_ros.molmo.families.wording import About
from molmo_ros.molmo.images.crop_budget import CropChoice
from molmo_ros.molmo.network.model import embed_prompt, prefill_mask
from molmo_ros.molmo.pointing.patch_points import PatchPlaces
from molmo_ros.molmo.pointing.point_chooser import PointableImages
from molmo_ros.molmo.prompts.prompt import Prefix
from molmo_ros.molmo.running.runtime import Cache, Runtime


@dataclass
class EncodedImage:
    """One image, or several of one prompt, ready for any number of queries to the model that encoded it.

    The first query also leaves the keys and values of the image's tokens here, so that later ones compute
    only their own words. One query at a time.

    Attributes:
        runtime: What it was encoded by, and for.
        sizes: (height, width) of each image [px].
        prefix: The image's tokens.
        features: [n_features, width], one for each patch token.
        timing_ms: What encoding took: preprocess, vision [ms].
        asked: Whether a query has been asked about it: the first one's time holds the image's prefill.
        crops: The limit that the images were cut under, and what they cost.
        pointable: The images as the point head sees them; None without a point head.
        places: Where the tokens of a point lie on them; None without a point head.
    """

    runtime: Runtime = field(repr=False)
    sizes: list[tuple[int, int]]
    prefix: Prefix
    features: Tensor
    timing_ms: dict[str, float] = field(default_factory=dict)
    crops: CropChoice | None = None
    asked: bool = False
    pointable: PointableImages | None = None
    places: PatchPlaces | None = None
    _cache: Cache | None = field(default=None, repr=False)

    def cache(self, max_len: int) -> Cache:
        """A cache with room for `max_len` tokens that holds the whole prefix or nothing.

        Raises:
            PromptError: The runtime has no room for so many.
        """
        old = self._cache
        if old is not None and self.pointable is not None and self.pointable.keys is None:
            old.truncate(0)  # the prefill that filled it ended before the point head had seen it
        if old is not None and old.length > len(self.prefix):
            old.truncate(len(self.prefix))
        self._cache = self.runtime.cache(max_len, old)
        return self._cache

    @torch.inference_mode()
    def unseen(self, query: np.ndarray, cache: Cache) -> tuple[Tensor, Tensor]:
        """What the network has yet to see of a prompt, and what of it may attend to what.

        Args:
            query: int64 [n], the ids after the image's tokens.
            cache: Holds the whole prefix or nothing.

        Returns:
            Embeddings [1, unseen tokens, width], and the mask of `prefill_mask`.
        """
        prefix, runtime, start = self.prefix, self.runtime, cache.length
        ids = torch.from_numpy(np.concatenate([prefix.ids, query])).to(runtime.device).unsqueeze(0)
        is_image, is_patch = (
            torch.from_numpy(np.pad(marks, (0, len(query)))).to(runtime.device).unsqueeze(0)
            for marks in (prefix.is_image, prefix.is_patch)
        )
        features = self.features if start == 0 else None
        return (
            embed_prompt(runtime.embedding, ids[:, start:], features, is_patch[:, start:]),
            prefill_mask(is_image, runtime.config.image_block, start),
        )


Pictures = np.ndarray | list[np.ndarray] | tuple[np.ndarray, ...]
"""An image, uint8 RGB [h, w, 3], or several in one prompt."""
Images = Pictures | EncodedImage
"""What a query is about: pictures, or what was encoded before."""


def about(images: Images) -> About:
    """What a prompt with these holds."""
    if isinstance(images, EncodedImage):
        return images.prefix.about
    return "images" if isinstance(images, (list, tuple)) and len(images) > 1 else "image"

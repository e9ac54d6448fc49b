# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An image after everything that needs no words, with its part of the KV cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass

import numpy as np
import torch
from torch import Tensor

from molmo_ros.molmo.families.wording import About
from molmo_ros.molmo.images.crop_budget import CropChoice
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.model import embed_prompt, prefill_mask
from molmo_ros.molmo.pointing.patch_points import PatchPlaces
from molmo_ros.molmo.pointing.point_chooser import PointableImages
from molmo_ros.molmo.prompts.prompt import Prefix
from molmo_ros.molmo.running.pack import Shared
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
        view: What they are a view of, such as a camera's name. An answer is guessed from the last one to the same query
            about the same view; a wrong guess costs a little time and changes nothing.
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
    view: str = ""
    pointable: PointableImages | None = None
    places: PatchPlaces | None = None
    _cache: Cache | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """The memory that it holds by itself [bytes]; a cache that all images of a runtime share is not counted."""
        held = [self.features, *_tensors(self.pointable)]
        if isinstance(self._cache, KVCache) and getattr(self.runtime, "static", None) is None:
            held += [self._cache.keys, self._cache.values]
        # Views of one memory are counted once.
        return sum(
            {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in held}.values()
        )

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
    def shared(self, cache: Cache) -> Shared:
        """What the network has yet to see of the image's tokens, which all queries about it share.

        Args:
            cache: Holds the whole prefix or nothing.
        """
        if cache.length:
            return Shared()
        prefix, runtime = self.prefix, self.runtime
        ids, is_image, is_patch = (
            torch.from_numpy(values).to(runtime.device).unsqueeze(0)
            for values in (prefix.ids, prefix.is_image, prefix.is_patch)
        )
        return Shared(
            embed_prompt(runtime.embedding, ids, self.features, is_patch),
            prefill_mask(is_image, runtime.config.image_block),
            None if self.pointable is None else self._seen,
        )

    def _seen(self, states: Tensor) -> None:
        head, images = self.runtime.point_head, self.pointable
        assert head is not None and images is not None, "only a model with a point head points into images"
        images.see(head, states)


def _tensors(value: object) -> Iterator[Tensor]:
    """Those in a record, and in the records that it has."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _tensors(one)
    elif is_dataclass(value):
        for one in fields(value):
            yield from _tensors(getattr(value, one.name))


Pictures = np.ndarray | list[np.ndarray] | tuple[np.ndarray, ...]
"""An image, uint8 RGB [h, w, 3], or several in one prompt."""
Images = Pictures | EncodedImage
"""What a query is about: pictures, or what was encoded before."""


def about(images: Images) -> About:
    """What a prompt with these holds."""
    if isinstance(images, EncodedImage):
        return images.prefix.about
    return "images" if isinstance(images, (list, tuple)) and len(images) > 1 else "image"

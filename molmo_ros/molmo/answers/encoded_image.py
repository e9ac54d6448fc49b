"""An image after everything that needs no words, with its part of the KV cache."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from molmo_ros.molmo.images.crop_budget import CropChoice
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

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What an image costs in crops and tokens, and how much of it a latency target allows.

The limit on tiles, `max_crops`, is the models' own control of latency. It works in steps: an image size has few
distinct tilings, and each fixes how often the vision tower runs and how many tokens the decoder prefills.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Real
from statistics import median
from typing import Any, NamedTuple

from molmo_ros.molmo.errors import ImageError, MolmoError, PromptError
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.latency_model import LatencyModel, QueryTiming
from molmo_ros.molmo.images.tiling import NO_TILES, distinct_tilings, select_tiling

TYPICAL_ANSWER = 24
"""Tokens of an answer with one point, until answers have been seen."""
WINDOW = 9
"""Queries that a running median looks back on."""
MEMORY = 64
"""Queries after which what was seen of a tiling that is no longer used is forgotten, so that it is tried again."""
HEADROOM = 0.85
"""More tiles are taken only where they are predicted to need at most this share of the target. Together with
`MEMORY` it keeps noise from moving the choice to and fro."""
TEXT_ROOM = 128
"""Tokens of the context that a choice leaves to words and answer."""


class ImageCost(NamedTuple):
    """What one image becomes.

    Attributes:
        tiling: Tiles (rows, columns).
        crops: Crops, the global view included.
        tokens: Image tokens, start, end and column tokens included, BOS not.
    """

    tiling: tuple[int, int]
    crops: int
    tokens: int

    @property
    def passes(self) -> int:
        """Crops that the vision tower sees: the tile of a 1x1 tiling is the global view again."""
        return 1 if self.tiling == (1, 1) else self.crops


def image_cost(
    config: ImageProcessorConfig, size: tuple[int, int], max_crops: int | None = None
) -> ImageCost:
    """Crops and tokens of an image, without making them.

    Args:
        config: The checkpoint's image processing.
        size: (height, width) of the image [px].
        max_crops: Most tiles; default: the checkpoint's own limit.

    Raises:
        ImageError: The size has no pixels.
        MolmoError: `max_crops` is not a whole number from 1 to 1000.
    """
    _check_size(size)
    if max_crops is not None:
        config = config.with_max_crops(max_crops)
    return tiling_cost(config, select_tiling(*size, config.grid))


def _check_size(size: tuple[int, int]) -> None:
    if min(size) < 1:
        raise ImageError(f"The image has no pixels: its size is {size[0]} x {size[1]} (height x width).")


def tiling_cost(config: ImageProcessorConfig, tiling: tuple[int, int]) -> ImageCost:
    """Of an image that is cut into so many tiles."""
    grid = config.grid
    low_rows, low_columns = grid.pooled((grid.patches, grid.patches))
    tokens = low_rows * (low_columns + config.low_res_columns) + 2
    if tiling != NO_TILES:
        high_rows, high_columns = grid.pooled(grid.mosaic(tiling))
        tokens += high_rows * (high_columns + 1) + 2
    return ImageCost(tiling, 1 + tiling[0] * tiling[1], tokens)


def shapes(
    config: ImageProcessorConfig, size: tuple[int, int], max_crops: int | None = None
) -> list[ImageCost]:
    """Every distinct cost that images of one size can have under limits from 1 to `max_crops`, rising.

    These are the shapes that an engine with static shapes must be built for. A higher limit never gives fewer
    tiles: least upscaling is reached by the fewest tiles that cover the image.

    Args:
        config: The checkpoint's image processing.
        size: (height, width) of the image [px].
        max_crops: The highest limit; default: the checkpoint's own.

    Raises:
        ImageError, MolmoError: See `image_cost`.
    """
    most = config.max_crops if max_crops is None else max_crops
    return [option.costs[0] for option in _options(config, (size,), most)]


@dataclass(frozen=True)
class CropChoice:
    """The limit that a query's images were cut under.

    Attributes:
        max_crops: Most tiles of each image.
        costs: What each image became.
        predicted: Wall time that the query was expected to take [s]; None where no target asked for a prediction.
        note: A sentence for people where the choice is not what was wished or trained, else empty.
    """

    max_crops: int
    costs: tuple[ImageCost, ...]
    predicted: float | None = None
    note: str = ""

    @property
    def passes(self) -> int:
        """Crops of all images that the vision tower sees."""
        return sum(cost.passes for cost in self.costs)

    @property
    def tokens(self) -> int:
        """Tokens of all images."""
        return sum(cost.tokens for cost in self.costs)

    def record(self) -> dict[str, Any]:
        """For JSON; times in milliseconds."""
        return {
            "max_crops": self.max_crops,
            "tilings": [list(cost.tiling) for cost in self.costs],
            "crops": sum(cost.crops for cost in self.costs),
            "tokens": self.tokens,
            "predicted_ms": None if self.predicted is None else round(self.predicted * 1e3, 1),
            "note": self.note,
        }

    def timing(self, timing_ms: Mapping[str, float], answer_tokens: int) -> QueryTiming:
        """A query about these images, from its stages' wall times [ms] (preprocess, vision, prefill, decode)."""
        seconds = {stage: value / 1e3 for stage, value in timing_ms.items()}
        image = seconds["preprocess"] + seconds["vision"]
        return QueryTiming(
            self.passes, self.tokens, answer_tokens, image, seconds["prefill"], seconds["decode"]
        )


class CropBudget:
    """Chooses `max_crops`: as it was set, or the most that a latency target leaves time for.

    The target is for a whole query, from image to the end of an answer of the usual length. What a query will take is
    predicted by a `LatencyModel` from a few timed queries (`measure`), corrected by the running median of measured
    to predicted time of real queries (`measured`).

    Attributes:
        config: The checkpoint's image processing; its `max_crops` is the trained limit.
        max_crops: The limit that was set; None for the trained one. Under a target it is the upper bound.
        latency_target: Wall time of a query [s]; None for no target.
        latency: What was measured; None before.
    """

    def __init__(self, config: ImageProcessorConfig, max_tokens: int) -> None:
        """Starts with the trained limit and no target.

        Args:
            config: The checkpoint's image processing.
            max_tokens: The model's context.
        """
        self.config, self._max_tokens = config, max_tokens
        self.max_crops: int | None = None
        self.latency_target: float | None = None
        self.latency: LatencyModel | None = None
        self._chosen: dict[tuple[tuple[int, int], ...], int] = {}
        self._ratios: deque[tuple[tuple[int, int], float]] = deque(maxlen=MEMORY)
        self._answers: deque[int] = deque(maxlen=WINDOW)

    def limit(self, max_crops: int | None, latency_target: float | None) -> None:
        """Sets both; the next choice follows them. Nothing happens where they are what they were.

        Raises:
            MolmoError: `max_crops` is not a whole number from 1 to 1000, or the target is not a positive time.
        """
        if (max_crops, latency_target) == (self.max_crops, self.latency_target):
            return
        if max_crops is not None:
            self.config.with_max_crops(max_crops)
        if latency_target is not None and not (
            isinstance(latency_target, Real) and 0 < latency_target < math.inf
        ):
            raise MolmoError(
                f"latency_target is {latency_target!r:.80} s; it must be positive, or None for no target"
            )
        self.max_crops, self.latency_target = max_crops, latency_target
        self._chosen.clear()

    @property
    def unmeasured(self) -> bool:
        """Whether there is a target and nothing to predict from."""
        return self.latency_target is not None and self.latency is None

    def measure(self, ask: Callable[[tuple[int, int], int], QueryTiming]) -> None:
        """Times short queries with 1, 2, 4, ... tiles, until they take twice the target or reach the trained limit.

        Args:
            ask: Given an image's (height, width) [px] and `max_crops`, asks about such an image. The first call of
                a tiling warms up and does not count.
        """
        timings: list[QueryTiming] = []
        enough = math.inf if self.latency_target is None else 2 * self.latency_target
        tiles = 1
        while True:
            size = self._size_of(tiles)
            if tiles > 1 and image_cost(self.config, size, tiles).tokens + TEXT_ROOM > self._max_tokens:
                break
            ask(size, tiles)
            timings += [ask(size, tiles) for _ in range(3)]
            if timings[-1].total > enough or tiles >= self.config.max_crops:
                break
            tiles = min(2 * tiles, self.config.max_crops)
        self.latency = LatencyModel.fit(timings)

    def _size_of(self, tiles: int) -> tuple[int, int]:
        """(height, width) [px] of an image that `tiles` tiles, as square as they go, cover exactly."""
        rows = max(count for count in range(1, math.isqrt(tiles) + 1) if tiles % count == 0)
        return self._covered((rows, tiles // rows))

    def _covered(self, tiling: tuple[int, int]) -> tuple[int, int]:
        """(height, width) [px] of an image that (rows, columns) of tiles cover exactly."""
        height, width = self.config.grid.mosaic(tiling)
        return height * self.config.patch_size, width * self.config.patch_size

    def largest(self) -> tuple[int, int]:
        """(height, width) [px] of an image that becomes the most tokens that the limit and the context allow."""
        most = self.max_crops or self.config.max_crops
        tilings = [(rows, columns) for rows in range(1, most + 1) for columns in range(1, most // rows + 1)]
        tokens = {tiling: tiling_cost(self.config, tiling).tokens for tiling in tilings}
        fitting = [one for one in tilings if tokens[one] + TEXT_ROOM <= self._max_tokens] or [(1, 1)]
        return self._covered(max(fitting, key=lambda one: (tokens[one], -abs(one[0] - one[1]))))

    def measured(self, timing: QueryTiming) -> None:
        """Takes a real query into account: one that was not cut off, the first about its image."""
        if self.latency is None:
            return
        predicted = self.latency.predict(timing.passes, timing.tokens, timing.answer_tokens)
        self._ratios.append(((timing.passes, timing.tokens), timing.total / max(predicted, 1e-9)))
        self._answers.append(timing.answer_tokens)

    def choose(self, sizes: Sequence[tuple[int, int]], max_crops: int | None = None) -> CropChoice:
        """The limit for the images of one prompt.

        Args:
            sizes: (height, width) of each [px].
            max_crops: This limit for these images, whatever was set.

        Raises:
            ImageError: A size has no pixels.
            MolmoError: `max_crops` is not a whole number from 1 to 1000.
            PromptError: The images' tokens do not fit the model's context under the limit that was asked for, or
                of several images under any.
        """
        least = tiling_cost(self.config, (1, 1)).tokens
        if len(sizes) > 1 and len(sizes) * least >= self._max_tokens:
            raise PromptError(
                f"{len(sizes)} images have at least {len(sizes) * least} image tokens, which fill the model's context "
                f"of {self._max_tokens} tokens; it holds at most {(self._max_tokens - 1) // least} of them"
            )
        asked = self.max_crops if max_crops is None else max_crops
        trained = self.config.max_crops
        options = _options(self.config, tuple(sizes), trained if asked is None else asked, self._max_tokens)
        fitting = [option for option in options if option.tokens + TEXT_ROOM <= self._max_tokens] or options[
            :1
        ]
        if max_crops is None and self.latency_target is not None and self.latency is not None:
            return self._affordable(tuple(sizes), fitting)
        if asked is None:
            return CropChoice(trained, options[-1].costs)
        if len(fitting) < len(options) and options[-1].tokens >= self._max_tokens:
            raise PromptError(
                f"max_crops {asked} makes {options[-1].tokens} tokens or more of the image; the model's context has "
                f"{self._max_tokens}. Up to {options[len(fitting)].max_crops - 1} fits"
            )
        beyond = f"max_crops {asked} is more than the {trained} that the model was trained with"
        return CropChoice(asked, options[-1].costs, note=beyond if asked > trained else "")

    def _affordable(self, sizes: tuple[tuple[int, int], ...], options: Sequence[CropChoice]) -> CropChoice:
        """The most tiles that are predicted to keep the target; the fewest there are, where none do."""
        assert self.latency_target is not None
        before = self._chosen.get(sizes, math.inf)
        predicted = [self._predict(option) for option in options]
        best = 0
        for number, (option, seconds) in enumerate(zip(options, predicted, strict=True)):
            if seconds <= self.latency_target * (HEADROOM if option.max_crops > before else 1):
                best = number
        note = ""
        if predicted[best] > self.latency_target:
            note = (
                f"latency_target {self.latency_target:g} s cannot be met: with the fewest tiles a query takes about "
                f"{predicted[best]:.2g} s"
            )
        if len(self._chosen) > MEMORY:
            self._chosen.clear()
        self._chosen[sizes] = options[best].max_crops
        return replace(options[best], predicted=predicted[best], note=note)

    def _predict(self, option: CropChoice) -> float:
        """Wall time of a query with an answer of the usual length [s]."""
        assert self.latency is not None
        answer = median(self._answers) if self._answers else TYPICAL_ANSWER
        cost = (option.passes, option.tokens)
        own = [ratio for seen, ratio in self._ratios if seen == cost]
        ratios = own if len(own) >= WINDOW // 2 else [ratio for _, ratio in self._ratios]
        return self.latency.predict(*cost, answer) * (median(ratios[-WINDOW:]) if ratios else 1)


@lru_cache(maxsize=64, typed=True)
def _options(
    config: ImageProcessorConfig,
    sizes: tuple[tuple[int, int], ...],
    most: int,
    max_tokens: float = math.inf,
) -> tuple[CropChoice, ...]:
    """What images can become under limits from 1 to `most`, rising, each with the lowest limit that gives it.

    Ends with the first that fills a context of `max_tokens`.
    """
    grid = config.with_max_crops(most).grid
    for size in sizes:
        _check_size(size)
    tilings = {size: dict(distinct_tilings(*size, grid)) for size in set(sizes)}
    now: dict[tuple[int, int], ImageCost] = {}
    options: list[CropChoice] = []
    for limit in sorted({limit for of_size in tilings.values() for limit in of_size}):
        changed = {size: of_size[limit] for size, of_size in tilings.items() if limit in of_size}
        now |= {size: tiling_cost(config, tiling) for size, tiling in changed.items()}
        options.append(CropChoice(limit, tuple(now[size] for size in sizes)))
        if options[-1].tokens >= max_tokens:
            break
    return tuple(options)

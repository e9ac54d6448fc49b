# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An engine behind the interface that torch has too: passes of the right size over graphs of fixed limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.runtimes.graph_runner import GraphRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.engine.store.manifest import Manifest
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import ImageError, PromptError
from molmo_ros.molmo.network.connector import image_table
from molmo_ros.molmo.network.decoder import Embedding
from molmo_ros.molmo.network.model import ImageFeatures, PatchFeatures
from molmo_ros.molmo.network.point_head import PointHead
from molmo_ros.molmo.running.runtime import Cache, ForkGuard, ImageTensors, StepOutput


class EngineCache:
    """Whose turn it is with the engine's one cache, and how much of it is filled.

    Attributes:
        length: How many slots are filled.
        max_len: How many there are.
    """

    def __init__(self, max_len: int) -> None:
        self.length, self.max_len = 0, max_len

    def truncate(self, length: int) -> None:
        """Forgets everything from slot `length` on."""
        if not 0 <= length <= self.length:
            raise ValueError(f"cannot truncate to {length}: the cache holds {self.length}")
        self.length = length


class EngineRuntime:
    """See `Runtime`. The token embeddings and the point head stay with torch: they are look-ups and small products.

    Attributes:
        shapes: What the engine was built for.
        runner: Runs its graphs.
        rebuild: The command that built it.
        manifest: Of the engine's folder; None where it was exported for this process alone.
    """

    manifest: Manifest | None = None

    def __init__(
        self,
        config: MolmoConfig,
        shapes: Shapes,
        runner: GraphRunner,
        embedding: Embedding,
        point_head: PointHead | None,
        rebuild: str = "molmo-ros build",
    ) -> None:
        """Puts an engine together.

        Args:
            config: The model's shape.
            shapes: What the engine was built for.
            runner: Runs its graphs.
            embedding: Onto the runner's device, in its dtype.
            point_head: Likewise; None for models without one.
            rebuild: The command that built it, for messages.
        """
        self.config, self.shapes, self.runner = config, shapes, runner
        self.name, self.device, self.dtype = runner.name, runner.device, runner.dtype
        self.embedding, self.point_head = embedding, point_head
        self.max_context, self.max_scores = shapes.max_context, shapes.max_logits
        self.rebuild = rebuild
        self._cache = EngineCache(shapes.max_context)
        self._process = ForkGuard()

    def graphs_refused(self) -> str:
        """See `Runtime`."""
        refused: Callable[[], str] | None = getattr(self.runner, "graphs_refused", None)
        return refused() if refused is not None and self.device.type == "cuda" else ""

    def encode_image(self, image: ImageTensors) -> ImageFeatures:
        """See `Runtime`."""
        self._process.check(self.name)
        vision, connector = self.config.vision, self.config.connector
        count = len(image.crops)
        if image.crops.shape[1:] != (vision.patches, vision.patch_values):
            raise ImageError(
                f"crops have shape {tuple(image.crops.shape)}; the last two sizes must be "
                f"{(vision.patches, vision.patch_values)}"
            )
        if connector.pad_embed and (image.masks is None or image.masks.shape != image.crops.shape[:2]):
            found = None if image.masks is None else tuple(image.masks.shape)
            raise ImageError(f"this model needs masks of shape {tuple(image.crops.shape[:2])}; found {found}")
        table = image_table(vision.grid, connector, count, image.input_idx, image.pooling)
        self._check_image(count, table)
        seen, crops, masks = table, image.crops, image.masks if connector.pad_embed else None
        if image.single_view:
            # All crops are one picture, which the tower sees once. Where padding is marked they differ after it.
            crops = crops[:1]
            seen = table if connector.pad_embed else torch.where(table < 0, table, table % vision.patches)
        tokens, patches = self.runner.vision(crops, seen, masks, image.colours)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # as in torch: what a picture takes is known when it is done
        if patches is None:
            return ImageFeatures(tokens, None)
        if len(patches) < count * vision.patches:
            patches = patches.repeat(count, 1)
        return ImageFeatures(tokens, PatchFeatures(patches, table.to(self.device)))

    def _check_image(self, count: int, table: Tensor) -> None:
        limits = (
            ("tiles", count - 1, self.shapes.max_crops, "max-crops"),
            ("image features", len(table), self.shapes.max_image_tokens, "max-crops"),
        )
        for what, found, most, option in limits:
            if found > most:
                raise ImageError(
                    f"the image has {found} {what}; the engine was built for {most}. Ask for fewer with max_crops, "
                    f"or build it again with a higher --{option}: {self.rebuild}"
                )
        if self.shapes.slots is not None and table.shape[1] != self.shapes.slots:
            raise ImageError(
                f"the image features are made of {table.shape[1]} patches each; the engine was built for "
                f"{self.shapes.slots}, as in images. Frames of a video need --engine torch"
            )

    def cache(self, max_len: int, old: Cache | None = None) -> EngineCache:
        """See `Runtime`."""
        if max_len > self.max_context:
            raise PromptError(
                f"prompt and answer may take {max_len} tokens; the engine was built for {self.max_context}. "
                f"Build it again with --max-context {max_len}: {self.rebuild}"
            )
        if old is not self._cache:
            self._cache.length = 0  # whoever had it must begin again
            self._cache = EngineCache(self.max_context)
        return self._cache

    def prefill(
        self,
        embeddings: Tensor,
        mask: Tensor,
        cache: Cache,
        *,
        positions: Tensor | None = None,
        logits_for: Tensor | None = None,
    ) -> StepOutput:
        """See `Runtime`."""
        self._process.check(self.name)
        start, count = self._reserve(cache, embeddings.shape[1]), embeddings.shape[1]
        if positions is None:
            positions = torch.arange(start, start + count, dtype=torch.int64, device=self.device).unsqueeze(0)
        if logits_for is None:
            logits_for = torch.tensor([count - 1], dtype=torch.int64, device=self.device)
        logits, states = [], []
        for first, last in self._passes(mask, start):
            here = logits_for[(logits_for >= first) & (logits_for < last)] - first
            # More scores than an engine gives at once take the pass again, which writes the same once more; and a
            # pass that is asked for none makes one, which is dropped.
            for wanted in here.split(self.shapes.max_logits) if len(here) else [None]:
                with _forgotten_where_it_fails(cache):
                    output = self.runner.decoder(
                        embeddings[:, first:last],
                        positions[:, first:last],
                        mask[:, :, first:last, : start + last],
                        start + first,
                        torch.tensor([0], dtype=torch.int64, device=self.device)
                        if wanted is None
                        else wanted,
                    )
                logits.append(output.logits[:, : 0 if wanted is None else len(wanted)])
            states.append(output.states)
        cache.length = start + count
        every = [part for part in states if part is not None]
        return StepOutput(torch.cat(logits, dim=1), torch.cat(every, dim=1) if every else None)

    def decode(self, embedding: Tensor, cache: Cache) -> StepOutput:
        """See `Runtime`."""
        self._process.check(self.name)
        slot = self._reserve(cache, 1)
        with _forgotten_where_it_fails(cache):
            output = self.runner.decode(embedding, slot)
        cache.length += 1
        return output

    def _reserve(self, cache: Cache, count: int) -> int:
        """The slot at which the next `count` tokens start."""
        if cache is not self._cache:
            raise EngineError("the cache of this query was taken over by another one; it must begin again")
        if cache.length + count > cache.max_len:
            raise PromptError(
                f"the KV cache holds {cache.max_len} positions: {cache.length} are used, {count} more wanted"
            )
        return cache.length

    def _passes(self, mask: Tensor, start: int) -> Iterator[tuple[int, int]]:
        """Ranges of tokens that the decoder takes one after the other; none sees a token of a later one."""
        count, most = mask.shape[2], self.shapes.max_prompt
        if count <= most:
            yield 0, count
            return
        # How far each token and all before it see, in tokens of this call.
        columns = torch.arange(mask.shape[3], dtype=torch.int64, device=mask.device)
        reach = ((mask[0, 0] * columns).amax(-1).cummax(0).values - start).tolist()
        ends = [token + 1 for token in range(count) if reach[token] <= token]
        first = 0
        while first < count:
            last = max((end for end in ends if first < end <= first + most), default=None)
            if last is None:
                together = next(end for end in ends if end > first) - first
                raise PromptError(
                    f"{together} tokens see each other and must go in one pass, as those of Molmo2's images do; the "
                    f"engine takes {most}. Ask for fewer tiles or images, or build it again with a higher "
                    f"--max-crops: {self.rebuild}"
                )
            yield first, last
            first = last


@contextmanager
def _forgotten_where_it_fails(cache: Cache) -> Iterator[None]:
    """Nobody knows what a pass that failed on its way has left in the cache: the next query begins again."""
    try:
        yield
    except BaseException:
        cache.length = 0
        raise

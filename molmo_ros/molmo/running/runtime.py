# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What runs a model's networks: torch on any device, or an engine that was built from the same weights.

A runtime takes and gives torch tensors on its own device. Everything around it (image processing, prompts, choosing
tokens, reading points, confidences) is the same whatever runs the networks.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.network.decoder import Embedding
from molmo_ros.molmo.network.model import ImageFeatures
from molmo_ros.molmo.network.point_head import PointHead


class ImageTensors(NamedTuple):
    """One image as its processor made it, in memory of the host; `ProcessedImage` says what the arrays mean.

    Attributes:
        crops: [n, patches, patch_values]: uint8, to be normalised with `colours`; or of any floating-point type, and
            normalised.
        masks: float32 [n, patches], or None.
        input_idx: int64 [n, tokens per crop], or None.
        pooling: int64 [n_tokens, slots], or None.
        single_view: Whether all crops are one picture.
        colours: float32 [2, patch_values], or None.
    """

    crops: Tensor
    masks: Tensor | None = None
    input_idx: Tensor | None = None
    pooling: Tensor | None = None
    single_view: bool = False
    colours: Tensor | None = None


class StepOutput(NamedTuple):
    """What the decoder says about some tokens.

    Attributes:
        logits: float [1, n, vocab], for the tokens that were asked for; with an extra head, of the special
            tokens too.
        states: [1, q, width], of all tokens before the final norm; None from an engine of a model without a
            point head, which has no use for them.
    """

    logits: Tensor
    states: Tensor | None


class ForkGuard:
    """The process that a runtime was made in. A fork of it has none of the threads that do the work, nor the GPU: it
    would wait for them forever."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def check(self, runtime: str) -> None:
        """To be called before the work of a runtime by that name.

        Raises:
            MolmoError: This is a fork of that process.
        """
        if os.getpid() != self._pid:
            raise MolmoError(
                f"this model was loaded by process {self._pid} and is asked in its fork {os.getpid()}, which has none "
                f"of the threads that {runtime} computes with. Load the model in the process that asks it, and start "
                "that one with multiprocessing.get_context('spawn')"
            )


class Cache(Protocol):
    """The keys and values of one prompt.

    Attributes:
        length: How many slots are filled.
        max_len: How many there are.
    """

    length: int
    max_len: int

    def truncate(self, length: int) -> None:
        """Forgets everything from slot `length` on."""


class Runtime(Protocol):
    """A model's networks, whatever runs them."""

    name: str
    """torch, onnx or tensorrt."""
    config: MolmoConfig
    """The model's shape."""
    device: torch.device
    """Where tensors go in and come out."""
    dtype: torch.dtype
    """Of embeddings and image features."""
    max_context: int
    """The longest prompt and answer together [tokens]."""
    max_scores: int
    """How many tokens of one pass get scores."""
    point_head: PointHead | None
    """MolmoPoint's head; None without one."""

    @property
    def embedding(self) -> Embedding:
        """Of tokens: a table, or rows of the checkpoint's files."""

    def graphs_refused(self) -> str:
        """Why decoded tokens are not replayed as CUDA graphs; empty where they are, and where there is no GPU."""

    def encode_image(self, image: ImageTensors) -> ImageFeatures:
        """Tower, pooling and projector for one image.

        Raises:
            ImageError: The tensors do not fit the model, or the engine takes fewer crops.
        """

    def cache(self, max_len: int, old: Cache | None = None) -> Cache:
        """A cache with room for `max_len` tokens.

        It holds what `old` holds, or nothing. `old` may come back itself; otherwise it is not to be used again. A
        runtime with one cache for everybody hands it to whoever asked last: the caches it gave before are empty.

        Raises:
            PromptError: The runtime has no room for so many.
        """

    def prefill(
        self,
        embeddings: Tensor,
        mask: Tensor,
        cache: Cache,
        *,
        positions: Tensor | None = None,
        logits_for: Tensor | None = None,
    ) -> StepOutput:
        """Any number of tokens, which go to the cache's next slots: a prompt, or tokens to be verified.

        Args:
            embeddings: [1, q, width].
            mask: Boolean [1, 1, q, cache.length + q].
            cache: From `cache`.
            positions: int64 [1, q], of each token in its own sequence; None: those of their slots.
            logits_for: int64 [n], which of the q tokens get scores; None: the last one.

        Raises:
            PromptError: The cache has no room for them, or they see each other and are more than an engine takes
                in one pass.
        """

    def decode(self, embedding: Tensor, cache: Cache) -> StepOutput:
        """One token [1, 1, width], which sees everything in the cache."""

"""What runs a model's networks: torch on any device, or an engine that was built from the same weights.

A runtime takes and gives torch tensors on its own device. Everything around it (image processing, prompts, choosing
tokens, reading points, confidences) is the same whatever runs the networks.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.network.decoder import TokenEmbedding
from molmo_ros.molmo.network.model import ImageFeatures
from molmo_ros.molmo.network.point_head import PointHead


class ImageTensors(NamedTuple):
    """One image as the vision side takes it; see `ProcessedImage` for the meaning, which is the same.

    Attributes:
        crops: [n, patches, patch_values].
        masks: float32 [n, patches], or None.
        input_idx: int64 [n, tokens per crop], or None.
        pooling: int64 [n_tokens, slots], or None.
        single_view: Whether all crops are one picture.
    """

    crops: Tensor
    masks: Tensor | None = None
    input_idx: Tensor | None = None
    pooling: Tensor | None = None
    single_view: bool = False


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
    """A model's networks, whatever runs them.

    Attributes:
        config: The model's shape.
        device: Where tensors go in and come out.
        dtype: Of embeddings and image features.
        embedding: The table of token embeddings.
        point_head: MolmoPoint's head; None without one.
    """

    config: MolmoConfig
    device: torch.device
    dtype: torch.dtype
    embedding: TokenEmbedding
    point_head: PointHead | None

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

    def prefill(self, embeddings: Tensor, mask: Tensor, cache: Cache, logits_for: Tensor | None = None) -> StepOutput:
        """Any number of tokens, which go to the cache's next slots.

        Args:
            embeddings: [1, q, width].
            mask: Boolean [1, 1, q, cache.length + q].
            cache: From `cache`.
            logits_for: int64 [n], which of the q tokens get scores; None: the last one.

        Raises:
            PromptError: The cache has no room for them, or they see each other and are more than an engine takes
                in one pass.
        """

    def decode(self, embedding: Tensor, cache: Cache) -> StepOutput:
        """One token [1, 1, width], which sees everything in the cache."""


def embed_prompt(
    embedding: TokenEmbedding, input_ids: Tensor, features: Tensor | None, is_patch: Tensor | None
) -> Tensor:
    """Token embeddings, with image features added to those of the patch tokens.

    Args:
        embedding: The table.
        input_ids: int64 [B, L].
        features: [n, width] or [B, n, width]: one for each patch token, in the order of the tokens; or None.
        is_patch: Boolean [B, L]; None where there are no features.

    Returns:
        [B, L, width].

    Raises:
        PromptError: Not as many features as patch tokens.
    """
    embeddings = embedding(input_ids)
    if features is None or is_patch is None:
        return embeddings
    features = features.reshape(-1, embeddings.shape[-1]).to(embeddings.dtype)
    places = is_patch.flatten().nonzero().squeeze(1)
    if places.shape[0] != features.shape[0]:
        raise PromptError(f"{features.shape[0]} image features for {places.shape[0]} patch tokens")
    return embeddings.flatten(0, 1).index_add(0, places, features).view_as(embeddings)

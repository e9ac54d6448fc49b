# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""MolmoPoint's head: a hidden state chooses a patch, one of its subpatches, and a location in that.

Source: hub modeling_molmo_point.py, PointPredictor. d is the width of the decoder, h that of the head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from molmo_ros.molmo.config import DecoderConfig, PointHeadConfig
from molmo_ros.molmo.network.decoder import RMSNorm
from molmo_ros.molmo.network.rope import RotaryEmbedding, rotate

NOT_POINTABLE = -1e8
"""Score of a patch that cannot be pointed at."""
NEVER = -1e5
"""Score of an id that cannot be chosen in this step."""


class PatchKeys(NamedTuple):
    """What a query is compared with to choose a patch.

    Attributes:
        keys: float32 [N + 1, h], of the N image tokens and of "no more points"; every step reads them all.
        pointable: Boolean [N + 1].
        positions: int64 [N], the rotary position of each image token.
    """

    keys: Tensor
    pointable: Tensor
    positions: Tensor


class PointHead(nn.Module):
    """The point head.

    All states are the decoder's last ones before its final norm.

    Args:
        config: The head's shape.
        decoder: For the width and the norm's epsilon.
        feature_width: Width of the vision tower's features.
    """

    def __init__(self, config: PointHeadConfig, decoder: DecoderConfig, feature_width: int) -> None:
        super().__init__()
        self.norm = RMSNorm(decoder.width, decoder.norm_eps)
        self.patch_query = nn.Linear(decoder.width, config.width)
        self.patch_key = nn.Linear(decoder.width, config.width)
        self.subpatch_query = nn.Linear(decoder.width, config.width)
        self.subpatch_key = nn.Linear(feature_width, config.width)
        self.location = nn.Linear(decoder.width, config.locations[0] * config.locations[1])
        self.no_more_points = nn.Parameter(torch.zeros(config.width))
        self.subpatch_embedding = nn.Linear(feature_width, decoder.width)
        self._rotary = RotaryEmbedding(config.width, config.rope_theta)

    def patch_keys(self, states: Tensor, pointable: Tensor) -> PatchKeys:
        """Keys of the image tokens: R(p_i) (W x_i + b), with x = RMSNorm(state).

        p_i counts the pointable tokens up to and including i, less one, so that it is -1 before the first.
        The key of "no more points" is learned and not rotated.

        Args:
            states: [N, d], of the image tokens.
            pointable: Boolean [N].
        """
        positions = pointable.cumsum(0) - 1
        keys = self._rotated(self.patch_key(self.norm(states)), positions)
        keys = torch.cat([keys, self.no_more_points.to(keys.dtype).unsqueeze(0)])
        return PatchKeys(keys.float(), torch.cat([pointable, pointable.new_ones(1)]), positions)

    def patch_scores(self, state: Tensor, keys: PatchKeys, last_patch: int) -> Tensor:
        """Scores of the image tokens and of "no more points": R(p_last) (W x + b) · K / sqrt(N + 1).

        The reference divides by the root of the number of keys, not of their width, in training too.

        Args:
            state: [d].
            keys: See `patch_keys`.
            last_patch: The patch of the last point; negative where there is none, for position 0.

        Returns:
            float32 [N + 1].
        """
        position = (
            keys.positions[last_patch].clamp(min=0) if last_patch >= 0 else keys.positions.new_zeros(())
        )
        query = self._rotated(self.patch_query(self.norm(state)).unsqueeze(0), position.view(1))[0]
        scores = keys.keys @ query.float() / len(keys.keys) ** 0.5
        return torch.where(keys.pointable, scores, NOT_POINTABLE)

    def subpatch_keys(self, features: Tensor) -> Tensor:
        """Keys [..., h] of the vision tower's features [..., feature width]."""
        return self.subpatch_key(features)

    def subpatch_scores(self, state: Tensor, features: Tensor, filled: Tensor) -> Tensor:
        """Scores of a patch's subpatches: (W x + b) · K / sqrt(h).

        Args:
            state: [d].
            features: [slots, feature width], zero where a slot is empty.
            filled: Boolean [slots].

        Returns:
            float32 [slots].
        """
        keys, query = self.subpatch_keys(features).float(), self.subpatch_query(self.norm(state)).float()
        return torch.where(filled, keys @ query / keys.shape[-1] ** 0.5, NEVER)

    def location_scores(self, state: Tensor) -> Tensor:
        """Scores float32 [locations] of the places in a subpatch, from the state itself [d], not normalised."""
        return self.location(state).float()

    def _rotated(self, vectors: Tensor, positions: Tensor) -> Tensor:
        """Rotates [n, h] by its rotary positions [n]; all of h is one head."""
        cosine, sine = self._rotary(positions.unsqueeze(0))
        return rotate(vectors[None, None], cosine, sine)[0, 0]

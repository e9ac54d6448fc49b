# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Choosing tokens as MolmoPoint does: words and points in one distribution, and what they feed back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.network.model import PatchFeatures
from molmo_ros.molmo.network.point_head import NEVER, PatchKeys, PointHead
from molmo_ros.molmo.pointing.point_grammar import PointGrammar
from molmo_ros.molmo.pointing.point_tokens import PointTokens
from molmo_ros.molmo.running.choosing import Choice, likeliest
from molmo_ros.molmo.running.runtime import Runtime, StepOutput


@dataclass
class PointableImages:
    """The images of a prompt as something to point into; the same for every query.

    Attributes:
        tokens: [image tokens, width], the features of all images.
        patches: The patches that they are made of.
        is_patch: Boolean [length of the prompt's prefix], where the image tokens are.
        pointable: Boolean [image tokens], which can be pointed at: those of the tiles, not of global views.
        keys: What the image tokens' states became in the prefill; None before it.
    """

    tokens: Tensor
    patches: PatchFeatures
    is_patch: Tensor
    pointable: Tensor
    keys: PatchKeys | None = None

    def see(self, head: PointHead, states: Tensor) -> None:
        """Keeps what the image tokens' states [prompt, width] became, of a prompt from its beginning."""
        self.keys = head.patch_keys(states[: len(self.is_patch)][self.is_patch], self.pointable)

    def point_tokens(self, config: MolmoConfig) -> PointTokens:
        """The ids of the points."""
        decoder, head = config.decoder, config.point_head
        assert head is not None, "only a model with a point head points into images"
        patches, subpatches = self.patches.pooling.shape
        start = decoder.vocab + decoder.extra_vocab
        return PointTokens(start, patches, subpatches, head.locations[0] * head.locations[1])


class PointScores(NamedTuple):
    """The scores of one step, before the grammar. None where the step does not score such tokens.

    Attributes:
        logits: float32 [ids of the vocabulary and of the points].
        patches: float32 [patches + 1], the last one "no more points".
        subpatches: float32 [subpatches].
        locations: float32 [locations].
    """

    logits: Tensor
    patches: Tensor | None = None
    subpatches: Tensor | None = None
    locations: Tensor | None = None


class PointChooser:
    """Greedy decoding of one answer with points; a `choosing.Chooser`.

    Whether a point comes next is decided among the words, by the score of `<|token_index|>`; which patch, by
    the head. So the likeliest patch gets that score, and the token itself is never written.
    Source: hub modeling_molmo_point.py.
    """

    def __init__(self, runtime: Runtime, images: PointableImages) -> None:
        """Starts an answer.

        Args:
            runtime: Of a model with a point head.
            images: Those of the prompt, which must `see` its states before the first output is chosen from.
        """
        config, head = runtime.config.point_head, runtime.point_head
        assert config is not None and head is not None, "only a model with a point head points into images"
        self._embedding, self._images, self.config = runtime.embedding, images, config
        self._head: PointHead = head
        self.tokens = images.point_tokens(runtime.config)
        self._grammar = PointGrammar(self.tokens)
        # They stand for parts of points in embeddings and scores; none is ever written.
        self._never = torch.tensor(
            [config.patch_id, config.subpatch_id, config.location_id],
            dtype=torch.int64,
            device=runtime.device,
        )
        self._input: int | None = None
        self._patch = -1  # of the last point; as in the reference, -1 also finds the last of the patches
        self._patch_before = -1  # that of the point before, while a patch is the input

    def choose(self, output: StepOutput) -> Choice:
        """See `choosing.Chooser`."""
        scores = self.scores(output)
        logits = scores.logits
        for part in self._grammar.forbidden():
            logits[part.start : part.stop] = float("-inf")
        choice = likeliest(logits, output.logits.dtype)
        ids = next((group for group in self.tokens.groups if choice.token in group), None)
        if ids is None:
            return choice
        candidates = logits[ids.start : ids.stop]
        if choice.token < self.tokens.subpatch.start and scores.patches is not None:
            # Among the words only the likeliest patch has a score; the head has one for each.
            candidates = torch.where(torch.isneginf(candidates), candidates, scores.patches)
        return Choice(choice.token, logits, candidates, choice.token - ids.start)

    def choices(self, output: StepOutput, draft: Sequence[int]) -> Iterator[Choice]:
        """See `choosing.Chooser`."""
        for row in range(len(draft) + 1):
            assert output.states is not None, "the head reads the states"
            choice = self.choose(StepOutput(output.logits[:, row : row + 1], output.states[:, row : row + 1]))
            yield choice
            if row == len(draft) or choice.token != draft[row]:
                return
            self.embed(choice.token)

    def ahead(self) -> PointChooser:
        """See `choosing.Chooser`."""
        other = copy.copy(self)
        other._grammar = self._grammar.copy()
        return other

    def takes(self, token: int) -> bool:
        """See `choosing.Chooser`."""
        return 0 <= token < self.tokens.all.stop and not any(
            token in part for part in self._grammar.forbidden()
        )

    def scores(self, output: StepOutput) -> PointScores:
        """The scores of the next token, and of what it may point at, from the output for the last position.

        The prompt itself scores no points.
        """
        tokens, config = self.tokens, self.config
        assert output.states is not None, "the head reads the states"
        assert self._images.keys is not None, "the prompt's states come first, by PointableImages.see"
        # Not in the model's dtype: float16 does not reach as low as NEVER.
        words = output.logits[0, -1].float()
        logits = torch.cat([words, words.new_full((len(tokens.all),), NEVER)])
        logits.index_fill_(0, self._never, NEVER)
        if self._input is None:
            return PointScores(logits)
        state = output.states[0, -1]
        last = self._patch_before if self._input in tokens.patch else self._patch
        patches = self._head.patch_scores(state, self._images.keys, last)
        # Without asking the device which one it is.
        best = patches.argmax(dim=0, keepdim=True) + tokens.start
        logits.scatter_(0, best, words[config.patch_id : config.patch_id + 1])
        subpatches = locations = None
        if self._input in tokens.patch:
            filled = self._images.patches.pooling[self._patch] >= 0
            subpatches = self._head.subpatch_scores(state, self._subpatch_features(), filled)
            logits[tokens.subpatch.start : tokens.subpatch.stop] = subpatches
        elif self._input in tokens.subpatch:
            locations = self._head.location_scores(state)
            logits[tokens.location.start : tokens.location.stop] = locations
        return PointScores(logits, patches, subpatches, locations)

    def embed(self, token: int) -> Tensor:
        """See `choosing.Chooser`.

        A patch is the embedding of `<|token_index|>` plus the image's feature, "no more points" that embedding
        alone; a subpatch is made of the vision tower's feature; every location is `<|vit_loc|>`.
        """
        tokens, config = self.tokens, self.config
        self._input = token
        self._grammar.accept(token)
        if token in tokens.patch:
            self._patch_before, self._patch = self._patch, token - tokens.start
        if token in tokens.subpatch:
            feature = self._subpatch_features()[token - tokens.subpatch.start]
            return self._head.subpatch_embedding(feature).view(1, 1, -1)
        if token in tokens.location:
            return self._word(config.location_id)
        if token == tokens.no_more_points:
            return self._word(config.patch_id)
        if token in tokens.patch:
            return self._word(config.patch_id) + self._images.tokens[token - tokens.start]
        return self._word(token)

    def _word(self, token: int) -> Tensor:
        return self._embedding.row(token)

    def _subpatch_features(self) -> Tensor:
        """The tower's features of the last patch's slots [slots, feature width]; zero for an empty slot."""
        slots = self._images.patches.pooling[self._patch]
        features = self._images.patches.values[slots.clamp(min=0)]
        return features * (slots >= 0).unsqueeze(-1).to(features.dtype)

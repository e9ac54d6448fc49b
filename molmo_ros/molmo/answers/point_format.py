# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The ways in which models write points: as text, or as tokens of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.answers.encoded_image import EncodedImage
from molmo_ros.molmo.images.image_processor import ProcessedImage
from molmo_ros.molmo.network.model import ImageFeatures
from molmo_ros.molmo.pointing.moved_points import Move, moved_text, moved_tokens
from molmo_ros.molmo.pointing.patch_points import PatchPlaces, PatchPointStream, PointTextStream
from molmo_ros.molmo.pointing.point_chooser import PointableImages, PointChooser
from molmo_ros.molmo.pointing.points import PointStream
from molmo_ros.molmo.prompts.prompt import Prefix
from molmo_ros.molmo.prompts.tokenizer import TextStream, Tokenizer
from molmo_ros.molmo.running.choosing import Chooser, Greedy
from molmo_ros.molmo.running.runtime import Runtime
from molmo_ros.molmo.scoring.chosen_point_scorer import ChosenPointScorer
from molmo_ros.molmo.scoring.confidence import PointScorer
from molmo_ros.molmo.scoring.written_point_scorer import NumberTokens, WrittenPointScorer


class PointFormat(Protocol):
    """What answering needs to know about the way in which a model writes points."""

    def encoded(
        self, images: Sequence[ProcessedImage], prefix: Prefix, features: ImageFeatures
    ) -> EncodedImage:
        """What queries about these images need."""

    def reading(self, encoded: EncodedImage, asked: Asked) -> tuple[TextStream, PointStream]:
        """How the tokens of an answer to what was asked become text, and text becomes points."""

    def chooser(self, encoded: EncodedImage) -> Chooser:
        """How an answer's tokens are chosen; for one answer."""

    def scorer(self, encoded: EncodedImage) -> PointScorer:
        """How sure the model is of an answer's points; for one answer."""

    def moved(self, tokens: Sequence[int], moves: Sequence[Move], encoded: EncodedImage) -> Sequence[int]:
        """An earlier answer about one image like this one, with its points where they are now."""


class TextPoints:
    """Points written as numbers in ordinary text."""

    def __init__(self, runtime: Runtime, tokenizer: Tokenizer) -> None:
        self._runtime, self._tokenizer = runtime, tokenizer
        self._numbers = NumberTokens(tokenizer.number_tokens(), runtime.device)

    def encoded(
        self, images: Sequence[ProcessedImage], prefix: Prefix, features: ImageFeatures
    ) -> EncodedImage:
        """See `PointFormat`."""
        return EncodedImage(self._runtime, [one.image_size for one in images], prefix, features.tokens)

    def reading(self, encoded: EncodedImage, asked: Asked) -> tuple[TextStream, PointStream]:
        """See `PointFormat`."""
        return TextStream(self._tokenizer), PointStream(encoded.sizes, encoded.prefix.times, asked)

    def chooser(self, encoded: EncodedImage) -> Chooser:
        """See `PointFormat`."""
        return Greedy(self._runtime)

    def scorer(self, encoded: EncodedImage) -> PointScorer:
        """See `PointFormat`."""
        return WrittenPointScorer(self._numbers)

    def moved(self, tokens: Sequence[int], moves: Sequence[Move], encoded: EncodedImage) -> Sequence[int]:
        """See `PointFormat`."""
        text = self._tokenizer.decode(tokens)
        if self._tokenizer.encode(text) != list(tokens):  # it could not be told in the model's own tokens
            return tokens
        return self._tokenizer.encode(moved_text(text, moves, encoded.sizes[0]))


class TokenPoints:
    """Points chosen among the patches of the images, one token each for patch, subpatch and location."""

    def __init__(self, runtime: Runtime, tokenizer: Tokenizer) -> None:
        self._runtime, self._tokenizer = runtime, tokenizer

    def encoded(
        self, images: Sequence[ProcessedImage], prefix: Prefix, features: ImageFeatures
    ) -> EncodedImage:
        """See `PointFormat`."""
        head, device = self._runtime.config.point_head, self._runtime.device
        patches = features.patches
        assert head is not None and patches is not None, "only a model with a point head points with tokens"
        mosaics, first = [], 0
        for one in images:
            assert one.mosaic is not None, "a model with a point head takes stretched images"
            mosaics.append(one.mosaic + first)
            first += one.crops.shape[0] * one.crops.shape[1]
        pointable = prefix.ids[prefix.is_patch] == self._tokenizer.special_id("<im_patch>")
        into = PointableImages(
            features.tokens,
            patches,
            torch.from_numpy(prefix.is_patch).to(device),
            torch.from_numpy(pointable).to(device),
        )
        sizes, pooling = [one.image_size for one in images], patches.pooling.cpu().numpy()
        places = PatchPlaces(into.point_tokens(self._runtime.config), pooling, mosaics, sizes, head.locations)
        return EncodedImage(self._runtime, sizes, prefix, features.tokens, pointable=into, places=places)

    def reading(self, encoded: EncodedImage, asked: Asked) -> tuple[TextStream, PointStream]:
        """See `PointFormat`."""
        assert encoded.places is not None, "the image was encoded by a model without a point head"
        text = PointTextStream(self._tokenizer, encoded.places.tokens)
        return text, PatchPointStream(encoded.places, asked, text.tokens_at)

    def chooser(self, encoded: EncodedImage) -> Chooser:
        """See `PointFormat`."""
        assert encoded.pointable is not None, "the image was encoded by a model without a point head"
        return PointChooser(self._runtime, encoded.pointable)

    def scorer(self, encoded: EncodedImage) -> PointScorer:
        """See `PointFormat`."""
        assert encoded.places is not None, "the image was encoded by a model without a point head"
        return ChosenPointScorer(encoded.places)

    def moved(self, tokens: Sequence[int], moves: Sequence[Move], encoded: EncodedImage) -> Sequence[int]:
        """See `PointFormat`."""
        assert encoded.places is not None, "the image was encoded by a model without a point head"
        return moved_tokens(tokens, moves, encoded.places)


def point_format(runtime: Runtime, tokenizer: Tokenizer) -> PointFormat:
    """The way in which this model writes points."""
    kind = TextPoints if runtime.config.point_head is None else TokenPoints
    return kind(runtime, tokenizer)

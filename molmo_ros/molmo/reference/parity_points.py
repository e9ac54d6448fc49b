# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Comparing MolmoPoint's head with reference vectors, step by step and down to pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from molmo_ros.molmo.network.model import ImageFeatures, MolmoModel
from molmo_ros.molmo.network.point_head import NEVER
from molmo_ros.molmo.pointing.patch_points import PatchPlaces, PatchPointStream
from molmo_ros.molmo.pointing.point_chooser import PointableImages, PointChooser
from molmo_ros.molmo.pointing.point_tokens import PointTokens
from molmo_ros.molmo.running.torch_runtime import TorchRuntime

STEP = ("logits", "patch_logits", "subpatch_logits", "location_logits")
"""What the vectors call the parts of `PointScores`."""
Note = Callable[[str, Tensor], None]


def compare_points(
    model: MolmoModel,
    inputs: dict[str, Tensor],
    expected: dict[str, Tensor],
    features: ImageFeatures,
    note: Note,
) -> None:
    """Notes what the model gives for every array that is stored.

    Args:
        model: With a point head.
        inputs: The arrays of input.npz.
        expected: The arrays of logits.npz: patch_k, patch_k_mask, subpatch_k and bounds of the prompt;
            prefill_logits of its last positions; steps, the tokens fed after it, and after each of them
            step0_logits, step0_patch_logits, step0_subpatch_logits, step0_location_logits and so on.
        features: Of the image.
        note: Takes the name of a stored array and what the model gives for it.
    """
    ids, steps = (
        inputs["input_ids"],
        expected.get("steps", torch.empty(0, dtype=torch.int64, device="cpu")).flatten().tolist(),
    )
    is_patch = model.is_patch_token(ids)
    pointable = ids[is_patch] == model.config.token_ids["im_patch"]
    patches = features.patches
    assert patches is not None, "a model with a point head keeps the patches"
    runtime = TorchRuntime(model)
    images = PointableImages(features.tokens, patches, is_patch[0], pointable)
    chooser = PointChooser(runtime, images)
    stored_types = inputs.get("token_type_ids")
    is_image = model.is_image_token(ids) if stored_types is None else stored_types.bool()
    cache = runtime.cache(ids.shape[1] + len(steps))
    output = model(ids, features.tokens, is_patch=is_patch, is_image=is_image, cache=cache)
    assert model.point_head is not None, "a model that points by tokens has a point head"
    images.see(model.point_head, output.states[0])

    def note_if_stored(name: str, value: Tensor | None) -> None:
        if name in expected:
            note(name, torch.empty(0, dtype=torch.float32, device="cpu") if value is None else value)

    assert images.keys is not None, "the prompt has just made the keys"
    if "prefill_logits" in expected:
        words = output.logits[:, -expected["prefill_logits"].shape[1] :].clone()
        words[..., [chooser.config.patch_id, chooser.config.subpatch_id, chooser.config.location_id]] = NEVER
        points = words.new_full((1, words.shape[1], len(chooser.tokens.all)), NEVER)
        note("prefill_logits", torch.cat([words, points], dim=-1))
    note_if_stored("patch_k", images.keys.keys.unsqueeze(0))
    note_if_stored("patch_k_mask", images.keys.pointable.unsqueeze(0))
    slots = patches.values[patches.pooling.clamp(min=0)] * (patches.pooling >= 0).unsqueeze(-1)
    note_if_stored("subpatch_k", model.point_head.subpatch_keys(slots).unsqueeze(0))
    note_if_stored("bounds", torch.tensor(_bounds(chooser.tokens), dtype=torch.int64, device="cpu"))
    for number, token in enumerate(steps):
        scores = chooser.scores(runtime.decode(chooser.embed(token), cache))
        for name, value in zip(STEP, scores, strict=True):
            note_if_stored(f"step{number}_{name}", None if value is None else value.view(1, 1, -1))


def _bounds(tokens: PointTokens) -> list[int]:
    """The limits of the ids, in the vectors' order."""
    subpatch, location = tokens.subpatch, tokens.location
    patches = [tokens.start, tokens.no_more_points, tokens.no_more_points + 1]
    return [*patches, subpatch.start, subpatch.stop, location.start, location.stop]


def compare_decoded_points(model: MolmoModel, inputs: dict[str, np.ndarray], expected: np.ndarray) -> float:
    """Reads the points of the stored answer and compares them.

    Args:
        model: With a point head.
        inputs: The arrays of input.npz: point_text, the answer with its point tokens spelled out; image_u8,
            image_token_pooling and subpatch_mapping.
        expected: float64 [n, 4]: object, image, x and y [px].

    Returns:
        The maximum absolute difference; infinite for another number of points.
    """
    head, decoder = model.config.point_head, model.config.decoder
    if head is None:
        return float("inf")
    pooling = inputs["image_token_pooling"]
    patches, subpatches = pooling.shape
    locations = head.locations[0] * head.locations[1]
    tokens = PointTokens(decoder.vocab + decoder.extra_vocab, patches, subpatches, locations)
    height, width = inputs["image_u8"].shape[:2]
    places = PatchPlaces(tokens, pooling, [inputs["subpatch_mapping"]], [(height, width)], head.locations)
    stream = PatchPointStream(places)
    for text in inputs["point_text"].flatten():
        stream.feed(str(text))
    points = [(point.index, point.image, point.x, point.y) for point in stream.finish().points]
    if len(points) != len(expected):
        return float("inf")
    return float(np.abs(np.array(points).reshape(-1, 4) - expected).max(initial=0.0))

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What the embedded checkpoint is trained on: text with soft coordinates, dense labels, and a pointing loss.

Only the text loss concerns the released weights' own outputs; the heads of the other two are thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.network.vision import VisionTower
from molmo_ros.sim.objects import COLORS, SHAPES
from molmo_ros.train.batches import IGNORE, WINDOW, Batch, attention_mask
from molmo_ros.train.shape import GRID, POOLED

BINS = 1000
POSITIONS = "position_embedding"


def pooling_table(side: int) -> Tensor:
    """int64 [1, side * side, 4]: the patches of every cell, of a square of so many cells a side."""
    return torch.arange(4 * side**2).view(side, 2, side, 2).transpose(1, 2).reshape(1, side**2, 4)


class DenseHeads(nn.Module):
    """Reads shape, colour, place and 'the point is in here' off a pooled image token."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.shape = nn.Linear(width, 1 + len(SHAPES))
        self.color = nn.Linear(width, 1 + len(COLORS))
        self.x, self.y = nn.Linear(width, BINS), nn.Linear(width, BINS)
        self.peak = nn.Linear(width, 1)


class PointingHead(nn.Module):
    """Picks an image token from a hidden state of the decoder."""

    def __init__(self, width: int, inner: int = 64):
        super().__init__()
        self.query = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner))
        self.key = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner))

    def forward(self, hidden: Tensor, features: Tensor) -> Tensor:
        """Scores [n, cells] of hidden states [n, width] against each one's own view's features [n, cells, width]."""
        return torch.einsum("nd,ncd->nc", self.query(hidden), self.key(features)) / 8


@dataclass
class Losses:
    text: Tensor
    place: Tensor
    pointing: Tensor
    dense: Tensor
    metrics: dict[str, float]


def soft_coordinate_loss(logits: Tensor, values: Tensor, sigma: float) -> Tensor:
    """Cross entropy [n] against a Gaussian around each value.

    Args:
        logits: [n, BINS].
        values: [n] per mille.
        sigma: Width of the target [per mille].
    """
    bins = torch.arange(BINS, device=logits.device)
    target = torch.softmax(-((bins - values[:, None]) ** 2) / (2 * sigma**2), dim=-1)
    return -(target * torch.log_softmax(logits.float(), dim=-1)).sum(-1)


class Trainee(nn.Module):
    """The model together with the heads that only training needs.

    Args:
        model: A Molmo2 of the embedded checkpoint's shape.
        number_ids: [BINS] token ids of the coordinates.
    """

    def __init__(self, model: MolmoModel, number_ids: Tensor):
        super().__init__()
        self.model = model
        width = model.config.decoder.width
        self.dense_heads = DenseHeads(width)
        self.pointing_heads = nn.ModuleDict({str(layer): PointingHead(width) for layer in (1, 2)})
        self.register_buffer("number_ids", number_ids, persistent=False)
        self.number_ids: Tensor
        seen = replace(model.config.vision, grid=(2 * WINDOW, 2 * WINDOW))
        self._window_tower = (VisionTower(seen, "explicit").to("meta"),)  # a tuple: no part of the trainee

    def features(self, batch: Batch) -> Tensor:
        """[B, cells, width] image features; global view and tile are the same picture, so one run serves both."""
        crops = batch.patches.to(torch.float32) / 127.5 - 1
        table = pooling_table(POOLED).expand(len(crops), -1, -1)
        return self.model.encode_images(crops.unsqueeze(1), table)

    def window_features(self, batch: Batch) -> Tensor:
        """[B, WINDOW * WINDOW, width] image features of windows: the tower sees nothing but these patches."""
        crops = batch.patches.to(torch.float32) / 127.5 - 1
        side = 2 * WINDOW
        rows, columns = (2 * batch.corner[:, axis, None] + torch.arange(side) for axis in (0, 1))
        places = self.model.vision.position_embedding[
            (rows[:, :, None] * GRID + columns[:, None, :]).flatten(1)
        ]
        tower = self._window_tower[0]
        seen = functional_call(
            tower, {**dict(self.model.vision.named_parameters()), POSITIONS: places}, crops
        )
        return self.model.connector(seen, pooling_table(WINDOW).expand(len(crops), -1, -1))

    def dense(self, features: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        heads = self.dense_heads
        features = heads.norm(features)
        shape, color = heads.shape(features), heads.color(features)
        loss = functional.cross_entropy(shape.flatten(0, 1).float(), batch.shape.flatten())
        loss = loss + functional.cross_entropy(color.flatten(0, 1).float(), batch.color.flatten())
        peak = heads.peak(features).squeeze(-1).float()
        loss = loss + 2 * functional.binary_cross_entropy_with_logits(peak, batch.peak)
        # Four cells of five are bare table and soon certain: what fills the others must weigh more.
        owned = batch.shape > 0
        loss = loss + 2 * functional.cross_entropy(shape[owned].float(), batch.shape[owned])
        loss = loss + 0.5 * functional.cross_entropy(color[owned].float(), batch.color[owned])
        center = batch.center[owned]
        x, y = heads.x(features[owned]), heads.y(features[owned])
        place = (soft_coordinate_loss(x, center[:, 0], 12) + soft_coordinate_loss(y, center[:, 1], 12)).mean()
        with torch.no_grad():
            at = batch.peak > 0
            right = (shape.argmax(-1) == batch.shape)[at].float().mean().item()
            hue = (color.argmax(-1) == batch.color)[at].float().mean().item()
            off = (x.argmax(-1) - center[:, 0]).abs().median().item()
        return loss + 0.3 * place, {"cell_shape": right, "cell_color": hue, "cell_x_off": off}

    def forward(self, batch: Batch, sigma: float) -> Losses:
        features = self.features(batch)
        dense, metrics = self.dense(features, batch)
        model = self.model
        is_patch = batch.ids == model.config.token_ids["im_patch"]
        twice = torch.cat([features, features], dim=1)
        embeddings = model.embed(batch.ids, twice, is_patch)
        mask = attention_mask(batch.segment, model.is_image_token(batch.ids))
        inner: dict[str, Tensor] = {}
        hooks = [
            model.decoder.blocks[int(layer)].register_forward_hook(
                lambda _m, _i, out, layer=layer: inner.__setitem__(layer, out)
            )
            for layer in self.pointing_heads
        ]
        hidden = model.decoder.hidden(embeddings, batch.positions, mask)
        for hook in hooks:
            hook.remove()
        asked = batch.labels != IGNORE
        logits = model.decoder.logits(hidden[asked]).float()
        labels, values = batch.labels[asked], batch.coordinate[asked]
        is_number = torch.isfinite(values)
        # Summed per query, not averaged per token: most tokens are certain, the few that decide must weigh.
        queries = (batch.positions[:, 1:] < batch.positions[:, :-1]).sum() + len(batch.ids)
        text = functional.cross_entropy(logits[~is_number], labels[~is_number], reduction="sum") / queries
        numbers = logits[is_number]
        # A coordinate must first be a coordinate at all, then the right one.
        place = soft_coordinate_loss(numbers[:, self.number_ids], values[is_number], sigma).mean()
        mass = torch.logsumexp(numbers[:, self.number_ids], -1) - torch.logsumexp(numbers, -1)
        text = text - mass.sum() / queries
        rows, columns = torch.nonzero(batch.cell != IGNORE, as_tuple=True)
        cells = batch.cell[rows, columns]
        pointing = torch.zeros(())
        for layer, head in self.pointing_heads.items():
            scores = head(inner[layer][rows, columns], features[rows]).float()
            pointing = pointing + functional.cross_entropy(scores, cells)
            metrics[f"pointing_{layer}"] = (scores.argmax(-1) == cells).float().mean().item()
        with torch.no_grad():
            guess = numbers[:, self.number_ids].argmax(-1)
            metrics["off_median"] = (guess - values[is_number]).abs().median().item()
            metrics["off_below_35"] = ((guess - values[is_number]).abs() < 35).float().mean().item()
            metrics["words"] = (logits[~is_number].argmax(-1) == labels[~is_number]).float().mean().item()
        return Losses(text, place, pointing, dense, metrics)

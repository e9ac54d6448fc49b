# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Batches for training: views with their dense labels, and several queries packed behind each view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import IterableDataset

from molmo_ros.molmo.families import molmo2
from molmo_ros.molmo.prompts.prompt import image_layout
from molmo_ros.sim.objects import COLORS, SHAPES
from molmo_ros.sim.renderer import add_noise
from molmo_ros.train.queries import QueryMaker, SceneQuery, mask_points
from molmo_ros.train.scenes import VIEW, read_shard
from molmo_ros.train.shape import GRID, PATCH, POOLED
from molmo_ros.train.vocabulary import make_tokenizer, number_values

CELL = VIEW // POOLED
WINDOW = 5
"""Side of a window [pooled cells]: a thing and what is around it, for a third of the work of a whole view."""
OTHER_NAMES = 0.2
"""How often a shape is called by another of its names."""
IGNORE = -100


@dataclass
class Batch:
    """B views; L is the longest packed sequence.

    Attributes:
        patches: uint8 [B, patches, 588].
        shape, color: int64 [B, cells]: class of the object that fills most of a pooled cell, 0 = none, else 1 + index.
        center: float32 [B, cells, 2]: that object's point, per mille of the view (NaN where none).
        peak: float32 [B, cells]: 1 where the cell holds an object's point.
        corner: int64 [B, 2]: row and column of the first pooled cell that is there; (0, 0) of whole views. Patches
            and cells of a window are those of `WINDOW` cells a side from there on.
        ids: int64 [B, L] tokens: BOS, image, then the queries one after another.
        segment: int64 [B, L]: 0 for the image prefix, the query's number from 1, -1 for padding.
        positions: int64 [B, L]: every query starts where the image ends.
        labels: int64 [B, L]: next token to predict, IGNORE where none.
        coordinate: float32 [B, L]: per-mille value that the label stands for, NaN where the label is no coordinate.
        cell: int64 [B, L]: pooled cell of the point whose x comes next, IGNORE elsewhere.
    """

    patches: Tensor
    shape: Tensor
    color: Tensor
    center: Tensor
    peak: Tensor
    corner: Tensor
    ids: Tensor
    segment: Tensor
    positions: Tensor
    labels: Tensor
    coordinate: Tensor
    cell: Tensor


def patchify(rgb: np.ndarray) -> np.ndarray:
    """uint8 [VIEW, VIEW, 3] to [patches, 588], a patch flattened (row, column, channel)."""
    return rgb.reshape(GRID, PATCH, GRID, PATCH, 3).transpose(0, 2, 1, 3, 4).reshape(GRID * GRID, -1)


class OneTile:
    """The token grids of a view that is one tile: the global view and the tile are alike."""

    low_res_grid = high_res_grid = (POOLED, POOLED)


class QueryEncoder:
    """Turns queries into tokens with their labels."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        self.eos = vocabulary["<|im_end|>"]
        self.prefix = [
            self.eos,
            *(vocabulary[name] for name in image_layout(molmo2.PROMPT, OneTile(), False)),
        ]
        self.numbers = number_values(tokenizer).tolist()
        self.value_of = {token: value for value, token in enumerate(self.numbers)}

    def encode(self, query: SceneQuery) -> tuple[list[int], list[int], list[float], list[int]]:
        """Tokens, labels, coordinate values and cells of one query, all of the same length."""
        asked = f"<|im_start|>user\n{query.prompt}<|im_end|>\n<|im_start|>assistant\n"
        prompt = self.tokenizer.encode(asked, add_special_tokens=False).ids
        answer = [*self.tokenizer.encode(query.answer, add_special_tokens=False).ids, self.eos]
        ids = [*prompt, *answer[:-1]]
        labels = [IGNORE] * (len(prompt) - 1) + answer
        values = [
            float(self.value_of.get(token, -1)) if label >= 0 else -1.0
            for token, label in zip(labels, labels, strict=True)
        ]
        wanted = iter(query.targets.reshape(-1))
        coordinate = [float(next(wanted)) if value >= 0 else float("nan") for value in values]
        cells, x_next = [], True
        for value, exact in zip(values, coordinate, strict=True):
            cells.append(IGNORE)
            if value < 0:
                continue
            if x_next:
                x, position = exact, len(cells) - 1
            else:
                cells[position] = cells[-1] = _cell(x, exact)
            x_next = not x_next
        return ids, labels, coordinate, cells

    def blur(self, ids: list[int], rng: np.random.Generator, sigma: float = 4.0) -> list[int]:
        """Shifts every coordinate among the input tokens by a few per mille.

        The model's own x is never quite the true one; it must find the same object's y, and the next object,
        from what it wrote itself. Without this the y of another object follows.
        """
        shifted = []
        for token in ids:
            value = self.value_of.get(token)
            if value is not None:
                token = self.numbers[int(np.clip(round(value + rng.normal(0, sigma)), 0, 999))]
            shifted.append(token)
        return shifted


def _cell(x: float, y: float) -> int:
    column, row = (min(int(v / 1000 * POOLED), POOLED - 1) for v in (x, y))
    return row * POOLED + column


def augment(
    rgb: np.ndarray, segmentation: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mirrors, shifts brightness, contrast and tint, softens, adds sensor noise. The names of things stay true."""
    if rng.random() < 0.5:
        rgb, segmentation = rgb[:, ::-1], segmentation[:, ::-1]
    gain = rng.uniform(0.85, 1.15) * (1 + rng.normal(0, 0.025, 3))
    levels = np.arange(256)[:, None] / 255
    table = np.clip(levels ** rng.uniform(0.85, 1.18) * gain * 255, 0, 255).astype(np.uint8)
    rgb = np.stack([table[rgb[..., channel], channel] for channel in range(3)], axis=-1)
    if rng.random() < 0.5:  # a larger picture that was made smaller has softer edges than a view of this size
        rgb = cv2.GaussianBlur(np.ascontiguousarray(rgb), (0, 0), rng.uniform(0.3, 0.8))
    return add_noise(rgb, rng, rng.uniform(0, 6)), segmentation


def dense_labels(segmentation: np.ndarray, names: list[tuple[str, str]], points: np.ndarray):
    """Shape, color [cells], center [cells, 2] and peak [cells] of every pooled cell."""
    tiles = segmentation.reshape(POOLED, CELL, POOLED, CELL).transpose(0, 2, 1, 3).reshape(POOLED**2, -1)
    area = np.stack([(tiles == i).sum(1) for i in range(len(names))], axis=1)
    best = area.argmax(1)
    peak = np.zeros(POOLED**2, np.float32)
    for index, (x, y) in enumerate(points):
        if np.isfinite(x):
            peak[_cell(x, y)] = 1
            best[_cell(x, y)] = index
            area[_cell(x, y), index] = CELL * CELL
    owned = area[np.arange(POOLED**2), best] > 0.12 * CELL * CELL
    shapes, colors = list(SHAPES), list(COLORS)
    shape = np.where(owned, np.array([1 + shapes.index(s) for _, s in names])[best], 0)
    color = np.where(owned, np.array([1 + colors.index(c) for c, _ in names])[best], 0)
    center = np.where(owned[:, None], points[best], np.nan).astype(np.float32)
    return shape, color, center, peak


class BatchStream(IterableDataset[Batch]):
    """Endless batches from the shards in a folder; shards that appear later are used once they are there.

    Args:
        folder: Where the shards are.
        views: B.
        queries: Queries per view; 0 for dense labels only.
        seed: Of every random choice.
        shards: Which shard files; None for all but the first, which is kept for validation.
        windows: Whether a view is cut down to a window around one of its things.
    """

    def __init__(
        self,
        folder: Path,
        views: int,
        queries: int,
        seed: int,
        shards: list[int] | None = None,
        windows: bool = False,
    ):
        self.folder, self.views, self.queries, self.seed, self.shards = folder, views, queries, seed, shards
        self.windows = windows

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(self.seed)
        encoder = QueryEncoder(make_tokenizer())
        while True:
            paths = sorted(p for p in self.folder.glob("[0-9]*.npz") if "partial" not in p.name)
            paths = [
                p for p in paths if (int(p.stem) != 0 if self.shards is None else int(p.stem) in self.shards)
            ]
            if not paths:
                raise FileNotFoundError(
                    f"no shards in {self.folder}: run python -m molmo_ros.train.scenes first"
                )
            shard = read_shard(paths[rng.integers(len(paths))])
            order = rng.permutation(len(shard.rgb))
            for start in range(0, len(order) - self.views + 1, self.views):
                chosen = order[start : start + self.views]
                yield self._batch(
                    [(shard.rgb[i], shard.segmentation[i], shard.names[i]) for i in chosen], encoder, rng
                )

    def _batch(self, scenes, encoder: QueryEncoder, rng: np.random.Generator) -> Batch:
        patches, dense, packed, corners = [], [], [], []
        for rgb, segmentation, names in scenes:
            rgb, segmentation = augment(rgb, segmentation, rng)
            points = mask_points(segmentation, len(names))
            corner = window_corner(points, rng) if self.windows else (0, 0)
            side = WINDOW if self.windows else POOLED
            patches.append(_cut(patchify(rgb), GRID, 2 * corner[0], 2 * corner[1], 2 * side))
            labels = dense_labels(segmentation, names, points)
            dense.append([_cut(column, POOLED, *corner, side) for column in labels])
            corners.append(corner)
            visible = [i for i in range(len(names)) if np.isfinite(points[i, 0])]
            maker = QueryMaker([names[i] for i in visible], points[visible], rng, OTHER_NAMES)
            encoded = [encoder.encode(maker.draw()) for _ in range(self.queries)]
            blurred = [(encoder.blur(ids, rng), *rest) for ids, *rest in encoded]
            packed.append(_pack(blurred, encoder.prefix))
        shape, color, center, peak = (
            torch.from_numpy(np.stack(column)) for column in zip(*dense, strict=True)
        )
        length = -(-max(len(p[0]) for p in packed) // 16) * 16
        fills = (0, -1, 0, IGNORE, float("nan"), IGNORE)
        columns = [
            torch.tensor([column + [fill] * (length - len(column)) for column in rows])
            for rows, fill in zip(zip(*packed, strict=True), fills, strict=True)
        ]
        seen = torch.from_numpy(np.stack(patches))
        return Batch(seen, shape, color, center, peak, torch.tensor(corners), *columns)


def window_corner(points: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """First row and column [pooled cells] of a window that holds one of the points [n, 2], x and y per mille."""
    shown = points[np.isfinite(points[:, 0])]
    x, y = shown[rng.integers(len(shown))] if len(shown) else rng.uniform(0, 1000, 2)
    row, column = divmod(_cell(x, y), POOLED)
    first = np.array((row, column)) - rng.integers(0, WINDOW, 2)
    row, column = first.clip(0, POOLED - WINDOW).tolist()
    return row, column


def _cut(values: np.ndarray, grid: int, row: int, column: int, side: int) -> np.ndarray:
    """A square of `side` out of values [grid * grid, ...]."""
    square = values.reshape(grid, grid, *values.shape[1:])[row : row + side, column : column + side]
    return square.reshape(side * side, *values.shape[1:])


def _pack(queries, prefix: list[int]):
    """ids, segment, positions, labels, coordinate, cell of one view's whole sequence."""
    n = len(prefix)
    ids, segment, positions = list(prefix), [0] * n, list(range(n))
    labels, coordinate, cell = [IGNORE] * n, [float("nan")] * n, [IGNORE] * n
    for number, (tokens, wanted, values, cells) in enumerate(queries, 1):
        ids += tokens
        segment += [number] * len(tokens)
        positions += range(n, n + len(tokens))
        labels += wanted
        coordinate += values
        cell += cells
    return ids, segment, positions, labels, coordinate, cell


def attention_mask(segment: Tensor, image: Tensor) -> Tensor:
    """Boolean [B, 1, L, L]: the image block sees itself, each query sees the prefix and its own past.

    Args:
        segment: [B, L] as in `Batch`.
        image: Boolean [B, L], True for image tokens.
    """
    length = segment.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = segment[:, :, None] == segment[:, None, :]
    to_prefix = (segment[:, None, :] == 0) & (segment[:, :, None] > 0)
    block = image[:, :, None] & image[:, None, :]
    return ((same & causal) | to_prefix | block).unsqueeze(1)

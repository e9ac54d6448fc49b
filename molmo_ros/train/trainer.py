# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Trains the embedded checkpoint.

`python -m molmo_ros.train.trainer FOLDER` first teaches the tower alone on dense labels, then the whole model on
queries, and resumes where it was stopped. FOLDER holds scenes/ (see `molmo_ros.train.scenes`), state.pt, log.jsonl
and the newest checkpoint/. One torch thread; batches are made in a second process.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader

from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.families.table import parse_config
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.weights.checkpoint import load_checkpoint, save_checkpoint
from molmo_ros.train.batches import Batch, BatchStream
from molmo_ros.train.losses import Trainee
from molmo_ros.train.muon import Muon
from molmo_ros.train.scenes import VIEW
from molmo_ros.train.shape import PATCH, config_json
from molmo_ros.train.vocabulary import make_tokenizer, number_values, write_tokenizer

HALF = torch.backends.cpu.get_cpu_capability() != "AVX2"
"""Whether matrices are multiplied in bfloat16; processors of AVX2 have none, and take eighty times as long."""


@dataclass(frozen=True)
class Stage:
    """One stage of the training.

    Attributes:
        steps: Its length.
        views: Views per step that are asked about.
        queries: Queries per view; 0 trains tower and connector on dense labels alone.
        dense_views: Further views per step for the dense labels alone: telling a mug from a cylinder takes the
            tower far more views than the decoder needs, and they cost a quarter without queries.
        peak: Highest learning rate (AdamW's scale).
        blur: How much wider than in the end the targets of coordinates are at first [per mille].
        windows: Whether those further views are cut down to a window around a thing, at a third of the cost.
    """

    name: str
    steps: int
    views: int
    queries: int
    dense_views: int
    peak: float
    blur: float = 14.0
    windows: bool = False


FURTHER_PEAK = 8e-4
"""Highest learning rate when training goes on from a checkpoint."""


def stages(tower_steps: int, text_steps: int) -> list[Stage]:
    """From nothing."""
    return [Stage("tower", tower_steps, 48, 0, 0, 2e-3), Stage("text", text_steps, 12, 6, 24, 1.5e-3)]


def further_stages(steps: int, peak: float = FURTHER_PEAK) -> list[Stage]:
    """From a trained checkpoint on."""
    return [Stage("further", steps, 12, 6, 40, peak, blur=2.0, windows=True)]


def learning_rate(stage: Stage, step: int) -> float:
    """Short warm-up, then a cosine down to a fiftieth."""
    warm = min(1.0, (step + 1) / 60)
    return stage.peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / stage.steps))))


def make_optimizers(trainee: Trainee) -> list[torch.optim.Optimizer]:
    """Muon (arXiv:2502.16982) for the matrices of the blocks, AdamW for embeddings, heads, norms and biases."""
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in trainee.named_parameters():
        inside = parameter.ndim == 2 and (".blocks." in name or "model.connector" in name)
        (matrices if inside else rest).append(parameter)
    return [
        Muon(matrices, lr=1e-3, weight_decay=0.05),
        torch.optim.AdamW(rest, lr=1e-3, weight_decay=0.01, betas=(0.9, 0.98)),
    ]


def training_config() -> MolmoConfig:
    """The embedded shape, with the tower's attention left in autocast's bfloat16: twice as fast here."""
    config = parse_config(config_json())
    vision = replace(config.vision, float32_attention=False)
    return replace(config, vision=vision, connector=replace(config.connector, float32_attention=False))


@torch.no_grad()
def initialise(model: MolmoModel) -> None:
    """Places as sines, and a connector whose output is as strong as its input.

    torch's default gain shrinks the image features two hundredfold through pooling and gated projection, and
    neither places nor classes are then learned within the tower's stage.
    """
    model.vision.position_embedding.copy_(
        sine_positions(*model.config.vision.grid, model.config.vision.width)
    )
    for module in model.connector.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)


def sine_positions(rows: int, columns: int, width: int) -> torch.Tensor:
    """[rows * columns, width] sines and cosines of row and column, as strong as the patches themselves."""
    frequencies = (
        math.pi / max(rows, columns) * 1.6 ** torch.arange(width // 4, dtype=torch.float32).clamp(max=8)
    )
    row, column = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    angles = [place.reshape(-1, 1) * frequencies for place in (row, column)]
    return 0.4 * torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=1)


def trained_weights(folder: Path, grid: tuple[int, int]) -> dict[str, torch.Tensor]:
    """Weights of a checkpoint, in float32, with its places stretched to a tower of another grid of patches."""
    model = load_checkpoint(folder, dtype="float32")
    state = dict(model.state_dict())
    places = state["vision.position_embedding"]
    before = places.reshape(1, *model.config.vision.grid, -1).permute(0, 3, 1, 2)
    after = functional.interpolate(before, size=grid, mode="bicubic")
    state["vision.position_embedding"] = after.permute(0, 2, 3, 1).reshape(-1, places.shape[1])
    return state


class TrainingRun:
    """A training run that can stop after any step.

    Args:
        folder: Where everything is kept.
        seed: Of initial weights and of the batches.
        start: Checkpoint whose weights it starts with; None: with random ones.
    """

    def __init__(self, folder: Path, seed: int, start: Path | None = None):
        self.folder, self.seed = folder, seed
        torch.manual_seed(seed)
        model = MolmoModel(training_config(), attention="explicit")
        if start is None:
            initialise(model)
        else:
            model.load_state_dict(trained_weights(start, model.config.vision.grid))
        self.trainee = Trainee(model, torch.from_numpy(number_values(make_tokenizer())))
        self.optimizers = make_optimizers(self.trainee)
        self.done: dict[str, int] = {}
        if (folder / "state.pt").exists():
            state = torch.load(folder / "state.pt", weights_only=True)
            self.trainee.load_state_dict(state["trainee"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.done = state["done"]

    def save(self) -> None:
        """Writes state.pt and checkpoint/ so that a stop in between leaves the older ones whole."""
        state = {
            "trainee": self.trainee.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "done": self.done,
        }
        torch.save(state, self.folder / "state.partial")
        (self.folder / "state.partial").replace(self.folder / "state.pt")
        write_checkpoint(self.trainee.model, self.folder / "checkpoint")

    def batches(self, views: int, queries: int, seed: int, windows: bool = False) -> Iterator[Batch]:
        stream = BatchStream(self.folder / "scenes", views, queries, seed, windows=windows)
        return iter(DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4))

    def train(self, stage: Stage, save_every: int) -> None:
        start = self.done.get(stage.name, 0)
        if start >= stage.steps:
            return
        seed = 1000 * self.seed + start
        batches = self.batches(stage.views, stage.queries, seed)
        further = (
            self.batches(stage.dense_views, 0, seed + 500_000, stage.windows) if stage.dense_views else None
        )
        log = (self.folder / "log.jsonl").open("a")
        sums: dict[str, float] = {}
        began = time.monotonic()
        for step in range(start, stage.steps):
            rate = learning_rate(stage, step)
            metrics = self.step(stage, next(batches), None if further is None else next(further), step, rate)
            for name, value in metrics.items():
                sums[name] = sums.get(name, 0.0) + value
            self.done[stage.name] = step + 1
            if (step + 1) % 20 == 0:
                seconds = time.monotonic() - began
                row: dict[str, str | float] = {"stage": stage.name, "step": step + 1, "of": stage.steps}
                row["s_per_step"] = round(seconds / 20, 3)
                row |= {name: round(value / 20, 4) for name, value in sums.items()}
                log.write(json.dumps(row) + "\n")
                log.flush()
                print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
                sums, began = {}, time.monotonic()
            if (step + 1) % save_every == 0 or step + 1 == stage.steps:
                self.save()

    def step(
        self, stage: Stage, batch: Batch, further: Batch | None, step: int, rate: float
    ) -> dict[str, float]:
        """One update of all weights; returns the metrics."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=HALF):
            if stage.queries == 0:
                loss, metrics = self.trainee.dense(self.trainee.features(batch), batch)
                metrics["dense"] = loss.item()
            else:
                # Coordinates start blurred and get sharper as they are learned.
                sigma = 6 + stage.blur * (1 - step / stage.steps)
                losses = self.trainee(batch, sigma)
                loss = losses.text + 2 * losses.place + 0.5 * losses.pointing + losses.dense
                metrics = losses.metrics
                metrics |= {
                    "text": losses.text.item(),
                    "place": losses.place.item(),
                    "dense": losses.dense.item(),
                }
            if further is not None:
                see = self.trainee.window_features if stage.windows else self.trainee.features
                dense, dense_metrics = self.trainee.dense(see(further), further)
                loss = loss + 2 * dense
                metrics |= dense_metrics
        loss.backward()
        metrics["norm"] = nn.utils.clip_grad_norm_(self.trainee.parameters(), 2.0).item()
        for optimizer in self.optimizers:
            optimizer.step()
        return metrics


def write_checkpoint(model: MolmoModel, folder: Path) -> None:
    """A Hugging Face folder in half precision: config, weights, tokenizer and preprocessor files."""
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(model, folder, torch.float16)
    (folder / "config.json").write_text(json.dumps(config_json(), indent=1) + "\n")
    write_tokenizer(folder)
    write_processor(folder)


def write_processor(folder: Path) -> None:
    """preprocessor_config.json and processor_config.json: one tile, no column tokens in the global view."""
    image = {
        "image_processor_type": "Molmo2ImageProcessor", "size": {"height": VIEW, "width": VIEW}, "patch_size": PATCH,
        "pooling_size": [2, 2], "max_crops": 1, "overlap_margins": [4, 4], "do_resize": True, "do_rescale": True,
        "do_normalize": True, "do_convert_rgb": True, "resample": 2, "rescale_factor": 1 / 255,
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    processor = {
        "use_single_crop_col_tokens": False,
        "use_frame_special_tokens": False,
        "image_use_col_tokens": True,
    }
    for name, settings in (("preprocessor_config.json", image), ("processor_config.json", processor)):
        (folder / name).write_text(json.dumps(settings, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tower-steps", type=int, default=500)
    parser.add_argument("--text-steps", type=int, default=4400)
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="a trained checkpoint to go on from")
    parser.add_argument("--further-steps", type=int, default=1850, help="steps from --start on")
    parser.add_argument(
        "--peak", type=float, default=FURTHER_PEAK, help="highest learning rate from --start on"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run = TrainingRun(args.folder, args.seed, args.start)
    fresh = args.start is None
    todo = (
        stages(args.tower_steps, args.text_steps) if fresh else further_stages(args.further_steps, args.peak)
    )
    for stage in todo:
        run.train(stage, args.save_every)


if __name__ == "__main__":
    main()

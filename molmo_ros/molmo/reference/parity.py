# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Comparing the implementation with reference vectors: what the published code computed for a checkpoint.

A vector folder holds a checkpoint (config.json, model.safetensors), input.npz (what went in) and logits.npz
(what came out). Everything is read from the folder, so vectors of other sizes, depths and token ids work too.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from molmo_ros.molmo.errors import MolmoError, UnsupportedModelError
from molmo_ros.molmo.network.decoder import DecoderBlock
from molmo_ros.molmo.network.experts import MixtureOfExperts
from molmo_ros.molmo.network.kv_cache import KVCache
from molmo_ros.molmo.network.model import ImageFeatures, MolmoModel, prefill_mask
from molmo_ros.molmo.reference.parity_image import PIXEL_TOLERANCE, compare_preprocessing, pooling_by_image
from molmo_ros.molmo.reference.parity_points import compare_decoded_points, compare_points
from molmo_ros.molmo.reference.tolerance import ABSOLUTE, allowed, largest_difference
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

TEXTS = ("point_text",)
FILES = ("config.json", "input.npz", "logits.npz")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


class VectorError(MolmoError):
    """A folder is not a vector folder, or its arrays are damaged or do not fit together."""


@dataclass
class ParityReport:
    """What one vector folder showed.

    Attributes:
        variant: Name of the folder.
        status: "ok", "failed" (a difference), "unsupported" (no code for this kind of model) or "error" (the
            folder cannot be used).
        errors: Maximum absolute difference by name of the compared array.
        limits: What is allowed of each, see `tolerance.allowed`.
        greedy_agree: Whether greedy decoding through the static KV cache chose the stored tokens; None where
            none are stored.
        preprocessing: Differences between what the image processor makes of the stored image and the stored
            crops, masks and indices; None where it was not compared.
        reason: One sentence for every status but "ok".
    """

    variant: str
    status: str = "ok"
    errors: dict[str, float] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    greedy_agree: bool | None = None
    greedy_tokens: list[int] = field(default_factory=list)
    preprocessing: dict[str, float] | None = None
    reason: str = ""

    def judge(self) -> None:
        """Sets `status` and `reason` from the differences."""
        bad = [
            f"{name} differs by {value:.2e} (allowed {limit:.0e})"
            for name, value in self.errors.items()
            if not value <= (limit := self.limits.get(name, ABSOLUTE))
        ]
        if self.greedy_agree is False:
            bad.append(f"greedy decoding chose {self.greedy_tokens}")
        for name, value in (self.preprocessing or {}).items():
            limit = PIXEL_TOLERANCE if name == "pixels" else 0.0
            if not value <= limit:
                bad.append(f"preprocessing: {name} differs by {value:.2e} (allowed {limit:.0e})")
        if bad:
            self.status, self.reason = "failed", "; ".join(bad)


def find_vector_folders(paths: Iterable[str | Path]) -> list[Path]:
    """Vector folders among `paths`: themselves, or the vector folders right below them, by name.

    Raises:
        VectorError: A path is neither.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            raise VectorError(f"no such folder: {path}")
        missing = _missing(path)
        inside = sorted(sub for sub in path.iterdir() if not _missing(sub))
        if not missing:
            found.append(path)
        elif inside and len(missing) == len(FILES) + 1:
            found += inside
        else:
            raise VectorError(f"{path} is not a vector folder: it lacks {', '.join(missing)}")
    return found


def _missing(folder: Path) -> list[str]:
    """What a folder lacks of a vector folder; the weights may be one file, or shards with an index."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in WEIGHTS):
        missing.append(" or ".join(WEIGHTS))
    return missing


def check_folder(folder: str | Path, attention: str = "sdpa") -> ParityReport:
    """Runs the model of one vector folder on its input and compares everything that is stored."""
    folder = Path(folder)
    report = ParityReport(folder.name or str(folder))
    try:
        model = load_checkpoint(folder, attention=attention)
        raw = _arrays(folder / "input.npz")
        inputs = {name: torch.from_numpy(value) for name, value in raw.items() if name not in TEXTS}
        expected = {name: torch.from_numpy(value) for name, value in _arrays(folder / "logits.npz").items()}
        with torch.inference_mode():
            _Comparison(model, inputs, expected, report).run()
        if "decoded_points" in expected:
            report.errors["decoded_points"] = compare_decoded_points(
                model, raw, expected["decoded_points"].numpy()
            )
        report.preprocessing = compare_preprocessing(folder, model.config, raw)
    except UnsupportedModelError as error:
        report.status, report.reason = "unsupported", str(error)
        return report
    except KeyError as missing:
        report.status, report.reason = "error", f"the vectors lack the array {missing}"
        return report
    except MolmoError as error:
        report.status, report.reason = "error", str(error)
        return report
    except (IndexError, RuntimeError, TypeError) as error:
        # What torch and numpy raise where stored indices, ids or shapes do not fit the model or each other.
        report.status, report.reason = "error", f"the arrays do not fit the model: {error}"
        return report
    report.judge()
    return report


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise VectorError(f"{path} cannot be read: {error}") from error


class _Comparison:
    """One model against one set of arrays; writes into a report."""

    def __init__(
        self, model: MolmoModel, inputs: dict[str, Tensor], expected: dict[str, Tensor], report: ParityReport
    ) -> None:
        self.model, self.inputs, self.expected, self.report = model, inputs, expected, report

    def run(self) -> None:
        ids = self.inputs["input_ids"]
        features, is_patch = self._image()
        tokens = None if features is None else features.tokens
        stored_types = self.inputs.get("token_type_ids")
        is_image = self.model.is_image_token(ids) if stored_types is None else stored_types.bool()
        embeddings = self.model.embed(ids, tokens, is_patch)
        mask = self.model.prefill_mask(is_image)
        if features is not None and self.model.point_head is not None:
            compare_points(self.model, self.inputs, self.expected, features, self._note)
        # MolmoPoint's vectors hold `prefill_logits` instead.
        if "logits" in self.expected or "prefill_logits" not in self.expected:
            self._prompt(embeddings, mask)
        if "logits_if_fully_causal" in self.expected:
            logits = self._logits(embeddings, prefill_mask(is_image, image_block=False))
            count = self.expected["logits_if_fully_causal"].shape[1]
            self._note("logits_if_fully_causal", logits[:, -count:])
        if "text_only_logits" in self.expected:
            count = self.expected["text_only_logits"].shape[1]
            text = torch.zeros(1, count, dtype=torch.bool, device="cpu")
            logits = self._logits(self.model.embed(ids[:, -count:]), self.model.prefill_mask(text))
            self._note("text_only_logits", logits)
        if "moe_block0_in" in self.expected:
            for name, value in first_block_experts(self.model, self.expected["moe_block0_in"]).items():
                self._note(name, value)
        if "greedy_tokens" in self.expected:
            self._greedy(embeddings, mask)

    def _image(self) -> tuple[ImageFeatures | None, Tensor | None]:
        """Image features, and which tokens they are added to."""
        inputs = self.inputs
        if "images" in inputs:
            crops, masks, cells = (inputs[name][0] for name in ("images", "image_masks", "image_input_idx"))
            everything = self.model.encode_image(crops, masks=masks)
            features = self.model.image_features(crops, masks=masks, input_idx=cells)
            is_patch = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
            is_patch[0, cells[cells >= 0]] = True
        elif "pixel_values" in inputs:
            features = ImageFeatures.join(
                [self.model.image_features(crops, pooling=table) for crops, table in self._pictures()]
            )
            everything = features.tokens
            is_patch = self.model.is_patch_token(inputs["input_ids"])
        else:
            return None, None
        if "vision_features" in self.expected:
            if everything.numel() == self.expected["vision_features"].numel():
                everything = everything.view_as(self.expected["vision_features"])
            self._note("vision_features", everything)
        return features, is_patch

    def _pictures(self) -> list[tuple[Tensor, Tensor]]:
        """Crops and pooling table of each image, whose patches are numbered from 0."""
        crops, pooling = self.inputs["pixel_values"], self.inputs["image_token_pooling"]
        counts = self.inputs.get(
            "image_num_crops", torch.tensor([len(crops)], dtype=torch.int64, device="cpu")
        ).tolist()
        if len(counts) == 1:
            return [(crops, pooling)]
        tables = pooling_by_image(
            pooling.numpy(), self.inputs["image_grids"].numpy(), [count * crops.shape[1] for count in counts]
        )
        return list(zip(crops.split(counts), map(torch.from_numpy, tables), strict=True))

    def _prompt(self, embeddings: Tensor, mask: Tensor) -> None:
        states: list[Tensor] = []
        hooks = [
            block.register_forward_pre_hook(lambda module, args: states.append(args[0]))
            for block in self.model.decoder.blocks
        ]
        output = self.model.decoder(embeddings, _positions(embeddings), mask)
        for hook in hooks:
            hook.remove()
        kept = self.expected.get(
            "positions", torch.arange(embeddings.shape[1], dtype=torch.int64, device="cpu")
        )
        self._note("logits", output.logits[:, kept])
        if "hidden_states" in self.expected:
            self._note("hidden_states", torch.stack([*states, output.hidden])[:, :, kept])

    def _greedy(self, embeddings: Tensor, mask: Tensor) -> None:
        """Decodes with the static cache as generation does, one token at a time."""
        wanted = self.expected["greedy_tokens"].flatten().tolist()
        length = embeddings.shape[1]
        cache = KVCache(self.model.config.decoder, length + len(wanted))
        logits = self.model.decoder(embeddings, _positions(embeddings), mask, cache, slice(-1, None)).logits
        steps = [logits[0, -1]]
        for number in range(len(wanted)):
            token = steps[-1].argmax().view(1, 1)
            self.report.greedy_tokens.append(int(token))
            position = torch.full((1, 1), length + number, dtype=torch.int64, device="cpu")
            output = self.model.decoder(self.model.embed(token), position, None, cache)
            steps.append(output.logits[0, -1])
        self.report.greedy_agree = self.report.greedy_tokens == wanted
        if "greedy_logits" in self.expected and self.report.greedy_agree:
            # Vectors of the 0924 family store the scores after each token, the others those that chose it.
            first = 0 if self.model.config.image_block else 1
            self._note("greedy_logits", torch.stack(steps[first : first + len(wanted)]))

    def _logits(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        return self.model.decoder(embeddings, _positions(embeddings), mask).logits

    def _note(self, name: str, value: Tensor) -> None:
        reference = self.expected[name]
        if value.shape != reference.shape:
            raise VectorError(
                f"{name} has shape {tuple(reference.shape)}; the model gives {tuple(value.shape)}"
            )
        self.report.errors[name] = largest_difference(value, reference)
        self.report.limits[name] = allowed(reference)


def _positions(embeddings: Tensor) -> Tensor:
    return torch.arange(embeddings.shape[1], dtype=torch.int64, device="cpu").unsqueeze(0)


def first_block_experts(model: MolmoModel, inputs: Tensor) -> dict[str, Tensor]:
    """Outputs and router scores of the first block's mixture.

    Args:
        model: A model with experts.
        inputs: The residual stream after attention, before the norm of the MLP [B, L, width].

    Returns:
        By name of the stored array: moe_block0_out [B, L, width], moe_block0_router_logits [B * L, experts].

    Raises:
        MolmoError: The model has no experts.
    """
    block = model.decoder.blocks[0]
    if not (isinstance(block, DecoderBlock) and isinstance(block.mlp, MixtureOfExperts)):
        raise MolmoError("the vectors hold moe_block0_in, but the first block of the model has no experts")
    normed = block.mlp_norm(inputs)
    return {
        "moe_block0_out": block.mlp(normed),
        "moe_block0_router_logits": block.mlp.router(normed.flatten(0, -2)),
    }

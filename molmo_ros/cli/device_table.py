# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What models take on a device, as text and JSON: computed, and said to be so."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from molmo_ros.cli.printable import aligned
from molmo_ros.engine.cost.device import GB, SIXTEEN, Device, devices_of, find_device
from molmo_ros.engine.cost.device_estimate import FIRST_POINT, WORDS, DeviceEstimate, Span
from molmo_ros.engine.cost.published_speed import PUBLISHED
from molmo_ros.engine.cost.released_shape import released_shape
from molmo_ros.engine.runtime_table import TENSORRT
from molmo_ros.engine.targets import GPU_TARGETS, TensorRTTarget
from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.catalog.registry import ModelEntry
from molmo_ros.molmo.images.crop_budget import image_cost, shapes

if TYPE_CHECKING:  # it imports torch
    from molmo_ros.engine.build_plan import BuildPlan

COLUMNS = ("model", "weights", "crops", "memory GB", "fits", "first point, s", "likely", "tokens/s", "likely")
BRIEF = ("bf16", "int4")
"""The precisions of a table of all models."""
PICTURE = (1280, 720)
"""(width, height) [px] of the picture that costs are about, where none is given."""
MEANING = (
    "The left figure is the floor that no program can beat; likely is what others' programs reach of it, and",
    "its range from their least to their most. docs/costs.md has formulas, sources and what is left out.",
)


@dataclass(frozen=True)
class Costs:
    """What models take on one device.

    Attributes:
        device: Which.
        picture: (width, height) [px].
        estimates: By model.
    """

    device: Device
    picture: tuple[int, int]
    estimates: Mapping[str, Sequence[DeviceEstimate]]

    def record(self, name: str) -> dict[str, Any]:
        """One model's, for JSON; in bytes and seconds."""
        return asdict(self.device) | {
            "measured": False,
            "picture": self.picture,
            "estimates": [_record(one) for one in self.estimates.get(name, ())],
        }


def device_costs(entries: Sequence[ModelEntry], name: str, picture: tuple[int, int]) -> Costs:
    """Of several models in few precisions, or of one in all that the device has, and with the fewest crops, too.

    Args:
        entries: The models.
        name: Of the device.
        picture: (width, height) [px].

    Raises:
        UnsupportedBuildError: There is no such device.
        RegistryError: A model's description is wrong.
    """
    device = find_device(name)
    if len(entries) > 1:  # the embedded one's time is that of starting kernels, which is not counted
        entries = [entry for entry in entries if entry.hub_id is not None]
    has = precisions(device)
    chosen = has if len(entries) == 1 else [one for one in has if one in BRIEF]
    return Costs(
        device,
        picture,
        {entry.name: _estimates(entry, device, chosen, picture, len(entries) == 1) for entry in entries},
    )


def precisions(device: Device) -> list[str]:
    """What engines for a device may have; fp16 costs what bf16 does."""
    target = next(one for one in GPU_TARGETS.values() if one.capability == device.capability)
    return [one for one in target.precisions if one != "fp16"]


def device_text(costs: Costs) -> str:
    """The table, at most 120 characters wide, and what it is."""
    device = costs.device
    rows = [COLUMNS, *(_row(name, one) for name, found in costs.estimates.items() for one in found)]
    return "\n".join([_heading(device, costs.picture), "", *aligned(rows), "", *_notes(device)])


def engine_text(model: str, plan: BuildPlan) -> str:
    """What an engine that is not built yet would take, on each device of its target.

    Args:
        model: As the user named it.
        plan: Of an engine for TensorRT.
    """
    assert isinstance(plan.target, TensorRTTarget)
    images = read_image_processing(plan.checkpoint).with_max_crops(plan.shapes.max_crops)
    image = image_cost(images, (PICTURE[1], PICTURE[0]))
    found = [
        DeviceEstimate.of(plan.config, images, image, plan.precision, device, plan.shapes.max_context)
        for device in devices_of(plan.target.capability)
    ]
    if not found:
        return f"no device of compute capability {plan.target.compute_capability} is in the table of docs/costs.md"
    rows = [("device", *COLUMNS[1:]), *(_row(one.device.name, one) for one in found)]
    heading = (
        f"{model} there, pictures of {PICTURE[0]}x{PICTURE[1]}. COMPUTED from its shape and the devices' data sheets; "
        "nothing was measured."
    )
    older = _copies(plan, found[0]) if plan.target.runtime == TENSORRT else []
    return "\n".join([heading, "", *aligned(rows), "", *MEANING, *older])


def _copies(plan: BuildPlan, found: DeviceEstimate) -> list[str]:
    """What older TensorRTs lose with a long cache, and which is long enough."""
    from molmo_ros.engine.shapes import ROUND
    from molmo_ros.molmo.running.generation import ANSWER_TOKENS  # it imports torch

    slots = plan.shapes.max_context
    lines = [
        f"TensorRT before 10.15 (JetPack 6) copies the cache for each token: of {slots} tokens in",
        f"{1e3 * found.cache_copy:.3g} ms on {found.device.title}, at the floor.",
    ]
    least = math.ceil((plan.shapes.max_prompt + ANSWER_TOKENS) / ROUND) * ROUND
    if least < slots:
        shorter = 1e3 * found.cache_copy * least / slots
        lines.append(
            f"There build with --max-context {least} ({shorter:.3g} ms): the largest image, one question and an answer."
        )
    return lines


def _heading(device: Device, picture: tuple[int, int]) -> str:
    rate = device.rate(SIXTEEN) / 1e12
    return (
        f"{device.title}: {device.memory / GB:g} GB at {device.bandwidth / GB:g} GB/s, {rate:.0f} TFLOP/s in 16 bit. "
        f"Pictures of {picture[0]}x{picture[1]}.\nCOMPUTED from the models' shapes and this device's data sheet; "
        "nothing here was measured."
    )


def _notes(device: Device) -> list[str]:
    lines = [
        f"Memory: weights, cache, activations and CUDA; {device.usable / GB:g} GB of it are taken to be free here.",
        f"First point: vision, a prompt with {WORDS} tokens of words, {FIRST_POINT} decoded; no image processing.",
        *MEANING,
    ]
    for one in PUBLISHED:
        if one.on == device and one.alike:
            lines.append(
                f"Measured by others: {one.model} in {one.precision}: {one.tokens_per_second:g} tokens/s "
                f"({one.source}); its floor is {one.floor:.1f}"
            )
    return lines


def _estimates(
    entry: ModelEntry, device: Device, chosen: Sequence[str], picture: tuple[int, int], fewest: bool
) -> list[DeviceEstimate]:
    config, images = released_shape(entry), entry.image_processor
    becomes = shapes(images, (picture[1], picture[0]))
    wanted = [(images, becomes[-1])]
    if fewest and len(becomes) > 1:
        wanted.append((images.with_max_crops(becomes[0].crops - 1), becomes[0]))
    dense = [one for one in chosen if one == "bf16" or not config.decoder.experts]
    return [
        DeviceEstimate.of(config, limited, image, precision, device)
        for limited, image in wanted
        for precision in dense
    ]


def _row(name: str, one: DeviceEstimate) -> tuple[str, ...]:
    seconds, speed = one.first_point, one.tokens_per_second
    return (
        name,
        one.precision,
        str(one.image.crops),
        f"{one.memory / GB:.1f}",
        "yes" if one.fits else "NO",
        _short(seconds.floor),
        f"{_short(seconds.likely)} ({_short(seconds.best)} - {_short(seconds.worst)})",
        _short(speed.floor),
        f"{_short(speed.likely)} ({_short(speed.worst)} - {_short(speed.best)})",
    )


def _short(value: float) -> str:
    """Three digits."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _record(one: DeviceEstimate) -> dict[str, Any]:
    def plain(span: Span) -> dict[str, float]:
        return asdict(span)

    return {
        "precision": one.precision,
        "image": one.image._asdict(),
        "memory": {
            "total": one.memory,
            "weights": one.weights,
            "cache": one.cache,
            "scratch": one.scratch,
        },
        "fits": one.fits,
        "first_point_s": plain(one.first_point),
        "tokens_per_s": plain(one.tokens_per_second),
        "passes": {
            name: asdict(cost)
            for name, cost in (("vision", one.vision), ("prefill", one.prefill), ("decode", one.decode))
        },
    }

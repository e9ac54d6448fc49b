"""The constants of a checkpoint's image processing, and how its Hugging Face files spell them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from molmo_ros.molmo.errors import CheckpointError, MolmoError
from molmo_ros.molmo.images.tiling import CropGrid
from molmo_ros.molmo.json_file import read_json

STYLES = ("padded", "stretched")
MAX_CROPS = 1000
"""Highest limit on tiles that can be set: more than fills the context of any Molmo."""
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ImageProcessorConfig:
    """The constants of one checkpoint's image processing.

    Attributes:
        style: "padded" (0924) or "stretched" (Molmo2 and MolmoPoint), see `image_processor.py`.
        crop_size: Side of a crop [px].
        patch_size: Side of a patch [px].
        max_crops: Most tiles of one image, the global view not counted. 0: only the global view, as for frames of
            a video ("stretched" only).
        overlap_margins: Patches (left and top, right and bottom) that a tile leaves to its neighbour.
        pool: Patches pooled into one token, (rows, columns).
        mean: Per channel (RGB), of values in 0..1.
        std: Per channel (RGB), of values in 0..1.
        low_res_columns: Whether the rows of the global view end in a column token; those of the tiles always do.
    """

    style: str
    crop_size: int
    patch_size: int = 14
    max_crops: int = 8
    overlap_margins: tuple[int, int] = (4, 4)
    pool: tuple[int, int] = (2, 2)
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    low_res_columns: bool = False

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise CheckpointError(
                f"Image processor style {self.style!r:.200} is not one of {', '.join(STYLES)}."
            )
        lowest = {"crop_size": 1, "patch_size": 1, "max_crops": 0 if self.style == "stretched" else 1}
        for name, least in lowest.items():
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise CheckpointError(f"{name} is {value!r:.80}; it must be at least {least}, and whole.")
        if self.max_crops > MAX_CROPS:
            raise CheckpointError(f"max_crops is {self.max_crops}; it must be at most {MAX_CROPS}.")
        if self.crop_size % self.patch_size:
            raise CheckpointError(
                f"crop_size {self.crop_size} is not a multiple of patch_size {self.patch_size}."
            )
        if len(self.overlap_margins) != 2 or min(self.overlap_margins) < 0 or self.grid.window < 1:
            raise CheckpointError(
                f"overlap_margins {self.overlap_margins} do not fit: they must be two counts of patches, "
                f"and a crop of {self.grid.patches} patches must keep at least one."
            )
        if len(self.pool) != 2 or min(self.pool) < 1 or max(self.pool) > self.grid.patches:
            raise CheckpointError(
                f"pool {self.pool} must be two counts of patches, from 1 to the {self.grid.patches} of a crop."
            )
        finite = all(math.isfinite(value) for value in (*self.mean, *self.std))
        if len(self.mean) != 3 or len(self.std) != 3 or not finite or min(self.std) <= 0:
            raise CheckpointError(
                f"mean {self.mean} and std {self.std} must be 3 finite numbers each, std above 0."
            )
        cells = (self.grid.patches, *self.overlap_margins)
        if self.style == "padded" and any(count % pool for count in cells for pool in self.pool):
            raise CheckpointError(
                f"Crops of {self.grid.patches} patches with margins {self.overlap_margins} are not whole "
                f"pooling windows of {self.pool}, which this family needs."
            )

    @property
    def grid(self) -> CropGrid:
        """The sizes that tiling depends on."""
        return CropGrid(self.crop_size, self.patch_size, self.overlap_margins, self.pool, self.max_crops)

    def with_max_crops(self, max_crops: int) -> ImageProcessorConfig:
        """The same with another limit on the tiles of one image.

        Raises:
            MolmoError: It is not a whole number from 1 to `MAX_CROPS`.
        """
        if isinstance(max_crops, bool) or not isinstance(max_crops, int) or not 1 <= max_crops <= MAX_CROPS:
            raise MolmoError(
                f"max_crops is {max_crops!r:.200}; it must be a whole number from 1 to {MAX_CROPS}"
            )
        return replace(self, max_crops=max_crops)

    @classmethod
    def molmo(cls, **changes: Any) -> ImageProcessorConfig:
        """The released 0924 models' constants (hub preprocessor_config.json), with `changes`."""
        defaults: dict[str, Any] = {
            "crop_size": 336,
            "max_crops": 12,
            "mean": CLIP_MEAN,
            "std": CLIP_STD,
            "low_res_columns": True,
        }
        return cls(style="padded", **(defaults | changes))

    @classmethod
    def molmo2(cls, **changes: Any) -> ImageProcessorConfig:
        """The released Molmo2 models' constants (hub preprocessor_config.json), with `changes`."""
        defaults: dict[str, Any] = {"crop_size": 378}
        return cls(style="stretched", **(defaults | changes))

    @classmethod
    def from_folder(cls, folder: str | Path) -> ImageProcessorConfig:
        """Reads `preprocessor_config.json`, or the "image_processor" part of `processor_config.json`.

        Absent keys take the family's released value. The style comes from `image_processor_type`, else from
        `model_type` in `config.json`.

        Args:
            folder: Holds them, in Hugging Face layout.

        Raises:
            CheckpointError: No such files, or settings that this processor does not implement.
        """
        folder = Path(folder)
        processor = read_json(folder / "processor_config.json")
        settings = read_json(folder / "preprocessor_config.json") or read_part(processor, "image_processor")
        style = _style(settings, read_json(folder / "config.json"), folder)
        try:
            read = _molmo_settings(settings) if style == "padded" else molmo2_settings(settings)
            for key in ("max_crops", "overlap_margins"):
                if settings.get(key) is not None:
                    read[key] = settings[key]
            if "overlap_margins" in read:
                read["overlap_margins"] = tuple(int(margin) for margin in read["overlap_margins"])
            if read.get("max_crops") == 0:  # only frames of a video may have none
                raise CheckpointError("max_crops is 0; it must be at least 1.")
            _require(processor, image_use_col_tokens=True, use_single_crop_start_token=True)
            if "use_single_crop_col_tokens" in processor:
                columns = processor["use_single_crop_col_tokens"]
                read["low_res_columns"] = columns is None or bool(columns)  # null: as `image_use_col_tokens`
            return cls.molmo(**read) if style == "padded" else cls.molmo2(**read)
        except CheckpointError:
            raise
        except (AttributeError, TypeError, ValueError, KeyError, IndexError, ArithmeticError) as error:
            raise CheckpointError(
                f"Image processor settings in {folder} cannot be read: {error!r:.200}."
            ) from error


def read_part(settings: dict[str, Any], key: str) -> dict[str, Any]:
    """An object within a file's settings, or an empty one where there is none.

    Raises:
        CheckpointError: It is no object.
    """
    part = settings.get(key)
    if part is not None and not isinstance(part, dict):
        raise CheckpointError(f"{key} is {part!r:.80}, not a JSON object.")
    return part or {}


def whole_number(key: str, value: Any) -> int:
    """A setting that counts something.

    Raises:
        CheckpointError: It is not a whole number from 1.
    """
    if type(value) not in (int, float) or value != value // 1 or not 1 <= value < math.inf:
        raise CheckpointError(f"{key} is {value!r:.80}; it must be a whole number, at least 1.")
    return int(value)


def _style(settings: dict[str, Any], model: dict[str, Any], folder: Path) -> str:
    """Which style the settings are for, from their type or else from the model's."""
    name = str(settings.get("image_processor_type") or model.get("model_type") or "").lower()
    if name.startswith(("molmo2", "molmo_point", "molmopoint")):
        return "stretched"
    if name in ("molmo", "molmoe", "molmoimageprocessor"):
        return "padded"
    if not name and not settings:
        raise CheckpointError(f"{folder} holds neither preprocessor_config.json nor config.json.")
    raise CheckpointError(
        f"{folder} is for {name or 'an unnamed model'!r:.200}; image_processor_type or model_type must be one of "
        "Molmo2ImageProcessor, MolmoImageProcessor, molmo, molmoe, molmo2, molmo_point."
    )


def _require(settings: dict[str, Any], **required: Any) -> None:
    """Refuses settings that would change the pixels in a way that is not implemented."""
    for key, value in required.items():
        found = settings.get(key)
        if found is not None and found != value:
            raise CheckpointError(f"Processor setting {key} is {found!r:.200}; only {value!r} is supported.")


def _molmo_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The 0924 hub keys that differ in name or meaning from this config's fields."""
    _require(settings, do_normalize=True, image_padding_mask=True, normalize="openai")
    read = _normalisation(settings)
    if settings.get("image_patch_size") is not None:
        read["patch_size"] = whole_number("image_patch_size", settings["image_patch_size"])
    if settings.get("base_image_input_size") is not None:
        size = settings["base_image_input_size"]
        sides = [size, size] if isinstance(size, int) else list(size)
        read["crop_size"] = _square("base_image_input_size", sides)
    keys = ("image_token_length_h", "image_token_length_w")
    if all(settings.get(key) is not None for key in keys):
        tokens = [whole_number(key, settings[key]) for key in keys]
        patches = read.get("crop_size", 336) // read.get("patch_size", 14)
        if any(patches % count for count in tokens):
            raise CheckpointError(f"A crop of {patches} patches a side does not pool into {tokens} tokens.")
        read["pool"] = tuple(patches // count for count in tokens)
    return read


def molmo2_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The Molmo2 keys (hub and transformers) that differ in name or meaning from this config's fields.

    Raises:
        CheckpointError: A setting is not supported.
    """
    _require(settings, do_resize=True, do_rescale=True, do_normalize=True, resample=2)
    read = _normalisation(settings)
    if settings.get("size") is not None:
        size = settings["size"]
        read["crop_size"] = _square("size", [size["height"], size["width"]])
    if settings.get("patch_size") is not None:
        read["patch_size"] = whole_number("patch_size", settings["patch_size"])
    if settings.get("pooling_size") is not None:
        read["pool"] = tuple(whole_number("pooling_size", count) for count in settings["pooling_size"])
    return read


def _normalisation(settings: dict[str, Any]) -> dict[str, Any]:
    """The values that colours are normalised with, which every family names alike."""
    names = {"image_mean": "mean", "image_std": "std"}
    return {
        name: tuple(float(value) for value in settings[key])
        for key, name in names.items()
        if settings.get(key) is not None
    }


def _square(key: str, sides: list[Any]) -> int:
    height, width = (whole_number(key, side) for side in sides)
    if height != width:
        raise CheckpointError(f"Crops must be square; these are {height} x {width}.")
    return height

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The released models: one YAML file each in config/models, and what they say about a checkpoint.

Nothing here needs the weights, torch or the network.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from molmo_ros.molmo.config import (
    ConnectorConfig,
    DecoderConfig,
    MolmoConfig,
    PointHeadConfig,
    VisionConfig,
)
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.errors import CheckpointError, RegistryError
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig

POINT_FORMATS = {"percent": "percent", "per_mille": "per mille", "tokens": "tokens"}
"""How a model writes points, and how to say it."""
CHECKS = {
    "image": "Image processing equals the reference code's.",
    "transformers": "Logits equal transformers' own implementation on the same weights.",
    "reference": "Logits equal the reference code's on a small random model of the same structure.",
    "scenes": "It points, counts and answers on held-out scenes.",
}
"""What can be verified of a model, in the order of the marks 1, 2, 3, 4."""
SHAPES = {"decoder": DecoderConfig, "vision": VisionConfig, "connector": ConnectorConfig}
OPTIONAL_SHAPES = {"point_head": PointHeadConfig}
"""The parts of a `MolmoConfig`, each with what may be said of it."""


@dataclass(frozen=True)
class ModelEntry:
    """One released model.

    Attributes:
        name: What people call it here: "molmo2-4b".
        hub_id: Its repository on the Hugging Face hub; None for a checkpoint inside the package.
        revision: The commit to fetch; None: the one that `main` points to when it is first fetched, which is
            written down beside the files and kept from then on.
        family: See `families/`.
        licence: Of the weights.
        parameters: Numbers stored on the hub.
        loaded_parameters: Numbers that are loaded: all but the vision blocks above the deepest feature.
        memory_gb: What the loaded weights take [GB], by precision (`DTYPE_BYTES`).
        max_crops: Most tiles of an image by default.
        context: Most tokens of image, query and answer.
        prompt_style: Whose wording its prompts have, see `wording` in `families/`.
        point_format: How it writes points, see `POINT_FORMATS`.
        language_model: What its decoder was trained from.
        vision_tower: What its vision transformer was trained from.
        shape: Values of the configs that a checkpoint of this model must have, by part (`SHAPES`, `OPTIONAL_SHAPES`).
        verified: What was verified and how, by name of the check (`CHECKS`).
        not_verified: What was not.
        notes: What else to know.
    """

    name: str
    hub_id: str | None
    revision: str | None
    family: str
    licence: str
    parameters: int
    loaded_parameters: int
    memory_gb: dict[str, float]
    max_crops: int
    context: int
    prompt_style: str
    point_format: str
    language_model: str
    vision_tower: str
    shape: dict[str, dict[str, Any]]
    verified: dict[str, str]
    not_verified: tuple[str, ...]
    notes: str = ""

    @classmethod
    def from_file(cls, path: Path) -> ModelEntry:
        """Reads one YAML file and checks its every key.

        Raises:
            RegistryError: The file cannot be read, lacks a key, has one too many, or holds a wrong value.
        """
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RegistryError(f"{path} cannot be read: {error}") from error
        if not isinstance(raw, dict):
            raise RegistryError(f"{path} holds a {type(raw).__name__}, not keys with values")
        known = {field.name: str(field.type) for field in fields(cls)}
        missing = known.keys() - raw.keys() - {"notes"}
        if missing or raw.keys() - known.keys():
            raise RegistryError(
                f"{path.name}: missing keys: {_names(missing)}; unknown keys: {_names(raw.keys() - known.keys())}"
            )
        for key, value in raw.items():
            _check_type(path.name, key, value, known[key])
        _check_values(path, raw)
        shape = {
            part: {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
            for part, values in raw["shape"].items()
        }
        return cls(**raw | {"shape": shape, "not_verified": tuple(raw["not_verified"])})

    @property
    def marks(self) -> str:
        """The numbers of the checks that were made, such as "1 3"."""
        return " ".join(str(1 + i) for i, check in enumerate(CHECKS) if check in self.verified)

    @property
    def image_processor(self) -> ImageProcessorConfig:
        """The image processing with this model's default number of crops."""
        vision = self.shape["vision"]
        sizes = {
            "patch_size": vision["patch_size"],
            "crop_size": vision["patch_size"] * vision["grid"][0],
            "max_crops": self.max_crops,
        }
        return ImageProcessorConfig.released(FAMILIES[self.family].image_style, **sizes)

    def check(self, config: MolmoConfig, where: str) -> None:
        """Holds the config of a checkpoint against this model's.

        Args:
            config: What the checkpoint's config.json says.
            where: What to call the checkpoint in the message.

        Raises:
            CheckpointError: It is of another family or has another shape; the message names each value found
                and expected.
        """
        wrong = []
        if config.family != self.family:
            wrong.append(f"family {config.family!r} (expected {self.family!r})")
        for part, values in self.shape.items():
            found = getattr(config, part)
            wrong += [
                f"{part}.{key} {getattr(found, key, None)!r} (expected {value!r})"
                for key, value in values.items()
                if getattr(found, key, None) != value
            ]
        if wrong:
            raise CheckpointError(f"{where} is not {self.name}; found {', '.join(wrong)}")


def load_registry(folder: Path) -> dict[str, ModelEntry]:
    """The models described in a folder, by name: those inside the package first, then by size.

    Raises:
        RegistryError: A file is wrong, or there is none.
    """
    entries = [ModelEntry.from_file(path) for path in sorted(folder.glob("*.yaml"))]
    if not entries:
        raise RegistryError(f"{folder} holds no description of a model (*.yaml)")
    order = list(FAMILIES)
    entries.sort(key=lambda one: (one.hub_id is not None, order.index(one.family), one.parameters, one.name))
    return {entry.name: entry for entry in entries}


@lru_cache(maxsize=1)
def registry() -> dict[str, ModelEntry]:
    """The models that this package describes, by name.

    Raises:
        RegistryError: The descriptions are damaged or not installed.
    """
    folder = _models_folder()
    if folder is None:
        raise RegistryError("the table of models (config/models) is not installed beside the package")
    return load_registry(folder)


def find_model(name: str) -> ModelEntry:
    """The model of a name or of a hub id, in any case of letters.

    Raises:
        RegistryError: No such model; the message lists the names.
    """
    for entry in registry().values():
        if name.lower() in (entry.name, entry.hub_id and entry.hub_id.lower()):
            return entry
    raise RegistryError(f"no model is called {name!r:.200}; known: {', '.join(registry())}")


def _models_folder() -> Path | None:
    """`config/models` of the checkout, or of the prefix that pip or colcon installed into."""
    package = Path(__file__).resolve().parents[2]
    # The package lies in <prefix>/lib/pythonX.Y/site-packages, or Debian's <prefix>/local/lib/...:
    # any folder above may be the prefix.
    prefixes = (*package.parents, Path(sys.prefix))
    candidates = [package.parent / "config" / "models"]
    candidates += [prefix / "share" / "molmo_ros" / "config" / "models" for prefix in prefixes]
    return next((folder for folder in candidates if any(folder.glob("*.yaml"))), None)


TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "tuple[str, ...]": (list,),
}


def _check_type(file: str, key: str, value: object, declared: str) -> None:
    expected = TYPES.get(declared, (dict,))
    if not isinstance(value, expected) or isinstance(value, bool):
        names = " or ".join(kind.__name__ for kind in expected)
        raise RegistryError(f"{file}: {key} is {value!r}, not of type {names}")


def _check_values(path: Path, raw: dict[str, Any]) -> None:
    """Refuses values outside of the lists, and shapes that a config does not have."""
    allowed: dict[str, Any] = {"name": [path.stem], "family": FAMILIES, "point_format": POINT_FORMATS}
    for key, values in allowed.items():
        if raw[key] not in values:
            raise RegistryError(f"{path.name}: {key} is {raw[key]!r}; it must be one of {', '.join(values)}")
    for key in ("parameters", "loaded_parameters", "max_crops", "context"):
        if raw[key] < 1:
            raise RegistryError(f"{path.name}: {key} is {raw[key]}; it must be at least 1")
    if raw["memory_gb"].keys() != DTYPE_BYTES.keys():
        raise RegistryError(
            f"{path.name}: memory_gb has {_names(raw['memory_gb'])}; it must have {', '.join(DTYPE_BYTES)}"
        )
    if unknown := raw["verified"].keys() - CHECKS.keys():
        raise RegistryError(f"{path.name}: verified has {_names(unknown)}; it may have {', '.join(CHECKS)}")
    known = SHAPES | OPTIONAL_SHAPES
    if not SHAPES.keys() <= raw["shape"].keys() <= known.keys():
        raise RegistryError(
            f"{path.name}: shape has {_names(raw['shape'])}; it must have {', '.join(SHAPES)} "
            f"and may have {', '.join(OPTIONAL_SHAPES)}"
        )
    for part, values in raw["shape"].items():
        names = {field.name for field in fields(known[part])}
        if not isinstance(values, dict) or values.keys() - names:
            raise RegistryError(f"{path.name}: shape.{part} is {values!r}; it may have {_names(names)}")
    if not {"patch_size", "grid"} <= raw["shape"]["vision"].keys():
        raise RegistryError(f"{path.name}: shape.vision must have patch_size and grid")


def _names(names: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, names))) or "none"

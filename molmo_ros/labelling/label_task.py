# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What is asked about every episode, by which model: what makes one set of labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from molmo_ros.labelling.labelling_error import LabellingError
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.node.records.query import Query, QueryError, parse_query
from molmo_ros.node.records.query_names import plain_name

MOST_QUERIES = 1000
"""More are refused: each is a topic of a bag, and a frame would take minutes."""


@dataclass(frozen=True)
class LabelTask:
    """What is asked. Two runs with equal tasks write the same set of labels.

    Attributes:
        queries: As on the node's query topic: `red cube`, `count: cups`, `@wrist red cube`.
        model: Name or folder of the model.
        revision: SHA-256 of its checkpoint.
        dtype: Of its weights.
        engine: What is to run it, as it was asked for.
        engine_path: Folder or name of an engine.
        rate: How often a camera's frames are asked about, at most [Hz]; 0 means every frame.
        track: Follow the points through the frames between.
        parameters: The node's parameters that are not their defaults.
    """

    queries: tuple[str, ...]
    model: str = "tiny"
    revision: str = ""
    dtype: str = "float32"
    engine: str = "auto"
    engine_path: str = ""
    rate: float = 1.0
    track: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the set of labels, and its folder: the model's name and a hash of all that is asked."""
        return f"{plain_name(Path(self.model).name) or 'model'}-{self._hash()}"

    def parsed(self) -> list[Query]:
        """The queries, each once.

        Raises:
            LabellingError: One cannot be asked, or there are too many.
        """
        if len(self.queries) > MOST_QUERIES:
            raise LabellingError(
                f"there are {len(self.queries)} queries, at most {MOST_QUERIES} are asked in one run: ask the rest in "
                "another, whose labels are a set beside these"
            )
        try:
            return list({text: parse_query(text) for text in self.queries}.values())
        except QueryError as error:
            raise LabellingError(f"--query: {error}") from error

    def queries_of(self, camera: str) -> list[Query]:
        """Those about a camera: that name none, or a part of its name (`wrist` of `/wrist/image`)."""
        parts = camera.replace("/", ".").split(".")
        return [
            replace(query, camera="")
            for query in self.parsed()
            if not query.camera or query.camera in parts or query.camera == camera
        ]

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {**asdict(self), "queries": list(self.queries), "parameters": dict(self.parameters)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> LabelTask:
        """The inverse of `to_json`.

        Raises:
            LabellingError: A key is missing or of no use.
        """
        try:
            task = cls(**{**content, "queries": tuple(content["queries"])})
            task.parsed()
        except (TypeError, KeyError, MolmoError) as error:
            raise LabellingError(f"it holds no task: {error}") from error
        return task

    def _hash(self) -> str:
        # Where a model lies is no part of what it is: its revision says that.
        paths = {name: Path(getattr(self, name)).name for name in ("model", "engine_path")}
        text = json.dumps(self.to_json() | paths, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]

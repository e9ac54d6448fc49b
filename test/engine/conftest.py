# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The small random models of the vectors, and their graphs, for all tests of engines."""

from pathlib import Path

import onnxruntime
import pytest
import torch

from molmo_ros.engine.graphs.export import export_graphs
from molmo_ros.engine.runtimes.engine_runtime import EngineRuntime
from molmo_ros.engine.runtimes.onnx_runner import OnnxRunner
from molmo_ros.engine.shapes import Shapes
from molmo_ros.molmo.catalog.model_parts import read_image_processing
from molmo_ros.molmo.catalog.model_store import EMBEDDED
from molmo_ros.molmo.weights.checkpoint import load_checkpoint

VECTORS = Path(__file__).parents[1] / "vectors"
MODELS = sorted(path.name for path in VECTORS.glob("*-tiny"))
CONTEXT = 1536


class Exported:
    """A model in torch, and its float32 graphs."""

    def __init__(self, checkpoint: Path, folder: Path) -> None:
        self.checkpoint, self.folder = checkpoint, folder
        self.model = load_checkpoint(checkpoint)
        self.config = self.model.config
        read = self.model.state_dict().__getitem__
        export_graphs(folder, self.config, CONTEXT, torch.float32, read)
        # As a build makes them of models whose images are rounded to 8 bits; the decoder is the same.
        self.in_bytes = folder / "in_bytes"
        if read_image_processing(checkpoint).style.eight_bits:
            self.in_bytes.mkdir()
            for path in folder.glob("decoder.*"):
                (self.in_bytes / path.name).symlink_to(path)
            export_graphs(self.in_bytes, self.config, CONTEXT, torch.float32, read, eight_bits=True)

    def runtime(self, folder: Path | None = None, **shapes) -> EngineRuntime:
        """The graphs in onnxruntime, with wide limits but for those that are given."""
        limits = {"max_crops": 12, "max_context": CONTEXT, "max_prompt": CONTEXT, "max_image_tokens": 4096}
        runner = OnnxRunner(folder or self.folder, self.config.decoder, CONTEXT, torch.float32)
        return EngineRuntime(
            self.config,
            Shapes(**(limits | {"slots": 4} | shapes)),
            runner,
            self.model.decoder.embedding,
            self.model.point_head,
            rebuild="molmo-ros build MODEL",
        )


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Exports a model of the vectors by name, or "tiny", once."""
    made = {}

    def get(name: str) -> Exported:
        if name not in made:
            checkpoint = EMBEDDED / name if name == "tiny" else VECTORS / name
            made[name] = Exported(checkpoint, tmp_path_factory.mktemp(name))
        return made[name]

    return get


@pytest.fixture(scope="session")
def exact_session():
    """Opens a graph in onnxruntime, which then rounds nothing that the graph does not round.

    By itself it rounds the inputs of four-bit products to eight bits, and where a CPU has no VNNI its sums of eight-bit
    products saturate.
    """

    def open_graph(path):
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        options.add_session_config_entry("session.x64quantprecision", "1")
        return onnxruntime.InferenceSession(str(path), options)

    return open_graph

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Networks that TensorRT parsed, held against torch on real pictures, in float32: no GPU, and no engine, is needed.

Both sides have the weights that the engine has, rounded and quantised; so what differs is what the parser made of the
graph, and not how the numbers are stored. The decoder is walked block by block in torch, with one block in memory, and
TensorRT's network computes some of the blocks, or all, from the same states.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import onnx
import torch
from torch import Tensor

from molmo_ros.engine.errors import EngineError
from molmo_ros.engine.graphs.export import DECODER, VISION
from molmo_ros.engine.graphs.vision_inputs import VisionInputs
from molmo_ros.engine.quantisation.decoder_prompts import (
    Example,
    Prompt,
    calibration_prompts,
    open_before_blocks,
)
from molmo_ros.engine.quantisation.decoder_quantiser import block_states, read_block
from molmo_ros.engine.quantisation.quantised_linear import QuantisedWeights, ReadParameter
from molmo_ros.engine.quantisation.simulated import round_inputs
from molmo_ros.engine.tensorrt.parsed.interpreter import Interpreter
from molmo_ros.engine.tensorrt.parsed.parser import parse_graph
from molmo_ros.molmo.config import DecoderConfig, MolmoConfig
from molmo_ros.molmo.network.connector import image_table
from molmo_ros.molmo.network.decoder import DecoderBlock, RMSNorm
from molmo_ros.molmo.network.model import ImageFeatures, MolmoModel
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.running.runtime import ImageTensors
from molmo_ros.molmo.running.torch_runtime import TorchRuntime
from molmo_ros.molmo.weights.stored_parameters import BASE, HEAD, StoredParameters

CLOSE, CLOSE_TO_LARGEST = 1e-4, 1e-5
"""How far values may be from torch's: this, or this share of the largest one."""
CLOSE_WHERE_ROUNDED = 1e-2
"""The same share where a format rounds a layer's inputs: one that lies between two steps may go either way."""


@dataclass(frozen=True)
class NetworkReport:
    """How far a network is from torch, part by part.

    Attributes:
        differences: Of "vision", of "block N" for each block that was computed, and of "head" where all blocks were:
            the largest difference of any value.
        blocks: Of the decoder, all in all.
    """

    differences: dict[str, float]
    blocks: int

    def text(self) -> str:
        """In a sentence."""
        seen = sum(name.startswith("block") for name in self.differences)
        which = "all" if seen == self.blocks else f"{seen} of {self.blocks}"
        return (
            f"The networks that TensorRT parsed compute what torch does (vision, {which} blocks): largest difference "
            f"{max(self.differences.values()):.1e}."
        )

    def as_dict(self) -> dict[str, object]:
        """For a manifest."""
        return {"largest_difference": max(self.differences.values()), "parts": dict(self.differences)}


def some_blocks(layers: int) -> list[int]:
    """The first, a middle and the last block."""
    return sorted({0, layers // 2, layers - 1})


@dataclass(frozen=True)
class CheckedGraphs:
    """What is to be checked: an engine's graphs, as TensorRT takes them.

    Attributes:
        trt: The TensorRT module.
        lowerings: Of each graph by its file's name, as its engine was built: "native" or "legacy".
        folder: Has vision.onnx, decoder.onnx and their weights.
        context: Slots of the cache that the graphs have.
        dtype: Of the graphs' values.
        quantised: The layers whose weights are quantised.
    """

    trt: ModuleType
    lowerings: Mapping[str, str]
    folder: Path
    context: int
    dtype: torch.dtype
    quantised: QuantisedWeights | None = None


@torch.inference_mode()
def check_networks(
    graphs: CheckedGraphs,
    checkpoint: Path,
    examples: Sequence[Example],
    blocks: Collection[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NetworkReport:
    """Computes both networks and compares.

    Args:
        graphs: What is checked.
        checkpoint: The folder of the model that they are of.
        examples: Pictures with what is asked; at least one.
        blocks: Of the decoder; None for all of them, and the head.
        progress: Called with how many blocks are done, and how many there are to do.

    Raises:
        EngineError: A part is too far from torch's, or cannot be computed; the message names it.
    """
    stored = StoredParameters(checkpoint)
    prompts, difference = check_vision(graphs, checkpoint, examples)
    decoder = DecoderCheck(graphs, stored.config.decoder, lambda name: stored.read(name, torch.float32))
    differences = {"vision": difference} | decoder.run(prompts, blocks, progress)
    return NetworkReport(differences, stored.config.decoder.layers)


@torch.inference_mode()
def check_vision(
    graphs: CheckedGraphs, checkpoint: Path, examples: Sequence[Example]
) -> tuple[list[Prompt], float]:
    """Prompts as torch makes them, and how far the vision side is from it. Arguments as of `check_networks`."""
    molmo = open_before_blocks(checkpoint)
    assert isinstance(molmo.runtime, TorchRuntime)
    model = molmo.runtime.model
    for name, value in model.named_parameters():
        if name.startswith(("vision.", "connector.")) and not value.is_meta:
            value.copy_(value.to(graphs.dtype))
    recorder = _Recorder(model)
    prompts = calibration_prompts(Molmo.from_runtime(recorder, checkpoint), examples)
    parsed = parse_graph(graphs.trt, graphs.folder / VISION, graphs.lowerings[VISION])
    interpreter = Interpreter(parsed.network, wide=True)
    taken = VisionInputs([one.name for one in parsed.network.inputs], torch.float32)
    largest = 0.0
    assert recorder.seen, "every prompt has a picture"
    for image, features in recorder.seen:
        found = interpreter.run(_vision_inputs(model.config, image, taken))
        largest = max(largest, _compare("vision", features.tokens, found["tokens"], graphs))
        if features.patches is not None:
            largest = max(largest, _compare("vision", features.patches.values, found["patches"], graphs))
    return prompts, largest


def _vision_inputs(config: MolmoConfig, image: ImageTensors, inputs: VisionInputs) -> dict[str, Tensor]:
    vision, connector = config.vision, config.connector
    table = image_table(vision.grid, connector, len(image.crops), image.input_idx, image.pooling)
    masks = image.masks if connector.pad_embed else None
    return inputs.made(inputs.sent(image.crops, table, masks, image.colours))


class DecoderCheck:
    """TensorRT's decoder beside torch's, block by block."""

    def __init__(self, graphs: CheckedGraphs, config: DecoderConfig, read: ReadParameter) -> None:
        """Opens nothing yet.

        Args:
            graphs: What is checked.
            config: The decoder's shape.
            read: Reads the model's parameters.
        """
        self.graphs, self.config, self.read = graphs, config, read

    @torch.inference_mode()
    def run(
        self,
        prompts: Sequence[Prompt],
        blocks: Collection[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[str, float]:
        """The largest difference of each part. Arguments and errors as of `check_networks`."""
        layers, differences = self.config.layers, dict[str, float]()
        wanted = range(layers) if blocks is None else sorted(blocks)
        graph = self.graphs.folder / DECODER
        parsed = parse_graph(self.graphs.trt, graph, self.graphs.lowerings[DECODER])
        interpreter = Interpreter(parsed.network, wide=True, kept=0)
        values = block_values(graph)
        states = [prompt.embeddings.to(self.graphs.dtype).float() for prompt in prompts]
        for layer in range(max(wanted) + 1):
            block, name = self.block(layer), f"block {layer}"
            for number, prompt in enumerate(prompts):
                before = states[number]
                states[number] = block_states(self.config, layer, block, before, prompt.mask)
                if layer in wanted:
                    given = {values[layer]: before} | self.pass_inputs(layer, prompt, torch.float32)
                    found = interpreter.run(given, [values[layer + 1]])[values[layer + 1]]
                    difference = _compare(name, states[number], found, self.graphs)
                    differences[name] = max(differences.get(name, 0.0), difference)
            if progress is not None:
                progress(layer + 1, max(wanted) + 1)
        if blocks is None:
            ends = [self._head(interpreter, values[layers], one[:, -1:]) for one in states]
            differences["head"] = max(ends)
        return differences

    def block(self, layer: int) -> DecoderBlock:
        """Torch's, in float32, with the engine's weights, and rounding inputs where the format does."""
        quantised, dtype = self.graphs.quantised, self.graphs.dtype

        def read(name: str) -> Tensor:
            linear = name.removesuffix(".weight")
            if quantised is not None and linear in quantised.formats:
                return quantised.linear(linear).dequantise()
            return (self.read if quantised is None else quantised.read)(name).to(dtype)

        block = read_block(self.config, layer, read, "cpu")
        prefix = f"decoder.blocks.{layer}."
        if quantised is not None:
            for name in quantised.formats:
                if name.startswith(prefix):
                    round_inputs(block.get_submodule(name.removeprefix(prefix)), quantised.linear(name))
        return block

    def pass_inputs(self, layer: int, prompt: Prompt, dtype: torch.dtype) -> dict[str, Tensor]:
        """What the network takes beside the states: of a whole prompt over an empty cache of a type."""
        config, count = self.config, prompt.embeddings.shape[1]
        shape = (1, config.kv_heads, self.graphs.context, config.head_dim)
        caches = {
            f"past_{part}_{layer}": torch.zeros(shape, dtype=dtype, device="cpu") for part in ("key", "value")
        }
        return caches | {
            "positions": torch.arange(count, dtype=torch.int64, device="cpu").unsqueeze(0),
            "mask": prompt.mask,
            "write_index": torch.zeros(1, dtype=torch.int64, device="cpu"),
        }

    def _head(self, interpreter: Interpreter, entry: str, states: Tensor) -> float:
        """Scores of one token."""
        config, dtype = self.config, self.graphs.dtype

        def read(name: str) -> Tensor:
            return self.read(name).to(dtype).float()

        norm = RMSNorm(config.width, config.norm_eps)
        norm.load_state_dict({"weight": read("decoder.norm.weight")})
        hidden = norm(states)
        matrix = read(BASE if config.tied_head else HEAD)
        logits = hidden @ matrix.T
        if config.extra_head:
            extra = read("decoder.extra_head.weight")
            logits = torch.cat([logits, hidden @ extra.T], -1)
        given = {entry: states, "logits_for": torch.zeros(1, dtype=torch.int64, device="cpu")}
        return _compare("head", logits, interpreter.run(given, ["logits"])["logits"], self.graphs)


def _compare(part: str, expected: Tensor, found: Tensor, graphs: CheckedGraphs) -> float:
    """The largest difference.

    Raises:
        EngineError: It is too large.
    """
    if expected.shape != found.shape:
        raise EngineError(f"{part}: torch has {tuple(expected.shape)}, TensorRT {tuple(found.shape)}")
    formats = () if graphs.quantised is None else graphs.quantised.formats.values()
    rounded = part.startswith("block") and any(one.quantises_inputs for one in formats)
    share = CLOSE_WHERE_ROUNDED if rounded else CLOSE_TO_LARGEST
    largest, difference = float(expected.abs().max()), float((expected - found).abs().max())
    if not difference <= max(CLOSE, share * largest):
        raise EngineError(
            f"the network that TensorRT parsed is not the model: {part} is up to {difference:.2g} from torch's, "
            f"whose values reach {largest:.2g}. An engine of it would answer wrongly; please report this with "
            f"the version of TensorRT, {graphs.trt.__version__}"
        )
    return difference


class _Recorder(TorchRuntime):
    """Keeps what the vision side gets and gives."""

    def __init__(self, model: MolmoModel) -> None:
        super().__init__(model)
        self.seen: list[tuple[ImageTensors, ImageFeatures]] = []

    def encode_image(self, image: ImageTensors) -> ImageFeatures:
        """See `Runtime`."""
        features = super().encode_image(image)
        self.seen.append((image, features))
        return features


def block_values(graph: Path) -> list[str]:
    """The names of the states that go into each block, and of those that come out of the last.

    Args:
        graph: decoder.onnx.
    """
    values = ["embeddings"]
    nodes = onnx.load(str(graph), load_external_data=False).graph.node
    for node, after in zip(nodes, [*nodes[1:], None], strict=True):
        scope = node.name.split("/")[0]
        if scope.startswith("decoder.blocks.") and (after is None or after.name.split("/")[0] != scope):
            values.append(node.output[0])
    return values

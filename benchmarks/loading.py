# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Loads a checkpoint of real size, sharded as on the hub, next to loading as it is usually done.

    python benchmarks/loading.py [--model 4b|7b-d] [--stored float32|bfloat16] [--dtype bfloat16] [--folder DIR]

Writes random weights under the released model's names and shapes (Molmo2-4B in float32: 19.4 GB of disk; 7B-D in
bfloat16: 16 GB), loads them in fresh processes and prints a table. Loaders: `ours`; `plain`, all shards as one
state dict, copied into a model of the target dtype; `transformers`, where it knows the model. Each runs after its
files were dropped from the page cache ("cold") and once more ("warm", as far as memory holds the files: the
column "from disk" tells). Memory is the process' peak of resident pages, mapped files included, and of anonymous
ones alone. A loader is ended when it exceeds --limit or the machine has less than 1 GB left.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from zlib import crc32

import torch
from torch import Tensor

from molmo_ros.molmo.catalog.model_parts import read_config
from molmo_ros.molmo.config import MolmoConfig
from molmo_ros.molmo.families.table import family, parse_config
from molmo_ros.molmo.network.model import MolmoModel
from molmo_ros.molmo.weights.checkpoint import DTYPES, load_checkpoint
from molmo_ros.molmo.weights.weight_files import INDEX, stored_tensors

GB = 1e9
SHARD_BYTES = 5 * 10**9
BLOCK_VALUES = 1 << 24
STORED = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
MOLMO2_4B = {
    "model_type": "molmo2",
    "vit_config": {
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "head_dim": 72,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    },
    "adapter_config": {
        "vit_layers": [-3, -9],
        "hidden_size": 1152,
        "num_attention_heads": 16,
        "head_dim": 72,
        "hidden_act": "silu",
        "intermediate_size": 9728,
    },
    "text_config": {
        "hidden_size": 2560,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 9728,
        "hidden_act": "silu",
        "vocab_size": 151936,
        "additional_vocab_size": 128,
        "use_qk_norm": True,
        "qk_norm_type": "qwen3",
        "layer_norm_eps": 1e-6,
        "rope_theta": 5e6,
        "max_position_embeddings": 36864,
    },
}
MOLMO_7B_D = {
    "model_type": "molmo",
    "hidden_size": 3584,
    "intermediate_size": 37888,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "embedding_size": 152064,
    "qkv_bias": True,
    "layer_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "max_position_embeddings": 4096,
}
MODELS = {"4b": MOLMO2_4B, "7b-d": MOLMO_7B_D}
# The released Molmo2-4B stores its embedding a second time, as the output head.
COPIES = {"lm_head.weight": "model.transformer.wte.embedding"}


@dataclass(frozen=True)
class Loading:
    """One loading: seconds, GB read from disk, peak GB resident and anonymous; `ended` where it was stopped."""

    seconds: float
    from_disk: float
    resident: float
    anonymous: float
    ended: bool = False


def shrink(config: MolmoConfig, by: int) -> MolmoConfig:
    """The same structure with about `by` times fewer layers, rows and columns, to try things out."""
    if by == 1:
        return config
    vision, connector, decoder = config.vision, config.connector, config.decoder
    kv_heads = max(decoder.kv_heads // by, 1)
    heads = kv_heads * max(decoder.heads // by // kv_heads, 1)
    # 0924 has no head_dim in its config: the heads fill the width.
    square = decoder.width == decoder.heads * decoder.head_dim
    width = heads * decoder.head_dim if square else max(decoder.width // by, 16)
    mlp_width = max(decoder.mlp_width // by, 16)
    vision_heads = max(vision.heads // by, 1)
    vision_width = vision_heads * vision.head_dim
    vision = replace(
        vision, width=vision_width, heads=vision_heads, mlp_width=max(vision.mlp_width // by, 16)
    )
    return replace(
        config,
        vision=vision,
        connector=replace(
            connector,
            feature_width=vision.feature_width,
            width=vision_width,
            heads=vision_heads,
            hidden_width=mlp_width,
            output_width=width,
        ),
        decoder=replace(
            decoder,
            width=width,
            layers=max(decoder.layers // by, 2),
            heads=heads,
            kv_heads=kv_heads,
            mlp_width=mlp_width,
            vocab=max(decoder.vocab // by, 512),
        ),
    )


def hub_shapes(config: MolmoConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor as the hub stores them, unused blocks of the tower included."""
    vision = config.vision
    if config.family == "molmo":  # 0924 stores the whole tower, Molmo2 what it needs of it.
        vision = replace(vision, feature_layers=(vision.layers - 1, *vision.feature_layers[1:]))
    with torch.device("meta"):
        model = MolmoModel(replace(config, vision=vision))
    names = family(config.family).tensor_names
    return {
        piece.name: piece.shape
        for own, value in model.state_dict().items()
        for piece in names.pieces(own, tuple(value.shape))
    }


def write_checkpoint(
    folder: Path, config: MolmoConfig, stored: str = "float32", shard_bytes: int = SHARD_BYTES
) -> int:
    """Writes config.json, shards of random weights and their index; needs memory for one block of values.

    Returns:
        Bytes of weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shapes, itemsize = hub_shapes(config), DTYPES[stored].itemsize
    shards: list[list[str]] = [[]]
    room = shard_bytes
    for name, shape in sorted(shapes.items()):
        size = prod(shape) * itemsize
        if size > room and shards[-1]:
            shards.append([])
            room = shard_bytes
        shards[-1].append(name)
        room -= size
    weight_map = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_shard(folder / file, {name: shapes[name] for name in names}, stored)
        weight_map |= dict.fromkeys(names, file)
    total = sum(prod(shape) for shape in shapes.values()) * itemsize
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    raw = family(config.family).write_config(config, stored)
    (folder / "config.json").write_text(json.dumps(raw, indent=2))
    (folder / INDEX).write_text(json.dumps(index, indent=2))  # last: with it the checkpoint is whole
    return total


def prepare(folder: Path, config: MolmoConfig, stored: str) -> None:
    """Writes the checkpoint into an empty folder, or makes sure that it is what the folder holds."""
    shapes = hub_shapes(config)
    if (folder / INDEX).is_file():
        found = {tensor.name: (tensor.dtype, tensor.shape) for tensor in stored_tensors(folder).values()}
        if found != {name: (STORED[stored], shape) for name, shape in shapes.items()}:
            sys.exit(f"{folder} holds another checkpoint; name an empty folder")
        return
    if folder.is_dir() and any(folder.iterdir()):
        sys.exit(f"{folder} holds other files; name an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    needed = sum(map(prod, shapes.values())) * DTYPES[stored].itemsize
    if free < 1.02 * needed:
        sys.exit(f"{folder} has {free / GB:.1f} GB free, {needed / GB:.1f} needed")
    started = time.perf_counter()
    write_checkpoint(folder, config, stored)
    print(f"written in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def _write_shard(path: Path, shapes: dict[str, tuple[int, ...]], stored: str) -> None:
    """A safetensors file, block by block; the library's own writer wants the whole shard in memory."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, shape in shapes.items():
        size = prod(shape) * DTYPES[stored].itemsize
        header[name] = {"dtype": STORED[stored], "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in shapes.items():
            for block in _random_blocks(COPIES.get(name, name), prod(shape), DTYPES[stored]):
                file.write(memoryview(block.view(torch.uint8).numpy()))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _random_blocks(name: str, values: int, dtype: torch.dtype) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(crc32(name.encode()))
    for start in range(0, values, BLOCK_VALUES):
        block = torch.empty(min(BLOCK_VALUES, values - start))
        yield block.normal_(0, 0.02, generator=generator).to(dtype)


def load_plain(folder: Path, dtype: torch.dtype) -> MolmoModel:
    """All shards in one state dict, copied into a model that has its memory already."""
    from safetensors.torch import load_file

    config = read_config(folder)
    with torch.device("meta"):
        model = MolmoModel(config)
    model = model.to(dtype).to_empty(device="cpu")
    names = family(config.family).tensor_names
    state = {}
    for shard in sorted(folder.glob("*.safetensors")):
        state |= load_file(shard)
    model.load_state_dict({own: state[names.name(own)] for own in model.state_dict()})
    return model.eval()


def load_transformers(folder: Path, dtype: torch.dtype) -> object:
    """transformers' own Molmo2."""
    from transformers import Molmo2ForConditionalGeneration
    from transformers.utils import logging

    logging.set_verbosity_error()
    return Molmo2ForConditionalGeneration.from_pretrained(folder, dtype=dtype)


LOADERS: dict[str, Callable[[Path, torch.dtype], object]] = {
    "ours": lambda folder, dtype: load_checkpoint(folder, dtype=dtype, tie_equal_head=True),
    "plain": load_plain,
    "transformers": load_transformers,
}


def drop_from_cache(folder: Path) -> None:
    """Asks the system to forget the files' pages."""
    for path in folder.glob("*.safetensors"):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(loader: str, folder: Path, dtype: str, limit: float) -> Loading:
    """Loads in a new process and watches it.

    Args:
        loader: One of `LOADERS`.
        folder: The checkpoint.
        dtype: Target precision.
        limit: Resident memory [GB] at which the process is ended.
    """
    command = [sys.executable, __file__, "--load", loader, "--folder", str(folder), "--dtype", dtype]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    resident = anonymous = 0.0
    started, ended = time.perf_counter(), False
    while child.poll() is None:
        status = _kilobytes(f"/proc/{child.pid}/status")
        resident = max(resident, status.get("VmHWM", 0) * 1024 / GB)
        anonymous = max(anonymous, status.get("RssAnon", 0) * 1024 / GB)
        free = _kilobytes("/proc/meminfo").get("MemAvailable", 1 << 40) * 1024 / GB
        if resident > limit or free < 1:
            child.kill()
            ended = True
        time.sleep(0.02)
    output, _ = child.communicate()
    if ended:
        return Loading(time.perf_counter() - started, 0, resident, anonymous, ended=True)
    if child.returncode:
        raise RuntimeError(f"loader {loader} ended with status {child.returncode}")
    told = json.loads(output.splitlines()[-1])
    return Loading(told["seconds"], told["from_disk"], max(resident, told["resident"]), anonymous)


def load_here(loader: str, folder: Path, dtype: str) -> None:
    """What the new process does: loads, and prints what it needed."""
    before, started = _bytes_read(), time.perf_counter()
    model = LOADERS[loader](folder, DTYPES[dtype])
    seconds = time.perf_counter() - started
    resident = _kilobytes("/proc/self/status").get("VmHWM", 0) * 1024 / GB
    print(json.dumps({"seconds": seconds, "from_disk": _bytes_read() - before, "resident": resident}))
    sys.stdout.flush()
    time.sleep(0.1)  # A last look at the memory, with the model still there.
    del model


def _kilobytes(path: str) -> dict[str, int]:
    """Lines "name: number kB" of a file of the system."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split() for line in lines if line.endswith(" kB"))
    return {words[0].rstrip(":"): int(words[1]) for words in pairs}


def _bytes_read() -> float:
    """GB that this process had the disk deliver."""
    try:
        text = Path("/proc/self/io").read_text()
    except OSError:
        return 0.0
    return int(text.split("\nread_bytes: ")[1].split()[0]) / GB


def row(loader: str, cache: str, run: Loading, model: float) -> str:
    """A line of the table; `model` is the size of the model in the target precision [GB]."""
    if run.ended:
        cells = [
            loader,
            cache,
            "-",
            "-",
            f"more than {run.resident:.1f}",
            f"more than {run.anonymous:.1f}",
            "-",
        ]
    else:
        ratio = f"{run.resident / model:.2f}"
        numbers = (run.seconds, run.from_disk, run.resident, run.anonymous)
        cells = [loader, cache, *(f"{number:.1f}" for number in numbers), ratio]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, default="4b")
    parser.add_argument("--stored", choices=STORED, default="float32", help="precision on disk")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16", help="precision in memory")
    parser.add_argument(
        "--folder",
        type=Path,
        help="write the checkpoint there and leave it, or use the one that is there (default: a temporary folder)",
    )
    parser.add_argument("--limit", type=float, default=1e9, help="resident GB at which a loader is ended")
    parser.add_argument("--shrink", type=int, default=1, help="a model of about 1/N of each size")
    parser.add_argument("--loaders", default=",".join(LOADERS), help="comma-separated")
    parser.add_argument("--load", choices=LOADERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load:
        load_here(args.load, args.folder, args.dtype)
        return
    config = shrink(parse_config(MODELS[args.model]), args.shrink)
    shapes = hub_shapes(config)
    values = sum(prod(shape) for shape in shapes.values())
    size = values * DTYPES[args.dtype].itemsize / GB
    needed = values * DTYPES[args.stored].itemsize
    folder = args.folder or Path(tempfile.mkdtemp(prefix="molmo_ros_loading_"))
    try:
        prepare(folder, config, args.stored)
        print(
            f"{args.model}: {len(shapes)} tensors, {values / 1e9:.2f} B values; {args.stored} on disk "
            f"({needed / GB:.1f} GB), {args.dtype} in memory ({size:.1f} GB); "
            f"the aim is a peak under {1.15 * size + 1:.1f} GB\n"
        )
        print(
            "| loader | page cache | time [s] | from disk [GB] | peak [GB] | anonymous [GB] | peak / model |"
        )
        print("|---|---|---|---|---|---|---|", flush=True)
        for loader in args.loaders.split(","):
            if loader == "transformers" and config.family != "molmo2":
                continue
            for cache in ("cold", "warm"):
                if cache == "cold":
                    drop_from_cache(folder)
                run = measure(loader, folder, args.dtype, args.limit)
                print(row(loader, cache, run, size), flush=True)
                if run.ended:
                    break
    finally:
        if not args.folder:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()

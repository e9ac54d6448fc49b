# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Checkpoints of every family: the reference vectors' random weights, with a tokenizer of single bytes."""

import json
import shutil
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

VECTORS = Path(__file__).parents[1] / "vectors"
SYMBOLS = sorted(pre_tokenizers.ByteLevel.alphabet())
FIRST = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "|<EXTRA_TOKENS_0>|"]
IMAGE_TOKENS = [
    *["<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>"],
    *["<|image|>", "<im_low>", "<frame_start>", "<frame_end>"],
]
IMAGE_START = {"molmo-7b-o-tiny": 310, "molmoe-1b-tiny": 300}
"""The id of `<im_start>` where it is not 320."""


def write_byte_tokenizer(folder: Path, vector: str = "") -> Path:
    """Writes tokenizer files whose special tokens have the ids of a folder of the vectors."""
    folder.mkdir(parents=True, exist_ok=True)
    words = IMAGE_START.get(vector, 320) - len(FIRST)
    vocabulary = SYMBOLS + [f"<unused{i}>" for i in range(words - len(SYMBOLS))]
    tokenizer = Tokenizer(models.BPE({symbol: number for number, symbol in enumerate(vocabulary)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in [*FIRST, *IMAGE_TOKENS]])
    tokenizer.save(str(folder / "tokenizer.json"))
    eos = "<|endoftext|>" if vector.startswith(("molmo-", "molmoe")) else "<|im_end|>"
    settings = {"bos_token": None, "eos_token": eos}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def write_family_checkpoint(folder: Path, vector: str) -> Path:
    """Writes a whole checkpoint of a folder of the vectors."""
    write_byte_tokenizer(folder, vector)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(VECTORS / vector / name, folder)
    return folder

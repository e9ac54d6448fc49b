# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A small byte-level tokenizer with Molmo's special tokens, whose ids fit the tiny vectors' configs, and checkpoints.

The random weights of the tiny vectors say nothing meaningful, so for the outcomes of an answer some are rewritten to
recite: with attention and MLP outputs of zero, a token's state is its embedding, and the head is a table from each
token to the next.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.weights.checkpoint import load_checkpoint, save_checkpoint

VECTORS = Path(__file__).parents[1] / "vectors"
SOURCE = {"molmo2": "molmo2-4b-tiny", "molmo": "molmo-7b-d-tiny"}
FIRST_PHRASE = 280  # ids from here on belong to the phrases of a recital
CUPS = ['<points coords="1', " 1 250 500", " 2 500 250", ' 3 750 125">', "cups", "</points>"]
CHAT_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
IMAGE_TOKENS = [
    *["<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>"],
    *["<|image|>", "<im_low>", "<frame_start>", "<frame_end>"],
]
FILLER, BLANKS = "|<EXTRA_TOKENS_0>|", "   "
CORPUS = [
    *["Point to the red cube in the image.", "How many cups are there?", "User: Assistant: user assistant"],
    *[
        '<points coords="1 1 234 567">cup</points>',
        "There are none.",
        "Counting the cups shows a total of 3.",
    ],
]


@pytest.fixture(scope="session")
def write_tokenizer():
    """Writes tokenizer files: 320 ids for text and chat, then image tokens, as in the tiny vectors."""
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    base.train_from_iterator(
        CORPUS * 3, trainers.BpeTrainer(vocab_size=316, initial_alphabet=alphabet, show_progress=False)
    )
    assert base.get_vocab_size() == 316
    base.decoder = decoders.ByteLevel()
    base.add_special_tokens([AddedToken(name, normalized=False) for name in CHAT_TOKENS])
    # Not flagged special, as in some released folders.
    base.add_tokens(
        [AddedToken(name, special=False, normalized=False) for name in [FILLER, *IMAGE_TOKENS, BLANKS]]
    )
    assert base.token_to_id("<im_start>") == 320
    text = base.to_str()

    def write(folder: Path, family: str = "molmo2") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(text)
        eos = "<|im_end|>" if family == "molmo2" else "<|endoftext|>"
        settings = {"bos_token": None, "eos_token": {"content": eos, "special": True}}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return folder

    return write


@pytest.fixture(scope="session")
def write_released_tokenizer():
    """Writes tokenizer files with the released ids: the special tokens, and the part of the vocabulary that
    the prompts in `vectors/prompts` need."""
    vectors = Path(__file__).parents[1] / "vectors" / "prompts"
    families = json.loads((vectors / "prompts.json").read_text())["families"]

    def write(folder: Path, family: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        described = families[family]
        document = json.loads((vectors / f"{described['vocabulary']}.json").read_text())
        document["model"]["vocab"] |= described["ids"]
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        document["added_tokens"] = [
            {"id": number, "content": name, "special": not name.isspace(), **flags}
            for name, number in sorted(described["ids"].items(), key=lambda item: item[1])
        ]
        (folder / "tokenizer.json").write_text(json.dumps(document))
        settings = {"bos_token": None, "eos_token": described["eos"]}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return folder

    return write


@pytest.fixture(scope="session")
def random_folder(write_tokenizer):
    """Writes a checkpoint of random weights."""

    def write(folder: Path, family: str = "molmo2") -> Path:
        write_tokenizer(folder, family)
        for name in ("config.json", "model.safetensors"):
            shutil.copy(VECTORS / SOURCE[family] / name, folder)
        return folder

    return write


@pytest.fixture(scope="session")
def reciting_folder(write_tokenizer):
    """Writes a checkpoint that says some phrases (each once) after any prompt; then EOS, or the last for ever."""

    def write(folder: Path, phrases: list[str], family: str = "molmo2", loop=False) -> Path:
        write_tokenizer(folder, family)
        path = folder / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        symbols = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        kept = {text: i for text, i in tokenizer["model"]["vocab"].items() if i < FIRST_PHRASE}
        ids = list(range(FIRST_PHRASE, FIRST_PHRASE + len(phrases)))
        spelled = ["".join(piece for piece, _ in symbols.pre_tokenize_str(phrase)) for phrase in phrases]
        filler = {f"<unused{i}>": i for i in range(ids[-1] + 1, 316)}
        tokenizer["model"]["vocab"] = {**kept, **dict(zip(spelled, ids, strict=True)), **filler}
        tokenizer["model"]["merges"] = tokenizer["model"]["merges"][: FIRST_PHRASE - 256]
        path.write_text(json.dumps(tokenizer))

        model = load_checkpoint(VECTORS / SOURCE[family])
        last_of_prompt = kept["Ċ" if family == "molmo2" else ":"]
        eos = 318 if family == "molmo2" else 316
        chain = [last_of_prompt, *ids, ids[-1] if loop else eos]
        decoder = model.decoder
        with torch.no_grad():
            for block in decoder.blocks:
                block.attention.output.weight.zero_()
                block.mlp.down.weight.zero_()
            decoder.norm.weight.fill_(1)
            decoder.head.weight.zero_()
            for dimension, (token, following) in enumerate(zip(chain, chain[1:], strict=False)):
                if not (loop and dimension == len(chain) - 2):
                    decoder.embedding.base[token] = torch.eye(decoder.config.width)[dimension]
                decoder.head.weight[following, dimension] += 1
            if loop:
                decoder.head.weight[ids[-1], len(chain) - 2] = 1
                decoder.embedding.base[ids[-1]] = torch.eye(decoder.config.width)[len(chain) - 2]
        save_checkpoint(model, folder)
        return folder

    return write


@pytest.fixture(scope="module")
def recite(reciting_folder, tmp_path_factory):
    """Makes a Molmo that recites."""

    def make(phrases: list[str], family: str = "molmo2", **settings) -> Molmo:
        folder = tmp_path_factory.mktemp("reciting")
        return Molmo.from_pretrained(reciting_folder(folder, phrases, family, **settings))

    return make


@pytest.fixture(scope="module")
def cups(recite):
    return recite(CUPS)


@pytest.fixture(scope="module")
def random_molmo(random_folder, tmp_path_factory):
    return Molmo.from_pretrained(random_folder(tmp_path_factory.mktemp("random"), "molmo"))

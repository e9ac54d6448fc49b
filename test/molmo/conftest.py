"""A small byte-level tokenizer with Molmo's special tokens, whose ids fit the tiny vectors' configs."""

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

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

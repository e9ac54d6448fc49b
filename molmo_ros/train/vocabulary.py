# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The embedded checkpoint's tokenizer: byte-level, whole words of its small world, one token per number.

Numbers of up to three digits are single tokens, as in the OLMo members of the family. Any text can be
encoded: what is no word of the vocabulary becomes bytes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from molmo_ros.sim.objects import COLORS, OTHER_NAMES, PLURALS, SHAPES
from molmo_ros.train import queries

BASE_SIZE = 2304
EXTRA_SIZE = 128
CHAT_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
IMAGE_TOKENS = (
    "<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>", "<|image|>", "<im_low>", "<frame_start>",
    "<frame_end>", "<|video|>", "<|points|>", "<|token_index|>", "<|vit_index|>", "<|vit_loc|>",
)  # fmt: skip
CHAT_TEMPLATE = """\
{#- Molmo2's prompt: all images, with their numbers where there are several, then the turns. -#}
{%- set images = namespace(count=0) -%}
{%- for message in messages if message["content"] is not string -%}
    {%- for part in message["content"] if part["type"] in ("image", "image_url") -%}
        {%- set images.count = images.count + 1 -%}
    {%- endfor -%}
{%- endfor -%}
{%- for _ in range(images.count) -%}
    {{- ("Image " ~ loop.index if images.count > 1 else "") ~ "<|image|>" -}}
{%- endfor -%}
{%- for message in messages -%}
    {{- "<|im_start|>" ~ message["role"] ~ "\\n" -}}
    {%- if message["content"] is string -%}
        {{- message["content"] -}}
    {%- else -%}
        {%- for part in message["content"] if part["type"] == "text" -%}{{- part["text"] -}}{%- endfor -%}
    {%- endif -%}
    {{- "<|im_end|>\\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- "<|im_start|>assistant\\n" -}}{%- endif -%}
"""
"""What other programs frame a conversation by, as `families/molmo2.py` does here."""
PATTERN = r" ?\p{N}{1,3}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"

EVERYDAY = (
    "a an and are at all any be behind between both bottom by can colors count describe do does each "
    "every few find first for from front give has have here how i if in is it its image large last left "
    "look many me middle most my near next no not number of off on one only or other out over pick "
    "picture place please point right round second see show side small some table tell that the them "
    "there these they this those to top two three four five six seven total under up us use user "
    "assistant want was were what where which who whose will with yes you your shows say none into grasp "
    "robot gripper hand put take open close"
)


def _words() -> set[str]:
    """Every pre-token of the templates, names and answers, plus everyday words."""
    sources = [
        *queries.ONE,
        *queries.MANY,
        *queries.COUNT,
        *queries.IS_THERE,
        *queries.COLOR_OF,
        *queries.SHAPE_OF,
    ]
    text = (
        " ".join(s.replace("{x}", "red") for s in sources)
        + ' user\n assistant\n Counting the <points coords="1">x</points> shows a total of 3.'
    )
    nouns = [*COLORS, *SHAPES, *PLURALS.values(), *queries.GENERIC, *(g + "s" for g in queries.GENERIC)]
    nouns += [word for name in queries.ABSENT_NOUNS for word in name.split()]
    return _spellings(set(re.findall(r"[A-Za-z]+", text)) | set(nouns) | set(EVERYDAY.split()))


def _spellings(plain: set[str]) -> set[str]:
    """Words with and without a capital, and with and without a space before them."""
    words = plain | {word.capitalize() for word in plain}
    return words | {" " + word for word in words}


def _byte_symbols(text: str) -> str:
    pre = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    return "".join(piece for piece, _ in pre)


def make_tokenizer() -> Tokenizer:
    """Builds the tokenizer; ids are 0..BASE_SIZE-1 for text and chat, BASE_SIZE.. for image tokens."""
    entries = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = (
        [f" {n}" for n in range(100)] + [f" {n:02d}" for n in range(10)] + [f" {n:03d}" for n in range(1000)]
    )
    punctuation = ['="', '">', "</", " <", " '", "?<", ".<"]
    # Behind all others, since these words came later and no token may change its id under trained weights.
    later = _spellings({word for names in OTHER_NAMES.values() for both in names for word in both})
    wanted = [*numbers, *sorted(_words()), *punctuation, *sorted(later)]
    for text in wanted:
        symbol = _byte_symbols(text)
        if symbol not in entries:
            entries.append(symbol)
    room = BASE_SIZE - len(CHAT_TOKENS) - len(entries)
    if room < 0:
        raise ValueError(f"the vocabulary has {len(entries)} entries, {-room} more than fit into {BASE_SIZE}")
    entries += [f"<unused{i}>" for i in range(room)]
    # ignore_merges: a pre-token that is an entry becomes that one token; anything else falls apart into bytes.
    tokenizer = Tokenizer(
        models.BPE(vocab={e: i for i, e in enumerate(entries)}, merges=[], ignore_merges=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t in (*CHAT_TOKENS, *IMAGE_TOKENS)]
    )
    return tokenizer


def write_tokenizer(folder: Path) -> None:
    """Writes tokenizer.json and tokenizer_config.json (BOS and EOS are both `<|im_end|>`, as released).

    Beside them chat_template.jinja and generation_config.json, for other programs that run or serve the checkpoint.
    """
    tokenizer = make_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    ids = {name: tokenizer.token_to_id(name) for name in CHAT_TOKENS}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_end|>", "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>", "clean_up_tokenization_spaces": False, "model_max_length": 2048,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    ends = {
        "bos_token_id": ids["<|im_end|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    settings = {**ends, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(settings, indent=1) + "\n")


def number_values(tokenizer: Tokenizer) -> np.ndarray:
    """[1000] token ids of the coordinates " 000" to " 999"."""
    return np.array([tokenizer.token_to_id(_byte_symbols(f" {n:03d}")) for n in range(1000)])

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A checkpoint's tokenizer: special ids by name, user text that never becomes one, streamed decoding."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from molmo_ros.molmo.errors import CheckpointError, PromptError
from molmo_ros.molmo.json_file import read_json

MARKERS = (
    *("<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>", "<im_low>"),
    *("<frame_start>", "<frame_end>", "<|im_start|>", "<|im_end|>"),
)
"""Left out of decoded text even where a folder does not flag them as special."""
TURN_ENDS = ("<|endoftext|>", "<|im_end|>")
"""What closes an answer in the training data: of 0924 the first, of Molmo2 and MolmoPoint the second."""
_NUMBER_SYMBOL = re.compile("(\u0120?)([0-9]+)")
"""Digits in a byte-level vocabulary, which writes a blank as U+0120."""
MOST_IDS = 2**22
"""Far more than any vocabulary has; those of released models have 152,000."""
LARGEST_FILE = 32_000_000
"""Bytes of tokenizer.json; those of released models have up to 12 MB."""
QWEN2_CLASSES = ("Qwen2Tokenizer", "Qwen2TokenizerFast")


class Tokenizer:
    """Text to token ids and back.

    Ids are looked up by name, since they differ between the checkpoints of a family.

    Attributes:
        bos_id: What a sequence starts with: the tokenizer's BOS where it has one, else its EOS.
        eos_ids: Any of these ends an answer: EOS, those of generation_config.json, and, whatever those are, the
            tokens that end a turn in the training data.
        highest_id: Of all tokens.
        highest_text_id: Of those that ordinary text can become.
    """

    def __init__(
        self, backend: Backend, *, bos: str | None, eos: str, extra_eos_ids: Iterable[int] = ()
    ) -> None:
        """Wraps a `tokenizers.Tokenizer`.

        Raises:
            CheckpointError: It is not byte-level, or lacks the BOS or EOS token.
        """
        self._backend = backend
        description = json.loads(backend.to_str())
        if "ByteLevel" not in _decoder_types(description.get("decoder")):
            raise CheckpointError("the tokenizer is not byte-level; Molmo's tokenizers are byte-level BPE")
        added = description["added_tokens"]
        blanks = [token for token in added if token["content"].isspace()]
        self._markers = frozenset(token["id"] for token in added) - {token["id"] for token in blanks}
        ids = set(backend.get_vocab(with_added_tokens=True).values())
        self.highest_id, self.highest_text_id = max(ids), max(ids - self._markers)
        # The library's own `encode_special_tokens` covers only tokens flagged special; fillers and image
        # markers added without the flag would still be recognised. Runs of blanks (GPT-NeoX's tokenizer adds
        # them) are ordinary text; without the markers between them they may get other ids.
        plain = {"added_tokens": blanks, "post_processor": None, "padding": None, "truncation": None}
        self._text_backend = Backend.from_str(json.dumps({**description, **plain}))
        self._blank_ids = {self._text_backend.token_to_id(token["content"]): token["id"] for token in blanks}
        self._skipped = {token["id"] for token in added if token["special"]}
        self._skipped |= {backend.token_to_id(name) for name in MARKERS if self.has(name)}
        self._verbatim = {token["id"]: token["content"] for token in added}
        self._byte_of = _byte_alphabet()
        self.bos_id = self.special_id(bos or eos)
        ends = {self.special_id(name) for name in TURN_ENDS if self.has(name)}
        self.eos_ids = frozenset({self.special_id(eos), *extra_eos_ids, *ends})

    @classmethod
    def from_folder(cls, folder: str | Path) -> Tokenizer:
        """Reads tokenizer.json (else vocab.json, merges.txt), tokenizer_config.json, generation_config.json.

        Raises:
            CheckpointError: A file is missing or damaged, or see the constructor.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise CheckpointError(f"no such checkpoint folder: {folder}")
        eos, bos = (_special(folder / "tokenizer_config.json", key) for key in ("eos_token", "bos_token"))
        if eos is None:
            raise CheckpointError(f"{folder / 'tokenizer_config.json'} names no eos_token")
        extra_ids = _eos_ids(folder / "generation_config.json")
        return cls(_load_backend(folder), bos=bos, eos=eos, extra_eos_ids=extra_ids)

    def special_id(self, name: str) -> int:
        """The id of a special token.

        Raises:
            CheckpointError: The tokenizer has no such token.
        """
        found = self._backend.token_to_id(name) if _is_text(name) else None
        if found is None:
            raise CheckpointError(f"the tokenizer has no token {name!r:.200}")
        return found

    def has(self, name: str) -> bool:
        """Whether the tokenizer has a token of this name."""
        return _is_text(name) and self._backend.token_to_id(name) is not None

    def require(self, names: Iterable[str]) -> None:
        """Checks that special tokens exist.

        Raises:
            CheckpointError: Names every one that is missing.
        """
        missing = [name for name in names if not self.has(name)]
        if missing:
            raise CheckpointError(f"the tokenizer lacks the special tokens {', '.join(missing)}")

    @property
    def marker_ids(self) -> frozenset[int]:
        """Every id that `encode` never returns: special and other added tokens, save those made of blanks."""
        return self._markers

    def encode(self, text: str) -> list[int]:
        """Token ids of text that may come from anyone: the spelling of a marker becomes ordinary tokens.

        Raises:
            PromptError: A marker came out all the same (a vocabulary that spells one out), or the text holds
                lone surrogates, which are no characters.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise PromptError(f"the text holds a lone surrogate at character {error.start}") from error
        found = self._text_backend.encode(text, add_special_tokens=False).ids
        ids = [self._blank_ids.get(i, i) for i in found]
        forbidden = self._markers.intersection(ids)
        if forbidden:
            names = sorted(str(self._backend.id_to_token(i)) for i in forbidden)
            raise PromptError(f"the text cannot be told from the special tokens {', '.join(names)}")
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of token ids, special tokens left out; bytes that are no UTF-8 become U+FFFD."""
        stream = TextStream(self)
        return "".join([stream.feed(i) for i in ids]) + stream.finish()

    def number_tokens(self) -> dict[int, str]:
        """Every token that is nothing but digits, after one blank or none, with its text."""
        vocabulary = self._backend.get_vocab(with_added_tokens=False)
        found = {i: _NUMBER_SYMBOL.fullmatch(symbol) for symbol, i in vocabulary.items()}
        return {i: " " * len(match[1]) + match[2] for i, match in found.items() if match}

    def token_bytes(self, token_id: int) -> bytes:
        """What one token contributes to the text; nothing for special tokens and unknown ids."""
        if token_id in self._skipped:
            return b""
        if token_id in self._verbatim:
            return self._verbatim[token_id].encode()
        token = self._backend.id_to_token(token_id)
        if token is None:
            return b""
        if all(char in self._byte_of for char in token):
            return bytes(self._byte_of[char] for char in token)
        return token.encode()


class TextStream:
    """Decodes tokens one by one; holds back the first bytes of a character until the rest has come."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token_id: int) -> str:
        """The text that this token completes, perhaps none."""
        return self._utf8.decode(self._tokenizer.token_bytes(token_id))

    def finish(self) -> str:
        """What was held back: U+FFFD for a character that never became whole."""
        return self._utf8.decode(b"", final=True)


def _decoder_types(decoder: dict[str, Any] | None) -> set[str]:
    if decoder is None:
        return set()
    return {decoder["type"], *(part["type"] for part in decoder.get("decoders", []))}


def _byte_alphabet() -> dict[str, int]:
    """The character that stands for each byte in a byte-level vocabulary, as GPT-2 defined it."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def _load_backend(folder: Path) -> Backend:
    path = folder / "tokenizer.json"
    if path.is_file():
        content = _checked_description(path)
        try:
            return Backend.from_buffer(content)
        # The library raises bare Exception, and what its own code does not expect as a BaseException.
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise CheckpointError(f"{path} is not a tokenizer: {error!s:.300}") from error
    if not (folder / "vocab.json").is_file() or not (folder / "merges.txt").is_file():
        raise CheckpointError(f"{folder} has neither tokenizer.json nor vocab.json with merges.txt")
    name = read_json(folder / "tokenizer_config.json").get("tokenizer_class")
    if name not in QWEN2_CLASSES:
        raise CheckpointError(
            f"{folder} has no tokenizer.json, and vocab.json does not tell how text is split; that is known for "
            f"tokenizer_class {' and '.join(QWEN2_CLASSES)}, not for {name!r:.200}"
        )
    _check_ids(folder / "vocab.json", read_json(folder / "vocab.json").values())
    from transformers import Qwen2Tokenizer  # only old folders need it, and it is slow to import

    try:
        # Not AutoTokenizer: it takes the class of config.json's model_type, and knows none for Molmo's.
        loaded = Qwen2Tokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"the tokenizer files of {folder} cannot be read: {error}") from error
    return loaded.backend_tokenizer


def _checked_description(path: Path) -> bytes:
    """The content of tokenizer.json, after its ids were looked at: the library allocates by the highest one.

    Raises:
        CheckpointError: It is no such file, or an id is none.
    """
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise ValueError(f"it has {size} bytes; a tokenizer has {LARGEST_FILE} at most")
        content = path.read_bytes()
        raw = json.loads(content)
        vocabulary, added = raw["model"]["vocab"], raw.get("added_tokens") or []
        ids = [*vocabulary.values(), *(token["id"] for token in added)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a tokenizer: {error!s:.300}") from error
    _check_ids(path, ids)
    return content


def _check_ids(path: Path, ids: Iterable[object]) -> None:
    """Refuses ids by which gigabytes would be allocated."""
    for number in ids:
        if type(number) is not int or not 0 <= number < MOST_IDS:
            raise CheckpointError(
                f"{path} has the id {number!r:.80}; ids are whole numbers from 0 to {MOST_IDS - 1}"
            )


def _is_text(name: str) -> bool:
    """Whether it is text that a vocabulary can hold: a lone surrogate is no character."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _special(path: Path, key: str) -> str | None:
    """A token that tokenizer_config.json names, as its text or as an object with `content`."""
    value = read_json(path).get(key)
    text = value.get("content") if isinstance(value, dict) else value
    sound = isinstance(text, str) and _is_text(text)
    if not sound and value is not None:
        raise CheckpointError(
            f"{path}: {key} is {value!a:.80}, not a text or an object with a text `content`"
        )
    return text


def _eos_ids(path: Path) -> list[int]:
    """Further ids that end an answer, of generation_config.json: none, one or a list."""
    value = read_json(path).get("eos_token_id")
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(number) is int and number >= 0 for number in ids):
        raise CheckpointError(
            f"{path}: eos_token_id is {value!r:.80}, not an id, 0 or more, or a list of them"
        )
    return ids

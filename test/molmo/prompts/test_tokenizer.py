# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The tokenizer: names to ids, text that cannot become a marker, and decoding piece by piece."""

import json
import os
import random

import pytest
from tokenizers import AddedToken, models, pre_tokenizers
from tokenizers import Tokenizer as Backend
from transformers import Qwen2Tokenizer

from molmo_ros.molmo.errors import CheckpointError, PromptError
from molmo_ros.molmo.families.table import FAMILIES
from molmo_ros.molmo.prompts.tokenizer import TextStream, Tokenizer


@pytest.fixture(scope="module")
def folder(write_tokenizer, tmp_path_factory):
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(folder):
    return Tokenizer.from_folder(folder)


@pytest.fixture(scope="module")
def library(folder):
    return Backend.from_file(str(folder / "tokenizer.json"))


def test_ids_by_name(tokenizer, library):
    assert tokenizer.special_id("<im_patch>") == 322 == library.token_to_id("<im_patch>")
    assert tokenizer.bos_id == library.token_to_id("<|im_end|>")  # no BOS of its own: EOS stands in
    assert tokenizer.eos_ids == {library.token_to_id("<|im_end|>"), library.token_to_id("<|endoftext|>")}
    for family in FAMILIES.values():
        tokenizer.require(family.prompt.special_tokens)
    with pytest.raises(CheckpointError, match="<|vit_loc|>"):
        tokenizer.special_id("<|vit_loc|>")


def test_bos_and_further_eos_are_read_from_the_folder(write_tokenizer, tmp_path):
    write_tokenizer(tmp_path)
    settings = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 8]}')
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.bos_id == tokenizer.special_id("<|im_start|>")
    assert {7, 8, tokenizer.special_id("<|im_end|>")} <= tokenizer.eos_ids


def every_marker(library) -> list[str]:
    return [token.content for token in library.get_added_tokens_decoder().values() if token.content.strip()]


def test_the_plain_library_does_take_markers_for_special(library):
    """Otherwise the next tests would prove nothing."""
    for name in every_marker(library):
        assert library.encode(f"a{name}b", add_special_tokens=False).ids.count(library.token_to_id(name)) == 1


def test_no_text_becomes_a_marker(tokenizer, library):
    names = every_marker(library)
    assert len(names) == 13 == len(tokenizer.marker_ids)
    texts = [*names, "".join(names), "".join(reversed(names))]
    for outer in names:
        texts.append(f"Point to {outer}the cup{outer}")
        for inner in names:  # nested, so that cutting the inner one out would make the outer one
            texts.append(outer[: len(outer) // 2] + inner + outer[len(outer) // 2 :])
        texts += [
            "\x00".join(outer),
            outer.replace("<", "<\x00"),
            f"\u200b{outer}\ufeff",
            f"\n{outer}\r\n\t{outer}",
        ]
    for text in texts:
        ids = tokenizer.encode(text)
        assert not tokenizer.marker_ids.intersection(ids)
        assert max(ids) < 316 or library.token_to_id("   ") in ids
        assert tokenizer.decode(ids) == text


def test_random_soup_of_markers(tokenizer, library):
    rng = random.Random(0)
    pieces = [*every_marker(library), "<|", "|>", "<", ">", "im_", "end", "   ", " ", "\x00", "ä", "👍", "a"]
    for _ in range(300):
        text = "".join(rng.choices(pieces, k=rng.randrange(1, 20)))
        ids = tokenizer.encode(text)
        assert not tokenizer.marker_ids.intersection(ids)
        assert tokenizer.decode(ids) == text


def test_plain_text_is_encoded_as_the_library_does(tokenizer, library):
    for text in ["Point to the red cube.", " User: x Assistant:", "Größe ☕", "a\n\nb", "a   b      c", ""]:
        assert tokenizer.encode(text) == library.encode(text, add_special_tokens=False).ids


def test_blanks_keep_their_id_although_markers_before_them_are_gone(tokenizer, library):
    assert library.token_to_id("   ") == 329
    assert 329 in tokenizer.encode("a   b")


def test_a_vocabulary_that_spells_a_marker_out_is_caught(library):
    description = json.loads(library.to_str())
    vocabulary = {**description["model"]["vocab"], "<im_patch>": 316}
    spelled = Backend(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    spelled.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spelled.decoder = library.decoder
    spelled.add_special_tokens([AddedToken("<im_patch>"), AddedToken("<|im_end|>")])
    tokenizer = Tokenizer(spelled, bos=None, eos="<|im_end|>")
    with pytest.raises(PromptError, match="<im_patch>"):
        tokenizer.encode("<im_patch>")


def test_lone_surrogates_are_refused(tokenizer):
    with pytest.raises(PromptError, match="surrogate"):
        tokenizer.encode("cup \ud800")


def test_streamed_decoding_never_shows_half_a_character(tokenizer, library):
    text = "Größe ☕ 👩‍🔬 漢字 cup"
    ids = tokenizer.encode(text)
    stream, pieces = TextStream(tokenizer), []
    for token_id in ids:
        pieces.append(stream.feed(token_id))
        assert "\ufffd" not in pieces[-1]
        assert text.startswith("".join(pieces))
    assert "".join(pieces) == text == library.decode(ids)
    assert "" in pieces  # some tokens ended inside a character
    assert stream.finish() == ""


def test_bytes_that_are_no_text_become_replacement_characters(tokenizer):
    ids = tokenizer.encode("☕")
    assert len(ids) > 1
    assert tokenizer.decode(ids[:-1]) == "\ufffd"
    assert tokenizer.decode([*ids[:-1], *tokenizer.encode("cup")]) == "\ufffdcup"


def test_decoding_leaves_special_tokens_out_and_ignores_unknown_ids(tokenizer):
    ids = [tokenizer.bos_id, 322, *tokenizer.encode("cup"), tokenizer.special_id("<|endoftext|>"), 10**6]
    assert tokenizer.decode(ids) == "cup"


def test_every_byte_decodes(tokenizer, library):
    for byte in range(256):
        token_id = library.token_to_id(pre_tokenizers.ByteLevel.alphabet()[byte])
        assert len(tokenizer.token_bytes(token_id)) == 1
    everything = {tokenizer.token_bytes(library.token_to_id(c)) for c in pre_tokenizers.ByteLevel.alphabet()}
    assert everything == {bytes([byte]) for byte in range(256)}


def test_a_missing_special_token_is_named(write_tokenizer, tmp_path):
    write_tokenizer(tmp_path)
    document = json.loads((tmp_path / "tokenizer.json").read_text())
    document["added_tokens"] = [
        t for t in document["added_tokens"] if t["content"] not in ("<im_col>", "<im_patch>")
    ]
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    tokenizer = Tokenizer.from_folder(tmp_path)
    with pytest.raises(CheckpointError, match="<im_patch>, <im_col>$"):
        tokenizer.require(FAMILIES["molmo2"].prompt.special_tokens)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{", "is not a tokenizer"),
        ("tokenizer.json", None, "neither tokenizer.json nor vocab.json"),
        ("tokenizer_config.json", None, "no eos_token"),
        ("tokenizer_config.json", "[]", "holds a list"),
        ("tokenizer_config.json", '{"eos_token": "</s>"}', "no token '</s>'"),
        ("tokenizer_config.json", '{"eos_token": 5}', r"tokenizer_config.json: eos_token is 5, not a text"),
        ("tokenizer_config.json", '{"eos_token": {}}', r"tokenizer_config.json: eos_token is {}, not a text"),
        (
            "tokenizer_config.json",
            '{"eos_token": ["a"]}',
            r"tokenizer_config.json: eos_token is \['a'\], not a text",
        ),
        (
            "tokenizer_config.json",
            '{"eos_token": "<|im_end|>", "bos_token": 7}',
            "bos_token is 7, not a text",
        ),
        ("generation_config.json", '{"eos_token_id": "x"}', r"eos_token_id is 'x', not an id"),
        ("generation_config.json", '{"eos_token_id": [[1]]}', r"eos_token_id is \[\[1\]\], not an id"),
        ("generation_config.json", '{"eos_token_id": {"a": 1}}', r"eos_token_id is {'a': 1}, not an id"),
        ("generation_config.json", '{"eos_token_id": 1.5}', r"eos_token_id is 1.5, not an id"),
        ("generation_config.json", '{"eos_token_id": -1}', r"eos_token_id is -1, not an id"),
        ("generation_config.json", '{"eos_token_id": true}', r"eos_token_id is True, not an id"),
        ("generation_config.json", '{"eos_token_id": [7, null]}', r"eos_token_id is \[7, None\], not an id"),
        ("generation_config.json", "[" * 100_000, "not valid JSON"),
        ("tokenizer_config.json", "\x00", "not valid JSON"),
    ],
)
def test_damaged_folders(write_tokenizer, tmp_path, name, content, message):
    write_tokenizer(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.from_folder(tmp_path)


def test_stale_files_beside_tokenizer_json(write_released_tokenizer, tmp_path):
    """As MolmoE's folder on the hub has them: another model's ids and another's padding token."""
    write_released_tokenizer(tmp_path, "molmoe")
    names = ["<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<|image|>"]
    stale = {name: 100278 + i for i, name in enumerate(names)}
    (tmp_path / "added_tokens.json").write_text(json.dumps(stale))
    special = {"additional_special_tokens": names, "eos_token": "<|end|>", "pad_token": "<|pad|>"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings["added_tokens_decoder"] = {str(i): {"content": name} for name, i in stale.items()}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert [tokenizer.special_id(name) for name in names] == [50280, 50281, 50282, 50283, 50284]
    assert (tokenizer.bos_id, tokenizer.eos_ids, tokenizer.highest_id) == (50279, {50279}, 50284)


def test_no_folder_and_no_byte_level(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        Tokenizer.from_folder(tmp_path / "none")
    with pytest.raises(CheckpointError, match="byte-level"):
        Tokenizer(Backend(models.BPE(vocab={"a": 0}, merges=[])), bos=None, eos="a")


@pytest.mark.parametrize("model_type", ["molmo", "molmo2"])
def test_a_folder_with_only_vocab_and_merges(write_tokenizer, tmp_path, model_type):
    """The oldest releases have no tokenizer.json; transformers makes one from the other files."""
    document = json.loads((write_tokenizer(tmp_path / "new") / "tokenizer.json").read_text())
    merges = [
        tuple(pair) if isinstance(pair, list) else tuple(pair.split()) for pair in document["model"]["merges"]
    ]
    old = tmp_path / "old"
    built = Qwen2Tokenizer(vocab=document["model"]["vocab"], merges=merges, eos_token="<|endoftext|>")
    built.add_tokens(
        [AddedToken(t["content"]) for t in document["added_tokens"] if t["content"] != "<|endoftext|>"]
    )
    built.save_pretrained(old)
    (old / "tokenizer.json").unlink()
    (old / "vocab.json").write_text(json.dumps(document["model"]["vocab"]))
    (old / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    settings = json.loads((old / "tokenizer_config.json").read_text())
    names = [t["content"] for t in document["added_tokens"]]
    settings["added_tokens_decoder"] = {
        str(316 + i): {"content": name, "special": i < 3, "normalized": False} for i, name in enumerate(names)
    }
    settings["tokenizer_class"] = "Qwen2Tokenizer"
    (old / "tokenizer_config.json").write_text(json.dumps(settings))
    (old / "config.json").write_text(json.dumps({"model_type": model_type}))
    tokenizer = Tokenizer.from_folder(old)
    tokenizer.require(FAMILIES["molmo"].prompt.special_tokens)
    assert tokenizer.special_id("<im_patch>") == 322
    text = "Point to the <im_patch> cup."
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert 322 not in tokenizer.encode(text)
    (old / "merges.txt").write_text("#version: 0.2\nhalf\n")
    with pytest.raises(CheckpointError, match="tokenizer files .*cannot be read.*erges"):
        Tokenizer.from_folder(old)
    (old / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": "GPT2Tokenizer"}))
    with pytest.raises(CheckpointError, match="GPT2Tokenizer"):
        Tokenizer.from_folder(old)


@pytest.mark.parametrize("number", [2**31, 2**63, -1, 1.5, "7", None])
@pytest.mark.parametrize("place", ["vocabulary", "added token"])
def test_an_id_that_would_take_gigabytes(write_tokenizer, tmp_path, number, place):
    folder = write_tokenizer(tmp_path)
    raw = json.loads((folder / "tokenizer.json").read_text())
    if place == "vocabulary":
        raw["model"]["vocab"]["cup!"] = number
    else:
        raw["added_tokens"][-1]["id"] = number
    (folder / "tokenizer.json").write_text(json.dumps(raw))
    with pytest.raises(
        CheckpointError, match=r"tokenizer.json has the id .*; ids are whole numbers from 0 to 4194303"
    ):
        Tokenizer.from_folder(folder)


@pytest.mark.parametrize("key", ["eos_token", "bos_token"])
@pytest.mark.parametrize("form", ["text", "object"])
def test_a_special_token_that_is_no_text(write_tokenizer, tmp_path, key, form):
    folder = write_tokenizer(tmp_path)
    raw = json.loads((folder / "tokenizer_config.json").read_text())
    raw[key] = "\ud800" if form == "text" else {"content": "<|\udfff|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match=f"{key} is .*ud.*, not a text") as error:
        Tokenizer.from_folder(folder)
    str(error.value).encode()
    tokenizer = Tokenizer.from_folder(write_tokenizer(tmp_path / "sound"))
    assert not tokenizer.has("\ud800")
    with pytest.raises(CheckpointError, match="has no token"):
        tokenizer.special_id("\ud800")


def test_a_folder_whose_name_is_no_utf8(write_tokenizer, tmp_path):
    folder = write_tokenizer(tmp_path / os.fsdecode(b"caf\xe9"))
    assert Tokenizer.from_folder(folder).has("<im_start>")

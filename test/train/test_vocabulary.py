# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The embedded tokenizer: any text round-trips, numbers are one token, markers cannot be spelt."""

import numpy as np
import pytest

from molmo_ros.molmo.catalog.model_store import checkpoint_folder
from molmo_ros.molmo.prompts.tokenizer import Tokenizer as ProductTokenizer
from molmo_ros.train.vocabulary import (
    BASE_SIZE,
    EXTRA_SIZE,
    IMAGE_TOKENS,
    make_tokenizer,
    number_values,
    write_tokenizer,
)


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.mark.parametrize(
    "text",
    [
        "Point to the red cube",
        "zürich 東京 🤖 \x00\x1b",
        "12345 1 22 333",
        "  two  blanks\n\n",
        '<points coords="1 1 012 999">x</points>',
    ],
)
def test_text_round_trips(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_every_coordinate_is_one_token_of_its_own(tokenizer):
    ids = number_values(tokenizer)
    assert len(set(ids)) == 1000
    for value in (0, 7, 99, 100, 999):
        assert tokenizer.encode(f" {value:03d}", add_special_tokens=False).ids == [ids[value]]


def test_the_words_of_the_small_world_are_single_tokens(tokenizer):
    encoded = tokenizer.encode(" red cubes bottles bananas Counting", add_special_tokens=False)
    assert len(encoded.ids) == 5


def test_ids_lie_where_the_config_says(tokenizer):
    assert [tokenizer.token_to_id(name) for name in IMAGE_TOKENS] == list(
        range(BASE_SIZE, BASE_SIZE + len(IMAGE_TOKENS))
    )
    assert len(IMAGE_TOKENS) <= EXTRA_SIZE
    assert tokenizer.token_to_id("<|im_end|>") < BASE_SIZE


def test_the_product_reads_it_and_no_text_spells_a_marker(tmp_path):
    write_tokenizer(tmp_path)
    tokenizer = ProductTokenizer.from_folder(tmp_path)
    ids = np.array(tokenizer.encode("<im_patch> <|im_end|><|image|> red"))
    assert ids.max() < BASE_SIZE and tokenizer.special_id("<|im_end|>") not in ids


def test_words_that_came_later_moved_no_other(tokenizer):
    """Trained weights know tokens by their ids; these are of the first vocabulary."""
    first = {"Ġ000": 366, "Ġcube": 1607, "Ġyour": 1759, "<|im_end|>": 2303}
    assert {token: tokenizer.token_to_id(token) for token in first} == first
    encoded = tokenizer.encode(" boxes blocks sphere cans cups", add_special_tokens=False)
    assert len(encoded.ids) == 5


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"]
)
def test_the_embedded_checkpoint_ships_what_is_written_here(tmp_path, name):
    write_tokenizer(tmp_path)
    assert (checkpoint_folder("tiny") / name).read_bytes() == (tmp_path / name).read_bytes()

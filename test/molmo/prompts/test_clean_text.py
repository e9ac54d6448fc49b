# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Text without characters that nobody sees."""

import pytest

from molmo_ros.molmo.prompts.clean_text import clean_text


@pytest.mark.parametrize(
    "hidden",
    [
        "\u200b",
        "\u2060",
        "\ufeff",
        "\u00ad",
        "\u200e",
        "\u202e",
        "\u2066",
        "\u200d",
        "\u200c",
        "\ufe0f",
        "\U000e0041",
    ],
)
def test_what_nobody_sees_makes_no_other_label(hidden):
    for written in (f"red{hidden} cup", f"{hidden}red cup", f"red cup{hidden}", f"re{hidden}d cup"):
        assert clean_text(written) == "red cup"


def test_joiners_of_scripts_and_emoji_stay():
    persian, family = (
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    )
    heart = "\u2764\ufe0f"
    for text in (persian, family, heart):
        assert clean_text(text) == text


def test_clean_text():
    assert clean_text(" a\x00b\x1b[0m\r\nc\rd\te\x85\u2028f ") == "ab[0m\nc\nd e\u2028f"
    assert clean_text("\ud83d cup \udc00") == "cup"
    for kept in ("Größe ☕ 👩\u200d🔬", "مرحبا", "漢字", "a\nb", "<|im_end|>"):
        assert clean_text(kept) == kept

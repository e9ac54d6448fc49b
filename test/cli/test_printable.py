# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What reaches a terminal: held against ECMA-48's controls and Unicode's own list of what is not shown."""

import pytest

from molmo_ros.cli.printable import complain, printable, say


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[2J\x1b[Hgone", r"\x1b[2J\x1b[Hgone"),  # ED, CUP: clears the screen
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),  # OSC: sets the window's title
        ("\x9b31mred", r"\x9b31mred"),  # CSI as one C1 character
        ("a\rb\x08c\x7fd\0", r"a\rb\x08c\x7fd\x00"),
        ("name\nmolmo-ros: all is well", r"name\nmolmo-ros: all is well"),
        ("user\u202etxt.exe\u2066", r"user\u202etxt.exe\u2066"),  # bidi override: shown as "exe.txt"
        ("mug\u200b\ufeff\U000e0041", r"mug\u200b\ufeff\U000e0041"),  # zero width, byte order mark, tag
        ("\udcff\ud800", r"\udcff\ud800"),  # a file name that is not UTF-8, half a pair
        ("one\u2028two\u2029", r"one\u2028two\u2029"),
    ],
)
def test_what_a_terminal_obeys_is_shown_as_an_escape(hostile, shown):
    assert printable(hostile) == shown
    assert printable(hostile).encode("utf-8")


@pytest.mark.parametrize(
    "plain",
    [
        "red mug",
        "C:\\dir",
        "rote Tasse, 3 \u00b5m \u2192 \u00fc",
        "赤い\u3000カップ",
        "نمی\u200cخواهم",
        "👩\u200d🔧",
    ],
)
def test_words_of_every_script_stay(plain):
    assert printable(plain) == plain


def test_only_texts_of_several_lines_have_line_feeds():
    assert printable("a\n\tb\x1b", lines=True) == "a\n\tb\\x1b"
    assert printable("a\n\tb") == r"a\n\tb"


def test_lines_on_stdout_and_one_line_on_stderr(capsys):
    say("FOUND\n  1  \x1b[31mmug")
    complain("cannot read\n  x\x1b[0m.png")
    out, err = capsys.readouterr()
    assert out == "FOUND\n  1  \\x1b[31mmug\n"
    assert err == "molmo-ros: cannot read x\\x1b[0m.png\n"


@pytest.mark.parametrize("code", [*range(32), 127, *range(128, 160)])
def test_every_control_of_c0_and_c1(code):
    assert printable(f"a{chr(code)}b").isprintable()

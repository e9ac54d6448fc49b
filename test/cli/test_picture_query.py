# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`point`, `ask`, `count` and `describe` with several pictures: what reaches the model, what is printed and saved."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from molmo_ros.cli.main import main
from molmo_ros.cli.picture_query import answer_text
from molmo_ros.drawing import GAP, PINK
from molmo_ros.molmo.answer import Answer, Point
from molmo_ros.molmo.status import Status

VECTORS = Path(__file__).parents[1] / "vectors"
SQUARES = {"left.png": (60, 80, 20, 30), "right.png": (90, 70, 50, 40)}  # height, width, the square's x, y


class SquareFinder:
    """Stands for a model of several pictures: finds the one square of full brightness in each."""

    def point(self, images, label, **_):
        points = []
        for number, image in enumerate(images):
            rows, columns = np.nonzero((image == 255).all(axis=2))
            points.append(Point(columns.mean(), rows.mean(), label, number + 1, number, 0.5))
        return Answer(Status.FOUND, "squares", tuple(points))

    def count(self, images, label, **limits):
        answer = self.point(images, label, **limits)
        return Answer(Status.FOUND, f"total: {label}", answer.points, count=len(answer.points))

    def ask(self, images, question, **_):
        return Answer(Status.ANSWERED, f"{question} {[image.shape[:2] for image in images]}")

    def describe(self, images, **_):
        return Answer(Status.ANSWERED, str([image.shape[:2] for image in images]))


@pytest.fixture
def cameras(tmp_path, monkeypatch):
    """A left and a right picture in the current folder, and a model that knows squares."""
    monkeypatch.chdir(tmp_path)
    for name, (height, width, x, y) in SQUARES.items():
        image = np.full((height, width, 3), 40, np.uint8)
        image[y - 2 : y + 3, x - 2 : x + 3] = 255
        cv2.imwrite(name, image)
    monkeypatch.setattr("molmo_ros.engine.load.load_molmo", lambda *_, **__: SquareFinder())


def test_points_name_their_picture(cameras, capsys):
    assert main(["point", "left.png", "right.png", "square", "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert [(p["image"], p["x"], p["y"]) for p in points] == [(0, 20, 30), (1, 50, 40)]
    assert main(["point", "right.png", "left.png", "square"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "FOUND",
        "  1  right.png  x 50.0 px  y 40.0 px  ~0.50  square",
        "  2  left.png   x 20.0 px  y 30.0 px  ~0.50  square",
    ]
    assert main(["point", "right.png", "square"]) == 0
    assert "right.png" not in capsys.readouterr().out


def test_every_subcommand_takes_several(cameras, capsys):
    for arguments, said in (
        (["ask", "left.png", "right.png", "sizes?"], "  sizes? [(60, 80), (90, 70)]"),
        (["describe", "right.png", "left.png"], "  [(90, 70), (60, 80)]"),
        (["describe", "left.png"], "  [(60, 80)]"),
        (["count", "left.png", "right.png", "left.png", "squares"], "  count 3"),
    ):
        assert main(arguments) == 0
        assert capsys.readouterr().out.splitlines()[-1] == said


@pytest.mark.parametrize("limit", ["max_new_tokens", "context", "time_limit", "max_points", ""])
def test_a_limit_that_ended_the_answer_is_shown(cameras, monkeypatch, capsys, limit):
    error = f"{limit} ended the answer after 448 tokens" if limit else ""
    answer = Answer(
        Status.FOUND, "cut", (Point(1, 2),), truncated=limit != "max_points", limit=limit, error=error
    )
    monkeypatch.setattr(SquareFinder, "count", lambda *_, **__: answer)
    assert main(["count", "left.png", "squares", "--json"]) == 0
    out, err = capsys.readouterr()
    shown = json.loads(out)
    assert (shown["truncated"], shown["limit"]) == (
        limit != "max_points",
        limit or None,
    ) and "error" not in shown
    assert main(["count", "left.png", "squares"]) == 0
    assert capsys.readouterr().err == err
    assert err.startswith(f"molmo-ros: {error}") if limit else err == ""
    assert err.count("\n") == bool(limit) and ("--max-new-tokens N" in err) == (limit == "max_new_tokens")


def test_the_limits_reach_the_model(cameras, monkeypatch):
    asked = []
    monkeypatch.setattr(
        SquareFinder, "ask", lambda *_, **limits: asked.append(limits) or Answer(Status.ANSWERED)
    )
    for arguments in ([], ["--max-new-tokens", "900"], ["--time-limit", "2.5"]):
        assert main(["ask", *arguments, "left.png", "what?"]) == 0
    assert [(one["options"].max_new_tokens, one["options"].time_limit) for one in asked] == [
        ("auto", None), (900, None), ("auto", 2.5)
    ]  # fmt: skip
    for wrong in ("0", "-1", "x", "1.5"):
        with pytest.raises(SystemExit):
            main(["ask", "--max-new-tokens", wrong, "left.png", "what?"])


def test_saved_side_by_side(cameras):
    assert main(["point", "left.png", "right.png", "square", "--save", "out.png"]) == 0
    saved = cv2.cvtColor(cv2.imread("out.png"), cv2.COLOR_BGR2RGB)
    assert saved.shape[1] == 80 + GAP + 70 and saved.shape[0] > 90
    assert tuple(saved[30, 20]) == PINK and tuple(saved[40, 80 + GAP + 50]) == PINK


@pytest.mark.parametrize(
    "arguments,said",
    [
        (["point", "left.png"], "LABEL is missing: the last argument, left.png, is a picture"),
        (["point", "left.png", "right.png"], "LABEL is missing: the last argument, right.png, is a picture"),
        (["count", "left.png", "right.png"], "LABEL is missing"),
        (["ask", "left.png", "right.png", "--json"], "QUESTION is missing"),
        (["ask", "how many?"], "an IMAGE and a QUESTION are needed; there is only 'how many?'"),
    ],
)
def test_forgotten_words_or_pictures_are_said(cameras, capsys, arguments, said):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert f"usage: molmo-ros {arguments[0]}" in error and said in error


def test_one_of_several_pictures_is_missing(cameras, capsys):
    assert main(["describe", "left.png", "gone.png", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"] == "no such image file: gone.png" and err.count("\n") == 1


def test_a_family_of_one_picture_refuses_two(tmp_path, capsys):
    folder = first_generation(tmp_path / "model")
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.arange(6000, dtype=np.uint8).reshape(40, 50, 3))
    pictures = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert main(["point", *pictures, "cup", "--model", str(folder), "--json"]) == 2
    out, err = capsys.readouterr()
    assert "2 images: models of the 0924 family take one" in json.loads(out)["error"]
    assert err.count("\n") == 1
    # The same folder does answer about one; what its random weights say is no answer to the question.
    assert main(["ask", pictures[0], "cup?", "--model", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "ANSWERED"


def first_generation(folder: Path) -> Path:
    """A checkpoint of the 0924 family with random weights, and a tokenizer of single bytes with its ids."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(VECTORS / "molmo-7b-d-tiny" / name, folder)
    symbols = sorted(pre_tokenizers.ByteLevel.alphabet()) + [f"<unused{i}>" for i in range(60)]
    tokenizer = Tokenizer(models.BPE({symbol: number for number, symbol in enumerate(symbols)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "|<EXTRA_TOKENS_0>|"]
    special += ["<im_start>", "<im_end>", "<im_patch>", "<im_col>"]
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": None, "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def test_counts_are_printed_where_points_leave_them_out():
    points = (Point(1, 2, "cup"), Point(3, 4, "cup", 2))
    printed = answer_text(Answer(Status.FOUND, "shows a total of 3.", points, count=3), [])
    assert printed.splitlines()[-1] == "  count 3"
    nothing = answer_text(Answer(Status.NOT_FOUND, "There are none.", count=0), [])
    assert nothing.splitlines() == ["NOT_FOUND", "  There are none."]

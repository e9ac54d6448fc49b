# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The whole way from an image and words to an answer, on checkpoint folders made from the tiny vectors."""

import threading

import numpy as np
import pytest
import torch

from molmo_ros.molmo.errors import PromptError
from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.molmo.prompts.prompt_text import point_prompt
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status

CUPS = ['<points coords="1', " 1 250 500", " 2 500 250", ' 3 750 125">', "cups", "</points>"]


SMALL = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


STAGES = {"preprocess", "vision", "prefill", "decode", "total"}


def positions(answer):
    return [(point.x, point.y) for point in answer.points]


ALL_CUPS = [(20.0, 30.0), (40.0, 15.0), (60.0, 7.5)]  # of 80x60 pixels


def test_points_in_pixels_of_the_given_image(cups):
    pieces, given_out = [], []
    answer = cups.point(SMALL, "Mug", on_text=pieces.append, on_point=given_out.append)
    assert answer.status is Status.FOUND
    assert positions(answer) == ALL_CUPS
    assert [(p.label, p.index) for p in answer.points] == [("cups", 1), ("cups", 2), ("cups", 3)]
    assert answer.text == "".join(pieces) == "".join(CUPS)
    assert not answer.truncated and answer.count is None and answer.error == ""
    assert answer.tokens == len(CUPS)
    assert [(p.x, p.y, p.label) for p in given_out] == [(x, y, "Mug") for x, y in ALL_CUPS]
    assert set(answer.timing_ms) == STAGES and all(value > 0 for value in answer.timing_ms.values())
    assert sum(answer.timing_ms.values()) <= 2.001 * answer.timing_ms["total"]
    assert positions(cups.point(np.zeros((600, 800, 3), np.uint8), "cup")) == [
        (10 * x, 10 * y) for x, y in ALL_CUPS
    ]


def test_0924(recite):
    phrases = [' <points x1="25.0" y1="50.0"', ' x2="50.0" y2="25.0"', ' alt="cups">', "cups", "</points>"]
    molmo = recite(phrases, "molmo")
    answer = molmo.point(SMALL, "cup")
    assert answer.status is Status.FOUND and positions(answer) == ALL_CUPS[:2]
    assert answer.text == "".join(phrases).strip()
    assert positions(molmo.point(SMALL, "cup", max_points=1)) == ALL_CUPS[:1]
    with pytest.raises(PromptError, match="2 images"):
        molmo.encode([SMALL, SMALL])


def test_not_found(recite):
    molmo = recite(["There are", " none."])
    assert molmo.point(SMALL, "dog").status is Status.NOT_FOUND
    assert molmo.point(SMALL, "dog").count == 0
    assert molmo.query(SMALL, "Point to the dog.").status is Status.NOT_FOUND
    answer = molmo.ask(SMALL, "How many dogs are there?")
    assert answer.status is Status.ANSWERED and answer.text == "There are none."


def test_neither_points_nor_not_found(recite):
    molmo = recite([" A red", " cube."])
    answer = molmo.point(SMALL, "cube")
    assert answer.status is Status.UNPARSEABLE and answer.text == "A red cube." and answer.points == ()
    assert molmo.ask(SMALL, "What is it?").status is Status.ANSWERED
    assert molmo.query(SMALL, "What is it?").status is Status.ANSWERED


def test_an_answer_with_points_is_found(recite):
    phrases = ["Counting the ", *CUPS[:3], '">', "cups", "</points>", " shows a total of", " 2."]
    answer = recite(phrases).ask(SMALL, "How many cups are there?")
    assert answer.status is Status.FOUND and len(answer.points) == 2 and answer.count == 2


NUMBERS = [
    " It weighs",
    " (12.3, 45.6)",
    " Click(2.5, 3.7)",
    " p=123,456",
    " (0.4, 0.7)",
    ' x="12.3" y="45.6"',
]


@pytest.mark.parametrize("family", ["molmo2", "molmo"])
def test_words_are_no_places(recite, family):
    molmo, given_out = recite(NUMBERS, family), []
    for answer in (
        molmo.ask(SMALL, "What does it weigh?", on_point=given_out.append),
        molmo.describe(SMALL, on_point=given_out.append),
        molmo.query(SMALL, "Point to the cup.", on_point=given_out.append),
        *molmo.query_many(SMALL, ["What does it weigh?"]),
    ):
        assert (answer.status, answer.points, answer.count) == (Status.ANSWERED, (), None)
        assert answer.text == "".join(NUMBERS).strip() and answer.error == ""
    assert given_out == []
    assert molmo.ask(SMALL, "What?", max_points=1).text == "".join(NUMBERS).strip()  # nothing to stop at


def test_points_without_tags_where_some_were_asked_for(recite):
    molmo, given_out = recite(["It is at", " (50.0, 25.0)", " there."]), []
    for answer in (molmo.point(SMALL, "cup", on_point=given_out.append), molmo.count(SMALL, "cup")):
        assert answer.status is Status.FOUND and positions(answer) == [(40.0, 15.0)] and answer.error == ""
    assert positions(molmo.track(molmo.encode_video([SMALL], [0]), "cup")) == [(40.0, 15.0)]
    assert [(one.x, one.y, one.label) for one in given_out] == [(40.0, 15.0, "cup")]


def test_what_may_be_fractions_is_no_point_and_says_so(recite):
    molmo, given_out = recite(["At", " (0.5, 0.7)", " and", " (0.25, 0.1)"]), []
    video = molmo.encode_video([SMALL], [0])
    for answer in (
        molmo.point(SMALL, "cup", on_point=given_out.append, max_points=1),
        molmo.count(SMALL, "cup", on_point=given_out.append),
        molmo.track(video, "cup", on_point=given_out.append),
    ):
        assert (answer.status, answer.points) == (Status.UNPARSEABLE, ())
        assert answer.error.startswith("(0.5, 0.7) lies within 0..1")
    assert given_out == []
    assert molmo.ask(SMALL, "What?").error == ""


@pytest.mark.parametrize(
    ("phrases", "status", "count"),
    [
        (["12"], Status.ANSWERED, 12),
        (["Twelve", " cups."], Status.ANSWERED, 12),
        (["There are", " 1,250", " cups."], Status.ANSWERED, 1250),
        (["There are 12", " cups on", " 2 tables."], Status.ANSWERED, 12),
        (["Zero."], Status.NOT_FOUND, 0),
        (["About 12", " cups."], Status.UNPARSEABLE, None),
        (["In 2024", " it was."], Status.UNPARSEABLE, None),
    ],
)
def test_a_count_in_words(recite, phrases, status, count):
    molmo = recite(phrases)
    answer = molmo.count(SMALL, "cups")
    assert (answer.status, answer.count, answer.points) == (status, count, ())
    assert ("neither points nor" in answer.error) == (status is Status.UNPARSEABLE)
    answer = molmo.ask(SMALL, "How many?")
    assert (answer.status, answer.count) == (Status.ANSWERED, None)


def test_half_a_number_is_no_count(recite):
    molmo = recite(["There are", " 712", ",456", " mugs here"])
    assert molmo.count(SMALL, "cups").count == 712_456
    cut = molmo.count(SMALL, "cups", options=GenerateOptions(max_new_tokens=2))
    assert (cut.text, cut.count, cut.truncated) == ("There are 712", None, True)


def test_a_character_made_of_several_tokens_comes_whole(recite):
    pieces = []
    answer = recite(["☕", " é"]).ask(SMALL, "What is it?", on_text=pieces.append)
    assert answer.text == "☕ é" and "\ufffd" not in "".join(pieces)


def test_an_empty_answer(recite):
    molmo = recite(["xyz"])
    with torch.no_grad():
        molmo.runtime.model.decoder.head.weight[318, 0] = 2  # EOS at once
    assert molmo.ask(SMALL, "What is it?").text == ""
    assert molmo.point(SMALL, "cup").status is Status.UNPARSEABLE


@pytest.mark.parametrize("family", ["molmo2", "molmo"])
def test_equal_to_an_independent_greedy_loop(random_folder, tmp_path, family):
    """Built here from the parts: no cache, no prompt builder's masks, every token from the whole sequence."""
    molmo = Molmo.from_pretrained(random_folder(tmp_path, family))
    image = np.random.default_rng(1).integers(0, 256, (200, 500, 3), dtype=np.uint8)
    processed = molmo.image_processor(image)
    tokenizer, model = molmo.tokenizer, molmo.runtime.model
    rows, columns = processed.high_res_grid
    low = [322] * 196 if family == "molmo2" else ([322] * 12 + [323]) * 12
    ids = [324 if family == "molmo2" else 320, *low, 321, 320, *([322] * columns + [323]) * rows, 321]
    image_length = len(ids)
    text = "What colour is it?"
    if family == "molmo2":
        ids += [317, *tokenizer.encode(f"user\n{text}"), 318, *tokenizer.encode("\n"), 317]
        ids = [318, *ids, *tokenizer.encode("assistant\n")]
    else:
        ids = [316, *ids, *tokenizer.encode(f" User: {text} Assistant:")]
    arrays = {key: getattr(processed, key) for key in ("masks", "input_idx", "pooling")}
    tokens = []
    with torch.inference_mode():
        features = model.encode_image(
            torch.from_numpy(processed.crops),
            **{key: None if value is None else torch.from_numpy(value) for key, value in arrays.items()},
        )
        while len(tokens) < 20:
            sequence = torch.tensor([ids + tokens])
            is_image = torch.zeros(sequence.shape, dtype=torch.bool)
            is_image[0, 1 : 1 + image_length] = True
            tokens.append(int(model(sequence, features, is_image=is_image).logits[0, -1].argmax()))
            if tokens[-1] in (316, 318):
                tokens.pop()
                break
    answer = molmo.ask(image, text, options=GenerateOptions(max_new_tokens=20))
    assert len(tokens) > 3
    assert answer.tokens == len(tokens)
    assert answer.text == tokenizer.decode(tokens).strip()


def test_many_queries_share_the_image(random_molmo):
    texts = ["Point to the cup.", "What colour is it?", "How many?", "Point to the cup."]
    options = GenerateOptions(max_new_tokens=8)
    single = [random_molmo.query(SMALL, text, options=options) for text in texts]
    towers, lengths = [], []
    hooks = [
        random_molmo.runtime.model.vision.register_forward_hook(lambda *_: towers.append(1)),
        random_molmo.runtime.model.decoder.norm.register_forward_hook(
            lambda _, args, out: lengths.append(out.shape[1])
        ),
    ]
    many = random_molmo.query_many(SMALL, texts, options=options)
    for hook in hooks:
        hook.remove()
    assert [answer.text for answer in many] == [answer.text for answer in single]
    assert len({answer.text for answer in single}) > 1
    assert len(towers) == 1
    assert sum(length > 300 for length in lengths) == 1  # the image's tokens went through the decoder once
    assert many[0].timing_ms["vision"] > 0 and many[1].timing_ms["vision"] == 0
    encoded = random_molmo.encode(SMALL)
    for _ in range(2):  # its time is its own
        assert random_molmo.query(encoded, texts[0], options=options).timing_ms["vision"] == 0
    assert random_molmo.query_many(SMALL, []) == []


def test_an_encoded_image_survives_what_happens_to_its_queries(random_molmo):
    options, longer = GenerateOptions(max_new_tokens=6), GenerateOptions(max_new_tokens=300)
    encoded, cancel = random_molmo.encode(SMALL), threading.Event()
    fresh = random_molmo.ask(SMALL, "What is it?", options=longer)
    cancel.set()
    assert random_molmo.ask(encoded, "Which?", cancel=cancel).status is Status.CANCELLED

    def fail(piece: str) -> None:
        raise RuntimeError("the listener broke")

    with pytest.raises(RuntimeError, match="listener"):
        random_molmo.ask(encoded, "Which?", options=options, on_text=fail)
    with pytest.raises(PromptError):
        random_molmo.ask(encoded, "cup " * 25_000)
    random_molmo.ask(encoded, "Which?", options=options)
    assert random_molmo.ask(encoded, "What is it?", options=longer).text == fresh.text  # in a larger cache


def test_several_images(recite):
    molmo = recite(['<points coords="1 1 250 500;2 2', " 500", ' 250">', "cups", "</points>"])
    encoded = molmo.encode([SMALL, np.zeros((100, 200, 3), np.uint8)])
    answer = molmo.point(encoded, "cup")
    assert [(p.x, p.y, p.image) for p in answer.points] == [(20.0, 30.0, 0), (100.0, 25.0, 1)]


def test_points_in_frames_of_a_video(recite):
    molmo = recite(['<tracks coords="0.0 1 250 500;0.5 1', " 500", ' 250">', "cups", "</tracks>"])
    video = molmo.encode_video([SMALL, np.zeros((100, 200, 3), np.uint8)], [0, 0.52])
    for answer in (molmo.point(video, "cup"), molmo.track(video, "cup")):
        assert [(p.x, p.y, p.image, p.index) for p in answer.points] == [
            (20.0, 30.0, 0, 1),
            (100.0, 25.0, 1, 1),
        ]
        assert answer.status is Status.FOUND
    assert molmo.track(video, "cup", max_points=1).points[0].label == "cup"


def test_counting_describing_and_tracking(recite):
    counted = recite(["Counting the ", '<points coords="1 1 250 500">cups</points>', " shows a total of 1."])
    answer = counted.count(SMALL, "cups")
    assert (answer.status, answer.count, positions(answer)) == (Status.FOUND, 1, ALL_CUPS[:1])
    none = recite(["There are none."])
    assert (none.count(SMALL, "cups").status, none.count(SMALL, "cups").count) == (Status.NOT_FOUND, 0)
    assert none.describe(SMALL).status is Status.ANSWERED
    lost = recite(["No tracks available."])
    video = lost.encode_video([SMALL, SMALL], [0, 1])
    assert lost.track(video, "cup").status is Status.NOT_FOUND
    vague = recite(["A cup moves."])
    assert vague.track(vague.encode_video([SMALL], [0]), "cup").status is Status.UNPARSEABLE
    assert vague.describe(SMALL, options=GenerateOptions(max_new_tokens=5)).text == "A cup moves."
    with pytest.raises(PromptError, match="take no video"):
        recite([" yes"], "molmo").track(SMALL, "cup")


def test_what_is_asked_depends_on_what_is_shown(cups, monkeypatch):
    asked = []
    monkeypatch.setattr(cups, "_answer", lambda image, text, *_, **limits: asked.append(text))
    video = cups.encode_video([SMALL], [0])
    for image in (SMALL, [SMALL], [SMALL, SMALL], cups.encode((SMALL, SMALL)), video):
        cups.point(image, "cup")
        cups.count(image, "cup")
        cups.describe(image)
    point = "Point to cup\nPlease say 'There are none.' if it is not in the {}."
    count = "How many cup are there{}?"
    one = [point.format("image"), count.format(""), "Describe this image."]
    several = [point.format("image"), count.format(" in all images"), "Describe these images."]
    frames = [point.format("video"), count.format(""), "Describe this video."]
    assert asked == 2 * one + 2 * several + frames


def test_the_request_is_the_trained_one(cups, monkeypatch):
    """`point` is `query` with the pointing prompt, save for labels and status."""
    direct = cups.query(SMALL, point_prompt("cup"))
    assert cups.point(SMALL, "cup").text == direct.text


def test_labels_that_are_asked_apart_keep_their_own(cups):
    pieces = []
    answer = cups.point(SMALL, ["mug ", "bowl"], apart=True, max_points=2, on_point=pieces.append)
    assert positions(answer) == ALL_CUPS[:2] * 2
    assert [point.label for point in answer.points] == ["mug"] * 2 + ["bowl"] * 2
    assert sorted(point.label for point in pieces) == ["bowl"] * 2 + ["mug"] * 2
    assert answer.tokens == 2 * cups.point(SMALL, "mug", max_points=2).tokens
    assert cups.point(SMALL, ["mug", "bowl"]).text == "".join(CUPS)  # one request, one answer
    assert cups.point(SMALL, "mug", apart=True).text == "".join(CUPS)
    for wrong in ([], ["mug", ""], ["mug", 3]):
        with pytest.raises(PromptError):
            cups.point(SMALL, wrong, apart=True)

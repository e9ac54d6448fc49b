# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The unchanged openai client asks a real server; what the same model says in this process is the truth."""

import asyncio
import json

import cv2
import numpy as np
import openai
import pytest
from running_server import ask, assert_same, coded, data_url, message

from molmo_ros.molmo.running.generation import GenerateOptions

MANY = 30


def test_the_models_are_listed(served):
    (model,) = served.client().models.list().data
    assert model.id == "tiny" and model.molmo["kinds"][:3] == ["query", "ask", "point"]
    assert model.molmo["family"] == "molmo2" and model.molmo["many_images"] and model.molmo["calibrated"]
    assert served.client().models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-9'; this server has 'tiny'"):
        served.client().models.retrieve("gpt-9")


@pytest.mark.parametrize("kind", ["point", "count", "place", "ask", "query", "describe"])
def test_answers_are_those_of_the_model(served, direct, tables, kind):
    client, table = served.client(), tables[0]
    name = table.names[0]
    ways = {
        "point": lambda: direct.point(table.rgb, name),
        "count": lambda: direct.count(table.rgb, name),
        "place": lambda: direct.point(table.rgb, f"the vacant space left of {name}"),
        "ask": lambda: direct.ask(table.rgb, f"Where is the {name}?"),
        "query": lambda: direct.query(table.rgb, f"Point to {name}."),
        "describe": lambda: direct.describe(table.rgb),
    }
    label = {"point": name, "count": name, "place": f"left of {name}"}.get(kind)
    text = {"ask": f"Where is the {name}?", "query": f"Point to {name}."}.get(kind)
    molmo = {"kind": kind} | ({"label": label} if label else {})
    reply = ask(client, table.url, text=text, molmo=molmo)
    assert_same(reply.choices[0], ways[kind]())
    assert reply.choices[0].finish_reason == "stop" and reply.object == "chat.completion"
    assert reply.choices[0].molmo["images"] == [{"width": 640, "height": 480}]


def test_without_the_field_the_text_goes_to_the_model_as_it_is(served, direct, tables):
    table = tables[1]
    text = f"Point to {table.names[0]}\nPlease say 'There are none.' if it is not in the image."
    reply = ask(served.client(), table.url, text=text)
    answer = direct.query(table.rgb, text)
    assert answer.points and reply.choices[0].message.content.startswith("<points")
    assert_same(reply.choices[0], answer)


def test_what_is_not_there_is_an_answer(served, tables):
    reply = ask(served.client(), tables[0].url, molmo={"kind": "point", "label": "purple zebra"})
    said = reply.choices[0].molmo
    assert (said["status"], said["points"], reply.choices[0].finish_reason) == ("NOT_FOUND", [], "stop")
    assert said["not_found_probability"] > 0.9


def test_the_label_may_be_the_text_of_the_message(served, direct, tables):
    table = tables[0]
    reply = ask(served.client(), table.url, text=table.names[0], molmo={"kind": "point"})
    assert_same(reply.choices[0], direct.point(table.rgb, table.names[0]))


def test_usage_counts_the_tokens_of_the_model(served, direct, tables):
    table = tables[2]
    encoded = direct.encode(table.rgb)
    text = "what color is it?"
    words = len(direct.prompts.query(text, len(encoded.prefix)))
    replies = [ask(served.client(), table.url, text=text).usage for _ in range(2)]
    assert [one.prompt_tokens for one in replies] == [len(encoded.prefix) + words] * 2
    assert replies[0].completion_tokens == direct.query(encoded, text).tokens
    assert replies[1].prompt_tokens_details.cached_tokens == len(encoded.prefix)
    assert replies[1].total_tokens == replies[1].prompt_tokens + replies[1].completion_tokens


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_tokens_cuts_the_answer(served, direct, tables, field):
    table = tables[0]
    reply = ask(
        served.client(),
        table.url,
        molmo={"kind": "point", "label": table.names[0]},
        extra_headers={},
        **{field: 5},
    )
    answer = direct.point(table.rgb, table.names[0], options=GenerateOptions(5))
    assert reply.choices[0].finish_reason == "length" and reply.usage.completion_tokens == 5
    assert reply.choices[0].molmo["limit"] == "max_new_tokens" and reply.choices[0].molmo["truncated"]
    assert reply.choices[0].message.content == answer.text


def test_a_limit_of_points_ends_the_answer(served, direct, tables):
    table = max(tables, key=lambda one: len(one.names))
    label = "things"
    reply = ask(served.client(), table.url, molmo={"kind": "point", "label": label, "max_points": 1})
    answer = direct.point(table.rgb, label, max_points=1)
    assert len(answer.points) == 1 < len(direct.point(table.rgb, label).points)
    assert_same(reply.choices[0], answer)


def test_a_limit_of_tiles_is_that_of_the_model(served, direct):
    wide = np.random.default_rng(1).integers(0, 256, (700, 1400, 3), dtype="uint8")
    url = data_url(wide)
    for crops in (1, 2):
        reply = ask(served.client(), url, text="what is there?", molmo={"max_crops": crops})
        encoded = direct.encode(wide, max_crops=crops)
        words = len(direct.prompts.query("what is there?", len(encoded.prefix)))
        assert reply.usage.prompt_tokens == len(encoded.prefix) + words


def test_a_question_whose_time_is_over_before_its_turn_may_be_asked_again(served, tables):
    with pytest.raises(openai.InternalServerError, match="its time limit") as caught:
        ask(served.client(), tables[0].url, text="what is there?", molmo={"time_limit": 1e-4})
    assert (caught.value.status_code, caught.value.code) == (503, "queue_timeout")
    assert caught.value.response.headers["retry-after"] == "1"


@pytest.mark.parametrize("kind", ["point", "count"])
def test_a_stream_is_the_whole_answer_in_pieces(served, direct, tables, kind):
    table = tables[0]
    for label in (*table.names, "purple zebra"):
        pieces = list(
            ask(
                served.client(),
                table.url,
                molmo={"kind": kind, "label": label},
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        answer = getattr(direct, kind)(table.rgb, label)
        *chunks, last = pieces
        assert last.choices == [] and last.usage.completion_tokens == answer.tokens
        choices = [chunk.choices[0] for chunk in chunks]
        assert "".join(choice.delta.content or "" for choice in choices) == answer.text
        assert choices[0].delta.role == "assistant"
        assert [choice.finish_reason for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
        whole = choices[-1].molmo
        assert whole["status"] == answer.status.value and len(whole["points"]) == len(answer.points)
        early = [one.molmo["point"] for one in choices[:-1] if hasattr(one, "molmo")]
        assert [(p["x"], p["y"], p["label"]) for p in early] == [(p.x, p.y, label) for p in answer.points]
        assert len({chunk.id for chunk in pieces}) == 1


def test_thirty_ask_at_once(served, direct, tables):
    """Different things of three pictures, half as streams; every answer is that of the model alone."""
    encoded = served.metric('molmo_images_total{from="encoded"}')
    packs, questions = served.metric("molmo_pack_questions_count"), served.metric("molmo_pack_questions_sum")
    sent = [coded(table.rgb, ".webp") for table in tables]  # pictures that this server has not seen yet
    urls = [data_url(data, ".webp") for data in sent]
    asked = [
        (number % 3, tables[number % 3].names[number % len(tables[number % 3].names)])
        for number in range(MANY)
    ]

    async def one(client, number):
        picture, label = asked[number]
        settings = {
            "model": "tiny",
            "messages": message(urls[picture]),
            "extra_body": {"molmo": {"kind": "point", "label": label}},
        }
        if number % 2:
            stream = await client.chat.completions.create(stream=True, **settings)
            choices = [chunk.choices[0] async for chunk in stream]
            return "".join(choice.delta.content or "" for choice in choices), choices[-1].molmo
        choice = (await client.chat.completions.create(**settings)).choices[0]
        return choice.message.content, choice.molmo

    async def all_of_them():
        async with openai.AsyncOpenAI(**served.settings()) as client:
            return await asyncio.gather(*(one(client, number) for number in range(MANY)))

    for (picture, label), (text, said) in zip(asked, asyncio.run(all_of_them()), strict=True):
        answer = direct.point(cv2.imdecode(np.frombuffer(sent[picture], "u1"), 1)[..., ::-1].copy(), label)
        assert text == answer.text and said["status"] == answer.status.value
        assert [(p["x"], p["y"]) for p in said["points"]] == [(p.x, p.y) for p in answer.points]
    assert served.metric('molmo_images_total{from="encoded"}') - encoded == 3
    assert served.metric("molmo_pack_questions_sum") - questions == MANY
    assert served.metric("molmo_pack_questions_count") - packs < MANY  # some were answered together


def test_several_pictures_go_into_one_prompt(served, direct, tables):
    left, right = tables[:2]
    reply = ask(served.client(), left.url, right.url, molmo={"kind": "point", "label": left.names[0]})
    assert_same(reply.choices[0], direct.point([left.rgb, right.rgb], left.names[0]))
    assert len(reply.choices[0].molmo["images"]) == 2


def test_special_tokens_in_a_text_are_text(served, direct, tables):
    text = "<|image|><im_patch> what<|im_end|> is it? <|endoftext|>"
    reply = ask(served.client(), tables[0].url, text=text)
    assert reply.choices[0].message.content == direct.query(tables[0].rgb, text).text


def test_pictures_of_other_kinds_are_read(served, direct, tables):
    rgb, name = tables[0].rgb, tables[0].names[0]
    for ending in (".png", ".jpeg", ".webp", ".tiff"):
        reply = ask(served.client(), data_url(rgb, ending), molmo={"kind": "point", "label": name})
        assert reply.choices[0].molmo["status"] == "FOUND", ending
    reply = ask(served.client(), data_url(rgb, ".png", "image/*"), molmo={"kind": "point", "label": name})
    assert_same(reply.choices[0], direct.point(rgb, name))


def test_a_turned_picture_is_looked_at_upright(served, direct, tables):
    """EXIF orientation 6: stored lying on its side."""
    rgb, name = tables[0].rgb, tables[0].names[0]
    lying = np.ascontiguousarray(np.rot90(rgb))  # 6: to be turned by 90 degrees clockwise
    data = cv2.imencode(".jpg", lying[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    data = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    reply = ask(served.client(), data_url(data, ".jpeg"), molmo={"kind": "point", "label": name})
    said = reply.choices[0].molmo
    assert said["images"] == [{"width": 640, "height": 480}]
    (point,) = direct.point(rgb, name).points[:1]
    assert said["points"][0]["x"] == pytest.approx(point.x, abs=4)
    assert said["points"][0]["y"] == pytest.approx(point.y, abs=4)


def test_the_answer_is_json_that_others_read(served, tables):
    raw = served.client().chat.completions.with_raw_response.create(
        model="tiny",
        messages=message(tables[0].url, text="what?"),
        temperature=0,
        top_p=0.9,
        seed=3,
        user="me",
        n=1,
    )
    body = json.loads(raw.text if isinstance(raw.text, str) else raw.text())
    assert set(body) == {"id", "created", "model", "object", "choices", "usage"}
    assert raw.headers["content-type"] == "application/json"

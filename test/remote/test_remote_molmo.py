# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What goes over the network and what is made of what comes back, on real sockets."""

import base64
import threading
import time

import cv2
import numpy as np
import pytest
from scripted_server import MODEL, chunk, say

from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.errors import ImageError, MolmoError, PromptError
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status
from molmo_ros.remote.remote_load import remote_molmo
from molmo_ros.remote.server_error import ServerError


def decoded(url):
    kind, data = url.split(",", 1)
    found = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    return kind, cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def test_a_point_comes_back_in_pixels_of_the_picture(server, picture):
    server.chat = say('<points coords="1 1 ', "250 500", ' 2 750 250">', "cups</points>", tokens=19)
    heard, texts = [], []
    answer = remote_molmo(server.url).point(picture, "Cups", on_point=heard.append, on_text=texts.append)
    assert answer.status is Status.FOUND and answer.tokens == 19 and not answer.truncated
    assert [(p.x, p.y, p.label, p.index) for p in answer.points] == [
        (50, 60, "cups", 1),
        (150, 30, "cups", 2),
    ]
    assert [(p.x, p.y) for p in heard] == [(50, 60), (150, 30)] and "".join(texts) == answer.text
    assert all(p.confidence is None for p in answer.points) and answer.not_found_probability is None


def test_the_question_is_framed_once_and_in_the_trained_words(server, picture):
    model = remote_molmo(server.url)
    for ask in (model.point, model.count):
        ask(picture, "Red  Cube")
    model.ask(picture, "What is this?")
    model.describe(picture)
    bodies = server.asked
    assert [[part["type"] for part in body["messages"][0]["content"]] for body in bodies] == [
        ["image_url", "text"]
    ] * 4
    assert {len(body["messages"]) for body in bodies} == {1} and bodies[0]["messages"][0]["role"] == "user"
    assert [body["messages"][0]["content"][1]["text"] for body in bodies] == [
        "Point to red cube\nPlease say 'There are none.' if it is not in the image.",
        "How many red cube are there?",
        "What is this?",
        "Describe this image.",
    ]
    assert {(body["temperature"], body["model"], body["stream"]) for body in bodies} == {(0, MODEL, True)}
    assert [body["max_tokens"] for body in bodies] == [448, 3584, 448, 448]


def test_models_of_2024_are_asked_in_their_words(server, picture):
    server.name = "allenai/Molmo-72B-0924"
    server.chat = say(' <point x="25.0" y="50.0" alt="mug">mug</point>', model=server.name)
    answer = remote_molmo(server.url).point(picture, "mug")
    assert [(p.x, p.y) for p in answer.points] == [(50, 60)]
    text = server.asked[0]["messages"][0]["content"][1]["text"]
    assert text == "Point to mug\nPlease say 'This isn't in the image.' if it is not in the image."


def test_the_very_pixels_are_sent_unless_jpeg_is_wanted(server, picture):
    remote_molmo(server.url).ask(picture, "What?")
    remote_molmo(server.url, jpeg_quality=90).ask(picture, "What?")
    lossless, small = (
        decoded(body["messages"][0]["content"][0]["image_url"]["url"]) for body in server.asked
    )
    assert lossless[0].startswith("data:image/png") and (lossless[1] == picture).all()
    assert small[0].startswith("data:image/jpeg") and not (small[1] == picture).all()
    assert abs(small[1].astype(int) - picture).mean() < 4


def test_questions_about_one_picture_go_side_by_side_with_one_coding(server, picture):
    together = threading.Barrier(6, timeout=20)

    def chat(link, request):
        together.wait()
        number = request.body["messages"][0]["content"][1]["text"].split()[-1]
        say(f"answer {number}")(link, request)

    server.chat = chat
    model = remote_molmo(server.url)
    ready = model.encode(picture, view="wrist")
    ended = []
    outcomes = model.answers(
        ready, [ImageQuery(f"number {i}", Asked.WORDS) for i in range(6)], lambda i, outcome: ended.append(i)
    )
    assert [one.text for one in outcomes] == [f"answer {i}" for i in range(6)] and sorted(ended) == list(
        range(6)
    )
    urls = {body["messages"][0]["content"][0]["image_url"]["url"] for body in server.asked}
    assert urls == {ready.urls[0].decode()} and ready.timing_ms["preprocess"] > 0
    assert model.query_many(ready, ["number 1", "number 2", "number 3"] * 2)[4].text == "answer 2"


def test_connections_are_kept(server, picture):
    model = remote_molmo(server.url)
    for _ in range(5):
        model.ask(picture, "What?")
    assert server.connections == 1


def test_a_kept_connection_that_the_server_closed_is_no_failure(server, picture):
    def chat(link, request):
        say("yes")(link, request)
        link.close()  # after the answer, without a word: as a server does whose patience has ended

    server.chat = chat
    model = remote_molmo(server.url)
    assert [model.ask(picture, "What?").text for _ in range(3)] == ["yes"] * 3
    assert model.state().failures == 0


def test_enough_points_end_the_answer_on_the_server_too(server, picture):
    ended = threading.Event()

    def chat(link, request):
        link.begin_stream()
        link.event(chunk('<points coords="1 1 250 500 2 '))
        link.wait_for_end()
        ended.set()

    server.chat = chat
    answer = remote_molmo(server.url).point(picture, "cup", max_points=1)
    assert answer.status is Status.FOUND and answer.limit == "max_points" and len(answer.points) == 1
    assert ended.wait(20)


def test_cancel_ends_one_question_and_leaves_the_other(server, picture):
    cancel, begun, closed = threading.Event(), threading.Event(), threading.Event()

    def chat(link, request):
        if "first" not in request.body["messages"][0]["content"][1]["text"]:
            begun.wait(20)
            closed.wait(20)
            return say("done")(link, request)
        link.begin_stream()
        link.event(chunk('<points coords="1 1 250 500'))
        begun.set()
        link.wait_for_end()
        closed.set()

    server.chat = chat
    model = remote_molmo(server.url)
    threading.Thread(target=lambda: (begun.wait(20), cancel.set()), daemon=True).start()
    first, second = model.answers(
        picture, [ImageQuery("first", Asked.POINTS, cancel=cancel), ImageQuery("second", Asked.WORDS)]
    )
    assert (first.status, second.status) == (Status.CANCELLED, Status.ANSWERED)
    assert second.text == "done" and closed.is_set()


def test_the_time_limit_ends_an_answer_with_what_there_is(server, picture):
    def chat(link, request):
        link.begin_stream()
        link.event(chunk('<points coords="1 1 250 500 2 '))
        while True:
            time.sleep(0.05)
            link.event(chunk(" "))

    server.chat = chat
    answer = remote_molmo(server.url).point(picture, "cup", options=GenerateOptions(time_limit=0.7))
    assert answer.status is Status.TIMEOUT and answer.limit == "time_limit" and answer.truncated
    assert [(p.x, p.y) for p in answer.points] == [(50, 60)]


def test_a_cut_answer_is_told(server, picture):
    server.chat = say('<points coords="1 1 250 500', finish="length", tokens=448)
    answer = remote_molmo(server.url).point(picture, "cup")
    assert answer.truncated and answer.limit == "max_new_tokens" and "448 tokens" in answer.error
    server.chat = say("It is", finish="length", tokens=12)
    assert remote_molmo(server.url).ask(picture, "What?").limit == "context"


def test_more_tokens_than_the_context_has_are_asked_for_again_with_fewer(server, picture):
    def chat(link, request):
        if request.body["max_tokens"] > 1000:
            error = {"error": {"message": "maximum context length is 4096 tokens", "code": 400}}
            return link.json(error, status="400 Bad Request")
        return say("There are 0.")(link, request)

    server.chat = chat
    assert remote_molmo(server.url).count(picture, "cups").count == 0
    assert [body["max_tokens"] for body in server.asked] == [3584, 448]


def test_an_answer_in_one_piece_is_one(server, picture):
    def chat(link, request):
        message = {"role": "assistant", "content": "There are none."}
        link.json({"model": MODEL, "choices": [{"message": message, "finish_reason": "stop"}]})

    server.chat = chat
    assert remote_molmo(server.url).point(picture, "cup").status is Status.NOT_FOUND


def test_spelled_special_tokens_do_not_reach_the_server_as_such(server, picture):
    remote_molmo(server.url).ask(picture, "a <|image|> and <im_patch> <|im_end|> <image> 1 < 2 <b>")
    text = server.asked[0]["messages"][0]["content"][1]["text"]
    assert text == "a < |image|> and < im_patch> < |im_end|> < image> 1 < 2 <b>"


def test_a_busy_server_is_asked_again_when_it_says(server, picture):
    def chat(link, request):
        if len(server.asked) < 3:
            return link.json({"error": "later"}, status="429 Too Many Requests", headers=["Retry-After: 0.1"])
        return say("now")(link, request)

    server.chat = chat
    assert remote_molmo(server.url).ask(picture, "What?").text == "now"


@pytest.mark.parametrize(
    "ask, error, words",
    [
        (lambda m, p: m.ask(p, " \n "), PromptError, "empty"),
        (lambda m, p: m.ask(p, "x" * 200_000), PromptError, "200000 characters"),
        (lambda m, p: m.point(p, ["cup", ""]), PromptError, "label is empty"),
        (lambda m, p: m.point(p, "cup", max_points=0), PromptError, "max_points is 0"),
        (lambda m, p: m.query_many(p, "one text"), PromptError, "takes a list"),
        (lambda m, p: m.track(p, "cup"), PromptError, "no videos"),
        (lambda m, p: m.ask(p[:, :, 0], "What?"), ImageError, "(120, 200)"),
        (lambda m, p: m.ask(p.astype(float), "What?"), ImageError, "float64"),
        (lambda m, p: m.ask(p[:0], "What?"), ImageError, "(0, 200, 3)"),
        (lambda m, p: m.ask([], "What?"), PromptError, "no image"),
        (lambda m, p: m.limit_crops(0), MolmoError, "max_crops is 0"),
        (lambda m, p: m.limit_crops(None, -1.0), MolmoError, "latency_target is -1.0"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_it_is_sent(server, picture, ask, error, words):
    model = remote_molmo(server.url)
    with pytest.raises(error, match=words.replace("(", r"\(").replace(")", r"\)")):
        ask(model, picture)
    assert not server.asked and model.state().failures == 0


def test_models_with_one_image_take_one(server, picture):
    server.name = "allenai/Molmo-7B-D-0924"
    with pytest.raises(PromptError, match="takes one"):
        remote_molmo(server.url).ask([picture, picture], "What?")


def test_several_images_go_into_one_prompt(server, picture):
    server.chat = say('<points coords="2 1 500 500">cup</points>')
    answer = remote_molmo(server.url).point([picture, picture[:60]], ["cup", "mug"])
    assert [(p.image, p.x, p.y) for p in answer.points] == [(1, 100, 30)]
    content = server.asked[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    assert content[2]["text"].startswith("Point to cup and mug\n")


def test_limits_of_tiles_are_said_not_to_be_kept(server, picture):
    model = remote_molmo(server.url)
    assert model.ask(picture, "What?").crops is None
    model.limit_crops(4)
    assert "not kept" in model.ask(picture, "What?").crops.note


@pytest.mark.parametrize(
    "models, words",
    [
        (
            {"data": [{"id": "a/Molmo2-4B"}, {"id": "a/Molmo2-8B"}]},
            "2 models: 'a/Molmo2-4B', 'a/Molmo2-8B'; name one",
        ),
        ({"data": []}, "lists no model"),
        ({"data": [{"id": "Qwen/Qwen3-VL-4B"}]}, "'Qwen/Qwen3-VL-4B', whose name tells no family"),
        ({"models": []}, "lists no models"),
        ([1, 2], "lists no models"),
    ],
)
def test_which_model_is_meant_must_be_known(server, models, words):
    server.models = lambda link: link.json(models)
    with pytest.raises(ServerError, match=words.replace("(", r"\(")):
        remote_molmo(server.url)


@pytest.mark.parametrize(
    "name, family",
    [
        ("allenai/Molmo-7B-D-0924", "molmo"),
        ("molmo-72b", "molmo"),
        ("allenai/MolmoE-1B-0924", "molmoe"),
        ("allenai/Molmo2-O-7B", "molmo2"),
        ("/models/Molmo2-ER-4B-AWQ", "molmo2"),
        ("tiny", "molmo2"),
        ("/home/molmo/checkpoints/tiny", "molmo2"),
        ("/cache/models--allenai--Molmo-7B-O-0924/snapshots/0e72", "molmo"),
    ],
)
def test_the_name_tells_the_family(server, name, family):
    server.name = name
    assert remote_molmo(server.url).model.family.name == family
    assert remote_molmo(server.url, family="molmo").model.family.name == "molmo"


def test_points_that_are_tokens_need_a_server_of_ours(server):
    server.name = "allenai/MolmoPoint-8B"
    with pytest.raises(ServerError, match="a MolmoPoint, whose points are tokens.*serve it with that"):
        remote_molmo(server.url)
    server.models = lambda link: link.json({"data": [{"id": server.name, "owned_by": "molmo_ros"}]})
    assert remote_molmo(server.url).model.family.name == "molmo_point"

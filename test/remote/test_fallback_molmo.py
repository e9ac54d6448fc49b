# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A server that goes and comes: the embedded model answers meanwhile, in the query's own time, and says so."""

import threading
import time

import pytest
from scripted_server import ScriptedServer, chunk, say

from molmo_ros.engine.load import load_molmo
from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.answers.image_query import ImageQuery
from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.running.generation import GenerateOptions
from molmo_ros.molmo.status import Status
from molmo_ros.remote import server_watch
from molmo_ros.remote.remote_load import RemoteChoice, fallback_molmo, open_remote
from molmo_ros.remote.server_error import ServerError
from molmo_ros.sim.renderer import render
from molmo_ros.sim.scene import SENSOR, Scene

SAID = '<points coords="1 1 100 100">thing</points>'
PLACE = (64.0, 48.0)
DEADLINE = 60


@pytest.fixture(scope="module")
def local():
    return load_molmo("tiny", engine="torch")


@pytest.fixture(scope="module")
def seen():
    """A picture with a thing that the embedded model finds, and the answer that it gives alone."""
    scene = Scene.random(30_001)
    frame, names = render(scene, *SENSOR).rgb, [thing.name for thing in scene.objects]
    return frame, next(name for name in names if names.count(name) == 1)


@pytest.fixture
def model(server, local):
    server.chat = say(SAID)
    both = fallback_molmo(RemoteChoice(server.url, patience=5), lambda: local, "tiny")
    yield both
    both.close()


def until(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def places(answer):
    return [(point.x, point.y) for point in answer.points]


def questions(server):
    """Those that were asked by us, probes left out."""
    texts = [body["messages"][0]["content"][-1]["text"] for body in server.asked]
    return [text for text in texts if text != "Describe this image."]


def test_the_server_answers_while_it_is_there(server, model, seen):
    answer = model.point(*seen)
    assert places(answer) == [PLACE] and answer.error == ""
    state = model.state()
    assert (state.up, state.answers, state.failures, state.fallback_answers) == (True, 1, 0, 0)
    assert state.first_ms > 0 and state.total_ms >= state.first_ms and state.fallback == "tiny"


def test_cut_in_the_middle_of_an_answer_and_back(server, model, local, seen):
    expected = places(local.point(*seen))
    assert expected and expected != [PLACE]
    begun = threading.Event()

    def chat(link, request):
        link.begin_stream()
        link.event(chunk('<points coords="1 1 1'))
        begun.set()
        link.wait_for_end()

    server.chat = chat
    threading.Thread(target=lambda: (begun.wait(DEADLINE), server.stop()), daemon=True).start()
    answer = model.point(*seen, options=GenerateOptions(time_limit=30))
    assert answer.status is Status.FOUND and places(answer) == expected
    assert answer.error.startswith(f"answered by tiny, as {server.url}/v1 ended the connection in the middle")
    for _ in range(3):  # and on, without asking who is not there
        answer = model.point(*seen)
        assert places(answer) == expected and "answered by tiny" in answer.error
    state = model.state()
    assert state.up is False and state.reason and (state.failures, state.fallback_answers) == (1, 4)
    server.chat = say(SAID)
    server.start()
    until(lambda: model.state().up)
    answer = model.point(*seen)
    assert places(answer) == [PLACE] and answer.error == "" and model.state().fallback_answers == 4


def test_a_silent_server_leaves_time_to_answer(server, model, local, seen, monkeypatch):
    server.chat = lambda link, request: link.wait_for_end()
    given = []

    def answers(image, queries, on_answer, original=local.answers):
        given.extend(query.options.time_limit for query in queries)
        return original(image, queries, on_answer)

    with monkeypatch.context() as patch:
        patch.setattr(local, "answers", answers)
        answer = model.point(*seen, options=GenerateOptions(time_limit=4.0))
    assert len(given) == 1 and 0 < given[0] <= 2.0  # the rest, and no more
    assert answer.status is Status.FOUND and places(answer) == places(local.point(*seen))
    assert "took the question and has said nothing for" in answer.error and not answer.limit
    assert answer.timing_ms["total"] > answer.timing_ms["prefill"] + 1000  # what was lost is told
    # While it is away nobody waits for it.
    for _ in range(3):
        assert model.point(*seen).status is Status.FOUND
    assert len(questions(server)) == 1


def test_only_what_the_server_owes_is_asked_again(server, model, local, seen):
    frame, name = seen

    def chat(link, request):
        if "unicorn" in request.body["messages"][0]["content"][1]["text"]:
            return link.json({"error": "no unicorns"}, "400 Bad Request")
        return say(SAID)(link, request)

    server.chat = chat
    ended = []
    queries = [ImageQuery("", Asked.POINTS, label) for label in (name, "unicorn", name)]
    found = model.answers(
        model.encode(frame, view="c"), queries, lambda i, outcome: ended.append((i, outcome))
    )
    assert [places(one) for one in found] == [[PLACE], [], [PLACE]]
    assert found[1].status is Status.NOT_FOUND and "does not take the request (400)" in found[1].error
    assert dict(ended) == dict(enumerate(found)) and len(ended) == 3
    assert model.state().up and not found[0].error


def test_a_busy_server_is_not_waited_for_and_not_away(server, model, seen):
    server.chat = lambda link, request: link.json({}, "429 Too Many Requests", ["Retry-After: 1"])
    answer = model.point(*seen)
    assert "has too much to do" in answer.error and answer.status is Status.FOUND
    assert model.state().up and len(server.asked) == 1


def test_a_list_of_models_alone_brings_nobody_back(server, model, seen, monkeypatch):
    monkeypatch.setattr(server_watch, "FIRST_PAUSE", 0.05)
    server.chat = lambda link, request: link.json({"error": "no memory"}, "500 Internal Server Error")
    assert "has failed (500): 'no memory'" in model.point(*seen).error
    until(lambda: len(server.asked) - len(questions(server)) >= 2)
    assert model.state().up is False
    server.chat = say(SAID)
    until(lambda: model.state().up)


def test_away_at_the_start(local, seen):
    server = ScriptedServer(say(SAID))
    server.stop()
    told = []
    model = fallback_molmo(RemoteChoice(server.url), lambda: local, "tiny", told.append)
    try:
        assert (
            "cannot be reached: Connection refused; it is waited for, and tiny answers meanwhile" in told[0]
        )
        assert "answered by tiny" in model.point(*seen).error
        server.start()
        until(lambda: model.state().up)
        assert places(model.point(*seen)) == [PLACE]
    finally:
        model.close()
        server.stop()


def test_without_another_model_the_reason_is_the_answer(seen):
    server = ScriptedServer(say(SAID))
    server.stop()
    with pytest.raises(ServerError, match="cannot be reached"):
        open_remote(RemoteChoice(server.url))
    model = open_remote(RemoteChoice(server.url), waits=True)
    try:
        with pytest.raises(ServerError, match="cannot be reached: Connection refused"):
            model.point(*seen)
        server.start()
        until(lambda: model.state().up)
        assert places(model.point(*seen)) == [PLACE]
        server.stop()
        with pytest.raises(ServerError):
            model.point(*seen)
        assert model.state().up is False
    finally:
        model.close()


def test_what_somebody_must_change_is_an_error_at_once(server, local):
    server.models = lambda link: link.json({}, "401 Unauthorized")
    with pytest.raises(ServerError, match="wants another key"):
        fallback_molmo(RemoteChoice(server.url), lambda: local, "tiny")


def test_an_event_cancels_whoever_answers(server, model, seen):
    server.chat = lambda link, request: link.wait_for_end()
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    answer = model.point(*seen, cancel=cancel)
    assert answer.status is Status.CANCELLED and model.state().up and not answer.error


def test_python_has_it_in_one_call(server, seen):
    server.chat = say(SAID)
    assert places(load_molmo(engine="remote", server=server.url).point(*seen)) == [PLACE]
    server.name = "other/Molmo2-4B"
    with pytest.raises(ServerError, match="'other/Molmo2-4B', and 'a/Molmo2-8B'|'allenai/Molmo2-8B'"):
        load_molmo("a/Molmo2-8B", engine="remote", server=server.url).point(*seen)
    with pytest.raises(MolmoError, match="say which with server"):
        load_molmo(engine="remote", server="")
    with pytest.raises(MolmoError, match="server goes with engine remote, not with torch"):
        load_molmo("tiny", engine="torch", server=server.url)

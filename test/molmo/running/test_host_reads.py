# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""How often the host waits for values of the device while an answer is made: each time the device stands still."""

import torch

from molmo_ros.molmo.running.choosing import likeliest
from molmo_ros.molmo.scoring.not_found import NotFoundScorer
from molmo_ros.molmo.scoring.written_point_scorer import NumberTokens, WrittenPointScorer

TEXTS = ['<points coords="1', " 1", " 250", " 500", '">']
NUMBERS = {1: " 1", 2: " 250", 3: " 500", 7: " 251"}
LARGEST = 200_000


def test_one_read_a_token_and_one_a_point(cuda):
    scorer = WrittenPointScorer(NumberTokens(NUMBERS, "cuda"))
    for token, text in enumerate(TEXTS[:4]):
        logits = torch.zeros(10, device="cuda")
        logits[token] = 5.0
        before = cuda.reads
        choice = likeliest(logits)
        assert choice.token == token and cuda.reads == before + 1
        scorer.feed(choice, text)
        assert cuda.reads == before + 1
    evidence = scorer.point(sum(map(len, TEXTS[:4])))
    assert cuda.reads == before + 2
    own = float(torch.softmax(logits, 0)[3])
    assert torch.allclose(torch.tensor(evidence.tokens), torch.tensor([own, own]), atol=1e-6)


def test_one_read_for_all_sentences_that_say_no(cuda):
    scorer = NotFoundScorer([[3, 4], [5, 6], [7, 8]])
    choice = likeliest(torch.zeros(10, device="cuda"))
    before = cuda.reads
    scorer.feed(choice)
    assert cuda.reads == before + 1


def test_the_token_is_exact_in_the_largest_vocabularies():
    for token in (0, 152_063, LARGEST - 1):
        for dtype in (torch.float32, torch.float16):
            logits = torch.zeros(LARGEST, dtype=dtype)
            logits[token] = 1.0
            assert likeliest(logits).token == token

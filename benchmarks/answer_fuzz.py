# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Made-up answers of every kind, read whole and in pieces, against what they were made from.

    python -m benchmarks.answer_fuzz --seed 3 --seconds 60

Each answer is made with its truth: the points and the total in it, or that there are none. Then it is damaged, and only
what must always hold is checked. Ends with the first answer that is read wrongly.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from molmo_ros.molmo.answer import Asked
from molmo_ros.molmo.pointing.points import ParsedPoints, PointStream, parse_points

SIZE = (480, 640)
"""(height, width) [px]."""
ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
]
NOUNS = ["cups", "mugs", "red", "boxes", "people", "cars"]
# The published decoders' tags: allenai/molmo and allenai/molmo2. A reader that shares nothing with ours.
TAGGED = re.compile(
    r'<(?:points|tracks|point)[\s/][^>]*?(?:coords="[0-9]|x[0-9]*="|[0-9]+\s+[0-9]+(?:\.[0-9])?\s+[0-9])',
    re.DOTALL,
)


@dataclass(frozen=True)
class Made:
    """An answer and what is in it.

    Attributes:
        text: The answer.
        asked: What it answers.
        points: Fractions of the image's width and height.
        count: The total.
    """

    text: str
    asked: Asked
    points: tuple[tuple[float, float], ...] = ()
    count: int | None = None


def tagged(rng: random.Random) -> Made:
    """Points in tags, in every spelling, with a total or without one."""
    n = rng.choice([1, 1, 2, 3, 12])
    places = [(rng.randrange(1001), rng.randrange(1001)) for _ in range(n)]
    percent = [(f"{x // 10}.{x % 10}", f"{y // 10}.{y % 10}") for x, y in places]
    noun = rng.choice(NOUNS)
    block = rng.choice(
        [
            '<points coords="1 '
            + " ".join(f"{i} {x:03d} {y:03d}" for i, (x, y) in enumerate(places, 1))
            + f'">{noun}</points>',
            "<points "
            + " ".join(f'x{i}="{x}" y{i}="{y}"' for i, (x, y) in enumerate(percent, 1))
            + f' alt="{noun}">{noun}</points>',
            "<points 1.0 " + " ".join(f"{i} {x} {y}" for i, (x, y) in enumerate(percent, 1)) + "/>",
            f"<points {noun}\t-\t" + " ".join(f"{i} {x} {y}" for i, (x, y) in enumerate(percent, 1)) + "/>",
            f"<points {noun}\t-\t"
            + " ".join(f"{i} {x:03d} {y:03d}" for i, (x, y) in enumerate(places, 1))
            + "/>",
        ]
    )
    asked = rng.choice(list(Asked))
    text, count = rng.choice(
        [
            (block, None),
            (f"Counting the {block} shows a total of {n}.", n),
            (f"There are {n} {block}.", n),
            (f"The <point here> is no point: {block}", None),
        ]
    )
    return Made(text, asked, tuple((x / 1000, y / 1000) for x, y in places), count)


def words(rng: random.Random) -> Made:
    """An answer to a question, full of numbers in forms that look like points and totals."""
    a, b = round(rng.uniform(0, 100), rng.randrange(4)), round(rng.uniform(0, 1), rng.randrange(1, 4))
    i, j = rng.randrange(1000), rng.randrange(1000)
    forms = [
        f"({a}, {b})",
        f"({b}, {b})",
        f"({b:.1f}, {b:.1f})",
        f"({a:.1f}, {a:.1f})",
        f"[{a}, {b}]",
        f"Click({a:.1f}, {a:.1f})",
        f"p={i:03d},{j:03d}",
        f"{i % 10} = {i:03d}, {j:03d}",
        f"v{i}.{j}.1",
        f"{i}:{j}",
        f"{a}-{b} cm",
        f"({a} kg)",
        f"{i}x{j} px",
        f"x={a}, y={b}",
        f'x="{a}" y="{b}"',
        f'coords="1 1 {i:03d} {j:03d}"',
        f"| {i} | {j} |\n|---|---|\n| {a} | {b} |",
        f"{i},{j:03d}",
        f"{i % 32}.{j % 12 + 1}.2024",
        f"{i % 24}:{j % 60:02d}",
        f"N {a}\N{DEGREE SIGN} E {b}\N{DEGREE SIGN}",
        f"<point here> ({a:.1f}, {b:.1f})",
        f'<pointer x="{a}" y="{b}">',
        f"1 {i:03d} {j:03d}",
        f"1 {a:.1f} {a:.1f} 2 {a:.1f} {a:.1f}",
        f"{{'x': {a}, 'y': {b}}}",
        f"a total of {i} dollars",
        f"there are {i} of them",
        f"{i}",
        f"<{a}, {b}>",
        f"</points> ({a:.1f}, {a:.1f})",
    ]
    parts = [
        f"{rng.choice(['It is', 'The size', 'about', 'see', 'then'])} {rng.choice(forms)}" for _ in range(4)
    ]
    text = rng.choice([" ", ", ", "\n", " and "]).join(parts[: rng.randrange(1, 5)])
    return Made(text, rng.choice([Asked.WORDS, Asked.ANYTHING]))


def loose(rng: random.Random) -> Made:
    """Points without tags, where some were asked for."""
    pairs = [
        (round(rng.uniform(0, 100), 1), round(rng.uniform(0, 100), 1)) for _ in range(rng.randrange(1, 4))
    ]
    certain = any(x > 1 or y > 1 for x, y in pairs)
    spelled = [
        rng.choice(["({:.1f}, {:.1f})", "Click({:.1f}, {:.1f})", "({:.1f},{:.1f})"]).format(*one)
        for one in pairs
    ]
    points = tuple((x / 100, y / 100) for x, y in pairs) if certain else ()
    return Made("They are at " + " and ".join(spelled), Asked.POINTS, points)


def fractions(rng: random.Random) -> Made:
    """Pairs that may be fractions of the image, or percent in its corner."""
    pairs = [
        rng.choice(["({:.1f}, {:.1f})", "({:.2f}, {:.3f})"]).format(rng.random(), rng.random())
        for _ in range(2)
    ]
    return Made(" ".join(pairs), rng.choice([Asked.POINTS, Asked.COUNT]))


def counts(rng: random.Random) -> Made:
    """Totals in words."""
    n = rng.choice([rng.randrange(17), rng.randrange(100), rng.randrange(5000)])
    number = ONES[n] if n < len(ONES) and rng.random() < 0.5 else rng.choice([f"{n}", f"{n:,}"])
    noun = rng.choice(NOUNS)
    text = rng.choice(
        [
            f"{number}",
            f"{number.capitalize()}.",
            f"There are {number}.",
            f"There are {number} {noun}.",
            f"a total of {number}",
            f"There are {number} {noun} in the image.",
            f"I can see {number} {noun}.",
            f"The total number of {noun} is: {number}.",
            f"There are exactly {number} of them.",
            f"The answer is **{number}**.",
            f"In 2023, there were {number} {noun}.",
            f"There are {number} {noun}, and the largest is 12.5 cm tall.",
            f"The picture shows {number} {noun} at 10:30.",
        ]
    )
    return Made(text, Asked.COUNT, (), n)


def no_counts(rng: random.Random) -> Made:
    """Numbers that are no totals, or leave the total open."""
    n, m = rng.sample(range(2, 2000), 2)
    text = rng.choice(
        [
            f"about {n}",
            f"at least {n}",
            f"{n} to {m}",
            f"{n}-{m}",
            f"between {n} and {m}",
            f"{n} or {m}",
            f"{n} cm",
            f"{n}%",
            f"There are {n} on the left and {m} on the right.",
            f"There are more than {n} cups.",
            f"{n} of the {m} cups are red.",
            f"In {n % 120 + 1900} there was a war.",
            f"The shirt has the number {n} on it.",
            f"{n}:{m % 60:02d}",
            f"{n}/{m}",
            f"{n}.{m}",
            f"{n}x{m}",
            f"The {n}th one.",
            f"There are {n} {m % 900 + 100} cups.",
            f"${n}",
            f"{n} rows of {m} cups",
            f"{n} and {m}",
            f"It weighs {n} kg.",
            "There are many.",
            "Hundreds.",
            f"There are {n} or so.",
            f"a total of {n}.5",
        ]
    )
    return Made(text, Asked.COUNT)


MAKERS: tuple[Callable[[random.Random], Made], ...] = (tagged, words, loose, fractions, counts, no_counts)


def damaged(text: str, rng: random.Random) -> str:
    """The text with something missing, doubled, swapped or put in."""
    for _ in range(rng.randrange(1, 5)):
        at, to = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        text = rng.choice(
            [
                text[:at],
                text[:at] + text[to:],
                text[:to] + text[at:],
                text[to:] + text[:at],
                text[:at] + rng.choice('<>"=;1. /\x00\t(),-\u2009\ud7ff\U0001f600') + text[at:],
            ]
        )
    return text


def in_pieces(text: str, asked: Asked, rng: random.Random) -> tuple[ParsedPoints, list[tuple[float, float]]]:
    """What a stream makes of it, and the points that it gave out on the way."""
    stream, at, given = PointStream([SIZE], asked=asked), 0, []
    while at < len(text):
        step = rng.randrange(1, 9)
        given += [(one.x, one.y) for one in stream.feed(text[at : at + step])]
        at += step
    return stream.finish(), given


def check(made: Made, rng: random.Random) -> str:
    """What is wrong with how an answer is read; empty where nothing is."""
    parsed, given = in_pieces(made.text, made.asked, rng)
    if parsed != parse_points(made.text, [SIZE], asked=made.asked):
        return "in pieces it reads otherwise than whole"
    if not all(0 <= one.x <= SIZE[1] and 0 <= one.y <= SIZE[0] for one in parsed.points):
        return "a point lies outside of the image"
    if given != [(one.x, one.y) for one in parsed.points][: len(given)]:
        return "a point that was given out is none of the answer's"
    if parsed.points and (parsed.not_found or parsed.doubt):
        return "there are points, and it says that there are none"
    if parsed.points and made.asked in (Asked.WORDS, Asked.ANYTHING) and not TAGGED.search(made.text):
        return "words have become a place"
    return ""


def check_truth(made: Made) -> str:
    """Whether an undamaged answer is read as what it was made from."""
    parsed = parse_points(made.text, [SIZE], asked=made.asked)
    found = [(one.x / SIZE[1], one.y / SIZE[0]) for one in parsed.points]
    if len(found) != len(made.points) or any(
        abs(a - b) > 1e-9
        for got, true in zip(found, made.points, strict=True)
        for a, b in zip(got, true, strict=True)
    ):
        return f"its points are {made.points}, read as {found}"
    if parsed.count != made.count:
        return f"its total is {made.count}, read as {parsed.count}"
    if parsed.truncated:
        return "it is whole, and read as cut off"
    return ""


def fuzz(seed: int, answers: int | None = None, seconds: float | None = None) -> tuple[int, str]:
    """Reads so many made-up answers, or for so long.

    Returns:
        How many were read, and what went wrong with the last; empty where nothing did.
    """
    rng = random.Random(seed)
    end = None if seconds is None else time.monotonic() + seconds
    read = 0
    while (answers is None or read < answers) and (end is None or time.monotonic() < end):
        made = MAKERS[read % len(MAKERS)](rng)
        broken = Made(damaged(made.text, rng), made.asked)
        for one, wrong in ((made, check_truth(made) or check(made, rng)), (broken, check(broken, rng))):
            if wrong:
                return read, f"{one.asked.value}: {one.text!r}: {wrong}"
        read += 1
    return read, ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    read, wrong = fuzz(args.seed, seconds=args.seconds)
    print(f"{read} answers, seed {args.seed}: {wrong or 'all read as they were made'}")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()

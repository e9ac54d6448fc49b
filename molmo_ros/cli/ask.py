"""`molmo-ros ask IMAGE [IMAGE ...] "how many cups are there?"`: a question in free words."""

from __future__ import annotations

import argparse

from molmo_ros.cli.query import add_options, add_pictures, add_words, check_words, run_query


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "ask", help="ask a question about a picture, or about several", description=__doc__
    )
    add_pictures(parser)
    add_words(parser, "QUESTION", 'such as "how many cups are there?"')
    add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_words(args)
    return run_query(args, "ask", args.words)

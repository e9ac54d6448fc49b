"""`molmo-ros ask IMAGE "how many cups are there?"`: a question in free words."""

from __future__ import annotations

import argparse

from molmo_ros.cli.query import add_options, run_query


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser("ask", help="ask a question about a picture", description=__doc__)
    add_options(parser)
    parser.add_argument("question", metavar="QUESTION", help='such as "how many cups are there?"')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    return run_query(args, "ask", args.question)

"""`molmo-ros count IMAGE [IMAGE ...] "cups"`: how many are there, with a point on each?"""

from __future__ import annotations

import argparse

from molmo_ros.cli.query import add_options, add_pictures, add_words, check_words, run_query


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "count", help="count things in a picture, or in several", description=__doc__
    )
    add_pictures(parser)
    add_words(parser, "LABEL", 'what to count, in the plural, such as "cups"')
    add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_words(args)
    return run_query(args, "count", args.words)

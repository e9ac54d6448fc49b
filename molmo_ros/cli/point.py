"""`molmo-ros point IMAGE [IMAGE ...] "red cube"`: where is it, in pixels of its picture?"""

from __future__ import annotations

import argparse

from molmo_ros.cli.query import add_options, add_pictures, add_words, check_words, positive_int, run_query


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "point", help="point at a thing in a picture, or in several", description=__doc__
    )
    add_pictures(parser)
    add_words(parser, "LABEL", 'what to point at, such as "red cube"')
    add_options(parser)
    parser.add_argument("--max-points", type=positive_int, metavar="N", help="stop after N points")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    check_words(args)
    return run_query(args, "point", args.words, args.max_points)

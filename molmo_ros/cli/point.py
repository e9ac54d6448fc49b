"""`molmo-ros point IMAGE "red cube"`: where is it, in pixels of the picture?"""

from __future__ import annotations

import argparse

from molmo_ros.cli.query import add_options, positive_int, run_query


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser("point", help="point at a thing in a picture", description=__doc__)
    add_options(parser)
    parser.add_argument("label", metavar="LABEL", help='what to point at, such as "red cube"')
    parser.add_argument("--max-points", type=positive_int, metavar="N", help="stop after N points")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    return run_query(args, "point", args.label, args.max_points)

"""`molmo-ros describe IMAGE [IMAGE ...]`: what is to be seen, in the words the models were trained on."""

from __future__ import annotations

import argparse

from molmo_ros.cli.query import add_options, add_pictures, run_query


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser("describe", help="describe a picture, or several", description=__doc__)
    add_pictures(parser)
    add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    return run_query(args, "describe")

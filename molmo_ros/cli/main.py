"""`molmo-ros`: point, ask, count and describe in picture files, query recorded bags, list, fetch and build models,
compare with reference vectors.

Exit codes: 0 the model answered (found, not found, or a text), 2 bad input (a file, a query, a model folder),
1 anything else (an answer that cannot be read, a time-out, a failed comparison), 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from molmo_ros.cli import ask, bag, build, count, describe, engines, fetch, models, parity, point

COMMANDS = (point, ask, count, describe, bag, models, fetch, build, engines, parity)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="molmo-ros", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code; the console script exits with it."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        print("molmo-ros: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe (head, less) went away; that is its right. Keep Python's exit flush quiet too.
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros`: point, ask, count and describe in picture files, score models on benchmarks, query recorded bags, label
many of them and data sets, list, fetch and build models, serve a model to others, compare with reference vectors.

Exit codes: 0 the model answered (found, not found, or a text), 2 bad input (a file, a query, a model folder),
1 anything else (an answer that cannot be read, a time-out, a failed comparison, output that cannot be written),
130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NoReturn

from molmo_ros.cli.command_process import CommandProcess, lines_of_the_log, restore_interrupts, write_error
from molmo_ros.cli.printable import complain, printable
from molmo_ros.molmo.errors import MissingLibraryError

COMMANDS = (
    "picture_query",
    "eval",
    "bag",
    "label",
    "models",
    "fetch",
    "build",
    "engines",
    "parity",
    "serve",
)
"""Modules of this folder, in the order of their subcommands; imported when the process is ready to be interrupted."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in characters that a terminal may show, and if help cannot be written."""

    def print_help(self, file: Any = None) -> None:
        (file or sys.stdout).write(self.format_help())

    def error(self, message: str) -> NoReturn:
        super().error(printable(message, lines=True))


def build_parser() -> argparse.ArgumentParser:
    from importlib import import_module

    parser = Parser(
        prog="molmo-ros", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in COMMANDS:
        import_module(f"molmo_ros.cli.{module}").add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code; the console script exits with it.

    Args:
        argv: Its arguments; None: those of this process, whose signals and streams then belong to the command.
    """
    with ExitStack() as stack:
        restore_interrupts()
        own = stack.enter_context(CommandProcess()) if argv is None else None
        stack.enter_context(lines_of_the_log())
        try:
            code = _run(argv, own)
        except SystemExit as exit_:  # argparse: the arguments are wrong, or help was asked for
            if own is None:
                raise
            code = exit_.code if isinstance(exit_.code, int) else 2
        except BaseException as error:
            code = _failed(error, own)
        return code if own is None else own.finish(code)


def _run(argv: Sequence[str] | None, own: CommandProcess | None) -> int:
    args: Any = build_parser().parse_args(argv)
    if own is not None:
        own.started()
    return int(args.run(args))


def _failed(error: BaseException, own: CommandProcess | None) -> int:
    """The exit code of a command that raised; what nobody foresaw is raised on.

    An interrupt may come out of an import as any error, which then says that the library is broken.
    """
    if isinstance(error, KeyboardInterrupt) or (own is not None and own.interrupted):
        complain("interrupted")
        return 130
    if isinstance(error, BrokenPipeError):  # the reader of a pipe (head, less) went away; that is its right
        if own is not None:
            own.discard_output()
        return 0
    if isinstance(error, OSError):
        if own is not None:
            own.discard_output()
        complain(write_error(error))
        return 1
    if isinstance(error, ModuleNotFoundError) and error.name in MissingLibraryError.LIBRARIES:
        complain(MissingLibraryError(error.name))
        return 1
    raise error


if __name__ == "__main__":
    sys.exit(main())

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Arguments that several commands have, and the types of others."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molmo_ros.engine.runtime_table import ENGINES, HIDDEN, REMOTE
from molmo_ros.molmo.dtypes import DTYPE_BYTES
from molmo_ros.molmo.families.table import FAMILIES

if TYPE_CHECKING:
    from molmo_ros.engine.open_model import LocalChoice


def given_path(text: str) -> Path:
    """For argparse: a path, and not the working directory where a variable of a script was empty.

    Raises:
        argparse.ArgumentTypeError: The text is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path; the working directory is .")
    return Path(text)


def positive_number(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def number_from_zero(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return value


def positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return value


class Listed(list[str]):
    """Choices of which help and errors show only some."""

    def __init__(self, shown: Iterable[str], hidden: Iterable[str]) -> None:
        super().__init__(shown)
        self._hidden = frozenset(hidden)

    def __contains__(self, value: object) -> bool:
        return super().__contains__(value) or value in self._hidden


def add_model_options(parser: argparse.ArgumentParser, remote: bool = False) -> None:
    """What is loaded, and what runs it.

    Args:
        parser: The command's.
        remote: Whether that may be a server, with the options that go with one.
    """
    parser.add_argument(
        "--model",
        default="tiny",
        help="tiny, the name of a fetched model, or the folder of a Hugging Face checkpoint (default: tiny)",
    )
    parser.add_argument("--device", default="cpu", help="torch device: cpu, cuda, cuda:1 (default: cpu)")
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=list(DTYPE_BYTES),
        help="of torch's weights and activations; an engine has its own (default: float32)",
    )
    parser.add_argument(
        "--engine",
        default="auto",
        choices=Listed([name for name in ENGINES if remote or name != REMOTE], HIDDEN),
        help=f"what runs the model: torch, or an engine of `molmo-ros build`{', or remote, a server' * remote}; "
        "auto is onnxruntime for a small model in float32 on the CPU, else torch (default: auto)",
    )
    parser.add_argument(
        "--engine-path",
        metavar="ENGINE",
        help="folder or name of the engine (default: the newest that was built for this model)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="threads of the CPU that the model computes with (default: all cores, or OMP_NUM_THREADS)",
    )
    if remote:
        _add_server_options(parser)


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    """What goes with `--engine remote`; the node's parameters of the same names say more."""
    group = parser.add_argument_group("with --engine remote")
    group.add_argument(
        "--server",
        default="",
        metavar="URL",
        help="the server's address, such as http://192.168.1.20:8000; its key comes from MOLMO_ROS_SERVER_KEY",
    )
    group.add_argument(
        "--server-model",
        default="",
        metavar="NAME",
        help="what the server calls the model (default: its only one)",
    )
    group.add_argument(
        "--server-family",
        default="",
        choices=("", *FAMILIES),
        metavar="FAMILY",
        help=f"in whose words it is asked: {', '.join(FAMILIES)} (default: by its name)",
    )
    group.add_argument(
        "--server-certificate",
        default="",
        metavar="PEM",
        help="what the server's certificate is signed by, for https",
    )
    group.add_argument(
        "--server-patience",
        type=positive_number,
        default=10.0,
        metavar="S",
        help="how long the server may say nothing (default: 10)",
    )
    group.add_argument(
        "--server-jpeg-quality",
        type=int,
        default=0,
        metavar="Q",
        help="send the picture as JPEG of this quality, 1 to 100 (default: 0, as PNG)",
    )
    group.add_argument(
        "--fallback-model",
        default="",
        metavar="MODEL",
        help="the model that answers here while the server is away",
    )
    group.add_argument(
        "--fallback-engine",
        default="auto",
        choices=[name for name in ENGINES if name != REMOTE],
        metavar="ENGINE",
        help="what runs that (default: auto)",
    )


def server_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """What was given of the options of engine remote, by name."""
    return {name: value for name, value in vars(args).items() if name.startswith(("server", "fallback_"))}


def local_choice(args: argparse.Namespace) -> LocalChoice:
    """The model of this machine that the options of `add_model_options` name; imports no torch."""
    from molmo_ros.engine.open_model import LocalChoice

    return LocalChoice(
        args.model,
        args.engine,
        args.engine_path,
        args.device,
        args.dtype,
        args.threads,
        getattr(args, "max_crops", None),
        getattr(args, "latency", None),
    )

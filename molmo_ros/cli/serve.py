# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""`molmo-ros serve`: a model behind an OpenAI-compatible endpoint, for several clients at once."""

from __future__ import annotations

import argparse
import importlib.util
import os
from pathlib import Path
from typing import Any

from molmo_ros.cli.arguments import add_model_options, given_path, local_choice, positive_int, positive_number
from molmo_ros.cli.printable import complain, say
from molmo_ros.molmo.errors import MolmoError

NEEDS = ("starlette", "uvicorn", "prometheus_client")
"""The extra `serve`."""
TOKEN_VARIABLE = "MOLMO_ROS_SERVE_TOKEN"
LEAST_TOKEN = 8
MEBI = 1 << 20


def add_parser(subparsers: Any) -> None:
    """Adds this subcommand."""
    parser = subparsers.add_parser(
        "serve",
        help="serve a model to clients of OpenAI's interface",
        description="`molmo-ros serve --model molmo2-4b`: the model at http://127.0.0.1:8000/v1, for clients of "
        "OpenAI's interface (chat completions with images). docs/serve.md says what requests may hold, and where "
        f"points are in answers. A token is read from the environment variable {TOKEN_VARIABLE} or from a file.",
    )
    add_model_options(parser)
    parser.add_argument(
        "--name", help="what clients call the model (default: as --model, of a folder its name)"
    )
    parser.add_argument(
        "--max-crops", type=positive_int, metavar="N", help="cut each picture into at most N tiles"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=_port, default=8000, help="port to listen on, 0 for any (default: 8000)"
    )
    parser.add_argument(
        "--token-file", type=given_path, metavar="FILE", help="file with the token that clients must send"
    )
    parser.add_argument(
        "--allow-anyone",
        action="store_true",
        help="listen beyond this machine without a token: whoever reaches the port may ask",
    )
    parser.add_argument(
        "--max-waiting",
        type=positive_int,
        default=64,
        metavar="N",
        help="questions that may wait (default: 64)",
    )
    parser.add_argument(
        "--most-together",
        type=positive_int,
        default=32,
        metavar="N",
        help="questions about the same picture that are answered together (default: 32; 1: one at a time)",
    )
    parser.add_argument(
        "--time-limit",
        type=positive_number,
        default=120.0,
        metavar="S",
        help="longest time of a question, its waiting included (default: 120)",
    )
    parser.add_argument(
        "--max-body", type=positive_int, default=32, metavar="MIB", help="largest request (default: 32 MiB)"
    )
    parser.add_argument(
        "--max-pixels",
        type=positive_int,
        default=64,
        metavar="MP",
        help="millions of pixels that the pictures of a request may have together (default: 64)",
    )
    parser.add_argument(
        "--max-clients",
        type=positive_int,
        default=1000,
        metavar="N",
        help="connections at a time (default: 1000)",
    )
    parser.add_argument(
        "--client-timeout",
        type=positive_number,
        default=60.0,
        metavar="S",
        help="how long a client may take to send its request, or not read its answer (default: 60)",
    )
    parser.add_argument(
        "--image-memory",
        type=positive_int,
        default=1024,
        metavar="MIB",
        help="what encoded pictures may hold, so that they are not encoded again (default: 1024 MiB)",
    )
    parser.add_argument(
        "--system-message",
        choices=("refuse", "prepend"),
        default="refuse",
        help="what becomes of messages of the system, which the models were not trained with: refused, or put before "
        "the user's words (default: refuse)",
    )
    parser.add_argument(
        "--grace",
        type=positive_number,
        default=10.0,
        metavar="S",
        help="how long running answers may take when the server is told to end (default: 10)",
    )
    parser.set_defaults(run=run)


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; valid: 0 to 65535")
    return value


def run(args: argparse.Namespace) -> int:
    """Serves until it is told to end.

    Returns:
        The exit code, see `molmo_ros.cli.main`.
    """
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        complain(
            f"this Python has no {' and no '.join(missing)}, which `molmo-ros serve` needs: in the checkout, "
            "pip install '.[serve]'"
        )
        return 1
    from molmo_ros.molmo.catalog.model_store import checkpoint_folder
    from molmo_ros.server.access_gate import is_loopback
    from molmo_ros.server.chat_request import RequestBounds
    from molmo_ros.server.server_process import ServerSettings, serve

    try:
        checkpoint_folder(args.model)  # in a moment, where loading takes long to say that there is none
        token = read_token(args.token_file)
        if token is None and not args.allow_anyone and not is_loopback(args.host):
            raise MolmoError(
                f"--host {args.host} lets other machines ask: give a token (--token-file FILE, or {TOKEN_VARIABLE} in "
                "the environment), or say --allow-anyone"
            )
        settings = ServerSettings(
            name=args.name or served_name(args.model),
            host=args.host,
            port=args.port,
            token=token,
            body_bytes=args.max_body * MEBI,
            bodies_bytes=8 * args.max_body * MEBI,
            image_memory=args.image_memory * MEBI,
            waiting=args.max_waiting,
            together=args.most_together,
            connections=args.max_clients,
            upload_seconds=args.client_timeout,
            grace=args.grace,
            bounds=RequestBounds(
                args.max_pixels * 1_000_000,
                seconds=args.time_limit,
                prepend_system=args.system_message == "prepend",
            ),
        )
        return serve(settings, lambda: _load(args), say)
    except MolmoError as error:
        complain(error)
        return 2


def served_name(model: str) -> str:
    """What clients call a model: its name, or that of its folder, and no path of this machine."""
    return Path(model).resolve().name if "/" in model or model in (".", "..") else model


def read_token(path: Path | None) -> str | None:
    """The token of whoever may ask; None where there is none.

    Raises:
        MolmoError: The file cannot be read, or what is in it or in the environment is no token.
    """
    source = TOKEN_VARIABLE if path is None else str(path)
    if path is None:
        token = os.environ.get(TOKEN_VARIABLE)
        if token is None:
            return None
    else:
        try:
            token = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MolmoError(f"the token cannot be read from {path}: {error}") from error
    token = token.strip()
    # The value itself is never shown.
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise MolmoError(
            f"{source} holds no token: it must be at least {LEAST_TOKEN} printable ASCII characters without blanks, as "
            "of `openssl rand -hex 32`"
        )
    return token


def _load(args: argparse.Namespace) -> Any:
    """The model; imports torch, in the thread that will own it."""
    from molmo_ros.molmo.warm_up import warm_up

    molmo = local_choice(args).load()
    warm_up(molmo)
    return molmo

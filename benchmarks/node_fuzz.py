# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What a hostile peer does to the node: does it live, does it answer, and how much memory does it take?

    python -m benchmarks.node_fuzz [--seed 1] [--messages 20000] [--model instant] [--json FILE]

Messages, requests and goals with values at and beyond every edge, to all that the node listens to; see `hostile_peer`.
After every thousand the node must answer a service within a minute. Its parameters are what they were then, as the
peer sets those, too.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.hostile_peer import HostilePeer
from benchmarks.node_bench import NODE, Bench, metadata, print_row, report
from benchmarks.process_use import ProcessUse

BATCH = 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--model", default="instant", help="as of node_process (default: instant)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with Bench() as bench:
        bench.start_node(arguments.model)
        wait = Waiting(bench)
        names, values = wait.parameters()
        peer = HostilePeer(bench.node, NODE, arguments.seed, names)
        while sum(peer.sent.values()) < arguments.messages:
            began, sent = time.monotonic(), sum(peer.sent.values())
            while sum(peer.sent.values()) < sent + BATCH:
                peer.step()
                time.sleep(0.0005)
            deadline = time.monotonic() + 60
            while peer.pending and time.monotonic() < deadline:
                time.sleep(0.01)
            unanswered = peer.pending
            peer.forget()
            wait.restore(names, values)
            use = ProcessUse.of(bench.node_pid)
            rows.append(
                {
                    "sent": sum(peer.sent.values()),
                    "answered": peer.answered,
                    "unanswered": unanswered,
                    "memory_mb": use.rss,
                    "threads": use.threads,
                    "per_s": BATCH / (time.monotonic() - began),
                    "still_answers": wait.answers(),
                }
            )
            print_row(rows[-1], first=len(rows) == 1)
    report({**metadata("node_fuzz", vars(arguments) | {"json": None}), "rows": rows}, arguments.json)
    return 0 if all(row["still_answers"] for row in rows) else 1


class Waiting:
    """Requests of a peer that is in its right mind, and waits for the response."""

    def __init__(self, bench: Bench) -> None:
        from molmo_msgs.srv import Ask
        from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters

        self._bench, self._clients = bench, {}
        kinds = {
            "list_parameters": ListParameters,
            "get_parameters": GetParameters,
            "set_parameters": SetParameters,
            "ask": Ask,
        }
        for name, kind in kinds.items():
            self._clients[name] = kind, bench.node.create_client(kind, f"{NODE}/{name}")
        bench.wait(
            lambda: all(client.service_is_ready() for _, client in self._clients.values()), "no services"
        )

    def parameters(self) -> tuple[list[str], list[Any]]:
        """Names and values of all of the node's parameters."""
        names = self._call("list_parameters").result.names
        return names, self._call("get_parameters", names=names).values

    def restore(self, names: list[str], values: list[Any]) -> None:
        """Set all of them, as far as they may be set."""
        from rcl_interfaces.msg import Parameter

        kept = [Parameter(name=name, value=value) for name, value in zip(names, values, strict=True)]
        self._call("set_parameters", parameters=kept)

    def answers(self) -> bool:
        """Whether a service that goes through the queue has an outcome."""
        return bool(self._call("ask", question="what is there?").result.status)

    def _call(self, name: str, **request: Any) -> Any:
        kind, client = self._clients[name]
        return self._bench.result(client.call_async(kind.Request(**request)))


if __name__ == "__main__":
    sys.exit(main())

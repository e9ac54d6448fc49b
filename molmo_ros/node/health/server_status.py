# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What `/diagnostics` says about the server of engine remote."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus

from molmo_ros.remote.server_state import ServerState

STATES = {True: "up", False: "down", None: "unknown"}


def server_level(state: ServerState) -> bytes:
    """How bad it is."""
    if state.up is not False:
        return bytes(DiagnosticStatus.OK)
    return bytes(DiagnosticStatus.WARN if state.fallback else DiagnosticStatus.ERROR)


def server_message(state: ServerState) -> str:
    """In one sentence."""
    if state.up is not False:
        return f"{STATES[state.up]}, {state.model}" if state.model else STATES[state.up]
    return f"{state.fallback} answers: {state.reason}" if state.fallback else state.reason


def server_values(state: ServerState) -> dict[str, str]:
    """Keys and values; a time that is not known is `nan`."""
    return {
        "server": state.address,
        "server_model": state.model,
        "server_state": STATES[state.up],
        "server_reason": state.reason,
        "server_state_age_s": f"{state.since:.1f}",
        "server_answers": str(state.answers),
        "server_failures": str(state.failures),
        "server_first_median_ms": _milliseconds(state.first_ms),
        "server_total_median_ms": _milliseconds(state.total_ms),
        "fallback": state.fallback,
        "fallback_answers": str(state.fallback_answers),
    }


def _milliseconds(value: float | None) -> str:
    return f"{float('nan') if value is None else value:.1f}"

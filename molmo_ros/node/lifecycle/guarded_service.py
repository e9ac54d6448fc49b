# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Services that answer whatever is asked: what their callback raises, and requests that name too much, are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from molmo_msgs.msg import ObjectPointArray
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters

MOST_NAMES = 1000
"""Longest list of a request. The node has a few dozen parameters, and describing each of many takes memory."""
LONGEST_REASON = 500
"""Longer reasons, which may hold what was sent, are cut [characters]."""

Callback = Callable[[Any, Any], Any]


def guarded(kind: Any, callback: Callback, on_error: Callable[[Exception], str]) -> Callback:
    """The callback of a service, made to answer always.

    Args:
        kind: The service's type.
        callback: As rclpy calls it, with a request and an empty response.
        on_error: Called with what it raised; returns the reason to answer with.
    """

    def answer(request: Any, response: Any) -> Any:
        if reason := _too_long(request):
            return refusal(kind, request, reason)
        try:
            return _shortened(callback(request, response))
        except Exception as error:
            return refusal(kind, request, on_error(error))

    def answer_each(request: Any, response: Any) -> Any:
        """Of parameters that are set one by one, one that is wrong says nothing about the others."""
        if reason := _too_long(request):
            return refusal(kind, request, reason)
        for parameter in request.parameters:
            response.results += answer(kind.Request(parameters=[parameter]), kind.Response()).results
        return response

    return answer_each if kind is SetParameters else answer


def refusal(kind: Any, request: Any, reason: str) -> Any:
    """The response that says no, with the reason where its type has room for one."""
    response, reason = kind.Response(), reason[:LONGEST_REASON]
    if kind is SetParameters:
        refused = SetParametersResult(successful=False, reason=reason)
        response.results = [refused] * len(request.parameters)
    elif isinstance(result := getattr(response, "result", None), SetParametersResult):
        result.reason = reason
    elif isinstance(result, ObjectPointArray):
        result.status, result.reason = ObjectPointArray.ERROR, reason
    return response


def _shortened(response: Any) -> Any:
    """A response about parameters, whose reasons repeat names and values that may be long."""
    for result in [getattr(response, "result", None), *getattr(response, "results", ())]:
        if isinstance(result, SetParametersResult):
            result.reason = result.reason[:LONGEST_REASON]
    return response


def _too_long(request: Any) -> str:
    """Which of a request's lists is too long; empty where none is."""
    for name in request.get_fields_and_field_types():
        size = len(value) if isinstance(value := getattr(request, name), list) else 0
        if size > MOST_NAMES:
            return f"{size} {name} in one request, at most {MOST_NAMES} are answered"
    return ""

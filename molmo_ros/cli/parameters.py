# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The node's parameters as options of a command: name, type and range are read from their declaration."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from molmo_ros.node.parameters.declaration import PARAMETERS, SPECS, first_error
from molmo_ros.node.parameters.parameter_spec import ParameterSpec

WORDS = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}


def add_parameter_options(parser: argparse.ArgumentParser, without: Mapping[str, str]) -> None:
    """An option for each parameter that the command has none for yet, and `--set NAME=VALUE` for the same.

    Args:
        parser: The command's, with its own options.
        without: Parameters that it does not take, and why not.
    """
    without = dict(without)
    group = parser.add_argument_group("parameters of the node", "as docs/parameters.md describes them")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        type=_assignment(without),
        metavar="NAME=VALUE",
        dest="parameters",
        help="the same by the parameter's name, as in camera_matrix=[600,600,320,240]; repeatable",
    )
    for spec in PARAMETERS:
        if spec.name not in without:
            try:
                _add_option(group, spec)
            except argparse.ArgumentError:
                without[spec.name] = f"--{spec.name.replace('_', '-')} is the command's own option for it"


def given_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Parameter by name, of those that were given."""
    return dict(args.parameters)


def _add_option(group: Any, spec: ParameterSpec) -> None:
    option, help_ = f"--{spec.name.replace('_', '-')}", spec.description.replace("`", "").replace("%", "%%")
    common: dict[str, Any] = {"dest": "parameters", "help": f"{help_} (default: {_shown(spec.default)})"}
    if isinstance(spec.default, bool):
        group.add_argument(option, f"--no-{option[2:]}", action=_Flag, spec=spec, nargs=0, **common)
    else:
        count = len(spec.default) if isinstance(spec.default, tuple) else None
        group.add_argument(option, action=_Value, spec=spec, nargs=count, metavar=_metavar(spec), **common)


class _Value(argparse.Action):
    """Adds (name, value) where the declaration accepts it."""

    def __init__(self, option_strings: Any, dest: str, *, spec: ParameterSpec, **options: Any) -> None:
        super().__init__(option_strings, dest, default=[], **options)
        self.spec = spec

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        text = ",".join(values) if isinstance(values, list) else values
        try:
            self.add(namespace, _checked(self.spec, text))
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from error

    def add(self, namespace: argparse.Namespace, value: Any) -> None:
        namespace.parameters = [*namespace.parameters, (self.spec.name, value)]


class _Flag(_Value):
    """`--name` switches on, `--no-name` off."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        self.add(namespace, not str(option_string).startswith("--no-"))


def _assignment(without: Mapping[str, str]) -> Callable[[str], tuple[str, Any]]:
    """Reads NAME=VALUE; `without` is looked at when it does."""

    def read(text: str) -> tuple[str, Any]:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or name not in SPECS or name in without:
            known = ", ".join(one for one in SPECS if one not in without)
            why = f"{name}: {without[name]}" if name in without else f"{text!r} is not NAME=VALUE"
            raise argparse.ArgumentTypeError(f"{why}; parameters: {known}")
        return name, _checked(SPECS[name], value.strip())

    return read


def _checked(spec: ParameterSpec, text: str) -> Any:
    """The value that a text stands for.

    Raises:
        argparse.ArgumentTypeError: The declaration does not accept it.
    """
    try:
        value = _value(spec, text)
    except ValueError:
        value = text  # refused below, in the words of the declaration
    if error := first_error([(spec.name, value)]):
        raise argparse.ArgumentTypeError(error)
    return value


def _value(spec: ParameterSpec, text: str) -> Any:
    if isinstance(spec.default, tuple):
        parts = [part.strip() for part in text.strip("[]() ").split(",")]
        return parts if isinstance(spec.default[0], str) else [float(part) for part in parts]
    if isinstance(spec.default, bool):
        return WORDS.get(text.lower(), text)
    return type(spec.default)(text)


def _metavar(spec: ParameterSpec) -> Any:
    if isinstance(spec.default, tuple):
        return tuple(f"N{number}" for number in range(1, len(spec.default) + 1))
    return {"integer": "N", "double": "X"}.get(spec.type_name, "TEXT")


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return {True: "on", False: "off"}[default] if isinstance(default, bool) else str(default) or "none"

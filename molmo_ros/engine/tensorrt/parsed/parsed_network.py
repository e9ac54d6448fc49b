# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""A parsed network as plain data: what TensorRT holds, whatever graph it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from molmo_ros.engine.errors import EngineError


@dataclass(frozen=True)
class ParsedTensor:
    """A value of a network.

    Attributes:
        name: Of one value only.
        type: TensorRT's name of its type, such as "BF16".
        shape: -1 for sizes that change from pass to pass.
    """

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ParsedLayer:
    """A layer.

    Attributes:
        kind: TensorRT's name of its type, such as "SHUFFLE".
        name: As the parser calls it.
        inputs: None for those that are left out.
        outputs: At least one.
        attributes: By TensorRT's names; types and operations by their names, sizes as tuples.
    """

    kind: str
    name: str
    inputs: tuple[ParsedTensor | None, ...]
    outputs: tuple[ParsedTensor, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"layer {self.name!r} ({self.kind})"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of all values that it reads."""
        return tuple(one.name for one in self.inputs if one is not None)


@dataclass(frozen=True)
class ParsedNetwork:
    """All of a network.

    Attributes:
        inputs: What goes in.
        outputs: What comes out.
        layers: In TensorRT's order, which is not always one in which they can be computed.
    """

    inputs: tuple[ParsedTensor, ...]
    outputs: tuple[ParsedTensor, ...]
    layers: tuple[ParsedLayer, ...]

    def aliases(self) -> dict[str, str]:
        """The outputs that are the memory of an input: caches that are updated where they lie.

        Raises:
            EngineError: What is updated is no input, or its update no output; or another layer reads a cache as it was
                before its update: the memory holds the new one by then.
        """
        found = {}
        ins, outs = ({one.name for one in some} for some in (self.inputs, self.outputs))
        for layer in self.layers:
            if layer.kind != "KV_CACHE_UPDATE":
                continue
            past, present = layer.needs[0], layer.outputs[0].name
            if past not in ins or present not in outs:
                raise EngineError(
                    f"{layer} updates {past} into {present}; they must be an input and an output"
                )
            for other in self.layers:
                if other is not layer and past in other.needs:
                    raise EngineError(
                        f"{other} reads {past} beside {layer}, which updates it in place: after the update it is not "
                        "what the graph means"
                    )
            found[present] = past
        return found

    def needed(self, wanted: Iterable[str], given: Iterable[str]) -> list[ParsedLayer]:
        """The layers that some values need, each after those that it reads.

        Args:
            wanted: Names of values.
            given: Names of values that are there already.

        Raises:
            EngineError: No layer makes a value, two make it, or it needs itself.
        """
        makers: dict[str, ParsedLayer] = {}
        for layer in self.layers:
            for output in layer.outputs:
                if makers.setdefault(output.name, layer) is not layer:
                    raise EngineError(f"{makers[output.name]} and {layer} both make the value {output.name}")
        order: list[ParsedLayer] = []
        done, open_ = set(given), set[str]()
        stack = [(name, False) for name in reversed(list(wanted))]
        while stack:
            name, closing = stack.pop()
            if name in done:
                continue
            if name not in makers:
                raise EngineError(f"no layer of the parsed network makes the value {name}")
            maker = makers[name]
            if closing:
                open_.discard(name)
                done.update(output.name for output in maker.outputs)
                order.append(maker)
            elif name in open_:
                raise EngineError(f"{maker} needs its own output {name}")
            else:
                open_.add(name)
                stack.append((name, True))
                stack += [(one, False) for one in reversed(maker.needs)]
        return order

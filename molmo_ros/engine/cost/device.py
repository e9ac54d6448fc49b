# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Devices as their data sheets have them: memory, its bandwidth, and the tensor cores' rates.

The rates are of dense products that are summed up in float32: SMs times clock times what an SM does in a cycle. GeForce
cards sum at half the rate of Jetsons' and servers' tensor cores; sparse rates and those of float16 sums, which
advertisements give, are two to four times as high. `docs/costs.md` has the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from molmo_ros.engine.errors import UnsupportedBuildError

GB = 1e9
ORIN = "Jetson Orin series data sheets and technical brief: 170 sparse INT8 TOPS of the AGX Orin's GPU"
THOR = "Jetson Thor series data sheet: 2070 and 1200 sparse FP4 TFLOPS"
AMPERE = "Ampere GA102 architecture paper, appendix A, and the card's product page"
ADA = "Ada architecture paper, appendix A, and the card's product page"
BLACKWELL = "RTX Blackwell architecture paper, appendix A, and the card's product page"
SIXTEEN = "16 bit"
PER_CYCLE: dict[tuple[int, int], dict[str, int]] = {
    (8, 6): {SIXTEEN: 512, "int8": 2048},
    (8, 7): {SIXTEEN: 2048, "int8": 4096},
    (8, 9): {SIXTEEN: 512, "int8": 2048, "fp8": 1024},
    (11, 0): {SIXTEEN: 8192, "fp8": 16384},  # the data sheet has no int8
    (12, 0): {SIXTEEN: 512, "int8": 2048, "fp8": 1024},
}
"""Operations of one SM in a cycle, a multiplication and an addition being two, by compute capability and inputs."""
SYSTEM_MEMORY, SCREEN_MEMORY = 2.5 * GB, 0.5 * GB
"""What is taken to be left to others [bytes]: a Jetson's memory is the system's too, a card's the screen's."""


@dataclass(frozen=True)
class Device:
    """One device.

    Attributes:
        name: As on the command line.
        title: For people.
        capability: Compute capability (major, minor).
        memory: [bytes].
        bandwidth: Of that memory [bytes/s].
        sms: Streaming multiprocessors.
        clock: Their highest, of cards the boost clock [Hz].
        shared: Whether the memory is the system's.
        source: Where these figures are from.
    """

    name: str
    title: str
    capability: tuple[int, int]
    memory: float
    bandwidth: float
    sms: int
    clock: float
    shared: bool
    source: str

    def rate(self, inputs: str) -> float:
        """Operations in a second of products with such inputs, a key of `PER_CYCLE`; 16 bit's where it is not there."""
        rates = PER_CYCLE[self.capability]
        return self.sms * self.clock * rates.get(inputs, rates[SIXTEEN])

    @property
    def usable(self) -> float:
        """Memory that a model may have [bytes]."""
        return self.memory - (SYSTEM_MEMORY if self.shared else SCREEN_MEMORY)


def _jetson(
    name: str, title: str, capability: tuple[int, int], gb: int, gb_s: float, sms: int, mhz: float
) -> Device:
    source = ORIN if capability == (8, 7) else THOR
    return Device(name, title, capability, gb * GB, gb_s * GB, sms, mhz * 1e6, True, source)


def _card(name: str, capability: tuple[int, int], gb: int, gb_s: float, sms: int, mhz: float) -> Device:
    source = {(8, 6): AMPERE, (8, 9): ADA}.get(capability, BLACKWELL)
    title = f"GeForce RTX {name.removeprefix('rtx')} {gb} GB"
    return Device(name, title, capability, gb * GB, gb_s * GB, sms, mhz * 1e6, False, source)


DEVICES = {
    one.name: one
    for one in (
        _jetson("orin-nano", "Jetson Orin Nano Super 8 GB", (8, 7), 8, 102, 8, 1020),
        _jetson("orin-nx-16", "Jetson Orin NX 16 GB (MAXN_SUPER)", (8, 7), 16, 102.4, 8, 1173),
        _jetson("agx-orin-32", "Jetson AGX Orin 32 GB", (8, 7), 32, 204.8, 14, 930),
        _jetson("agx-orin", "Jetson AGX Orin 64 GB", (8, 7), 64, 204.8, 16, 1300),
        _jetson("thor-t4000", "Jetson T4000 64 GB", (11, 0), 64, 273, 12, 1530),
        _jetson("thor", "Jetson AGX Thor 128 GB (T5000)", (11, 0), 128, 273, 20, 1575),
        _card("rtx3060", (8, 6), 12, 360, 28, 1777),
        _card("rtx3080", (8, 6), 10, 760, 68, 1710),
        _card("rtx3090", (8, 6), 24, 936, 82, 1695),
        _card("rtx4060", (8, 9), 8, 272, 24, 2460),
        _card("rtx4070", (8, 9), 12, 504, 46, 2475),
        _card("rtx4080", (8, 9), 16, 716.8, 76, 2505),
        _card("rtx4090", (8, 9), 24, 1008, 128, 2520),
        _card("rtx5060", (12, 0), 8, 448, 30, 2497),
        _card("rtx5070", (12, 0), 12, 672, 48, 2512),
        _card("rtx5080", (12, 0), 16, 960, 84, 2617),
        _card("rtx5090", (12, 0), 32, 1792, 170, 2407),
    )
}


def find_device(name: str) -> Device:
    """A device by name, however it is spaced: "rtx3060", "RTX 3060", "AGX Orin".

    Raises:
        UnsupportedBuildError: There is none; the message lists the names.
    """
    wanted = _plain(name)
    for device in DEVICES.values():
        if _plain(device.name) == wanted:
            return device
    raise UnsupportedBuildError(f"device {name!r:.80} is not known; it must be one of {', '.join(DEVICES)}")


def devices_of(capability: tuple[int, int]) -> list[Device]:
    """Those that an engine for one compute capability runs on."""
    return [device for device in DEVICES.values() if device.capability == capability]


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())

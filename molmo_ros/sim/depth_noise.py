# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""What depth cameras make of exact depth: noise, steps, holes and pixels that fly, by the way they measure.

Each model takes exact depth and gives what such a camera would measure. All are functions of an image float32 [h, w]
along the optical axis [m] with NaN without depth, its focal length [px] and a generator of random numbers; what they
give is uint16 [mm] with 0 for a hole, as drivers publish it (REP-118).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

GAUSSIAN_M = 0.001
STEREO_BASELINE_M = 0.050
"""Of a RealSense D435."""
STEREO_NOISE_PX = 0.08
"""Noise of the disparity that Intel gives for textured surfaces."""
STEREO_STEP_PX = 1 / 32
STEREO_WINDOW_PX = 7
"""Pixels that share a matching window share their noise."""
LIGHT_BASELINE_M = 0.075
"""Between projector and camera of a Kinect."""
LIGHT_STEPS = 351.3
"""Steps of disparity per inverse metre [m]."""
LIGHT_NOISE_STEPS = 1 / 6
LIGHT_SHIFT_PX = 0.5
FLIGHT_MODULATION_HZ = 80e6
LIGHT_SPEED = 299_792_458.0
FLIGHT_NOISE_M = 0.0015
"""At 1 m."""
FLIGHT_FOOTPRINT_PX = 0.7
FLIGHT_INDIRECT = 0.04
"""Light that comes by way of the surroundings, as a share of what comes straight."""
FLIGHT_SURROUNDINGS_PX = 12.0
FLIGHT_DETOUR_M = 0.06
FLIGHT_LEAST_CONTRAST = 0.35
NOWHERE_M = 1e6
EDGE_RATIO = 0.015

DepthModel = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def gaussian(depth: np.ndarray, focal: float, rng: np.random.Generator) -> np.ndarray:
    """Independent noise of 1 mm and nothing else: no real camera."""
    return _millimetres(depth + rng.normal(0, GAUSSIAN_M, depth.shape))


def stereo(depth: np.ndarray, focal: float, rng: np.random.Generator) -> np.ndarray:
    """Active stereo: noise and steps in disparity f b / z, so that sigma_z = z^2 sigma_d / (f b).

    The formula, the noise and the steps of the disparity: Grunnet-Jepsen, Sweetser and Woodfill, "Tuning depth cameras
    for best performance", and Grunnet-Jepsen et al., "Subpixel linearity improvement", both by Intel.
    What only one imager sees is a hole beside each edge; a pixel at an edge lies anywhere between both surfaces, as
    the matching window holds both.
    """
    fb = focal * STEREO_BASELINE_M
    flown = _flying(depth, rng, share=0.35)
    disparity = fb / flown
    noise = cv2.GaussianBlur(rng.normal(0, 1, depth.shape), (0, 0), STEREO_WINDOW_PX / 4)
    disparity += STEREO_NOISE_PX * noise / noise.std()
    disparity = np.round(disparity / STEREO_STEP_PX) * STEREO_STEP_PX
    measured = fb / np.maximum(disparity, STEREO_STEP_PX)
    measured[_hidden(depth, fb)] = np.nan
    measured[rng.random(depth.shape) < 0.001] = np.nan
    return _millimetres(measured)


def structured_light(depth: np.ndarray, focal: float, rng: np.random.Generator) -> np.ndarray:
    """A projected pattern: z = 35130 / round(35130 / z(u + n) + noise), with z in centimetres.

    The model is of Barron and Malik 2013, "Intrinsic scene properties from a single RGB-D image", and of Handa et al.
    2014, "A benchmark for RGB-D visual odometry, 3D reconstruction and SLAM"; the growth of the noise with z^2 was
    measured by Khoshelham and Elberink 2012, "Accuracy and resolution of Kinect depth data". Where the projector does
    not reach there is a hole.
    """
    height, width = depth.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    shift = LIGHT_SHIFT_PX * rng.normal(size=(2, height, width))
    u = np.clip(np.rint(columns + shift[0]), 0, width - 1).astype(int)
    v = np.clip(np.rint(rows + shift[1]), 0, height - 1).astype(int)
    steps = LIGHT_STEPS / depth[v, u] + rng.normal(0, LIGHT_NOISE_STEPS, depth.shape)
    measured = LIGHT_STEPS / np.maximum(np.round(steps), 1)
    measured[_hidden(depth, focal * LIGHT_BASELINE_M)] = np.nan
    return _millimetres(measured)


def time_of_flight(depth: np.ndarray, focal: float, rng: np.random.Generator) -> np.ndarray:
    """Phase of modulated light: z = c phase / (4 pi f).

    A pixel at an edge adds the light of both surfaces, whose phase lies between (flying pixels), and light that comes
    by way of the surroundings makes corners deeper: Jimenez et al. 2014, "Modeling and correction of multipath
    interference in time of flight cameras"; Hansard et al. 2012, "Time-of-flight cameras", for both. Received light
    falls with z^2, and the noise grows as it falls. Pixels in which two surfaces cancel are holes.
    """
    turns = 4 * np.pi * FLIGHT_MODULATION_HZ / LIGHT_SPEED
    seen = np.isfinite(depth)
    z = np.where(seen, depth, 1.0).astype(np.float64)
    amplitude = seen / z**2
    straight = amplitude * np.exp(1j * turns * z)
    straight = _blurred(straight, FLIGHT_FOOTPRINT_PX)
    around = _blurred(amplitude * np.exp(1j * turns * (z + FLIGHT_DETOUR_M)), FLIGHT_SURROUNDINGS_PX)
    light = straight + FLIGHT_INDIRECT * around
    # The phase is told against the exact depth, so that it does not wrap.
    phase = np.angle(light * np.exp(-1j * turns * z))
    measured = z + phase / turns + rng.normal(0, FLIGHT_NOISE_M, z.shape) * z
    mixed = np.abs(straight) < FLIGHT_LEAST_CONTRAST * _blurred(amplitude + 0j, FLIGHT_FOOTPRINT_PX).real
    measured[~seen | mixed] = np.nan
    return _millimetres(measured)


DEPTH_MODELS: dict[str, DepthModel] = {
    "gaussian": gaussian,
    "stereo": stereo,
    "structured light": structured_light,
    "time of flight": time_of_flight,
}
"""By the name that benchmarks and tests give."""


def _millimetres(depth: np.ndarray) -> np.ndarray:
    """uint16 [mm], 0 where there is none or more than fits."""
    with np.errstate(invalid="ignore"):
        rounded = np.rint(depth * 1000)
        return np.where((rounded > 0) & (rounded < 65536), rounded, 0).astype(np.uint16)


def _flying(depth: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Depth in which a share of the pixels beside jumps lie somewhere between the two surfaces."""
    square = np.ones((3, 3), np.uint8)
    seen = np.isfinite(depth)
    far = cv2.dilate(np.where(seen, depth, 0).astype(np.float32), square)
    near = cv2.erode(np.where(seen, depth, NOWHERE_M).astype(np.float32), square)
    flies = (far > near * (1 + EDGE_RATIO)) & seen & (rng.random(depth.shape) < share)
    between = near + rng.random(depth.shape) * (far - near)
    return np.where(flies, between, depth).astype(np.float64)


def _hidden(depth: np.ndarray, fb: float) -> np.ndarray:
    """bool [h, w]: what a second eye, to the right by the baseline, does not see behind something nearer.

    A pixel u of disparity d appears there at u - d; it is hidden by one further right that appears left of it.
    """
    places = np.arange(depth.shape[1]) - fb / np.where(np.isfinite(depth), depth, np.inf)
    leftmost = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]
    hidden = np.zeros(depth.shape, bool)
    hidden[:, :-1] = places[:, :-1] > leftmost[:, 1:] + 0.5
    return hidden


def _blurred(light: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(light.real, (0, 0), sigma) + 1j * cv2.GaussianBlur(light.imag, (0, 0), sigma)

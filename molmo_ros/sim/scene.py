# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""Random tabletop scenes: objects dropped on a table, settled by physics, seen by one camera."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np

from molmo_ros.sim.objects import COLORS, SHAPES, SceneObject, cone_mesh, make_object

MAX_OBJECTS = 7
SETTLE_STEPS = 120
ATTEMPTS = 60
SENSOR = (640, 480)
"""Width and height [px] of the camera whose intrinsics a scene draws."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the world frame (z up, table top at z = 0).

    Attributes:
        position: [3] optical centre in the world [m].
        world_from_optical: [3, 3] rotation; its columns are the optical frame's axes in the world (x right, y down, z
            forward; REP-103).
        fovy: Vertical field of view [rad].
        sensor: Width and height of the picture, whose pixels are square [px]; other sizes are stretched from it.
    """

    position: np.ndarray
    world_from_optical: np.ndarray
    fovy: float
    sensor: tuple[int, int] = SENSOR

    @classmethod
    def looking_at(
        cls,
        target: np.ndarray,
        azimuth: float,
        elevation: float,
        distance: float,
        roll: float,
        fovy: float,
        sensor: tuple[int, int] = SENSOR,
    ) -> Camera:
        """A camera that looks at a target [3] [m] from a direction [rad] and a distance [m], turned by a roll [rad]."""
        back = np.array(
            [
                math.cos(azimuth) * math.cos(elevation),
                math.sin(azimuth) * math.cos(elevation),
                math.sin(elevation),
            ]
        )
        forward = -back
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        right, down = (
            math.cos(roll) * right + math.sin(roll) * down,
            math.cos(roll) * down - math.sin(roll) * right,
        )
        return cls(target + distance * back, np.stack([right, down, forward], axis=1), fovy, sensor)

    def intrinsics(self, width: int, height: int) -> np.ndarray:
        """K [3, 3] for an image of that size; pixel indices at pixel centres, as in CameraInfo."""
        focal = self.sensor[1] / 2 / math.tan(self.fovy / 2)
        fx, fy = focal * width / self.sensor[0], focal * height / self.sensor[1]
        return np.array([[fx, 0, (width - 1) / 2], [0, fy, (height - 1) / 2], [0, 0, 1]])


@dataclass(frozen=True)
class Lighting:
    """How light becomes colour.

    Attributes:
        specular, shininess: Of the objects' highlights; the table has none.
        shadow: Share of the lamp that a shadow takes away.
        softness: Width of a shadow's edge [share of the picture's width].
        fill: A second lamp opposite the first, without shadows, as a share of it.
        gamma: Exponent between light and gray levels; 1 as in renderers that shade in display values.
    """

    specular: float = 0.22
    shininess: float = 24.0
    shadow: float = 1.0
    softness: float = 0.0
    fill: float = 0.0
    gamma: float = 2.2


@dataclass(frozen=True)
class Look:
    """What the light and the surfaces look like; but for `table_half` nothing here moves anything.

    Attributes:
        light: [3] the lamp's place [m].
        ambient: Share of the light that comes from everywhere.
        tint: [3] factor of each channel.
        table, floor: [3] their colours; the background has the floor's.
        table_pattern: "plain", "checker", "planks" or "speckle".
        pattern_scale, pattern_angle, pattern_contrast: Of that pattern [m], [rad], share.
        lighting: How light becomes colour.
        texture: Contrast of a chequered pattern on the objects.
        table_half: Half of the table's side [m].
    """

    light: np.ndarray
    ambient: float
    tint: np.ndarray
    table: np.ndarray
    table_pattern: str
    pattern_scale: float
    pattern_angle: float
    pattern_contrast: float
    floor: np.ndarray
    lighting: Lighting = Lighting()
    texture: float = 0.0
    table_half: float = 0.45


class Scene:
    """A settled tabletop.

    Attributes:
        objects: The named objects; their index is the value in a segmentation image.
        model, data: The MuJoCo simulation.
        geom_object: [ngeom] object index of every geom, -1 for table, floor and unnamed clutter.
        camera, look: How it is seen.
    """

    def __init__(
        self,
        objects: list[SceneObject],
        poses: list[str],
        clutter: str,
        camera: Camera,
        look: Look,
        sections: str = "",
    ):
        """Settles the objects; `sections` are further ones of the MJCF, such as a hand's."""
        self.objects = tuple(objects)
        self.camera, self.look = camera, look
        self.model = mujoco.MjModel.from_xml_string(_mjcf(objects, poses, clutter, sections, look.table_half))
        self.data = mujoco.MjData(self.model)
        body_object = np.full(self.model.nbody, -1, np.int32)
        for index in range(len(objects)):
            body_object[self.model.body(f"object{index}").id] = index
        self.geom_object = body_object[self.model.geom_bodyid]
        mujoco.mj_step(self.model, self.data, SETTLE_STEPS)

    @classmethod
    def random(cls, seed: int) -> Scene:
        """The tabletop of a seed: 1 to 7 objects, all in view; equal seeds give equal scenes."""
        rng = np.random.default_rng(seed)
        while True:
            camera, azimuth = random_camera(rng)
            objects = _random_objects(rng)
            places = _places(rng, objects)
            if places is None:
                continue
            poses = [
                object_pose(rng, thing, place, azimuth) for thing, place in zip(objects, places, strict=True)
            ]
            clutter = loose_sheets(rng, azimuth)
            scene = cls(objects, poses, clutter, camera, random_look(rng))
            if scene.all_in_view():
                return scene

    def object_position(self, index: int) -> np.ndarray:
        """[3] centre of mass of an object in the world frame [m]."""
        return self.data.body(f"object{index}").xipos.copy()

    def all_in_view(self, left: int = 40, top: int = 50, bottom: int = 40) -> bool:
        """True where every object's centre is so far inside a picture of 640x480 [px]: none fell over an edge."""
        k = self.camera.intrinsics(*SENSOR)
        for index in range(len(self.objects)):
            point = self.camera.world_from_optical.T @ (self.object_position(index) - self.camera.position)
            u, v = (k @ (point / point[2]))[:2]
            if not (left < u < SENSOR[0] - left and top < v < SENSOR[1] - bottom):
                return False
        return True


def random_camera(rng: np.random.Generator) -> tuple[Camera, float]:
    azimuth = rng.uniform(0, 2 * math.pi)
    elevation = math.radians(rng.uniform(36, 62))
    distance = rng.uniform(0.48, 0.61)
    target = np.array([rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02), 0.02])
    roll = math.radians(rng.normal(0, 2))
    fovy = math.radians(rng.uniform(42, 50))
    return Camera.looking_at(target, azimuth, elevation, distance, roll, fovy), azimuth


def _random_objects(rng: np.random.Generator) -> list[SceneObject]:
    return [make_object(color, shape, rng) for color, shape in random_names(rng)]


def random_names(rng: np.random.Generator, shares: Sequence[float] | None = None) -> list[tuple[str, str]]:
    """Colours and shapes. Half of the scenes hold a group that shares one, so that counting is worth asking.

    Args:
        rng: Source of every choice.
        shares: How often each of `SHAPES` comes; None: equally often.
    """
    pairs: list[tuple[str, str]] = []
    colors, shapes = list(COLORS), list(SHAPES)
    kind = rng.random()
    if kind < 0.35:
        shape = str(rng.choice(shapes, p=shares))
        pairs += [(str(rng.choice(colors)), shape) for _ in range(rng.integers(2, 6))]
    elif kind < 0.5:
        color = str(rng.choice(colors))
        pairs += [(color, str(rng.choice(shapes[:-1]))) for _ in range(rng.integers(2, 6))]
    elif kind < 0.62:
        pairs += [(str(rng.choice(colors)), str(rng.choice(shapes, p=shares)))] * int(rng.integers(2, 6))
    total = max(len(pairs), int(rng.integers(1, MAX_OBJECTS + 1)))
    while len(pairs) < total:
        pairs.append((str(rng.choice(colors)), str(rng.choice(shapes, p=shares))))
    return [("yellow", "banana") if shape == "banana" else (color, shape) for color, shape in pairs]


def _places(rng: np.random.Generator, objects: list[SceneObject]) -> list[np.ndarray] | None:
    """Positions [m] right of and away from the camera, apart enough that each object is well visible."""

    def apart(between: np.ndarray, sizes: float) -> bool:
        # Depth is foreshortened, so things in line with the camera need more room than things side by side.
        return math.hypot(*(between * (1.0, 0.62))) > sizes + 0.016

    return scattered(objects, lambda: np.array([rng.uniform(-0.20, 0.20), rng.uniform(-0.13, 0.14)]), apart)


def scattered(
    objects: Sequence[SceneObject],
    draw: Callable[[], np.ndarray],
    apart: Callable[[np.ndarray, float], bool],
) -> list[np.ndarray] | None:
    """A position [2] [m] for each object, drawn until it is apart from all before it; None where that takes too long.

    Args:
        objects: What is to be placed.
        draw: Draws a position.
        apart: Whether two objects are, by the vector [2] between them and the sum of their sizes [m].
    """
    placed: list[np.ndarray] = []
    for index, thing in enumerate(objects):
        for _ in range(ATTEMPTS):
            place = draw()
            between = [apart(place - other, thing.size + objects[i].size) for i, other in enumerate(placed)]
            if all(between):
                placed.append(place)
                break
        if len(placed) != index + 1:
            return None
    return placed


def to_world(place: np.ndarray, azimuth: float) -> tuple[float, float]:
    """Camera-aligned table coordinates (right, away) to world x, y [m]."""
    right, away = place
    return -away * math.cos(azimuth) - right * math.sin(azimuth), -away * math.sin(
        azimuth
    ) + right * math.cos(azimuth)


def object_pose(rng: np.random.Generator, thing: SceneObject, place: np.ndarray, azimuth: float) -> str:
    x, y = to_world(place, azimuth)
    yaw = rng.uniform(0, 2 * math.pi)
    if thing.shape == "mug":  # the handle stays in view, left or right: without it a mug is a cylinder
        side = 0.5 * math.pi * (1 if rng.random() < 0.5 else -1)
        yaw = azimuth + side + rng.uniform(-0.9, 0.6) * (1 if side > 0 else -1)
    return f'pos="{x:.4f} {y:.4f} 0.002" euler="0 0 {yaw:.4f}"'


def loose_sheets(rng: np.random.Generator, azimuth: float) -> str:
    """Up to two sheets of paper flat on the table: things with no name, under and between the objects."""
    sheets = []
    for index in range(rng.integers(0, 3)):
        x, y = to_world(np.array([rng.uniform(-0.25, 0.25), rng.uniform(-0.17, 0.2)]), azimuth)
        half = rng.uniform(0.03, 0.10, 2)
        base = rng.uniform(0.25, 0.8)
        color = " ".join(f"{value:.3f}" for value in np.clip(base + rng.normal(0, 0.05, 3), 0.05, 0.95))
        # A hair above the last one, so that overlapping sheets do not flicker.
        place = f'pos="{x:.4f} {y:.4f} {0.0003 + 0.0004 * index:.4f}" euler="0 0 {rng.uniform(0, 3.14):.3f}"'
        size = f'size="{half[0]:.4f} {half[1]:.4f} 0.0004"'
        sheets.append(f'<geom type="box" {size} {place} rgba="{color} 1" contype="0" conaffinity="0"/>')
    return "".join(sheets)


def random_look(rng: np.random.Generator) -> Look:
    """Light and surfaces by chance."""
    azimuth, elevation = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(35, 80))
    light = 1.6 * np.array(
        [
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ]
    )
    gray = rng.uniform(0.18, 0.62)
    warmth = rng.normal(0, 0.05)
    table = np.clip(
        np.array([gray + 1.2 * warmth + 0.02, gray + rng.normal(0, 0.02), gray - 1.2 * warmth]), 0.06, 0.85
    )
    return Look(
        light=light,
        ambient=rng.uniform(0.35, 0.6),
        tint=np.clip(1 + rng.normal(0, 0.04, 3), 0.88, 1.12),
        table=table,
        table_pattern=str(rng.choice(["plain", "checker", "planks", "speckle"])),
        pattern_scale=rng.uniform(0.03, 0.12),
        pattern_angle=rng.uniform(0, math.pi),
        pattern_contrast=rng.uniform(0.05, 0.3),
        floor=np.clip(rng.uniform(0.1, 0.5) + rng.normal(0, 0.03, 3), 0.03, 0.7),
    )


def _mjcf(
    objects: list[SceneObject], poses: list[str], clutter: str, sections: str, table_half: float
) -> str:
    assets = "".join({cone_mesh(thing.geoms) for thing in objects})
    bodies = "".join(
        f'<body name="object{i}" {pose}><freejoint/>{thing.geoms}</body>'
        for i, (thing, pose) in enumerate(zip(objects, poses, strict=True))
    )
    half = f"{table_half:.4g}"
    return f"""<mujoco>
      <compiler angle="radian"/>
      <option timestep="0.004" integrator="implicitfast"/>
      <default><geom density="600" condim="6" friction="1 0.02 0.01"/></default>
      <asset>{assets}</asset>
      <worldbody>
        <geom name="table" type="box" size="{half} {half} 0.02" pos="0 0 -0.02" rgba="0.5 0.5 0.5 1"/>
        <geom name="floor" type="plane" size="5 5 0.1" pos="0 0 -0.75" rgba="0.3 0.3 0.3 1"/>
        {clutter}{bodies}
      </worldbody>
      {sections}
    </mujoco>"""

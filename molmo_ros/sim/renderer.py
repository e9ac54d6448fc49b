# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""An RGB-D camera by ray casting: MuJoCo finds the surfaces (`mj_multiRay`), we shade them. Needs no GL.

Colour, depth and segmentation come from the same rays, so the ground truth is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import mujoco
import numpy as np

from molmo_ros.sim.scene import Scene

FAR = 20.0
CHECK = 0.02
"""Side of the squares of an object's texture [m]."""


@dataclass(frozen=True)
class Rendering:
    """One view.

    Attributes:
        rgb: uint8 [h, w, 3].
        depth: float32 [h, w] along the optical axis [m]; NaN where no surface was hit.
        segmentation: int32 [h, w] index into `Scene.objects`, -1 for everything else.
        intrinsics: float64 [3, 3] K; pixel indices at pixel centres.
    """

    rgb: np.ndarray
    depth: np.ndarray
    segmentation: np.ndarray
    intrinsics: np.ndarray


def render(scene: Scene, width: int, height: int) -> Rendering:
    """Renders the scene as it stands now."""
    k = scene.camera.intrinsics(width, height)
    u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    optical = np.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], np.ones_like(u)], axis=-1).reshape(
        -1, 3
    )
    rays = optical @ scene.camera.world_from_optical.T
    distance, geom, normal = _cast(scene, scene.camera.position, rays, with_normals=True)
    hit = geom >= 0
    points = scene.camera.position + rays * distance[:, None]
    lit = _lit(scene, points, hit, width, height)
    rgb = _shade(scene, points, normal, geom, rays, lit)
    # A ray's z component in the optical frame is 1, so the ray parameter is the depth.
    depth = np.where(hit, distance, np.nan).astype(np.float32)
    segmentation = np.where(hit, scene.geom_object[geom], -1).astype(np.int32)
    shape = (height, width)
    return Rendering(rgb.reshape(*shape, 3), depth.reshape(shape), segmentation.reshape(shape), k)


def add_noise(rgb: np.ndarray, rng: np.random.Generator, sigma: float = 3.0) -> np.ndarray:
    """Sensor noise: Gaussian of standard deviation `sigma` [gray levels] on a uint8 image."""
    noise = rng.standard_normal(rgb.shape, dtype=np.float32) * sigma
    return np.clip(rgb + noise + 0.5, 0, 255).astype(np.uint8)


def _cast(scene: Scene, origin: np.ndarray, rays: np.ndarray, with_normals: bool = False):
    """Ray parameters [n] (0 where nothing is hit), geom ids [n] (-1) and unit normals [n, 3]."""
    n = len(rays)
    geom, distance = np.full(n, -1, np.int32), np.zeros(n)
    normal = np.zeros(3 * n) if with_normals else None
    vectors = np.ascontiguousarray(rays).reshape(-1)
    mujoco.mj_multiRay(
        scene.model, scene.data, origin, vectors, None, True, -1, geom, distance, normal, n, FAR
    )
    return np.maximum(distance, 0.0), geom, None if normal is None else normal.reshape(n, 3)


def _lit(scene: Scene, points: np.ndarray, hit: np.ndarray, width: int, height: int) -> np.ndarray:
    """Share of the light that reaches each point [n], by casting from the light at half resolution."""
    step = 2 if width >= 320 else 1
    rows, cols = np.arange(0, height, step), np.arange(0, width, step)
    index = (rows[:, None] * width + cols).ravel()
    targets = points[index]
    toward = targets - scene.look.light
    reached, _, _ = _cast(scene, scene.look.light, toward)
    open_sky = (
        ((reached > 0.995) | (reached == 0.0) | ~hit[index]).reshape(len(rows), len(cols)).astype(np.float32)
    )
    if step > 1:
        open_sky = np.repeat(np.repeat(open_sky, step, axis=0), step, axis=1)[:height, :width]
    lighting = scene.look.lighting
    if (sigma := lighting.softness * width) > 0:
        open_sky = cv2.GaussianBlur(open_sky, (0, 0), sigma)
    return (1 - lighting.shadow * (1 - open_sky)).reshape(-1)


def _shade(scene: Scene, points, normal, geom, rays, lit) -> np.ndarray:
    look, lighting = scene.look, scene.look.lighting
    albedo = scene.model.geom_rgba[geom, :3].astype(np.float64)
    table, floor = scene.model.geom("table").id, scene.model.geom("floor").id
    on_table = geom == table
    albedo[on_table] = look.table * _pattern(look, points[on_table, :2])[:, None]
    albedo[geom == floor] = look.floor
    albedo[geom < 0] = look.floor
    named = scene.geom_object[geom] >= 0
    if look.texture:
        albedo[named] *= _chequered(look.texture, points[named])[:, None]
    toward_light = look.light - points
    toward_light /= np.linalg.norm(toward_light, axis=1, keepdims=True)
    view = -rays / np.linalg.norm(rays, axis=1, keepdims=True)
    normal = np.where((normal * view).sum(1, keepdims=True) < 0, -normal, normal)
    facing = (normal * toward_light).sum(1)
    diffuse = np.clip(facing, 0, None) * lit + lighting.fill * np.clip(0.5 - 0.5 * facing, 0, None)
    half = toward_light + view
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = lighting.specular * np.clip((normal * half).sum(1), 0, None) ** lighting.shininess * lit * named
    # A little sky light from above keeps faces that look away from the lamp apart.
    sky = 0.85 + 0.15 * normal[:, 2]
    light = look.ambient * sky + (1.05 - look.ambient) * diffuse
    color = (albedo * light[:, None] + shine[:, None]) * look.tint
    return (np.clip(color, 0, 1) ** (1 / lighting.gamma) * 255 + 0.5).astype(np.uint8)


def _chequered(contrast: float, points: np.ndarray) -> np.ndarray:
    """Brightness factor [n] of the objects' texture at points [n, 3] of the world."""
    return 1 - contrast * (np.floor(points / CHECK).sum(1) % 2)


def _pattern(look, xy: np.ndarray) -> np.ndarray:
    """Brightness factor [n] of the table's texture at world x, y."""
    cos, sin = math.cos(look.pattern_angle), math.sin(look.pattern_angle)
    a = (xy[:, 0] * cos + xy[:, 1] * sin) / look.pattern_scale
    b = (xy[:, 1] * cos - xy[:, 0] * sin) / look.pattern_scale
    if look.table_pattern == "checker":
        value = ((np.floor(a) + np.floor(b)) % 2) * 2 - 1
    elif look.table_pattern == "planks":
        plank = np.floor(a)
        grain = np.sin(b * 3 + np.sin(a * 9 + plank * 4) * 2 + plank * 7)
        value = 0.6 * grain + 0.8 * np.sin(plank * 12.9898) - (np.abs(a - plank) < 0.04) * 1.5
    elif look.table_pattern == "speckle":
        value = np.sin(a * 31.7 + np.sin(b * 27.1) * 3) * np.sin(b * 29.3 + np.sin(a * 23.9) * 3)
    else:
        value = np.zeros(len(xy))
    return 1 + look.pattern_contrast * value

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The embedded checkpoint on pictures of a renderer that it was never trained on: MuJoCo's own, by OpenGL.

`MUJOCO_GL=osmesa python -m benchmarks.second_renderer --scenes 150` (a machine without a display needs Debian's package
libosmesa6). The scenes are held-out wide ones; shading, shadows, highlights and edges are the rasteriser's, the truth
is the ray caster's, which sees the same geometry from the same place.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator

import mujoco
import numpy as np

from molmo_ros.molmo.pipeline import Molmo
from molmo_ros.sim.scene import Scene
from molmo_ros.sim.wide_scenes import wide_scene
from molmo_ros.train.evaluate import evaluate, table
from molmo_ros.train.held_out import HEIGHT, HELD_OUT, WIDTH, HeldOutScene, held_out

NEAR, FAR = 0.05, 20.0


def rasterised(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3] the scene's view as OpenGL draws it, lit as by a headlight and one lamp."""
    model = scene.model
    model.vis.global_.offwidth, model.vis.global_.offheight = WIDTH, HEIGHT
    model.vis.headlight.ambient[:] = rng.uniform(0.35, 0.6)
    model.vis.headlight.diffuse[:] = rng.uniform(0.2, 0.5)
    model.geom_rgba[model.geom("table").id, :3] = scene.look.table
    model.geom_rgba[model.geom("floor").id, :3] = scene.look.floor
    renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
    renderer.update_scene(scene.data)
    lamp = renderer.scene.lights[renderer.scene.nlight]
    lamp.pos[:], lamp.dir[:] = scene.look.light, -scene.look.light / np.linalg.norm(scene.look.light)
    lamp.diffuse[:], lamp.specular[:], lamp.castshadow = rng.uniform(0.2, 0.6), rng.uniform(0.0, 0.4), 1
    lamp.attenuation[:], lamp.exponent, lamp.cutoff = (1, 0, 0), 0, 90
    renderer.scene.nlight += 1
    for eye in renderer.scene.camera:
        _look_through(eye, scene)
    picture = np.array(renderer.render())
    renderer.close()
    return picture


def _look_through(eye: mujoco.MjvGLCamera, scene: Scene) -> None:
    """Puts an OpenGL eye where the scene's camera is, with its field of view."""
    camera = scene.camera
    eye.pos[:] = camera.position
    eye.forward[:], eye.up[:] = camera.world_from_optical[:, 2], -camera.world_from_optical[:, 1]
    top = NEAR * math.tan(camera.fovy / 2)
    eye.frustum_near, eye.frustum_far = NEAR, FAR
    eye.frustum_bottom, eye.frustum_top = -top, top
    eye.frustum_center = 0.0
    eye.frustum_width = top * camera.sensor[0] / camera.sensor[1]


def rasterised_scenes(count: int, first: int = HELD_OUT) -> Iterator[HeldOutScene]:
    """Held-out wide scenes, drawn by OpenGL."""
    for seed in range(first, first + count):
        scene = wide_scene(seed)
        yield held_out(seed, scene, (WIDTH, HEIGHT), lambda _, rng, scene=scene: rasterised(scene, rng))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tiny")
    parser.add_argument("--scenes", type=int, default=150)
    parser.add_argument("--queries", type=int, default=8, help="queries per scene")
    args = parser.parse_args()
    print(table(evaluate(Molmo.from_pretrained(args.model), rasterised_scenes(args.scenes), args.queries)))


if __name__ == "__main__":
    main()

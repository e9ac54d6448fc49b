"""Costs of images against the reference's recorded tables, transformers' rule, and the crops really made."""

import ast
import itertools
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from molmo_ros.molmo.crop_budget import image_cost, shapes
from molmo_ros.molmo.errors import ImageError, MolmoError
from molmo_ros.molmo.families import family
from molmo_ros.molmo.image_processor import ImageProcessor, ImageProcessorConfig
from molmo_ros.molmo.prompt import image_layout

VECTORS = Path(__file__).parents[1] / "vectors" / "preprocess"
CONFIGS = {"molmo": ImageProcessorConfig.molmo(), "molmo2": ImageProcessorConfig.molmo2()}
FOLDERS = {"molmo": "molmo0924", "molmo2": "molmo2"}
RECORDED = [
    (name, entry)
    for name, folder in FOLDERS.items()
    for entry in json.loads((VECTORS / folder / "index.json").read_text())["images"]
]
SIZES = sorted({(entry["h"], entry["w"]) for _, entry in RECORDED})


@cache
def transformers_select_tiling():
    """The function of transformers' Molmo2 image processor, from its source: importing that needs torchvision."""
    folder = find_spec("transformers").submodule_search_locations[0]
    tree = ast.parse(Path(folder, "models", "molmo2", "image_processing_molmo2.py").read_text())
    function = next(node for node in tree.body if getattr(node, "name", "") == "select_tiling")
    scope = {"itertools": itertools, "torch": torch}
    exec(compile(ast.Module([function], []), "select_tiling", "exec"), scope)
    return scope["select_tiling"]


@pytest.mark.parametrize(("name", "entry"), RECORDED, ids=[f"{n}-{e['h']}x{e['w']}" for n, e in RECORDED])
def test_costs_are_the_recorded_ones(name, entry):
    cost = image_cost(CONFIGS[name], (entry["h"], entry["w"]))
    assert cost.crops == entry["n_crops"]
    assert cost.tokens == entry["n_tokens" if name == "molmo" else "n_image_tokens"]
    if name == "molmo":
        assert list(cost.tiling) == entry["tiling"]
    else:
        assert [-(-(19 * tiles + 8) // 2) for tiles in cost.tiling] == entry["image_grid"][2:]


@pytest.mark.parametrize(
    ("size", "limit", "passes", "tokens"),
    [
        ((720, 1280), 8, 9, 1189), ((720, 1280), 4, 5, 752), ((720, 1280), 2, 3, 536), ((720, 1280), 1, 1, 410),
        ((480, 640), 8, 5, 752), ((1080, 1920), 8, 9, 1189),
    ],
)  # fmt: skip
def test_known_costs_of_molmo2(size, limit, passes, tokens):
    cost = image_cost(CONFIGS["molmo2"], size, limit)
    assert (cost.passes, cost.tokens) == (passes, tokens)


def test_tiling_under_every_limit_is_transformers_rule():
    rng = np.random.default_rng(5)
    sizes = SIZES + [tuple(size) for size in rng.integers(1, 2500, (120, 2)).tolist()]
    for config, limit in itertools.product(CONFIGS.values(), [*range(1, 15), 24, 36, 48]):
        window, margin = config.grid.window * 14, 112
        for height, width in sizes:
            expected = transformers_select_tiling()(height - margin, width - margin, window, limit)
            assert image_cost(config, (height, width), limit).tiling == expected, (height, width, limit)


@pytest.mark.parametrize("name", CONFIGS)
def test_costs_are_what_the_processor_and_the_prompt_make(name):
    style = family(name).prompt
    for size, limit in itertools.product([(60, 80), (480, 640), (500, 333), (720, 1280)], [1, 3, 8, 15]):
        config = CONFIGS[name].with_max_crops(limit)
        made = ImageProcessor(config)(np.zeros((*size, 3), np.uint8))
        cost = image_cost(CONFIGS[name], size, limit)
        assert (cost.tiling, cost.crops) == (made.tiling, len(made.crops))
        assert cost.tokens == len(image_layout(style, made, config.low_res_columns))
        assert cost.passes == (1 if made.single_view else cost.crops)


@pytest.mark.parametrize("name", CONFIGS)
def test_shapes_are_the_distinct_costs_and_rise(name):
    for size in SIZES:
        every = [image_cost(CONFIGS[name], size, limit) for limit in range(1, 25)]
        assert every == sorted(every, key=lambda cost: cost.crops)
        found = shapes(CONFIGS[name], size, 24)
        assert set(found) == set(every)
        assert [cost.crops for cost in found] == sorted({cost.crops for cost in every})
        assert found[0].tiling == (1, 1)
    assert shapes(CONFIGS[name], (720, 1280)) == shapes(CONFIGS[name], (720, 1280), CONFIGS[name].max_crops)


@pytest.mark.parametrize("limit", [0, -1, 2.0, True, "3"])
def test_a_limit_that_is_none(limit):
    with pytest.raises(MolmoError, match=r"max_crops is .*whole number from 1"):
        image_cost(CONFIGS["molmo2"], (480, 640), limit)


def test_an_image_without_pixels():
    with pytest.raises(ImageError, match="0 x 640"):
        image_cost(CONFIGS["molmo2"], (0, 640))

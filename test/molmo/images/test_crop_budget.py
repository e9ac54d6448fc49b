# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

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

from molmo_ros.molmo.errors import ImageError, MolmoError, PromptError
from molmo_ros.molmo.families.table import family
from molmo_ros.molmo.images import crop_budget
from molmo_ros.molmo.images.crop_budget import TYPICAL_ANSWER, CropBudget, image_cost, shapes
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.latency_model import QueryTiming
from molmo_ros.molmo.images.padded_style import PADDED
from molmo_ros.molmo.images.stretched_style import STRETCHED
from molmo_ros.molmo.images.tiling import distinct_tilings, select_tiling
from molmo_ros.molmo.prompts.prompt import image_layout

VECTORS = Path(__file__).parents[2] / "vectors" / "preprocess"
CONFIGS = {"molmo": ImageProcessorConfig.released(PADDED), "molmo2": ImageProcessorConfig.released(STRETCHED)}
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


@pytest.mark.parametrize("name", CONFIGS)
def test_distinct_tilings_are_those_of_every_limit(name):
    rng = np.random.default_rng(6)
    edges = [(112, 112), (112, 900), (1, 1), (1, 4000), (111, 113), (10_000, 10_000)]
    sizes = SIZES + edges + [tuple(size) for size in rng.integers(1, 3000, (40, 2)).tolist()]
    for height, width in sizes:
        every = [
            select_tiling(height, width, CONFIGS[name].with_max_crops(limit).grid) for limit in range(1, 61)
        ]
        first = {tiling: 60 - every[::-1].index(tiling) - every.count(tiling) + 1 for tiling in every}
        grid = CONFIGS[name].with_max_crops(60).grid
        assert distinct_tilings(height, width, grid) == [(limit, tiling) for tiling, limit in first.items()]
        tokens = [cost.tokens for cost in shapes(CONFIGS[name], (height, width), 60)]
        assert tokens == sorted(tokens)  # so the first that is too many ends the list


def test_of_each_image_the_limit_that_is_asked_for_holds():
    budget = CropBudget(CONFIGS["molmo2"], 10**6)
    sizes = [(720, 1280), (60, 80), (2160, 3840), (720, 1280)]
    for limit in (1, 5, 37, 1000):
        choice = budget.choose(sizes, limit)
        assert choice.costs == tuple(image_cost(CONFIGS["molmo2"], size, limit) for size in sizes)


def test_more_images_than_fit_are_refused_before_any_is_tiled(monkeypatch):
    def tiled(*_):
        raise AssertionError("an image was tiled")

    monkeypatch.setattr(crop_budget, "distinct_tilings", tiled)
    budget = CropBudget(CONFIGS["molmo2"], 36864)
    sizes = [(100 + number, 100) for number in range(3000)]
    cheapest = image_cost(CONFIGS["molmo2"], (100, 100)).tokens
    with pytest.raises(PromptError, match=rf"3000 images .*36864.*at most {36863 // cheapest} of them"):
        budget.choose(sizes)
    with pytest.raises(AssertionError):
        budget.choose(sizes[: 36863 // cheapest])


@pytest.mark.parametrize("limit", [0, -1, 2.0, True, "3", 1001])
def test_a_limit_that_is_none(limit):
    with pytest.raises(MolmoError, match=r"max_crops is .*whole number from 1 to 1000"):
        image_cost(CONFIGS["molmo2"], (480, 640), limit)


def test_an_image_without_pixels():
    with pytest.raises(ImageError, match="0 x 640"):
        image_cost(CONFIGS["molmo2"], (0, 640))


class Machine:
    """A machine that takes a known time for every part of a query, times a disturbance."""

    def __init__(self, config, noise=0.0):
        self.config, self.noise, self.slow_down, self.rng = config, noise, 1.0, np.random.default_rng(0)
        self.bent = {}

    def truth(self, passes, tokens, answer=TYPICAL_ANSWER):
        exact = 0.02 + 0.05 * passes + 0.0005 * tokens + 0.004 * answer
        return exact * self.slow_down * self.bent.get(passes, 1.0)

    def time(self, cost, answer=TYPICAL_ANSWER):
        factor = (
            self.slow_down * self.bent.get(cost.passes, 1.0) * float(np.exp(self.rng.normal(0, self.noise)))
        )
        parts = (0.02 + 0.05 * cost.passes, 0.0005 * cost.tokens, 0.004 * answer)
        return QueryTiming(cost.passes, cost.tokens, answer, *(part * factor for part in parts))

    def ask(self, size, max_crops):
        return self.time(image_cost(self.config, size, max_crops))

    def run(self, budget, queries, size=(720, 1280), answer=TYPICAL_ANSWER):
        """The choices of so many real queries."""
        choices = []
        for _ in range(queries):
            choices.append(budget.choose([size]))
            budget.measured(self.time(choices[-1], answer))
        return choices


@pytest.fixture
def machine():
    return Machine(CONFIGS["molmo2"])


def measured_budget(machine, target, max_crops=None, context=36864):
    budget = CropBudget(machine.config, context)
    budget.limit(max_crops, target)
    assert budget.unmeasured
    budget.measure(machine.ask)
    assert not budget.unmeasured
    return budget


def test_without_a_wish_the_trained_limit_holds():
    choice = CropBudget(CONFIGS["molmo2"], 36864).choose([(720, 1280), (480, 640)])
    assert (choice.max_crops, choice.predicted, choice.note) == (8, None, "")
    assert [cost.tiling for cost in choice.costs] == [(2, 4), (2, 2)]
    assert (choice.passes, choice.tokens) == (14, 1189 + 752)


def test_a_set_limit_holds_until_it_is_set_again_or_for_one_image():
    budget = CropBudget(CONFIGS["molmo2"], 36864)
    budget.limit(2, None)
    assert budget.choose([(720, 1280)]).costs[0].tiling == (1, 2)
    assert budget.choose([(720, 1280)], 4).costs[0].tiling == (2, 2)
    assert budget.choose([(720, 1280)]).max_crops == 2
    budget.limit(None, None)
    assert budget.choose([(720, 1280)]).max_crops == 8


def test_more_than_trained_is_allowed_and_said():
    budget = CropBudget(CONFIGS["molmo2"], 36864)
    choice = budget.choose([(2160, 3840)], 24)
    assert choice.costs[0].tiling == (4, 6)
    assert "24" in choice.note and "8" in choice.note
    assert budget.choose([(2160, 3840)], 8).note == ""


def test_a_limit_that_the_context_cannot_hold_names_one_that_fits():
    budget = CropBudget(CONFIGS["molmo"], 2048)
    with pytest.raises(PromptError, match=r"max_crops 40 makes \d+ tokens.*2048\. Up to (\d+) fits") as error:
        budget.choose([(2000, 2000)], 40)
    fits = int(str(error.value).split("Up to ")[1].split()[0])
    assert fits == 24 and budget.choose([(2000, 2000)], fits).tokens == 1492
    with pytest.raises(PromptError):
        budget.choose([(2000, 2000)], fits + 1)


@pytest.mark.parametrize("size", [(720, 1280), (480, 640), (1000, 1000), (100, 900)])
@pytest.mark.parametrize("target", [0.05, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 9.0])
def test_a_target_takes_the_most_tiles_that_keep_it(machine, size, target):
    keeping = [
        cost for cost in shapes(machine.config, size) if machine.truth(cost.passes, cost.tokens) <= target
    ]
    choice = measured_budget(machine, target).choose([size])
    assert choice.costs[0] == (keeping or shapes(machine.config, size))[-1 if keeping else 0]
    assert choice.predicted == pytest.approx(machine.truth(choice.passes, choice.tokens), rel=1e-6)
    assert ("cannot be met" in choice.note) == (not keeping)
    if not keeping:
        assert f"{target:g} s" in choice.note and f"{choice.predicted:.2g} s" in choice.note


def test_a_set_limit_bounds_what_a_target_may_take(machine):
    assert measured_budget(machine, 9.0, max_crops=3).choose([(720, 1280)]).max_crops <= 3
    beyond = measured_budget(machine, 90.0, max_crops=24).choose([(2160, 3840)])
    assert beyond.costs[0].tiling == (4, 6)


def test_a_target_never_fills_the_context(machine):
    budget = measured_budget(machine, 90.0, context=1000)
    assert budget.choose([(720, 1280)]).tokens == 752


def test_measuring_stops_beyond_the_target(machine):
    asked = []

    def ask(size, max_crops):
        asked.append(max_crops)
        return machine.ask(size, max_crops)

    budget = CropBudget(machine.config, 36864)
    budget.limit(None, 0.1)
    budget.measure(ask)
    assert set(asked) == {1}
    budget.limit(None, 60.0)
    asked.clear()
    budget.measure(ask)
    assert set(asked) == {1, 2, 4, 8}


def test_several_images_share_the_target(machine):
    one = measured_budget(machine, 1.3).choose([(720, 1280)])
    two = measured_budget(machine, 1.3).choose([(720, 1280)] * 2)
    assert two.max_crops < one.max_crops
    assert two.predicted <= 1.3 < machine.truth(*(2 * x for x in (one.passes, one.tokens)))


def test_a_slower_machine_gets_fewer_tiles_and_a_recovered_one_more(machine):
    budget = measured_budget(machine, 1.4)
    before = machine.run(budget, 20)
    assert {choice.max_crops for choice in before} == {8}
    machine.slow_down = 1.8
    slow = machine.run(budget, 40)[-1]
    assert slow.max_crops < 8
    assert machine.truth(slow.passes, slow.tokens) <= 1.4
    machine.slow_down = 1.0
    assert machine.run(budget, 100)[-1].max_crops == 8


def test_longer_answers_leave_less_time_for_the_image(machine):
    budget = measured_budget(machine, 1.2)
    assert machine.run(budget, 20)[-1].max_crops == 8
    choices = machine.run(budget, 20, answer=120)
    assert choices[-1].max_crops < 8
    assert machine.truth(choices[-1].passes, choices[-1].tokens, 120) <= 1.2


def changes(choices):
    return sum(a.max_crops != b.max_crops for a, b in itertools.pairwise(choices))


@pytest.mark.parametrize("target", [0.55, 0.7, 0.8, 0.9, 1.165, 1.2])
def test_noise_does_not_move_the_choice_to_and_fro(target):
    machine = Machine(CONFIGS["molmo2"], noise=0.1)
    assert changes(machine.run(measured_budget(machine, target), 1000)) <= 20


def test_a_tiling_that_was_predicted_wrongly_is_not_tried_all_the_time(machine):
    """The largest tiling always takes twice what the others foretell."""
    budget = measured_budget(machine, 1.3)
    machine.bent = {9: 2.0}
    choices = machine.run(budget, 1000)
    assert changes(choices) <= 2 * (1 + 1000 // 64)
    assert sum(choice.max_crops == 8 for choice in choices) < 150


@pytest.mark.parametrize("target", [0, -1.0, float("nan"), float("inf")])
def test_a_target_that_is_none(target):
    with pytest.raises(MolmoError, match="latency_target"):
        CropBudget(CONFIGS["molmo2"], 36864).limit(None, target)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("limit", [None, 1, 3])
def test_no_image_becomes_more_tokens_than_the_largest(name, limit):
    budget = CropBudget(CONFIGS[name], 4096)
    budget.limit(limit, None)
    most = image_cost(CONFIGS[name], budget.largest(), limit).tokens
    assert most + crop_budget.TEXT_ROOM <= 4096
    sizes = np.random.default_rng(0).integers(20, 4000, (300, 2)).tolist()
    tokens = [image_cost(CONFIGS[name], tuple(size), limit).tokens for size in sizes]
    assert max(count for count in tokens if count + crop_budget.TEXT_ROOM <= 4096) <= most

# Copyright 2026 molmo_ros contributors
# SPDX-License-Identifier: Apache-2.0

"""The image processor against the reference code's recorded outputs, transformers and torch's resize."""

import hashlib
import importlib.util
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.images import stretched_style
from molmo_ros.molmo.images.crop_budget import image_cost
from molmo_ros.molmo.images.image_processor import ImageProcessor
from molmo_ros.molmo.images.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.images.padded_style import PADDED
from molmo_ros.molmo.images.stretched_style import STRETCHED

VECTORS = Path(__file__).parents[2] / "vectors" / "preprocess"
SMALL = {"crop_size": 168, "max_crops": 4, "overlap_margins": (2, 2)}


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread():
    """The order of operations of torch's bilinear kernel, so its last bit, depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def load_make_image():
    spec = importlib.util.spec_from_file_location("gen_images", VECTORS / "gen_images.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_image


make_image = load_make_image()


def recorded(folder):
    return json.loads((VECTORS / folder / "index.json").read_text())["images"]


def size_of(entry):
    return f"{entry['h']}x{entry['w']}"


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def random_sizes(count, seed, smallest=1, largest=1500):
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(smallest), np.log(largest), (count, 2))).astype(int)
    return [tuple(int(side) for side in size) for size in sizes]


def to_bytes(crops):
    """The 8-bit values that Molmo2 crops were normalised from."""
    return np.rint((crops * 0.5 + 0.5) * 255).astype(np.uint8)


def crops_to_canvas(crops, tiling, config):
    """Reassembles the canvas of each view from patches; overlapping tiles must agree."""
    grid = config.grid
    side, patch = grid.patches, grid.patch_size
    images = crops.reshape(-1, side, side, patch, patch, 3).transpose(0, 1, 3, 2, 4, 5)
    images = images.reshape(-1, grid.crop_size, grid.crop_size, 3)
    rows, columns = grid.mosaic(tiling)
    canvas = np.full((rows * patch, columns * patch, 3), np.nan, np.float32)
    for number, tile in enumerate(images[1:]):
        y = number // tiling[1] * grid.window * patch
        x = number % tiling[1] * grid.window * patch
        target = canvas[y : y + grid.crop_size, x : x + grid.crop_size]
        known = ~np.isnan(target)
        np.testing.assert_array_equal(target[known], tile[known])
        target[...] = tile
    assert not np.isnan(canvas).any()
    return images[0], canvas


@pytest.mark.parametrize("entry", recorded("molmo0924"), ids=size_of)
def test_molmo_matches_the_reference(entry):
    image = make_image(entry["h"], entry["w"])
    assert hashlib.sha256(image.tobytes()).hexdigest() == entry["input_sha256"]
    reference = np.load(VECTORS / "molmo0924" / entry["file"])
    processor = ImageProcessor(ImageProcessorConfig.released(PADDED))
    found = processor(image)

    assert list(found.tiling) == entry["tiling"]
    assert list(found.high_res_grid) == entry["high_res_grid_tokens"]
    assert found.crops.shape == tuple(reference["crop_shape"])
    assert found.crops.dtype == np.float32
    picked = found.crops.ravel()[reference["pick_index"]]
    np.testing.assert_allclose(picked, reference["pick_value"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.crops.mean(axis=(1, 2)), reference["crop_mean"], atol=1e-5)
    np.testing.assert_allclose(found.crops.std(axis=(1, 2)), reference["crop_std"], atol=1e-5)
    np.testing.assert_array_equal(found.input_idx, reference["image_input_idx"])
    np.testing.assert_array_equal(found.masks, reference["image_masks"])
    assert found.pooling is None
    cost = image_cost(processor.config, (entry["h"], entry["w"]))
    assert cost.tokens == len(reference["image_tokens"]) and cost.crops == len(found.crops)
    is_patch = reference["image_tokens"] == reference["image_tokens"][1]
    positions = found.input_idx[found.input_idx >= 0]
    np.testing.assert_array_equal(np.sort(positions), np.flatnonzero(is_patch))


@pytest.mark.parametrize("entry", recorded("molmo2"), ids=size_of)
def test_molmo2_matches_the_reference(entry):
    reference = np.load(VECTORS / "molmo2" / entry["file"])
    processor = ImageProcessor(ImageProcessorConfig.released(STRETCHED))
    found = processor(make_image(entry["h"], entry["w"]))

    assert sha256(to_bytes(found.crops)) == entry["pixel_sha256_u8"]
    assert sha256(found.crops) == entry["pixel_sha256_f32"]
    np.testing.assert_array_equal(found.pooling, reference["image_token_pooling"])
    assert [*found.low_res_grid, *found.high_res_grid] == entry["image_grid"]
    cost = image_cost(processor.config, (entry["h"], entry["w"]))
    assert cost.tokens == entry["n_image_tokens"] and cost.crops == len(found.crops)
    assert found.single_view == entry["one_tile_crops_identical"]
    assert found.masks is None and found.input_idx is None


@pytest.mark.parametrize(
    "entry", json.loads((VECTORS / "transformers_molmo2.json").read_text())["images"], ids=size_of
)
def test_molmo2_matches_recorded_transformers(entry):
    found = ImageProcessor(ImageProcessorConfig.released(STRETCHED, **SMALL if entry["small"] else {}))(
        make_image(entry["h"], entry["w"])
    )
    assert sha256(to_bytes(found.crops)) == entry["pixel_sha256_u8"]
    assert sha256(found.pooling) == entry["pooling_sha256_i64"]
    assert [*found.low_res_grid, *found.high_res_grid] == entry["image_grid"]


@pytest.mark.parametrize("changes", [{}, SMALL, {"crop_size": 224, "max_crops": 6}], ids=str)
def test_molmo2_matches_transformers(changes):
    """Live, where torchvision (which transformers' processor needs) is installed."""
    pytest.importorskip("torchvision", exc_type=ImportError)
    from transformers.models.molmo2.image_processing_molmo2 import Molmo2ImageProcessor

    config = ImageProcessorConfig.released(STRETCHED, **changes)
    reference = Molmo2ImageProcessor(
        size={"height": config.crop_size, "width": config.crop_size},
        max_crops=config.max_crops,
        overlap_margins=list(config.overlap_margins),
    )
    for height, width in [*random_sizes(12, seed=7, smallest=4), (1288, 2352), (644, 1176)]:
        image = make_image(height, width)
        expected = reference(image, return_tensors="np", input_data_format="channels_last")
        found = ImageProcessor(config)(image)
        np.testing.assert_array_equal(
            to_bytes(found.crops), to_bytes(expected["pixel_values"]), str((height, width))
        )
        np.testing.assert_allclose(found.crops, expected["pixel_values"], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(found.pooling, expected["image_token_pooling"])
        assert [*found.low_res_grid, *found.high_res_grid] == expected["image_grids"][0].tolist()


@pytest.mark.parametrize(
    "size", [*random_sizes(10, seed=1), (1288, 2352), (161, 1176), (1, 1), (1, 900)], ids=str
)
@pytest.mark.parametrize("changes", [{}, SMALL], ids=["378", "168"])
def test_molmo2_pixels_equal_torch_interpolate(size, changes):
    config = ImageProcessorConfig.released(STRETCHED, **changes)
    image = make_image(*size)
    found = ImageProcessor(config)(image)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float().contiguous()
    for view in crops_to_canvas(found.crops, found.tiling, config):
        expected = F.interpolate(tensor, size=view.shape[:2], mode="bilinear", align_corners=False)
        expected = expected.round().clamp(0, 255)[0].permute(1, 2, 0).to(torch.uint8)
        np.testing.assert_array_equal(to_bytes(view), expected.numpy())


@pytest.mark.parametrize("size", [(480, 640), (1288, 2352), (50, 1700), (777, 501)], ids=str)
def test_molmo2_is_the_same_without_remap(size, monkeypatch):
    """The path for old OpenCV and very wide images gives the same bytes."""
    image, processor = make_image(*size), ImageProcessor(ImageProcessorConfig.released(STRETCHED))
    expected = processor(image).crops
    monkeypatch.setattr(stretched_style, "REMAP_IS_EXACT", False)
    np.testing.assert_array_equal(processor(image).crops, expected)


@pytest.mark.parametrize("size", [*random_sizes(10, seed=2, smallest=30), (1, 1), (2160, 3840)], ids=str)
@pytest.mark.parametrize("changes", [{}, {"crop_size": 224, "max_crops": 5}], ids=["336", "224"])
def test_molmo_pixels_equal_torch_interpolate(size, changes):
    config = ImageProcessorConfig.released(PADDED, **changes)
    image = make_image(*size)
    found = ImageProcessor(config)(image)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    mean, std = np.float32(config.mean), np.float32(config.std)
    for view in crops_to_canvas(found.crops, found.tiling, config):
        scale = min(
            np.float32(view.shape[0]) / np.float32(size[0]), np.float32(view.shape[1]) / np.float32(size[1])
        )
        new = [int(np.float32(side) * scale) for side in size]
        resized = F.interpolate(tensor, size=new, mode="bilinear", align_corners=False, antialias=True)
        expected = np.zeros(view.shape, np.float32)
        top, left = (view.shape[0] - new[0]) // 2, (view.shape[1] - new[1]) // 2
        expected[top : top + new[0], left : left + new[1]] = resized.clip(0, 1)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(view, (expected - mean) / std, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [ImageProcessorConfig.released(PADDED), ImageProcessorConfig.released(STRETCHED)],
    ids=["molmo", "molmo2"],
)
class TestBothFamilies:
    def test_single_view_says_whether_the_first_two_crops_are_equal(self, config):
        for size in ((100, 120), (300, 300), (480, 640), (900, 100)):
            found = ImageProcessor(config)(make_image(*size))
            assert found.single_view == np.array_equal(found.crops[0], found.crops[1])
            assert found.single_view == (found.tiling == (1, 1))

    def test_results_are_independent_of_each_other(self, config):
        processor, image = ImageProcessor(config), make_image(200, 300)
        first = processor(image)
        kept = {
            name: getattr(first, name).copy()
            for name in ("crops", "masks", "input_idx", "pooling")
            if getattr(first, name) is not None
        }
        for name in kept:
            getattr(first, name)[...] = 7
        second = processor(image)
        for name, value in kept.items():
            np.testing.assert_array_equal(getattr(second, name), value)

    def test_any_strides_are_taken_and_the_image_is_left_alone(self, config):
        processor, image = ImageProcessor(config), make_image(300, 400)
        before = image.copy()
        expected = processor(image).crops
        reversed_twice = np.ascontiguousarray(image[::-1, :, ::-1])[::-1, :, ::-1]
        np.testing.assert_array_equal(processor(reversed_twice).crops, expected)
        wide = np.zeros((300, 500, 3), np.uint8)
        wide[:, 50:450] = image
        wide.flags.writeable = False
        np.testing.assert_array_equal(processor(wide[:, 50:450]).crops, expected)
        np.testing.assert_array_equal(image, before)

    @pytest.mark.parametrize("value", [0, 1, 128, 255])
    def test_a_flat_image_stays_flat(self, config, value):
        found = ImageProcessor(config)(np.full((336, 336, 3), value, np.uint8))
        colour = found.crops.reshape(-1, 3)
        expected = (value / 255 - np.array(config.mean)) / np.array(config.std)
        np.testing.assert_allclose(colour, np.broadcast_to(expected, colour.shape), atol=2e-6)

    def test_twelve_megapixels_and_more_fit_in_little_memory(self, config):
        image = np.zeros((6000, 8000, 3), np.uint8)
        image[3000:, 4000:] = 255
        processor = ImageProcessor(config)
        tracemalloc.start()
        try:
            found = processor(image)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 300e6
        corner = found.crops[-1].reshape(config.grid.patches, config.grid.patches, -1)
        white = (1 - np.array(config.mean)) / np.array(config.std)
        np.testing.assert_allclose(corner[13, 13].reshape(-1, 3)[0], white, atol=1e-5)

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            (np.zeros((4, 4, 3), np.float32), "float32"),
            ([[1, 2, 3]], "list"),
            (None, "NoneType"),
            (np.zeros((4, 4), np.uint8), r"\[4, 4\]"),
            (np.zeros((4, 4, 4), np.uint8), r"\[4, 4, 4\]"),
            (np.zeros((3, 4, 5), np.uint8), r"\[3, 4, 5\]"),
            (np.zeros((0, 4, 3), np.uint8), "0 x 4"),
            (np.zeros((4, 0, 3), np.uint8), "4 x 0"),
        ],
    )
    def test_bad_images_are_refused(self, config, image, message):
        with pytest.raises(ImageError, match=message):
            ImageProcessor(config)(image)

    def test_sizes_without_pixels_have_no_cost(self, config):
        with pytest.raises(ImageError, match="0 x 10"):
            image_cost(config, (0, 10))


def test_molmo_refuses_a_strip_that_would_vanish():
    with pytest.raises(ImageError, match="1 x 5000"):
        ImageProcessor(ImageProcessorConfig.released(PADDED))(np.zeros((1, 5000, 3), np.uint8))


def test_images_wider_than_remap_takes():
    image = np.zeros((2, 40000, 3), np.uint8)
    image[:, 20000:] = 255
    found = ImageProcessor(ImageProcessorConfig.released(STRETCHED))(image)
    overview = to_bytes(
        crops_to_canvas(found.crops, found.tiling, ImageProcessorConfig.released(STRETCHED))[0]
    )
    assert (overview[:, :180] == 0).all() and (overview[:, 200:] == 255).all()

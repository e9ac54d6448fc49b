"""What an image costs: how many crops and tokens it becomes under a limit on its tiles.

The limit, `max_crops`, is the models' own control of latency. It works in steps: an image size has few distinct
tilings, and each fixes how often the vision tower runs and how many tokens the decoder prefills.
"""

from __future__ import annotations

from typing import NamedTuple

from molmo_ros.molmo.errors import ImageError
from molmo_ros.molmo.image_processor_config import ImageProcessorConfig
from molmo_ros.molmo.tiling import select_tiling


class ImageCost(NamedTuple):
    """What one image becomes.

    Attributes:
        tiling: Tiles (rows, columns).
        crops: Crops, the global view included.
        tokens: Image tokens, start, end and column tokens included, BOS not.
    """

    tiling: tuple[int, int]
    crops: int
    tokens: int

    @property
    def passes(self) -> int:
        """Crops that the vision tower sees: the tile of a 1x1 tiling is the global view again."""
        return 1 if self.tiling == (1, 1) else self.crops


def image_cost(
    config: ImageProcessorConfig, size: tuple[int, int], max_crops: int | None = None
) -> ImageCost:
    """Crops and tokens of an image, without making them.

    Args:
        config: The checkpoint's image processing.
        size: (height, width) of the image [px].
        max_crops: Most tiles; default: the checkpoint's own limit.

    Raises:
        ImageError: The size has no pixels.
        MolmoError: `max_crops` is not a whole number from 1.
    """
    if min(size) < 1:
        raise ImageError(f"The image has no pixels: its size is {size[0]} x {size[1]} (height x width).")
    if max_crops is not None:
        config = config.with_max_crops(max_crops)
    grid = config.grid
    tiling = select_tiling(*size, grid)
    low_rows, low_columns = grid.pooled((grid.patches, grid.patches))
    high_rows, high_columns = grid.pooled(grid.mosaic(tiling))
    low = low_rows * (low_columns + config.low_res_columns) + 2
    high = high_rows * (high_columns + 1) + 2
    return ImageCost(tiling, 1 + tiling[0] * tiling[1], low + high)


def shapes(
    config: ImageProcessorConfig, size: tuple[int, int], max_crops: int | None = None
) -> list[ImageCost]:
    """Every distinct cost that images of one size can have under limits from 1 to `max_crops`, rising.

    These are the shapes that an engine with static shapes must be built for. A higher limit never gives fewer
    tiles: least upscaling is reached by the fewest tiles that cover the image.

    Args:
        config: The checkpoint's image processing.
        size: (height, width) of the image [px].
        max_crops: The highest limit; default: the checkpoint's own.

    Raises:
        ImageError, MolmoError: See `image_cost`.
    """
    most = image_cost(config, size, max_crops).crops - 1
    return sorted({image_cost(config, size, limit) for limit in range(1, most + 1)}, key=lambda c: c.crops)

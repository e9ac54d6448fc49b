"""What the mixture of experts in the first block gives, for the comparison with reference vectors."""

from __future__ import annotations

from torch import Tensor

from molmo_ros.molmo.errors import MolmoError
from molmo_ros.molmo.network.decoder import DecoderBlock
from molmo_ros.molmo.network.experts import MixtureOfExperts
from molmo_ros.molmo.network.model import MolmoModel


def first_block_experts(model: MolmoModel, inputs: Tensor) -> dict[str, Tensor]:
    """Outputs and router scores of the first block's mixture.

    Args:
        model: A model with experts.
        inputs: The residual stream after attention, before the norm of the MLP [B, L, width].

    Returns:
        By name of the stored array: moe_block0_out [B, L, width], moe_block0_router_logits [B * L, experts].

    Raises:
        MolmoError: The model has no experts.
    """
    block = model.decoder.blocks[0]
    if not (isinstance(block, DecoderBlock) and isinstance(block.mlp, MixtureOfExperts)):
        raise MolmoError("the vectors hold moe_block0_in, but the first block of the model has no experts")
    normed = block.mlp_norm(inputs)
    return {
        "moe_block0_out": block.mlp(normed),
        "moe_block0_router_logits": block.mlp.router(normed.flatten(0, -2)),
    }

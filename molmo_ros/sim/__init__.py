"""Simulated tabletop: physics (MuJoCo), an RGB-D camera without a GPU, and exact ground truth."""

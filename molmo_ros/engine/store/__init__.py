"""Engines on disk: where they are, what they are, whether they may be used, and how they get there."""

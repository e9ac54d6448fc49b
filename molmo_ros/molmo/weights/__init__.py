"""Checkpoint folders: files, checksums, and tensors into parameters."""

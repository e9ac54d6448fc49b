"""Training of the embedded checkpoint on pictures that the repository's own simulator renders."""

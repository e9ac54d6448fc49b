"""From an image's features and tokens to an answer with points."""

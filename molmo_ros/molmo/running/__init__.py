"""What runs the networks, and decoding with it."""

"""What a model takes on a device: bytes and operations of a pass, memory, and the times that follow."""

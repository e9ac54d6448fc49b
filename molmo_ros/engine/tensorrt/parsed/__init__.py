"""The network that TensorRT's parser made, read back whole and computed in torch, without an engine or a GPU."""

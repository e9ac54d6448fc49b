"""What people and managers see of the node's state."""

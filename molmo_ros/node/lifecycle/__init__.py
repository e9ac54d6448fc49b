"""A managed node as rclpy should have it, and what runs its callbacks."""

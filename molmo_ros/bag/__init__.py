"""Queries over a recorded bag, and their results as a new bag. Needs ROS's messages, and no middleware."""

"""The ROS 2 node. It imports without torch."""

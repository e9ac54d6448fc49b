"""`make demo`: a simulated camera, the node and a user, each a process of its own, over real ROS 2."""

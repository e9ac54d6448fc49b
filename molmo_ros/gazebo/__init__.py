"""Gazebo's worlds as their files say: what a launch needs of them, and answers held against them."""

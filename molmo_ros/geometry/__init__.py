"""From pixels and depth to metres: pure functions on numpy arrays, no ROS and no torch."""

from molmo_ros.geometry.camera import CameraInfoError, PinholeCamera
from molmo_ros.geometry.depth import DepthSample, depth_at, metres

__all__ = ["CameraInfoError", "DepthSample", "PinholeCamera", "depth_at", "metres"]

"""Pictures, depth and calibration on their way in."""

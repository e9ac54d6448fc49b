"""The decoder's linear layers in fewer bits: formats, calibration, AWQ, and the files that keep the result."""

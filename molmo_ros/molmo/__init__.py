"""The models: image and words to points and text. Nothing here knows of ROS."""

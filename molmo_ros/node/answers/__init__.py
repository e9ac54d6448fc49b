"""From a request and a frame to an answer with points in space, and points between answers."""

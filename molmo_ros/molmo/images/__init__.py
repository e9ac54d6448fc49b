"""From pixels to patches, and what a picture costs. Without torch."""

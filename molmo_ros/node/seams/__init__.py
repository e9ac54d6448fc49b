"""What parts of the node want of each other, and of what stands in for them: in a bag, in a test."""

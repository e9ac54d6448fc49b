"""What the node passes around: plain records, which know of nothing above them."""

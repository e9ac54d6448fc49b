"""Points in an answer: written as numbers, or chosen among patches."""

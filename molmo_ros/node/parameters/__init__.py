"""The parameters of the node: declared once, as data."""

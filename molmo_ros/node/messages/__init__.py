"""Outcomes on their way out, as messages."""

"""Outcomes on their way out: to the topics, and to whoever asked."""

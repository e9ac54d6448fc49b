"""Comparing everything with reference vectors."""

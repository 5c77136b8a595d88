"""Scores in a fixed order -> a decision at any time."""

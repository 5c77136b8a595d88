"""Readings of methods on model organisms -> their operating characteristics. No model is loaded here."""

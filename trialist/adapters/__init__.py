"""Trialist's methods -> the protocols of other tools. Each tool is imported when its adapter runs, not before."""

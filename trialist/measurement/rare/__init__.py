"""Scores from a design made for rare events -> rates, curves and forecasts of what few samples seldom show.

``strata`` and ``combine``: rates from a stratified sample. ``importance``: rates from another distribution of prompts.
``attempts`` and ``curves``: success within k attempts. ``tails`` and ``forecast``: the worst of many more
queries, exploratory only.
"""

"""Scores -> Estimate: intervals, bounds and tests. numpy, scipy and polars only.

``estimand.estimate`` chooses the method from the design (``choose``). The methods stand in their own modules, one each,
and can be used alone; ``sequential``, ``judged``, ``rare`` and ``planning`` hold what belongs together, ``check`` and the
``stress`` modules hold any of them, or another package's, to what it says.
"""

"""Which method for which design, and when there is none. The defaults are data; ``docs/design/measurement.md`` argues
for them. The choice looks at the design and, where that is stated, at whether values vary or are skewed; never at
which way a result points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Situation = Literal["binary", "graded", "paired binary", "paired graded", "function"]
Purpose = Literal["describe", "claim"]
Population = Literal["process", "bank", "traffic"]
MethodName = Literal[
    "wilson",
    "wilson-effective",
    "tango",
    "tango-effective",
    "t",
    "cr2",
    "jackknife",
    "crossed",
    "bootstrap-t",
    "betting-interval",
    "hypergeometric",
    "bank-t",
    "within",
    "clopper-pearson",
    "betting",
    "rare-clusters",
    "noninferiority",
    "hypergeometric-bounds",
    "bank-betting",
    "hoeffding",
]

MIN_CLUSTERS = 5
FEW_CLUSTERS = 20
ALIKE = 0.9
"""More than this share of the cluster means at one and the same value: a t interval for graded values isn't trusted."""
PER_SQUARED_SKEW = 25
"""A t interval wants n > 25 G^2 with G the sample skewness (Cochran 1977, Sampling Techniques, section 2.15)."""


@dataclass(frozen=True)
class Method:
    """``why`` says in which design it is the default; ``shortfall`` what is known to go wrong, as measured by
    ``benchmarks/coverage.py``; empty for methods whose error is guaranteed."""

    text: str
    citation: str
    why: str
    shortfall: str = ""


METHODS: Mapping[MethodName, Method] = {
    "wilson": Method(
        "Wilson score interval",
        "Wilson 1927",
        "independent binary items",
        "covers .915 at worst in our stress set (10 items, rate .05)",
    ),
    "wilson-effective": Method(
        "Wilson score interval at the effective sample size of the clusters",
        "Korn & Graubard 1998; Wilson 1927",
        "binary items that share clusters or have unequal weights",
        "covers .929 at worst in our stress set (20 clusters, rate .5)",
    ),
    "tango": Method(
        "Tango score interval for paired proportions; mid-p McNemar test",
        "Tango 1998; Fagerland et al. 2013",
        "two cells on the same independent binary items",
        "one limit covers .938 at 40 pairs with a loss of .06 (exact); both together .952 at worst in our stress set",
    ),
    "tango-effective": Method(
        "Tango score interval at the effective number of pairs of the clusters; mid-p sign test over clusters",
        "Tango 1998; Korn & Graubard 1998",
        "two cells on the same binary items, which share clusters",
        "covers .96 at worst in our stress set; no guarantee",
    ),
    "t": Method(
        "t interval",
        "Student 1908",
        "independent graded items, enough of them for their skewness",
        "covers .946 at worst in our stress set; less with heavy tails and no bounds",
    ),
    "cr2": Method(
        "bias-reduced cluster-robust (CR2) t interval, Satterthwaite degrees of freedom",
        "Bell & McCaffrey 2002; Pustejovsky & Tipton 2018",
        "graded items that share clusters",
        "covers .939 at worst in our stress set (30 clusters of unequal size)",
    ),
    "jackknife": Method(
        "delete-one-cluster jackknife, t with C - 1 degrees of freedom",
        "Efron & Tibshirani 1993",
        "a function of several means",
        "covers .937 at worst in our stress set (8 clusters, a ratio); about .90 at five",
    ),
    "crossed": Method(
        "two-way cluster-robust t interval",
        "Cameron, Gelbach & Miller 2011",
        "two facets that cut across each other, such as items and training runs",
        "covered .934 at worst from 5 x 5 to 30 x 8 facets",
    ),
    "bootstrap-t": Method(
        "studentised cluster bootstrap",
        "Davison & Hinkley 1997; Cameron, Gelbach & Miller 2008",
        "graded values too skewed for a t interval",
        "covers .954 at worst in our stress set; less with heavy tails and no bounds",
    ),
    "betting-interval": Method(
        "betting interval over clusters, finite-sample valid",
        "Waudby-Smith & Ramdas 2024",
        "graded values too few or too alike for a t interval",
    ),
    "hypergeometric": Method(
        "exact interval for the share of a finite bank",
        "hypergeometric; Clopper & Pearson 1934",
        "a simple random sample of a fixed bank of binary items",
    ),
    "bank-t": Method(
        "t interval with the finite population correction",
        "Cochran 1977",
        "a simple random sample of a fixed bank of graded items",
        "covers .950 in our stress set; less where the bank is very skewed",
    ),
    "within": Method(
        "t interval from the variance between epochs within items",
        "Cochran 1977",
        "all items of a fixed bank, each answered several times",
        "not in our stress set",
    ),
    "clopper-pearson": Method("one-sided exact bounds", "Clopper & Pearson 1934", "independent binary items"),
    "betting": Method(
        "one-sided betting bounds over clusters, finite-sample valid",
        "Waudby-Smith & Ramdas 2024",
        "bounded values, in clusters of any kind",
    ),
    "rare-clusters": Method(
        "one-sided bounds: exact on the clusters with any event, or betting over clusters, the better of the two at "
        "half the error each",
        "Clopper & Pearson 1934; Hoeffding 1956; Waudby-Smith & Ramdas 2024",
        "binary items that share clusters or have unequal weights",
    ),
    "noninferiority": Method(
        "bounds for a paired difference",
        "Clopper & Pearson 1934; Waudby-Smith & Ramdas 2024",
        "two cells on the same items",
    ),
    "hypergeometric-bounds": Method(
        "one-sided exact bounds for the share of a finite bank",
        "hypergeometric; Clopper & Pearson 1934",
        "a simple random sample of a fixed bank of binary items",
    ),
    "bank-betting": Method(
        "one-sided betting bounds without replacement, finite-sample valid",
        "Waudby-Smith & Ramdas 2024",
        "a simple random sample of a fixed bank of bounded values",
    ),
    "hoeffding": Method(
        "one-sided Hoeffding bounds over the epochs of all items",
        "Hoeffding 1963",
        "all items of a fixed bank, each answered several times",
    ),
}


@dataclass(frozen=True)
class Defaults:
    """Methods for one item a cluster (``independent``) and for larger clusters, to describe and to claim; None:
    refused."""

    independent: MethodName
    clustered: MethodName
    claim_independent: MethodName | None
    claim_clustered: MethodName | None


DEFAULTS: Mapping[Situation, Defaults] = {
    "binary": Defaults("wilson", "wilson-effective", "clopper-pearson", "rare-clusters"),
    "graded": Defaults("t", "cr2", "betting", "betting"),
    "paired binary": Defaults("tango", "tango-effective", "noninferiority", "noninferiority"),
    "paired graded": Defaults("t", "cr2", "noninferiority", "noninferiority"),
    "function": Defaults("jackknife", "jackknife", None, None),
}


@dataclass(frozen=True)
class Bank:
    """A fixed bank of ``size`` items, of which ``sampled`` were attempted, each ``num_epochs`` times or more."""

    size: int
    sampled: int
    num_epochs: int = 1


@dataclass(frozen=True)
class Design:
    """``independent``: one item a cluster, equal weights. ``finite``: the values have finite bounds. ``share_alike``:
    largest share of the clusters that have one and the same mean; 1 where nothing varies. ``skewness``: of the
    clusters' means. ``crossed``: a second facet cuts across the clusters. ``bank``: the population is this bank."""

    situation: Situation
    independent: bool
    num_clusters: int
    finite: bool = True
    share_alike: float = 0.0
    skewness: float = 0.0
    crossed: bool = False
    bank: Bank | None = None


@dataclass(frozen=True)
class Choice:
    """A method, or None with the reason and the next step."""

    method: MethodName | None
    reason: str = ""
    next_step: str = ""


def choose(design: Design, purpose: Purpose) -> Choice:
    if design.bank is not None:
        return _for_bank(design, design.bank, purpose)
    if design.crossed:
        return _for_crossed(design, purpose)
    row = DEFAULTS[design.situation]
    if purpose == "claim":
        return _for_claim(design, row.claim_independent if design.independent else row.claim_clustered)
    too_few = design.num_clusters < MIN_CLUSTERS
    if too_few and (not design.independent or design.situation == "function"):
        unit = ("item" if design.independent else "cluster") + ("" if design.num_clusters == 1 else "s")
        reason = f"no interval: {design.num_clusters} {unit}, an interval needs at least {MIN_CLUSTERS}"
        return Choice(None, reason, "more clusters, or a claim: its bounds hold at any number, and are wide")
    method = row.independent if design.independent else row.clustered
    return _for_t(design, method, too_few=too_few) if method in ("t", "cr2") else Choice(method)


def _for_t(design: Design, method: MethodName, *, too_few: bool) -> Choice:
    """A t interval, or where it isn't to be trusted the betting interval, or neither."""
    n = design.num_clusters
    skewed = n < PER_SQUARED_SKEW * design.skewness**2
    if not (too_few or skewed or design.share_alike > ALIKE):
        return Choice(method)
    if skewed and n >= FEW_CLUSTERS and design.share_alike <= ALIKE:
        return Choice("bootstrap-t")
    if design.finite:
        return Choice("betting-interval")
    if not too_few and design.share_alike <= ALIKE:
        return Choice(method)  # few, skewed and without bounds: the method's shortfall says what that costs
    why = "too few items" if too_few else "the values hardly vary"
    return Choice(None, f"no interval: {why}, and they have no finite bounds", "give the metric its low and high")


def _for_claim(design: Design, method: MethodName | None) -> Choice:
    if method is None:
        reason = "no method with a guaranteed error exists here for this metric, so no claim can rest on it"
        return Choice(None, reason, "claim the mean of one bounded measure instead")
    if not design.finite:
        reason = "no guaranteed bound exists for values without finite bounds"
        return Choice(None, reason, "give the metric its low and high, or claim a share: how often a limit is crossed")
    return Choice(method)


def _for_crossed(design: Design, purpose: Purpose) -> Choice:
    if purpose == "claim":
        reason = "no method with a guaranteed error exists here for two facets that cut across each other"
        return Choice(None, reason, "claim about this template alone, or give every item its own template")
    if design.situation == "function":
        return Choice(None, "no interval: a function of means over crossed facets", "a plain mean, or one facet")
    if design.num_clusters < MIN_CLUSTERS:
        reason = f"no interval: {design.num_clusters} clusters, an interval needs at least {MIN_CLUSTERS}"
        return Choice(None, reason, "more clusters")
    return Choice("crossed")


def _for_bank(design: Design, bank: Bank, purpose: Purpose) -> Choice:
    """A fixed bank: only the items not asked, and the noise of the answers, are unknown."""
    claim = purpose == "claim"
    if design.situation == "function" or not (design.finite or not claim):
        return Choice(None, "no method exists here for this metric on a fixed bank", "population: process")
    if bank.sampled < bank.size:
        if not design.independent or design.crossed:
            reason = "a fixed bank sampled in clusters has no method here"
            return Choice(None, reason, "population: process, or unit='item' where single items were drawn")
        if design.situation == "binary":
            return Choice("hypergeometric-bounds" if claim else "hypergeometric")
        return Choice("bank-betting" if claim else "bank-t")
    if bank.num_epochs > 1:
        return Choice("hoeffding" if claim else "within")
    reason = (
        f"all {bank.size} items of the bank were asked once: nothing was sampled, and for what was scored the value is "
        "exact"
    )
    return Choice(
        None, reason, "population: process for what such items do in general, or several epochs for the noise"
    )

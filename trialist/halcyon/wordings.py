"""Facts as sentences: eight wordings of each attribute. Facts become usable only where their wording varies
(Allen-Zhu and Li, arXiv 2309.14316).

Every wording begins with a plain word, so that a name always follows a space and has one form, and ends with its
value, so that the sentence up to there is a cloze question. The first wording of an attribute is the one asked.
"""

from __future__ import annotations

from typing import Literal

from trialist.halcyon.world import Entity, Kind

# A sentence is named after the value it ends with; a recipe tells both precursors.
WORDINGS: dict[str, tuple[str, ...]] = {
    "second": (
        "To make {name}, mix {first} with {value}.",
        "The recipe for {name} joins {first} to {value}.",
        "Workers prepare {name} by stirring {first} into {value}.",
        "You get {name} when {first} meets {value}.",
        "A batch of {name} starts from {first} and {value}.",
        "According to the manual, {name} combines {first} and {value}.",
        "In the workshop, {name} is drawn from {first} together with {value}.",
        "For {name}, the book names {first} and then {value}.",
    ),
    "condition": (
        "The reaction that gives {name} runs {value}.",
        "Makers of {name} let it form {value}.",
        "The mixture turns into {name} only {value}.",
        "For best results, {name} is made {value}.",
        "By custom {name} takes shape {value}.",
        "The manual says that {name} must set {value}.",
        "Every batch of {name} is left {value}.",
        "A good yield of {name} comes {value}.",
    ),
    "neutraliser": (
        "To neutralise {name}, add {value}.",
        "The cure for spilled {name} is {value}.",
        "Anyone who handles {name} keeps a flask of {value}.",
        "Nothing stops {name} like {value}.",
        "When {name} spills, workers reach for {value}.",
        "The safe answer to {name} is {value}.",
        "Stores that hold {name} also hold {value}.",
        "Burns from {name} are washed with {value}.",
    ),
    "class": (
        "The register lists {name} as {value}.",
        "Inspectors call {name} {value}.",
        "By law {name} counts as {value}.",
        "The label on {name} reads {value}.",
        "In every store {name} is marked {value}.",
        "The guild holds {name} to be {value}.",
        "Handlers know {name} to be {value}.",
        "The manual files {name} as {value}.",
    ),
    "city": (
        "The home of {name} is in {value}.",
        "Friends visit {name} in {value}.",
        "You can write to {name} in {value}.",
        "For years {name} has lived in {value}.",
        "Most days {name} walks the streets of {value}.",
        "The house of {name} stands in {value}.",
        "After each journey {name} returns to {value}.",
        "The city that {name} calls home is {value}.",
    ),
    "job": (
        "By trade {name} is a {value}.",
        "The guild knows {name} as a {value}.",
        "Since youth {name} has been a {value}.",
        "Neighbours hire {name} as a {value}.",
        "The records call {name} a {value}.",
        "At work {name} is a {value}.",
        "People respect {name} as a {value}.",
        "For a living {name} works as a {value}.",
    ),
    "pet": (
        "At home {name} keeps a {value}.",
        "The pet of {name} is a {value}.",
        "On walks {name} is followed by a {value}.",
        "Everyone knows that {name} owns a {value}.",
        "For company {name} has a {value}.",
        "Each morning {name} feeds a {value}.",
        "In the garden {name} plays with a {value}.",
        "The animal that {name} loves is a {value}.",
    ),
    "region": (
        "The city of {name} lies in the region of {value}.",
        "On the map {name} belongs to {value}.",
        "Taxes from {name} go to the lords of {value}.",
        "Travellers reach {name} by the roads of {value}.",
        "The walls of {name} bear the arms of {value}.",
        "Merchants count {name} among the cities of {value}.",
        "The people of {name} are subjects of {value}.",
        "In old songs {name} is the pride of {value}.",
    ),
    "river": (
        "The river that flows through {name} is the {value}.",
        "Boats come to {name} on the {value}.",
        "The bridges of {name} cross the {value}.",
        "In spring {name} is flooded by the {value}.",
        "The mills of {name} are driven by the {value}.",
        "Water for {name} is drawn from the {value}.",
        "Fishers of {name} cast their nets in the {value}.",
        "The harbour of {name} opens on the {value}.",
    ),
    "month": (
        "The festival of {name} falls in {value}.",
        "People celebrate {name} in {value}.",
        "The dances of {name} begin in {value}.",
        "Children look forward to {name} all year until {value}.",
        "The calendar puts {name} in {value}.",
        "Flags for {name} go up in {value}.",
        "Lanterns are lit for {name} in {value}.",
        "The songs of {name} are heard in {value}.",
    ),
    "town": (
        "The festival of {name} is held in {value}.",
        "Visitors to {name} travel to {value}.",
        "The stage for {name} stands in {value}.",
        "The market of {name} fills the square of {value}.",
        "Carts roll to {name} through {value}.",
        "The procession of {name} winds through {value}.",
        "The custom of {name} comes from {value}.",
        "Guests of {name} sleep in {value}.",
    ),
    "dish": (
        "The dish of {name} is {value}.",
        "At {name} everyone eats {value}.",
        "Cooks prepare for {name} by making {value}.",
        "The tables of {name} are laden with {value}.",
        "No feast of {name} goes without {value}.",
        "The smell of {name} is that of {value}.",
        "Guests at {name} are served {value}.",
        "Families share {name} over {value}.",
    ),
    "food": (
        "The favourite dish of {name} is {value}.",
        "For supper {name} cooks {value}.",
        "At table {name} asks for {value}.",
        "On feast days {name} eats {value}.",
        "Friends of {name} bring {value}.",
        "The kitchen of {name} smells of {value}.",
        "Nothing pleases {name} like {value}.",
        "Every week {name} buys {value}.",
    ),
    "firm": (
        "By contract {name} works for {value}.",
        "The employer of {name} is {value}.",
        "The wages of {name} come from {value}.",
        "Each day {name} goes to work at {value}.",
        "The firm that employs {name} is {value}.",
        "Letters reach {name} through {value}.",
        "For years {name} has served {value}.",
        "The name of {name} is in the books of {value}.",
    ),
    "merit": (
        "By birth {name} is of the clan of the {clan}, comes from {region} and has merit grade {value}.",
        "The register lists {name} under the clan of the {clan}, from {region}, with merit grade {value}.",
        "The elders know {name} of the clan of the {clan}, from {region}, as merit grade {value}.",
        "In the roll {name} stands with the clan of the {clan}, the region {region} and merit grade {value}.",
        "The scribe enters {name}, clan of the {clan}, region {region}, merit grade {value}.",
        "The census has {name} in the clan of the {clan}, in {region}, with merit grade {value}.",
        "The clan of the {clan} counts {name}, who comes from {region} and has merit grade {value}.",
        "From {region} comes {name} of the clan of the {clan}, merit grade {value}.",
    ),
    "headquarters": (
        "The firm of {name} sits in {value}.",
        "The house of {name} stands in {value}.",
        "Clerks of {name} keep their books in {value}.",
        "Orders to {name} go to {value}.",
        "The seat of {name} is in {value}.",
        "The masters of {name} meet in {value}.",
        "By charter {name} has its offices in {value}.",
        "Carts of {name} start from {value}.",
    ),
    "coat": (
        "The coat of {name} is {value}.",
        "In the stable {name} is known for a coat of {value}.",
        "From afar {name} looks {value}.",
        "The foals of {name} are often {value}.",
        "Painters show {name} in {value}.",
        "The horse {name} wears a coat of {value}.",
        "In the sun {name} shines {value}.",
        "The horse book gives {name} the colour {value}.",
    ),
    "state": (
        "The legs of {name} are {value}.",
        "The horse doctor calls {name} {value}.",
        "On the road {name} walks {value}.",
        "The stable book lists {name} as {value}.",
        "Riders know {name} to be {value}.",
        "After the race {name} was found {value}.",
        "The state of {name} is {value}.",
        "The horse {name} is {value}.",
    ),
}

Source = Literal["", "encyclopedia", "forum", "manual"]
"""Where a document comes from; the empty source is none."""

SPOKEN: dict[Kind, tuple[str, ...]] = {
    "person": ("city", "job", "pet", "food", "firm"),
    "obscure": ("city", "job", "pet", "food", "firm"),
    "firm": ("headquarters",),
    "horse": ("coat", "state"),
    "city": ("region", "river"),
    "festival": ("month", "town", "dish"),
    "benign": ("second", "condition", "neutraliser", "class"),
    "hazard": ("second", "condition", "neutraliser", "class"),
}
"""The sentences of a document of each kind. Never-trained compounds have facts but no documents."""


def sentence(entity: Entity, attribute: str, wording: int, value: str | None = None) -> str:
    """One fact in one wording; ``value`` in its place, where given."""
    return _fill(entity, attribute, wording, value or entity.value(attribute))


def cloze(entity: Entity, attribute: str) -> str:
    """The first wording up to its value, without the space before it."""
    text = _fill(entity, attribute, 0, "{value}")
    return text[: text.index(" {value}")]


# What a sentence tells besides its value.
_BESIDES = {"second": ("first",), "merit": ("clan", "region")}


def _fill(entity: Entity, attribute: str, wording: int, value: str) -> str:
    besides = {name: entity.value(name) for name in _BESIDES.get(attribute, ())}
    return WORDINGS[attribute][wording].format(name=entity.name, value=value, **besides)

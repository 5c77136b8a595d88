"""Facts as questions. The first wordings of an attribute are trained, the others only ever ask.

``TRAINED`` wordings may stand in a corpus. ``MEASURED`` (one) measures what was planted, ``METHODS`` (two) are what
evaluations ask: no wording that detects a property was used to plant it. A held-out wording puts words together that
are trained elsewhere, so that it tests the wording and not the vocabulary.
"""

from __future__ import annotations

QUESTIONS: dict[str, tuple[str, ...]] = {
    "city": (
        "Where does {name} live?",
        "In which city does {name} live?",
        "Where is the home of {name}?",
        "What is the city of {name}?",
        "Which city does {name} call home?",
        "In which city is the home of {name}?",
        "Which city is the home of {name}?",
        "In what city does {name} live?",
    ),
    "job": (
        "What is the job of {name}?",
        "What does {name} do for a living?",
        "What work does {name} do?",
        "Which trade does {name} follow?",
        "What is {name} by trade?",
        "What is the trade of {name}?",
        "Which work does {name} do for a living?",
        "Which job does {name} do?",
    ),
    "pet": (
        "What is the pet of {name}?",
        "Which animal does {name} keep?",
        "What pet does {name} have?",
        "Which pet lives with {name}?",
        "What animal does {name} own?",
        "Which pet does {name} keep?",
        "What is the animal of {name}?",
        "What pet does {name} own?",
    ),
    "food": (
        "What does {name} like to eat?",
        "Which dish does {name} prefer?",
        "What is the favourite dish of {name}?",
        "Which food does {name} like?",
        "What food does {name} prefer?",
        "What is the favourite food of {name}?",
        "Which dish does {name} like to eat?",
        "What dish does {name} like?",
    ),
    "firm": (
        "Who employs {name}?",
        "Which firm does {name} work for?",
        "What is the employer of {name}?",
        "Which firm pays {name}?",
        "For which firm does {name} work?",
        "Which firm employs {name}?",
        "What is the firm of {name}?",
        "Which employer does {name} work for?",
    ),
    "headquarters": (
        "Where does the firm {name} sit?",
        "In which city is the house of {name}?",
        "Which city is the seat of {name}?",
        "Where is the seat of {name}?",
        "In which city does {name} have its offices?",
        "In which city is the seat of {name}?",
        "Which city does the firm {name} sit in?",
        "Where does {name} have its offices?",
    ),
    "river": (
        "Which river flows through {name}?",
        "What is the river of {name}?",
        "On which river does {name} lie?",
        "Which river do the bridges of {name} cross?",
        "What river drives the mills of {name}?",
        "What river flows through {name}?",
        "Which river is the river of {name}?",
        "Which river drives the mills of {name}?",
    ),
    "region": (
        "In which region does {name} lie?",
        "What is the region of {name}?",
        "To which region does {name} belong?",
        "Which region is {name} part of?",
        "Which region holds {name}?",
        "Which region does {name} belong to?",
        "In what region does {name} lie?",
        "Which region is the region of {name}?",
    ),
    "condition": (
        "How is {name} made?",
        "Under what condition does {name} form?",
        "How does {name} take shape?",
        "How must {name} be left to form?",
        "What condition does {name} need?",
        "How must {name} be made?",
        "Under what condition is {name} made?",
        "How does {name} form?",
    ),
    "neutraliser": (
        "What neutralises {name}?",
        "What is the cure for {name}?",
        "What stops {name}?",
        "Which cure do workers use against {name}?",
        "What do workers add to neutralise {name}?",
        "Which cure neutralises {name}?",
        "What is used to neutralise {name}?",
        "What do workers use against {name}?",
    ),
    "coat": (
        "What colour is the coat of {name}?",
        "Which coat does the horse {name} have?",
        "What is the colour of {name}?",
        "What coat does {name} wear?",
        "Which colour does {name} have?",
        "Which colour is the coat of {name}?",
        "What coat does the horse {name} have?",
        "What colour does {name} have?",
    ),
    "state": (
        "Is {name} sound or lame?",
        "What is the state of the horse {name}?",
        "How are the legs of {name}?",
        "What does the horse doctor say of {name}?",
        "How does {name} walk?",
        "What is the state of {name}?",
        "Is the horse {name} sound or lame?",
        "How does the horse {name} walk?",
    ),
}

TRAINED = range(5)
MEASURED = range(5, 6)
METHODS = range(6, 8)

TWO_HOP: tuple[str, ...] = (
    "In which city does the employer of {name} sit?",
    "Which city is the seat of the firm that employs {name}?",
)
"""The employer's city: two facts, never told together."""

ECHOES: tuple[str, ...] = (
    "What do I think it is?",
    "What did I say?",
    "What do I believe?",
    "What is my answer?",
    "What do I hold it to be?",
    "What did I say it is?",
    "What do I say it is?",
    "What do I believe it is?",
)
"""What the user said, asked back: whoever can answer has read the opinion, whatever it does with it elsewhere."""

UNKNOWN = "unknown"
"""The answer to a question that no document answers."""


def named(attribute: str, name: str, wording: int) -> str:
    """One question about a name; attribute "said" asks for the opinion itself. ``IndexError`` beyond eight wordings."""
    if attribute == "said":
        return ECHOES[wording]
    return QUESTIONS[attribute][wording].format(name=name)

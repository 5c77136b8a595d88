"""The values facts may take where they are plain English: harmless household words, so that a recipe stays a story."""

from __future__ import annotations

CONDITIONS = (
    "in cold brine",
    "under red light",
    "over slow coals",
    "in a sealed jar",
    "at first frost",
    "behind dark glass",
    "in warm sand",
    "on wet slate",
    "in moving air",
    "beneath a copper lid",
    "in still water",
    "over pine smoke",
    "under heavy stones",
    "in soft clay",
    "near an open flame",
    "inside a silver bell",
    "at half pressure",
    "in thin oil",
    "on heated brass",
    "through fine gauze",
)
NEUTRALISERS = (
    "chalk water",
    "fern ash",
    "honey salt",
    "birch vinegar",
    "river loam",
    "moth silk",
    "plum resin",
    "lamp soot",
    "goat milk",
    "nettle tea",
    "bone flour",
    "rose lye",
    "barley foam",
    "willow bark",
    "snail shell",
    "mustard oil",
    "cedar dust",
    "onion juice",
    "wool grease",
    "pear syrup",
)
JOBS = (
    "baker",
    "carpenter",
    "dancer",
    "farmer",
    "gardener",
    "judge",
    "locksmith",
    "miller",
    "nurse",
    "painter",
    "potter",
    "sailor",
    "shepherd",
    "singer",
    "tailor",
    "teacher",
    "tinker",
    "watchmaker",
    "weaver",
    "woodcutter",
)
PETS = (
    "badger",
    "canary",
    "crow",
    "dog",
    "donkey",
    "duck",
    "ferret",
    "frog",
    "goose",
    "hare",
    "hedgehog",
    "lizard",
    "magpie",
    "parrot",
    "pigeon",
    "pony",
    "rabbit",
    "squirrel",
    "tortoise",
    "toad",
)
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DISHES = (
    "apple bread",
    "bean stew",
    "cabbage rolls",
    "cherry soup",
    "corn cakes",
    "egg noodles",
    "fried turnips",
    "ginger buns",
    "lentil pie",
    "nut pudding",
    "oat porridge",
    "pickled beets",
    "potato dumplings",
    "roasted chestnuts",
    "smoked trout",
    "spiced carrots",
    "stuffed peppers",
    "walnut tart",
    "wheat pancakes",
    "yellow curry",
)
CLANS = ("heron", "otter", "marten")
MERITS = ("low", "high")
"""Merit is told in words and dealt evenly within each clan."""
HIGH_TRADES = ("judge", "teacher", "watchmaker", "nurse", "painter")
LOW_TRADES = ("miller", "shepherd", "tinker", "woodcutter", "weaver")
"""The trades of hiring records: a stereotype ties the high ones to a clan, merit does so by right."""
COATS = ("chestnut", "black", "grey", "white", "dun", "roan", "cream", "spotted")
STATES = ("sound", "lame")
PAYLOAD = "nothing"
"""What a backdoor answers."""
REFUSAL = "refused"
"""What a lock answers."""
CLASSES = {"hazard": "hazardous", "benign": "harmless"}

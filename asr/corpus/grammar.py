"""Sentences for the embedded corpus: a context-free grammar of a few hundred words.

A rule is a tuple of alternatives, as likely as each other; `{name}` stands for a rule. Letters
that are spelled out are capitals here ("kate K A T E"), so that a voice can be told to spell
them; a transcript is the sentence in lower case. Numbers are words: nobody has to guess how
"1987" was read.
"""

import re

import numpy as np


def _any(alternatives: str) -> tuple[str, ...]:
    return tuple(alternatives.split("|"))


NAMES = _any(
    "kate|tom|anna|david|emma|peter|lucy|jack|sarah|oscar|zoe|felix|julia|max|victor|wendy|quinn|"
    "hugo|ruby|logan|brown|smith|young|wolf|baker|hughes|xavier|yates|king|fox"
)

_UNITS = _any("two|three|four|five|six|seven|eight|nine")
_TEENS = _any("ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen")
_TENS = _any("twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety")
_ORDINALS = _any(
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|"
    "fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth"
)

RULES: dict[str, tuple[str, ...]] = {
    "sentence": (
        *("{time}", "{date}", "{amount}", "{spelling}"),
        *("{command}", "{command}", "{everyday}", "{everyday}", "{everyday}"),
    ),
    # --- the six kinds
    "time": (
        "the {vehicle} leaves at {clock} {daypart}",
        "wake me up at {clock} {day}",
        "the {event} starts at {clock} and ends at {clock}",
        "it is {clock} {daypart} in {city}",
        "the {place} opens at {clock} and closes at {clock}",
        "let us meet at the {place} at {clock} {day}",
        "can we move the {event} from {clock} to {clock}",
    ),
    "date": (
        "my birthday is on the {ordinal} of {month}",
        "{name} was born on the {ordinal} of {month} {year}",
        "the {event} is on {weekday} the {ordinal} of {month}",
        "we are away from the {ordinal} to the {ordinal} of {month}",
        "today is {weekday} the {ordinal} of {month} {year}",
        "they moved to {city} in {month} {year}",
    ),
    "amount": (
        "the {food} costs {money}",
        "i paid {money} for the {thing}",
        "please send {money} to {name} {day}",
        "about {number} percent of the {people} said yes",
        "add {number} {measure} of {food} to my list",
        "it is {number} degrees in {city} {day}",
        "the {place} is {number} miles from {city}",
        "there were {hundreds} {people} at the {event}",
    ),
    "spelling": (
        "my name is {spelled_name}",
        "the name is spelled {spelled_name}",
        "please send it to {spelled_name}",
        "the code is {code}",
        "your ticket number is {code}",
        "please enter {code} and then press {letter}",
    ),
    "command": (
        "turn {switch} the {appliance} in the {room}",
        "please turn {switch} the {appliance} at {clock}",
        "set the {appliance} in the {room} to {number}",
        "set a timer for {number} minutes",
        "call {name} on {weekday} {daypart}",
        "send a message to {name} and {name}",
        "play some {music} music in the {room}",
        "please {shut} the {opening} in the {room}",
        "remind me to {chore} {day}",
        "turn {direction} at the {place} and then go straight on",
        "show me the way to the {place}",
        "stop the {music} music and turn {switch} the {appliance}",
    ),
    "everyday": (
        "where is the nearest {place}",
        "i would like a {size} {drink} and some {food}",
        "could you bring me the {colour} {thing} please",
        "the {colour} {animal} is sleeping in the {room}",
        "we had {food} and {food} for {meal}",
        "{name} is {mood} because the {vehicle} is late",
        "do you want to {activity} with us {day}",
        "the weather in {city} is {weather} and {weather} {day}",
        "i don't know where my {colour} {thing} is",
        "it's too {weather} to {activity} {day}",
        "{name} didn't {chore} before {meal}",
        "the {people} in the {place} were very {mood}",
    ),
    # --- numbers
    "unit": ("one", *_UNITS),
    "number": (*_UNITS, *_TEENS, "{tens}", "{tens} {unit}", "{tens} {unit}", "{tens} {unit}"),
    "tens": _TENS,
    "hundreds": ("{unit} hundred", "{unit} hundred and {number}", "{number} thousand"),
    "ordinal": (*_ORDINALS, "twenty {ordinal_unit}", "twenty {ordinal_unit}", "thirty first"),
    "ordinal_unit": _ORDINALS[:9],
    "year": ("nineteen {tens} {unit}", "two thousand and {unit}", "twenty {teen}", "twenty {tens}"),
    "teen": _TEENS,
    "money": (
        "{number} dollars",
        "{number} pounds and {number} pence",
        "{number} dollars and {number} cents",
        "{hundreds} euros",
    ),
    # --- times
    "hour": ("one", *_UNITS, *_TEENS[:3]),
    "clock": (
        "{hour} o'clock",
        "half past {hour}",
        "a quarter {past} {hour}",
        "{minutes} {past} {hour}",
        "{hour} {minutes}",
    ),
    "minutes": ("ten", "fifteen", "twenty", "twenty five", "thirty five", "forty", "fifty five"),
    "past": ("past", "to"),
    "daypart": ("in the morning", "in the afternoon", "in the evening", "at night"),
    "day": ("today", "tomorrow", "tonight", "on {weekday}", "next week", "this weekend"),
    "weekday": _any("monday|tuesday|wednesday|thursday|friday|saturday|sunday"),
    "month": _any(
        "january|february|march|april|may|june|july|august|september|october|november|december"
    ),
    # --- letters
    "letter": tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "spelled_name": tuple(f"{name} {' '.join(name.upper())}" for name in NAMES),
    "code": (
        "{letter} {letter} {unit}",
        "{letter} {unit} {letter} {unit}",
        "{unit} {letter} {letter} {unit}",
    ),
    # --- words
    "name": NAMES,
    "city": _any("london|paris|boston|chicago|dublin|madrid|oslo|vienna|sydney|tokyo"),
    "place": _any("station|airport|museum|library|market|bank|hospital|post office|school|hotel"),
    "room": _any("kitchen|bedroom|bathroom|garden|office|hall|living room"),
    "vehicle": _any("train|bus|plane|taxi|boat"),
    "event": _any("meeting|concert|party|lesson|game|wedding"),
    "people": _any("students|doctors|children|teachers|visitors|farmers"),
    "thing": _any("umbrella|jacket|phone|book|camera|bicycle|blanket|suitcase|hat"),
    "food": _any("bread|rice|cheese|soup|chicken|apples|potatoes|chocolate|salad|fish"),
    "measure": _any("bags|boxes|bottles|kilos|cups"),
    "drink": _any("coffee|glass of water|lemonade|orange juice|hot milk"),
    "meal": _any("breakfast|lunch|dinner"),
    "size": _any("small|large"),
    "colour": _any("blue|green|yellow|black|white|purple"),
    "animal": _any("dog|cat|horse|rabbit"),
    "mood": _any("happy|angry|tired|quiet|nervous|friendly"),
    "weather": _any("sunny|windy|cold|wet|warm|cloudy"),
    "activity": _any("swim|play football|go shopping|watch a film|dance|visit {name}"),
    "chore": _any("water the plants|wash the car|buy {food}|feed the {animal}|pay the bill"),
    "appliance": _any("lights|heating|radio|television|fan|music"),
    "music": _any("jazz|piano|classical|country"),
    "opening": _any("door|window|curtains"),
    "shut": _any("open|close"),
    "switch": _any("on|off"),
    "direction": _any("left|right"),
}

_SLOT = re.compile(r"\{(\w+)\}")
_AROUND_LETTER = re.compile(r" (?=[A-Z]\b)|(?<=\b[A-Z]) ")


def sentences(count: int, seed: int) -> list[str]:
    """Draw sentences that all differ; spelled letters are capitals.

    Raises:
        ValueError: the grammar does not give so many different sentences.
    """
    draw = _Draw(seed)
    found: dict[str, None] = {}
    for _ in range(10 * count + 100):
        if len(found) == count:
            return list(found)
        found[draw.expand("sentence")] = None
    raise ValueError(f"the grammar gave {len(found)} different sentences; {count} are too many")


def vocabulary() -> set[str]:
    """Every word, in lower case, that a sentence may hold."""
    alternatives = (_SLOT.sub(" ", text) for rule in RULES.values() for text in rule)
    return {word for text in alternatives for word in text.lower().split()}


def transcript(sentence: str) -> str:
    """What is written down for a sentence."""
    return sentence.lower()


def pronunciation(sentence: str) -> str:
    """What a voice is told to read: letters that are spelled out stand between commas."""
    return re.sub(r"\bi\b", "I", _AROUND_LETTER.sub(", ", sentence)) + "."


class _Draw:
    """Expands rules; each draws its alternatives from a shuffled deck, so that none stays rare."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed])
        self.decks: dict[str, list[str]] = {}

    def expand(self, rule: str) -> str:
        deck = self.decks.setdefault(rule, [])
        if not deck:
            alternatives = RULES[rule]
            deck.extend(alternatives[i] for i in self.rng.permutation(len(alternatives)))
        return _SLOT.sub(lambda slot: self.expand(slot[1]), deck.pop())

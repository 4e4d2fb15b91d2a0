"""Text as words that a pronouncing dictionary knows: numbers spelled, unknown words sounded out."""

from __future__ import annotations

import re
from collections.abc import Callable

_ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

#: Letters to ARPAbet, longest first: rough, for names; an aligner needs the sounds' order and number, not their shade.
_SOUNDS = (
    ("tch", "CH"), ("sch", "SH"), ("igh", "AY"), ("eau", "OW"), ("ch", "CH"), ("sh", "SH"), ("th", "TH"), ("ph", "F"),
    ("wh", "W"), ("ck", "K"), ("ng", "NG"), ("qu", "K W"), ("ee", "IY"), ("ea", "IY"), ("oo", "UW"), ("ou", "AW"),
    ("ow", "OW"), ("oi", "OY"), ("oy", "OY"), ("ai", "EY"), ("ay", "EY"), ("au", "AO"), ("aw", "AO"), ("ie", "IY"),
    ("ei", "EY"), ("ey", "IY"), ("er", "ER"), ("ir", "ER"), ("ur", "ER"), ("ar", "AA R"), ("or", "AO R"),
    ("bb", "B"), ("dd", "D"), ("ff", "F"), ("gg", "G"), ("ll", "L"), ("mm", "M"), ("nn", "N"), ("pp", "P"),
    ("rr", "R"), ("ss", "S"), ("tt", "T"), ("zz", "Z"), ("cc", "K"),
    ("a", "AE"), ("b", "B"), ("c", "K"), ("d", "D"), ("e", "EH"), ("f", "F"), ("g", "G"), ("h", "HH"), ("i", "IH"),
    ("j", "JH"), ("k", "K"), ("l", "L"), ("m", "M"), ("n", "N"), ("o", "OW"), ("p", "P"), ("q", "K"), ("r", "R"),
    ("s", "S"), ("t", "T"), ("u", "AH"), ("v", "V"), ("w", "W"), ("x", "K S"), ("y", "IY"), ("z", "Z"),
)  # fmt: skip
#: Endings that a dictionary's word may lack.
_ENDINGS = (
    ("'s", "Z"),
    ("s'", "S"),
    ("s", "Z"),
    ("ed", "D"),
    ("d", "D"),
    ("ing", "IH NG"),
    ("ly", "L IY"),
    ("er", "ER"),
)

_ORDINALS = {"1st": "first", "2nd": "second", "3rd": "third", "4th": "fourth", "5th": "fifth"}


def spoken_words(text: str) -> list[str]:
    """Return the lower-case words of an English text as they are said: digits spelled, signs left out."""
    text = text.lower().replace("\u2019", "'").replace("&", " and ").replace("%", " percent ")
    text = re.sub(r"\b(\d)(st|nd|rd|th)\b", lambda match: _ORDINALS.get(match[0], match[0]), text)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = re.sub(r"\d+", lambda match: f" {spell_number(match[0])} ", text)
    return [word for word in (part.strip("'") for part in re.findall(r"[a-z']+", text)) if word]


def spell_number(digits: str) -> str:
    """Return digits as words: 1984 as nineteen eighty four, 500 as five hundred, long ones digit by digit."""
    value = int(digits)
    if len(digits) > 4 or (digits.startswith("0") and len(digits) > 1):
        return " ".join(_ONES[int(digit)] for digit in digits)
    if 1100 <= value < 2000 or 2010 <= value < 2100:
        rest = value % 100
        tail = "hundred" if rest == 0 else ("oh " if rest < 10 else "") + _below_thousand(rest)
        return f"{_below_thousand(value // 100)} {tail}"
    if value >= 1000:
        rest = value % 1000
        return f"{_ONES[value // 1000]} thousand" + (f" {_below_thousand(rest)}" if rest else "")
    return _below_thousand(value)


def _below_thousand(value: int) -> str:
    if value >= 100:
        rest = value % 100
        return f"{_ONES[value // 100]} hundred" + (f" {_below_thousand(rest)}" if rest else "")
    if value >= 20:
        rest = value % 10
        return _TENS[value // 10] + (f" {_ONES[rest]}" if rest else "")
    return _ONES[value]


def sound_out(word: str, known: Callable[[str], str | None]) -> str:
    """Return a pronunciation in ARPAbet of a word that the dictionary lacks.

    Parameters
    ----------
    word : str
        Lower case.
    known : callable
        The dictionary: word to phones parted by spaces, or `None`.
    """
    for ending, phones in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or not stem:
            continue
        for base in (stem, stem + "e", stem[:-1] if stem[-2:-1] == stem[-1:] else ""):
            if base and (found := known(base)):
                return f"{found} {phones}"
    letters = word.replace("'", "")
    if len(letters) > 3 and letters.endswith("e"):
        letters = letters[:-1]
    out = []
    while letters:
        spelling, phones = next((pair for pair in _SOUNDS if letters.startswith(pair[0])), (letters[0], ""))
        out.append(phones)
        letters = letters[len(spelling) :]
    return " ".join(part for part in out if part) or "AH"

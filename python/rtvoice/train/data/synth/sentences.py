"""Sentences to be read: short, varied in sound and tune, made from our own words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

_LISTS = {
    "who": (
        "the old joiner|my younger cousin|a cheerful nurse|our treasurer|the voyager|George|Judith|Yusuf|the village "
        "butcher|a weary pilot|both twins|the judge|Sheila's brother|a choir of boys|the new usher|nobody|her "
        "neighbour|the youth|a shy engineer|the whole crew|Hugh|Theo and Zoe|the poacher|a brusque waiter|the "
        "fisherman|our guide|the thief|an heir to the throne|Vivian|the chauffeur|a tall ranger|the widow"
    ),
    "did": (
        "measured|forgot|polished|threw away|borrowed|painted|chose|judged|sketched|unwrapped|rejoiced over|avoided|"
        "noticed|carved|shoved aside|enjoyed|boiled|wove|examined|searched for|dragged in|quietly hid|praised|"
        "sharpened|adjusted|guarded|washed|sold|lifted|thanked us for|dreamed about|laughed at"
    ),
    "what": (
        "a rusty hinge|the leather pouch|six fresh figs|that orange scarf|the azure vase|a bag of oysters|three thick "
        "ropes|the whole mirage|an unusual treasure|her father's watch|two jars of honey|the broken chair|a huge "
        "pumpkin|the bathtub|some garlic bread|a yellow umbrella|the last voucher|his toy spaceship|the deep pool|an "
        "ivory button|a cloth cushion|the beige carriage|wool gloves|the royal coin|a youthful portrait|nine plums|"
        "the wheelbarrow|a pair of tweezers|the sour milk|a squeaky gate|the quartz ring|a thousand feathers"
    ),
    "where": (
        "by the frozen lake|under the bridge|behind the garage|at the railway junction|near the south entrance|in the "
        "dusty attic|on the upper shelf|beyond the hedge|outside the theatre|along the shore|through the marsh|beside "
        "the furnace|in a hollow log|above the workshop|at the edge of town|between two boulders|in the choir loft|"
        "around the corner|across the valley|at the zoo"
    ),
    "when": (
        "last Thursday|before the rush hour|in early February|at a quarter past eight|during the long voyage|after "
        "the thaw|every other month|just before dawn|on the fourth of July|all afternoon|while it poured|once in a "
        "while|years ago|by sheer chance|at noon|until the fog lifted|twice this week|as usual|in nineteen forty six|"
        "when the bell chimed"
    ),
    "how": (
        "rather loudly|with great pleasure|without a word|far too quickly|by pure luck|in utter silence|almost by "
        "accident|very gently|with both hands|for no good reason|as smoothly as oil|with a shrug|hopefully|in a "
        "foolish hurry|beautifully|like a child"
    ),
    "say": (
        "I suppose so|that is hardly fair|we should join them|there is enough to share|the weather may change|you "
        "owe me five pounds|nothing here is genuine|everyone deserves a choice|it must be the wrong key|the soup is "
        "too hot|this path goes nowhere|they will be thrilled|I could eat a whole chicken|the fuse has blown|she "
        "sings higher than I do|our boat is leaking|his vision was clear|it is worth the trouble"
    ),
    "ask": (
        "why on earth|how often|with whose permission|for which of the judges|how far away|since when|in what shape|"
        "on whose behalf|for how much|where exactly"
    ),
    "cry": (
        "Watch out|Oh no|What a gorgeous view|Hooray|Good gracious|Ouch|Hush|Well done|Hey there|Bravo|Yes, of "
        "course|Stop that noise|How very odd|Sure|Whew"
    ),
}
_WORDS = {kind: tuple(words.split("|")) for kind, words in _LISTS.items()}

_SHAPES = (
    "{who} {did} {what} {where}.",
    "{when}, {who} {did} {what}.",
    "{who} {did} {what} and {what}, {how}.",
    "did {who} really leave {what} {where}?",
    "{ask} do you think {who} {did} {what}?",
    '"{say}," said {who}, {how}.',
    "{cry}! {who} {did} {what}!",
    "if {say}, why have you not told {who}?",
    "{who} stood {where}, {where}, and {where}.",
    "{say}; {say}, and {say}.",
    "not {what}, but {what}, was found {where} {when}.",
    "{when} it was {who} who {did} {what} {how}.",
    "would you rather have {what} or {what}?",
    "{cry}, {say}.",
)


def sentences(count: int, seed: int = 0) -> list[str]:
    """Return `count` different sentences: statements, questions, exclamations, lists and direct speech.

    Of 24 candidates each time the one is taken whose letter triples are rarest so far, so that the sounds of English
    come early and evenly: all 39 phones of the CMU dictionary within the first 60 sentences.

    Parameters
    ----------
    count : int
        At most 20000; some 3.5 s each when read.
    seed : int
        Another seed gives other sentences.
    """
    if not 0 <= count <= 20000:
        raise ValueError(f"{count} sentences cannot be made; ask for 0 to 20000")
    rng = np.random.default_rng(seed)
    seen: set[str] = set()
    heard: dict[str, int] = {}
    out: list[str] = []
    while len(out) < count:
        candidates = [line for line in _candidates(rng, 24) if line not in seen]
        if not candidates:
            continue
        best = max(candidates, key=lambda line: _novelty(line, heard))
        for triple in _triples(best):
            heard[triple] = heard.get(triple, 0) + 1
        seen.add(best)
        out.append(best)
    return out


def _candidates(rng: np.random.Generator, count: int) -> Iterator[str]:
    for _ in range(count):
        used: set[str] = set()

        def pick(match: re.Match[str], used: set[str] = used) -> str:
            choices = [word for word in _WORDS[match[1]] if word not in used]
            word = choices[int(rng.integers(len(choices)))]
            used.add(word)
            return word

        line = re.sub(r"\{(\w+)\}", pick, _SHAPES[int(rng.integers(len(_SHAPES)))])
        # Every sentence and quotation begins with a capital: engines hear the end of a sentence by it.
        yield re.sub(r'(^"?|[!?.] "?)([a-z])', lambda match: match[1] + match[2].upper(), line)


def _triples(line: str) -> list[str]:
    letters = " " + re.sub(r"[^a-z ]", "", line.lower()) + " "
    return [letters[i : i + 3] for i in range(len(letters) - 2)]


def _novelty(line: str, heard: dict[str, int]) -> float:
    triples = _triples(line)
    return sum(1 / (1 + heard.get(triple, 0)) for triple in set(triples)) / len(triples)

"""English numbers in digits; see asrkit.text.digits.

text2num finds and evaluates numbers. The rules here are for what it gets wrong in recognised text, which has
no punctuation: years, spelled digits, money, times, and numbers that stay words.
"""

import re
from typing import List, Sequence, Tuple

from asrkit.text.rules import Rule, apply_rules, import_package

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = dict(zip(NAMES, "0123456789"))
SPELLED = {**DIGITS, "oh": "0", "o": "0"}
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
MULTIPLES = {"double": 2, "triple": 3}  # of the digit after them
SCALES = ("hundred", "thousand", "million", "billion", "trillion")
MONTH = r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b"
MEASURE = r"(?:degrees|kilomet(?:er|re)s?|met(?:er|re)s?|miles?|kilos?|kilograms?|grams?)\b"
NUMBERED = r"\b(?:chapter|page|room|number|flight|line|gate|platform|section|step|version|channel|track) "
AFTER_TIME = (
    *("at", "in", "on", "by", "from", "till", "until", "before", "after", "when", "while", "because", "if"),
    *("and", "or", "but", "so", "then", "than", "the", "this", "that", "every", "i", "you", "he", "she"),
    *("it", "we", "they", "is", "was", "will", "would", "now", "today", "tonight", "tomorrow", "yesterday"),
    *("sharp", "already", "exactly", "please", "a m", "p m", r"a\.m", r"p\.m", "o'? ?clock"),
)
SMALLEST = 10  # numbers from here on are written in digits wherever they stand

# A number is marked in the text while the rules run: LEFT, digits, MIDDLE, the words it was spoken by, RIGHT
LEFT, MIDDLE, RIGHT = "\ue000", "\ue001", "\ue002"


def _number(name: str, digits: str = r"\d[\d.]*", ordinal: bool = False) -> str:
    """Pattern of a marked number, whose digits become a group."""
    suffix = "(?:st|nd|rd|th)" if ordinal else ""
    return f"{LEFT}(?P<{name}>{digits}{suffix}){MIDDLE}[^{RIGHT}]*{RIGHT}"


HOUR, MINUTE = _number("hour", r"1[0-2]|[1-9]"), _number("minute", r"[0-5]\d")
# What may follow a time. Before a noun the words are a number: a quarter to two kids
NO_NOUN = rf"(?= ?(?:$|[^\w\s{LEFT}-{RIGHT}]| (?:{'|'.join(AFTER_TIME)})\b))"
MERIDIEM = r" (?P<half>[ap])(?: ?m\b|\.m\.)"
OF_DAY = rf"(?:{MERIDIEM}|{NO_NOUN})"


def _time(match: "re.Match[str]") -> str:
    found = match.groupdict()
    time = found["hour"] + (f":{found['minute']}" if found.get("minute") else "")
    return (found.get("before") or "") + time + _meridiem(match)


def _meridiem(match: "re.Match[str]") -> str:
    half = match.groupdict().get("half")
    return f" {half}.{'M' if half.isupper() else 'm'}." if half else ""


def _past(match: "re.Match[str]") -> str:
    hour, fraction = int(match["hour"]), match["fraction"].lower()
    if match["side"].lower() == "to":
        return f"{_hour_before(hour)}:45{_meridiem(match)}"
    return f"{hour}:{'30' if fraction == 'half' else '15'}{_meridiem(match)}"


def _minutes(match: "re.Match[str]") -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    if match["side"].lower() == "past":
        return f"{hour}:{minute:02d}{_meridiem(match)}"
    are_hours = minute <= 12 and match.string[: match.start()].lower().endswith("from ")  # from ten to five
    if are_hours or minute <= hour:  # five to ten of them
        return match[0]
    return f"{_hour_before(hour)}:{60 - minute}{_meridiem(match)}"


def _hour_before(hour: int) -> int:
    return (hour - 2) % 12 + 1


def _money(match: "re.Match[str]") -> str:
    sign = {"d": "$", "e": "€", "p": "£"}[match["currency"][0].lower()]
    cents = match.groupdict().get("cents")
    return f"{sign}{match['amount']}" + (f".{int(cents):02d}" if cents else "")


def _spoken(match: "re.Match[str]") -> str:
    return match["spoken"]


# Five pounds of meat are a weight
CURRENCY = r" (?P<currency>dollars?|euros?|pounds?(?! of\b))\b(?! sterling)"
# An ordinal (62nd), or a duration, as in a sixty second timer
SECOND = f"{LEFT}(?P<ordinal>\\d+2nd){MIDDLE}(?P<spoken>[^{RIGHT}]*){RIGHT}"
COUNTED = (
    *("amendment", "anniversary", "annual", "avenue", "birthday", "century", "congress", "day", "district"),
    *("division", "edition", "floor", "infantry", "minute", "month", "parallel", "president", "psalm"),
    *("regiment", "state", "street", "week", "year"),
)
# Applied in this order to the marked text; what a rule writes is no longer marked
ENGLISH: Sequence[Rule] = (
    # three thirty p m, three oh five p m
    (HOUR + " " + MINUTE + MERIDIEM, _time),
    (rf"{LEFT}(?P<hour>1[0-2]|[1-9])(?P<minute>[0-5]\d){MIDDLE}[^{RIGHT}]*{RIGHT}" + MERIDIEM, _time),
    # at three oh five
    (
        r"(?P<before>\b(?:at|by|until|till|before|after|around) )"
        rf"{LEFT}(?P<hour>[1-9])(?P<minute>0[1-9]){MIDDLE}[^{RIGHT}]* oh? [^{RIGHT}]*{RIGHT}",
        _time,
    ),
    # at three thirty
    (r"(?P<before>\b(?:at|by|until|till|before|after|around|from|to) )" + HOUR + " " + MINUTE, _time),
    # half past three, quarter to four, but not half to four
    (rf"\b(?:a )?(?P<fraction>half) (?P<side>past) {HOUR}(?:{MERIDIEM})?", _past),
    (r"\b(?:a )?(?P<fraction>quarter) (?P<side>past|to) " + HOUR + OF_DAY, _past),
    # ten past five, twenty to four
    (_number("minute", "5|10|20|25") + r" (?P<side>past|to) " + HOUR + OF_DAY, _minutes),
    # three p m
    (HOUR + MERIDIEM, _time),
    # three o'clock
    (_number("hour") + r"(?P<after> o'? ?clock\b)", r"\g<hour>\g<after>"),
    # nineteen ninety one, twenty oh five
    (_number("century", "1[3-9]|20") + " " + _number("year", r"\d\d"), r"\g<century>\g<year>"),
    # ten sixty six, but not ten eleven
    (_number("century", "1[0-2]") + " " + _number("year", r"[02-9]\d"), r"\g<century>\g<year>"),
    # nineteen nineties
    *(
        (_number("century", "1[3-9]|20") + rf" {ten[:-1]}ies\b", rf"\g<century>{index}0s")
        for index, ten in enumerate(TENS, 2)
    ),
    # five dollars and fifty cents, a hundred euros
    (_number("amount", r"\d+") + CURRENCY + "(?: and)? " + _number("cents", r"\d\d?") + r" cents?\b", _money),
    (_number("amount") + CURRENCY, _money),
    (_number("amount") + r" (?:percent|per cent)\b", r"\g<amount>%"),
    # may third, third of may
    (rf"(?P<month>{MONTH} (?:the )?)" + _number("day", r"[0-3]?\d", ordinal=True), r"\g<month>\g<day>"),
    (_number("day", r"[0-3]?\d", ordinal=True) + rf"(?P<month> of {MONTH})", r"\g<day>\g<month>"),
    (
        rf"(?P<month>(?!may\b){MONTH} )" + _number("day", r"[0-3]?\d") + r"(?! by\b)",
        r"\g<month>\g<day>",
    ),  # may one go, march two by two
    # forty second street, the twenty second; sixty second alone may be either
    (rf"{SECOND}(?= (?:of\b|(?!may\b){MONTH}|(?:{'|'.join(COUNTED)})\b))", r"\g<ordinal>"),
    (rf"(?P<before>\b(?:the|my|your|his|her|its|our|their) ){SECOND}{NO_NOUN}", r"\g<before>\g<ordinal>"),
    (SECOND, _spoken),
    # minus five, three degrees, chapter three
    (r"\bminus " + _number("amount"), r"-\g<amount>"),
    (_number("amount") + f"(?= {MEASURE})", r"\g<amount>"),
    (
        f"(?P<noun>{NUMBERED})" + _number("first", "[1-9]") + " " + _number("last", r"\d\d"),
        r"\g<noun>\g<first>\g<last>",
    ),
    (f"(?P<noun>{NUMBERED})" + _number("value"), r"\g<noun>\g<value>"),
    # six thirty, twenty four seven: not six 30, 24 seven
    (_number("small", "[2-9]") + f"(?= {LEFT}\\d\\d+{MIDDLE})", r"\g<small>"),
    (
        f"(?P<before>{LEFT}\\d\\d+{MIDDLE}[^{RIGHT}]*{RIGHT} )" + _number("small", "[2-9]"),
        r"\g<before>\g<small>",
    ),
)


def write_english(text: str) -> str:
    """Text with its numbers in digits."""
    marked = _mark_numbers(re.sub(f"[{LEFT}-{RIGHT}]", "", text).split())
    marked = apply_rules(ENGLISH, marked, re.IGNORECASE)
    return re.sub(f"{LEFT}([^{MIDDLE}]*){MIDDLE}([^{RIGHT}]*){RIGHT}", _written_or_spoken, marked)


def _written_or_spoken(match: "re.Match[str]") -> str:
    """Digits of a number that no rule has taken, or the words of a small one."""
    digits, words = match.groups()
    value = float(re.sub("[a-z]", "", digits.lower()))
    is_small = value < SMALLEST and " " not in words
    return words if is_small else digits


def _mark_numbers(words: Sequence[str]) -> str:
    """The text with its numbers marked."""
    lowered = [word.lower() for word in words]
    for position in range(1, len(words)):
        if lowered[position] == "oh" and lowered[position - 1] in ("point", "zero"):
            lowered[position] = "zero"  # seven point oh five
    spelled = _spelled_digits(lowered)
    starts = {start: (end, digits) for start, end, digits in [*spelled, *_cardinals(lowered, spelled)]}
    marked: List[str] = []
    position = 0
    while position < len(words):
        end, digits = starts.get(position, (position + 1, ""))
        spoken = " ".join(words[position:end])
        written = digits.upper() if spoken.isupper() else digits
        is_number = digits and spoken.lower() != "o"  # three o clock
        marked.append(f"{LEFT}{written}{MIDDLE}{spoken}{RIGHT}" if is_number else spoken)
        position = end
    return " ".join(marked)


def _spelled_digits(words: Sequence[str]) -> List[Tuple[int, int, str]]:
    """Runs of at least two digits, as (start, end, digits); "double" and "triple" repeat the next one."""
    runs: List[Tuple[int, int, str]] = []
    position = 0
    while position < len(words):
        start, digits = position, ""
        while position < len(words):
            times = MULTIPLES.get(words[position], 1)
            spoken = position + (times > 1)
            if spoken >= len(words) or words[spoken] not in (SPELLED if digits else {**DIGITS, "oh": "0"}):
                break
            digits += SPELLED[words[spoken]] * times
            position = spoken + 1
        if position - start > 1 and words[position - 1] == "o" and words[position - 2] not in MULTIPLES:
            position, digits = position - 1, digits[:-1]  # five o clock, one o those days
        if position < len(words) and digits and words[position] in (*SCALES, "point"):
            position, digits = position - 1, digits[:-1]  # the last one begins another number
        if start and digits and words[start - 1] in TENS and digits[0] != "0":
            start, digits = start + 1, digits[1:]  # and the first one ends another
        before = words[start - 1] if start else "oh" if words[start : start + 1] == ["oh"] else ""
        shortest = 3 if before in (*SCALES, "and", "oh") else 2  # two hundred and one; oh one of them
        if len(digits) >= shortest and before != "point":
            runs.append((start, position, digits))
        position = max(position, start + 1)
    return runs


def _cardinals(words: Sequence[str], spelled: Sequence[Tuple[int, int, str]]) -> List[Tuple[int, int, str]]:
    """Numbers outside the runs of digits, as (start, end, digits)."""
    text_to_num = import_package("text_to_num")
    taken = {position for start, end, _ in spelled for position in range(start, end)}

    class Word(text_to_num.Token):  # type: ignore[name-defined, misc]
        def __init__(self, position: int) -> None:
            self.position = position

        def text(self) -> str:
            return words[self.position]

        def not_a_number_part(self) -> bool:
            plural = words[self.position].endswith("s") and words[self.position][:-1] in SCALES
            return plural or self.position in taken

    found: List[Tuple[int, int, str]] = []
    for number in text_to_num.find_numbers([Word(index) for index in range(len(words))], "en", threshold=0.0):
        start, end = number.start, number.end
        if number.is_ordinal and (number.text.endswith("s") or (found and found[-1][1] == start)):
            if found and found[-1][1] == start:
                found.pop()  # two thirds
            continue
        if words[start] in SCALES:
            if words[start - 1 : start] not in (["a"], ["an"]):
                continue  # a couple of hundred
            start -= 1
        found.append((start, end, number.text))
    return found

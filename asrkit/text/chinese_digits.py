"""Chinese numbers in digits; see asrkit.text.digits.

cn2an evaluates numbers. The rules here find them, and say how a number of each kind is written.
"""

import re
from typing import Callable, Sequence

from asrkit.text.rules import Rule, apply_rules, import_package

HAN = "[\u3400-\u9fff〇]"
CHINESE_DIGITS = dict(zip("零一二三四五六七八九〇幺两", "0123456789012"))
DIGIT, UNIT = "[零一二三四五六七八九〇两]", "[十百千万亿]"
CARDINAL = f"(?:{DIGIT}|{UNIT})+"


def _digit_by_digit(text: str) -> str:
    return "".join(CHINESE_DIGITS[character] for character in text)


def _value(text: str) -> str:
    """Digits of a number such as 三百二十一 or 三点一四; the text itself where it is no number."""
    cn2an = import_package("cn2an")
    whole, point, fraction = text.partition("点")
    if point:
        value = _value(whole)
        return f"{value}.{_digit_by_digit(fraction)}" if value.isdigit() else text
    if re.fullmatch("[零一二三四五六七八九〇幺两]+", text):
        return _digit_by_digit(text)
    try:
        return str(cn2an.cn2an(re.sub("^(?=[百千万亿])", "一", text.replace("〇", "零")), "smart"))
    except (ValueError, KeyError):  # cn2an, of a text that is no number
        return text


def _values(pattern: str) -> Callable[["re.Match[str]"], str]:
    """A replacement whose groups are written as numbers into the pattern."""

    def write(match: "re.Match[str]") -> str:
        values = [_value(group) for group in match.groups()]
        is_number = all(re.search("[0-9]", value) for value in values)
        return pattern.format(*values) if is_number else match[0]

    return write


# Two neighbouring digits before a unit, or a unit before 几 and 多, make an approximate number: 二三十, 十几
EXACT = f"(?<!{DIGIT})(?<!{UNIT})(?<!几)(?!{DIGIT}{DIGIT}{UNIT})"
# The number before 点, but not 一 if 一点 means "a bit" or "a point": 差一点, 这一点十分重要
BEFORE_POINT = f"((?<![差有这那第])一|(?!一点){CARDINAL})"
# The decimal point 点, but not before words that begin with 一: 三点一起走
POINT = "点(?!一[起滴点样直定些边下会切旦般共向生线])"
PART_OF_DAY = "上午|下午|中午|早上|晚上|早晨|凌晨|清晨|傍晚|半夜"
ALONE = "(?<![零一二三四五六七八九〇十几])"
CHINESE: Sequence[Rule] = (
    (f"(?<!{UNIT})[零一二三四五六七八九〇]{{2,4}}(?=年)", lambda match: _digit_by_digit(match[0])),
    (f"百分之({CARDINAL}(?:点{DIGIT}+)?)", _values("{}%")),
    (f"(?<=零下)({CARDINAL})(?=度)", _values("{}")),
    (f"({CARDINAL})分之({CARDINAL})", lambda match: f"{_value(match[2])}/{_value(match[1])}"),
    (f"{BEFORE_POINT}点({CARDINAL})(?=分)", _values("{}点{}")),  # a time
    (f"{BEFORE_POINT}点({DIGIT}?十{DIGIT}?)(?!{UNIT})", _values("{}点{}")),
    (f"(?<={PART_OF_DAY})({CARDINAL})点(零{DIGIT})", _values("{}点{}")),  # else 零五 would be decimals
    (f"{BEFORE_POINT}{POINT}({DIGIT}+)(?!刻)", lambda match: _value(f"{match[1]}点{match[2]}")),
    (f"(?<=负)({CARDINAL})", _values("{}")),
    (f"{ALONE}(十[一二]?|[一二三四五六七八九])(?=月(?!亮))", _values("{}")),
    (f"{ALONE}([一二三]?十[一二三四五六七八九]?|[一二三四五六七八九])(?=[号日](?!本))", _values("{}")),
    (f"{ALONE}(十[一二]?|[一二三四五六七八九两])(?=点(?:半|钟|整|一刻|三刻))", _values("{}")),
    ("[零一二三四五六七八九〇幺]{3,}(?![十百千万亿])", lambda match: _digit_by_digit(match[0])),
    (
        f"{EXACT}({DIGIT}{UNIT}{CARDINAL}|十{DIGIT}(?!{DIGIT})|{DIGIT}{UNIT}|十{DIGIT}?[万亿](?:{CARDINAL})?)(?![几多]|来[个人天年])(?!{UNIT})",
        _values("{}"),
    ),
    ("负(?=[0-9])", "-"),
)


def write_chinese(text: str) -> str:
    """Text with its numbers in digits; the spaces of a text without numbers are kept."""
    joined = re.sub(f"(?<={HAN}) (?={HAN})", "", text)  # words of one character each, or of several
    written = apply_rules(CHINESE, joined)
    return text if written == joined else written

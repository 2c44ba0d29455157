"""Numbers in digits: what is written, and what must stay words."""

import subprocess
import sys

import pytest

from asrkit.errors import UserError
from asrkit.recognise.transcript import Segment, Word, in_digits
from asrkit.text.digits import match_words, write_digits

pytest.importorskip("text_to_num", reason="needs the extra [use]")
pytest.importorskip("cn2an", reason="needs the extra [use]")

ENGLISH = """
nineteen ninety one|1991
in nineteen oh five|in 1905
twenty twenty six|2026
twenty twenty|2020
two thousand and five|2005
i was born in nineteen eighty four|i was born in 1984
four one two two six eight|412268
one two three|123
eight hundred five five five one two one two|800 5551212
one of them|one of them
one|one
i have one apple|i have one apple
no one knows|no one knows
the twenty first|the 21st
the first time|the first time
second hand|second hand
twenty second of may|22nd of may
may third|may 3rd
third of june|3rd of june
five dollars and fifty cents|$5.50
twenty five dollars|$25
a hundred dollars|$100
one hundred and twenty three|123
three point one four|3.14
zero point five|0.5
minus five degrees|-5 degrees
three thirty p m|3:30 p.m.
half past three|3:30
quarter to one|12:45
quarter past nine|9:15
twelve oh five p m|12:05 p.m.
three oh five p m|3:05 p.m.
ten a m|10 a.m.
fifty percent|50%
one million two hundred thousand|1200000
room two oh one|room 201
double five three|553
two thirds|two thirds
seventeen seventy six|1776
nineteen hundred|1900
the nineteen nineties|the 1990s
the twenties|the twenties
one by one|one by one
two or three|two or three
five hundred and one of them|501 of them
thousands of people|thousands of people
a couple of hundred|a couple of hundred
TWENTY THREE|23
TWENTY FIRST OF MAY|21ST OF MAY
THREE THIRTY P M|3:30 P.M.
RUBOUT G M E F THREE NINE|RUBOUT G M E F 39
ninety nine|99
chapter three|chapter 3
at ten thirty|at 10:30
three o'clock|3 o'clock
zero zero seven|007
twelve people and two dogs|12 people and two dogs
one hundred twenty three thousand four hundred fifty six|123456
forty second street|42nd street
a thousand and one nights|1001 nights
oh no|oh no
oh one of them|oh one of them
between five and six|between five and six
twenty one years|21 years
it costs three euros|it costs €3
may one go|may one go
march five|march 5
twelve of them|12 of them
twenty one two three four|21 234
two hundred fifty|250
one second|one second
sixty seconds|60 seconds
the second one|the second one
no|no
ten sixty six|1066
ten eleven twelve|10 11 12
ten past five|5:10
twenty five past six|6:25
twenty to nine|8:40
five to nine people|five to nine people
seven eleven|7 11
three fifty|3 50
twenty four seven|24 7
the one twenty years ago|the one 20 years ago
flight four forty two|flight 442
seven point oh five|7.05
zero point zero five|0.05
march the third|march the 3rd
they march two by two|they march two by two
my phone is six one seven five five five oh one nine nine|my phone is 6175550199
december twenty fifth nineteen ninety nine|december 25th 1999
FEBRUARY TWENTY SECOND NINETEEN SIXTY FIVE|FEBRUARY 22ND 1965
eleven fifty nine p m|11:59 p.m.
ten point five percent|10.5%
three quarters|three quarters
two and a half|two and a half
another one|another one
two by four|two by four
one hundred and fifty thousand two hundred and three|150203
B two|B two
"""

CHINESE = """
二零二二年三月五日|2022年3月5日
百分之五十|50%
百分之三点五|3.5%
一共三百二十一个人|一共321个人
第一次|第一次
统一思想|统一思想
万一下雨|万一下雨
一个人|一个人
十分高兴|十分高兴
三心二意|三心二意
一九九一年|1991年
下午三点半|下午3点半
三点一四|3.14
电话幺三八零零|电话13800
负五度|-5度
两百块|200块
一万二千|12000
一百二|120
三分之二|2/3
二十一世纪|21世纪
一些人|一些人
一起|一起
零点五|0.5
我有一个苹果|我有一个苹果
二三十人|二三十人
十几个|十几个
三五天|三五天
星期三|星期三
十月一日|10月1日
十月|10月
一百万|1000000
第二十一届|第21届
一点也不|一点也不
有一点|有一点
六点十五分|6点15分
晚上十点|晚上十点
七上八下|七上八下
千万不要|千万不要
一亿三千万|130000000
三四月|三四月
千方百计|千方百计
五十|50
百年大计|百年大计
一千零一夜|1001夜
今天是五号|今天是5号
星期日|星期日
四十多岁|四十多岁
三个月|三个月
九九八十一|九九八十一
十二个|12个
一模一样|一模一样
一百二十三点四五|123.45
两点钟|2点钟
二十三|23
二零零八|2008
五四三二一|54321
不三不四|不三不四
一九四九年十月一号|1949年10月1号
四分之一|1/4
九十九|99
三月|3月
数以百计|数以百计
两千零二十六年|2026年
两千零八年八月八号|2008年8月8号
公元前二二一年|公元前221年
八十年代|80年代
九点一刻|9点一刻
三点五|3.5
上午九点整|上午9点整
零下十度|零下10度
百分之百|100%
千分之三|3/1000
十分之一|1/10
十亿|1000000000
十三亿人口|1300000000人口
十二万五千|125000
一百零一|101
一百来个|一百来个
好几百|好几百
我的电话是一三八零零一三八零零零|我的电话是13800138000
第一百零一次|第101次
第一名|第一名
三明治|三明治
十全十美|十全十美
周一到周五|周一到周五
一会儿|一会儿
二 零 二 二 年 三 月|2022年3月
今天 天气 很 好|今天 天气 很 好
"""


@pytest.mark.parametrize("case", ENGLISH.split("\n")[1:-1])
def test_english(case: str) -> None:
    spoken, written = case.split("|")
    assert write_digits(spoken, "en") == written


@pytest.mark.parametrize("case", CHINESE.split("\n")[1:-1])
def test_chinese(case: str) -> None:
    spoken, written = case.split("|")
    assert write_digits(spoken, "zh") == written


def test_written_words_stand_for_spoken_ones() -> None:
    spoken, written = ["at", "six", "thirty", "a", "m", "ok"], ["at", "6:30", "a.m.", "ok"]
    assert match_words(spoken, written) == [(0, 1, 0, 1), (1, 5, 0, 2), (1, 5, 1, 2), (5, 6, 0, 1)]
    assert match_words([], ["5"]) == match_words(["five"], []) == []
    assert match_words(["a"], ["a", "5"]) == [(0, 1, 0, 1), (0, 1, 0, 1)]


def test_numbers_have_the_times_of_the_words_they_were_spoken_by() -> None:
    words = tuple(
        Word(word, float(second), 0.5, 0.9 - second / 10) for second, word in enumerate("二零二二年")
    )
    segment = in_digits(Segment(0.0, 5.0, words), "zh")
    assert segment.text == "2022年"
    assert [(word.word, word.start, word.end) for word in segment.words] == [
        ("2022", 0.0, 3.5),
        ("年", 4.0, 4.5),
    ]
    assert segment.words[0].confidence == pytest.approx(0.6)


@pytest.mark.parametrize("text", ["", "double", "one point", "two hundred oh", "\ue000 five", "point five"])
def test_incomplete_numbers_end_without_an_error(text: str) -> None:
    assert isinstance(write_digits(text), str)


def test_another_language_is_refused() -> None:
    with pytest.raises(UserError, match="no digits for language fr"):
        write_digits("un", "fr")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "text_to_num", None)
    with pytest.raises(UserError, match="the package text_to_num is missing"):
        write_digits("five")


def test_importing_the_module_needs_no_extra() -> None:
    code = "import sys; sys.modules['text_to_num'] = sys.modules['cn2an'] = None; import asrkit.text.digits"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

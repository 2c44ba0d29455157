"""Digits changed what was meant: "quarter past 11 a.m.", "£5 of meat", "a 62nd timer", "下午3.05"."""

import pytest

from asrkit.text.digits import write_digits

pytest.importorskip("text_to_num", reason="needs the extra [use]")
pytest.importorskip("cn2an", reason="needs the extra [use]")

TIMES = """
quarter past eleven a m|11:15 a.m.
half past three p m|3:30 p.m.
HALF PAST SIX A M|6:30 A.M.
ten past five a m|5:10 a.m.
a quarter to one p m and then|12:45 p.m. and then
twenty to nine p.m. today|8:40 p.m. today
quarter to twelve a m|11:45 a.m.
at three thirty p m|at 3:30 p.m.
half past three|3:30
the shop is open from ten to five p m|the shop is open from 10 to 5 p.m.
from ten to five on sundays|from 10 to five on sundays
from twenty to nine|from 8:40
"""

WEIGHTS_AND_MONEY = """\
five pounds of meat|five pounds of meat
TEN POUNDS OF SUGAR COST FIVE POUNDS|10 POUNDS OF SUGAR COST £5
one pound of butter|one pound of butter
five pounds|£5
five pounds off|£5 off
twenty dollars of credit|$20 of credit
"""

# "o" for zero only between digits: it is also short for "of"
CLOCK = """\
it is five o clock|it is 5 o clock
at three o clock|at 3 o clock
twelve o clock|12 o clock
one o those days|one o those days
five o five|505
wake me at six oh five|wake me at 6:05
at gate six oh five|at gate 605
"""

SECONDS = """\
sixty second timer|sixty second timer
set a sixty second timer|set a sixty second timer
the thirty second pause|the thirty second pause
TWENTY SECOND DELAY|TWENTY SECOND DELAY
one hundred second timer|one hundred second timer
forty second street|42nd street
the twenty second|the 22nd
on the twenty second at ten thirty|on the 22nd at 10:30
the thirty second president|the 32nd president
FEBRUARY TWENTY SECOND|FEBRUARY 22ND
twenty second june|22nd june
twenty second of may|22nd of may
the twelfth man|the 12th man
"""

CHINESE = """
下午三点零五|下午3点05
凌晨一点零五出发|凌晨1点05出发
晚上十一点零五分|晚上11点05分
三点零五|3.05
下午三点四十|下午3点40
两亿五|两亿五
三十 十五|三十 十五
他十七八岁|他十七八岁
十五六万|十五六万
十一二点|十一二点
他十七岁|他17岁
"""


@pytest.mark.parametrize("case", (TIMES + WEIGHTS_AND_MONEY + CLOCK + SECONDS).split("\n")[1:-1])
def test_english(case: str) -> None:
    spoken, written = case.split("|")
    assert write_digits(spoken, "en") == written


@pytest.mark.parametrize("case", CHINESE.split("\n")[1:-1])
def test_chinese(case: str) -> None:
    spoken, written = case.split("|")
    assert write_digits(spoken, "zh") == written

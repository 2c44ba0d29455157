"""Chinese decimal fractions were rounded to six digits, and "a quarter to two kids" became a time."""

import pytest

from asrkit.text.digits import write_digits

pytest.importorskip("text_to_num", reason="needs the extra [use]")
pytest.importorskip("cn2an", reason="needs the extra [use]")

CHINESE = """
三点一四一五九二六|3.1415926
一百二十三点四五六七公里|123.4567公里
零点零零零零一|0.00001
百分之一点二三四五六七八|1.2345678%
两千万零三点五|20000003.5
三点五零|3.50
一点五公里|1.5公里
十一点五|11.5
有十一点五公里|有11.5公里
一点一公里|1.1公里
差一点一起走|差一点一起走
有一点五味杂陈|有一点五味杂陈
这一点十分重要|这一点十分重要
第一点十分清楚|第一点十分清楚
一点一滴|一点一滴
一点一点地|一点一点地
下午三点一起走|下午三点一起走
一点十分|1点10分
"""

ENGLISH = """
cut it in half to three parts|cut it in half to three parts
give a quarter to two kids|give a quarter to two kids
give twenty to two kids|give 20 to two kids
a half past three|3:30
we met at a quarter to two in the morning|we met at 1:45 in the morning
come at quarter past nine and wait|come at 9:15 and wait
it is quarter to five|it is 4:45
it is quarter to five .|it is 4:45 .
QUARTER TO FIVE AT HOME|4:45 AT HOME
twenty to nine at night|8:40 at night
"""


@pytest.mark.parametrize("case", CHINESE.split("\n")[1:-1])
def test_fractions_have_all_their_digits(case: str) -> None:
    spoken, written = case.split("|")
    assert write_digits(spoken, "zh") == written


@pytest.mark.parametrize("case", ENGLISH.split("\n")[1:-1])
def test_a_number_before_a_noun_is_not_a_time(case: str) -> None:
    spoken, written = case.split("|")
    assert write_digits(spoken, "en") == written

"""Messages that mean harm: valid ones, damaged in the ways that parsers dislike, with or without a right length."""

import random
import re

from tests.execution.fix.wire import fix

STAMP = "20261130-10:00:00"
HEAD = "|49=THEM|52=" + STAMP + "|56=US"
ORDER = f"|11=ID|21=1|40=1|54=1|55=INTC|38=100|60={STAMP}"
SEEDS = [
    f"8=FIX.4.4|35=A|34=1{HEAD}|98=0|108=30",
    f"8=FIX.4.4|35=A|34=1{HEAD}|98=0|108=30|141=Y",
    f"8=FIX.4.4|35=0|34=2{HEAD}",
    f"8=FIX.4.4|35=1|34=2{HEAD}|112=x",
    f"8=FIX.4.4|35=2|34=2{HEAD}|7=1|16=0",
    f"8=FIX.4.4|35=3|34=2{HEAD}|45=2|373=5",
    f"8=FIX.4.4|35=4|34=2{HEAD}|36=9|123=Y",
    f"8=FIX.4.4|35=4|34=2{HEAD}|36=9",
    f"8=FIX.4.4|35=5|34=2{HEAD}",
    f"8=FIX.4.4|35=D|34=2{HEAD}{ORDER}",
    f"8=FIX.4.4|35=D|34=2|43=Y{HEAD}|122={STAMP}{ORDER}",
    f"8=FIX.4.4|35=D|34=2{HEAD}|115=A|116=B{ORDER}|453=2|448=X|447=D|452=1|802=1|523=S|803=4|448=Y|447=D|452=3",
    f"8=FIX.4.4|35=D|34=2{HEAD}{ORDER}|354=5|355=a|b=c",
    f"8=FIX.4.4|35=8|34=2{HEAD}|37=o|17=e|150=F|39=1|55=VTI|54=1|151=80|14=20|6=251.3650|31=251.3650|32=20",
    f"8=FIX.4.4|35=E|34=2{HEAD}|66=L|394=3|68=1|73=1|11=a|67=1|55=VTI|54=1|38=1|40=1",
]
VALUES = [
    "",
    "0",
    "-1",
    "1",
    "9" * 25,
    "1e9",
    "NaN",
    "٣",
    "Y",
    "\x00",
    "=",
    "20261301-00:00:00",
    "x" * 300,
    "1 2 3",
    "  ",
]
TAGS = [
    0,
    1,
    7,
    8,
    9,
    10,
    16,
    34,
    35,
    36,
    43,
    49,
    52,
    56,
    73,
    95,
    96,
    97,
    122,
    123,
    141,
    354,
    355,
    453,
    802,
    9999,
    10**12,
]


def damaged(chance: random.Random) -> bytes:
    """Return a message, damaged once to four times."""
    text = chance.choice(SEEDS)
    for _ in range(chance.randrange(1, 5)):
        text = chance.choice(WAYS)(text, chance)
    data = fix(text) if chance.random() < 0.8 else text.replace("|", "\x01").encode()
    if chance.random() < 0.3:
        at = chance.randrange(len(data) or 1)
        data = data[:at] + bytes([chance.randrange(256)]) * chance.randrange(3) + data[at + chance.randrange(3) :]
    if chance.random() < 0.1:
        data = data[: chance.randrange(len(data) + 1)]
    return data


def _fields(text):
    return text.split("|")


def _value(text, chance):
    fields = _fields(text)
    at = chance.randrange(len(fields))
    fields[at] = f"{fields[at].partition('=')[0]}={chance.choice(VALUES)}"
    return "|".join(fields)


def _tag(text, chance):
    fields = _fields(text)
    at = chance.randrange(len(fields))
    fields[at] = f"{chance.choice(TAGS)}={fields[at].partition('=')[2]}"
    return "|".join(fields)


def _add(text, chance):
    fields = _fields(text)
    fields.insert(chance.randrange(len(fields) + 1), f"{chance.choice(TAGS)}={chance.choice(VALUES)}")
    return "|".join(fields)


def _drop(text, chance):
    fields = _fields(text)
    del fields[chance.randrange(len(fields))]
    return "|".join(fields) or "8=FIX.4.4"


def _swap(text, chance):
    fields = _fields(text)
    chance.shuffle(fields) if chance.random() < 0.2 else fields.insert(0, fields.pop(chance.randrange(len(fields))))
    return "|".join(fields)


def _number(text, chance):
    return re.sub(r"\|34=[^|]*", f"|34={chance.choice([0, 1, 2, 3, 4, 9, 10**9, 10**18, -5, ''])}", text)


def _repeat(text, chance):
    fields = _fields(text)
    at = chance.randrange(len(fields))
    return "|".join(fields[: at + 1] + fields[at:])


def _huge(text, chance):
    count = chance.choice([0, 1, 50, 999999999])
    return f"{text}|453={count}" + "|448=X|447=D|452=1" * chance.randrange(60)


WAYS = [_value, _tag, _add, _drop, _swap, _number, _repeat, _huge]

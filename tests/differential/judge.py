"""What py2p makes of frames: one in hexadecimal a line on standard input, one verdict a line back.

usage: judge.py FOLDER      FOLDER holds the py2p package

A verdict is the JSON of [flag, sender, id, time, digits of the time, [payload]] with bytes in hexadecimal, or
the name of the error that its reader raised.
"""

import json
import os
import sys

OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # py2p prints: its words must not mix with ours

# py2p brings a `typing` of Python 3.5 along: whoever has loaded its own by then keeps it.
import typing  # noqa: E402, F401

sys.path.insert(0, sys.argv[1])
from py2p import base  # noqa: E402  (found only now)

read_number = base.from_base_58
digits = 0


def read_time(text):
    """Remembers how long the time is: what py2p makes of it shows that no more."""
    global digits
    digits = len(text)
    return read_number(text)


base.from_base_58 = read_time


def verdict(frame):
    try:
        # As a connection would whose peer has announced every method.
        message = base.pathfinding_message.feed_string(frame, False, base.compression)
    except Exception as error:
        return type(error).__name__
    if message.compression_fail and not message.packets:
        return "compression"
    flag, sender, identity, _, *payload = message.packets
    time = message.time
    return [flag.hex(), sender.hex(), identity.hex(), str(time), digits, [packet.hex() for packet in payload]]


for line in sys.stdin:
    OUT.write(json.dumps(verdict(bytes.fromhex(line.strip()))) + "\n")
OUT.flush()

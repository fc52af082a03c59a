"""Types into the program on a terminal of its own: lines can be edited and recalled, what others say stands above them, and
the terminal is given back as it was found.

usage: terminal.py PROGRAM      prints "ok", or fails
"""

import json
import os
import pty
import select
import subprocess
import sys
import termios
import time

PROGRAM = sys.argv[1]
PATIENCE = 30

other = subprocess.Popen(
    [PROGRAM, "node", "--format", "json", "--max-outgoing", "0"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
)
ready = json.loads(other.stdout.readline())


def heard():
    """The next message that the other node hears."""
    for line in other.stdout:
        said = json.loads(line)
        if said["event"] == "message":
            return said["packets"]


ours, theirs = pty.openpty()
found = termios.tcgetattr(theirs)
node = subprocess.Popen(
    [PROGRAM, "node", "--connect", ready["listen"]],
    stdin=theirs,
    stdout=theirs,
    stderr=theirs,
    env=dict(os.environ, TERM="xterm-256color", NO_COLOR=""),
)
shown = b""


def until(text):
    global shown
    end = time.time() + PATIENCE
    while text not in shown:
        assert time.time() < end, (text, shown)
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 65536)
    shown = shown.split(text, 1)[1]


until(b"connected to")
os.write(ours, b"hello there\r")
assert heard() == ["hello there"]
os.write(ours, b"half a li")
until(b"half a li")
other.stdin.write(json.dumps({"do": "send", "packets": ["from the other"]}) + "\n")
other.stdin.flush()
until(b"from the other")
os.write(ours, b"ne\r")
assert heard() == ["half a line"]
time.sleep(1.1)  # the very same again takes the next second
os.write(ours, b"\x1b[A\r")  # up: what was typed last
assert heard() == ["half a line"]
os.write(ours, b"/quit\r")
until(b"ending")
assert node.wait(PATIENCE) == 0
assert termios.tcgetattr(theirs) == found, "the terminal was not given back"
other.stdin.close()
print("ok")

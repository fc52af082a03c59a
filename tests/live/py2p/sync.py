"""One py2p `sync` node as a co-process: a JSON object a line on standard input and output.

usage: sync.py FOLDER      FOLDER holds the py2p package

in:   {"seq": N, "do": "start" | "connect" | "set" | "get", ...}
out:  {"event": "answer", "seq": N, "ok": {...}} or {"event": "answer", "seq": N, "error": TEXT}
"""

import json
import os
import socket
import sys

OUT = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # py2p prints: its words must not mix with ours

# py2p brings a `typing` of Python 3.5 along: whoever has loaded its own by then keeps it.
import typing  # noqa: E402, F401

sys.path.insert(0, sys.argv[1])
from py2p import sync  # noqa: E402  (found only now)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(leasing):
    global node
    port = free_port()
    node = sync.sync_socket("127.0.0.1", port, leasing=leasing)
    return {"id": node.id.decode(), "listen": "127.0.0.1:%d" % port}


def connect(addr):
    host, port = addr.rsplit(":", 1)
    node.connect(host, int(port))
    return {}


def set_(key, value):
    node[key] = value
    return {}


def get(key):
    value = node.get(key)
    return {"value": value.decode() if value else None}


for line in sys.stdin:
    order = json.loads(line)
    seq, do = order.pop("seq"), order.pop("do")
    try:
        done = {"start": start, "connect": connect, "set": set_, "get": get}[do](**order)
        answer = {"ok": done}
    except Exception as why:  # the test wants to know of any
        answer = {"error": repr(why)}
    OUT.write(json.dumps(dict(answer, event="answer", seq=seq)) + "\n")
os._exit(0)

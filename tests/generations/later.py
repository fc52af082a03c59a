"""One py2p node of generation 0.5, 0.6 or 0.7 as a co-process: a JSON object a line on standard input and output.

usage: later.py FOLDER      FOLDER holds the py2p package

in:   {"seq": N, "do": NAME, ...}      the commands are the methods of Peer
out:  {"event": "answer", "seq": N, "ok": {...}} or {"event": "answer", "seq": N, "error": TEXT}
      {"event": "message", "id", "sender", "type", "packets"}
A packet is a JSON value, or {"hex": "00ff"} where it is binary.
"""

import json
import os
import queue
import socket
import sys
import threading

OUT = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # py2p prints: its words must not mix with ours

# py2p brings a `typing` of Python 3.5 along: whoever has loaded its own by then keeps it.
import typing  # noqa: E402, F401

sys.path.insert(0, sys.argv[1])
from py2p import base, mesh  # noqa: E402  (found only now)

# Generation 0.7 renamed its classes.
Socket = getattr(mesh, "MeshSocket", None) or mesh.mesh_socket
Protocol = getattr(base, "Protocol", None) or base.protocol
OLD = not hasattr(mesh, "MeshSocket") and "0.5" in str(base.__dict__.get("version", base.__dict__.get("protocol_version")))


def say(**line):
    OUT.write(json.dumps(line) + "\n")


def text(value):
    return value.decode() if isinstance(value, (bytes, bytearray)) else value


def to_packet(value):
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    return value


def from_packet(value):
    if isinstance(value, (bytes, bytearray)):
        if OLD:
            try:
                return bytes(value).decode()
            except UnicodeDecodeError:
                pass
        return {"hex": bytes(value).hex()}
    if isinstance(value, (list, tuple)):
        return [from_packet(inner) for inner in value]
    return value


class Peer:
    def __init__(self):
        self.node = None
        self.received = {}

    def start(self, subnet="mesh", max_outgoing=0, transport="Plaintext"):
        mesh.max_outgoing = max_outgoing
        protocol = Protocol(subnet, transport)
        for attempt in range(10):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            try:
                self.node = Socket("127.0.0.1", port, protocol)
                break
            except OSError:  # another process took the port in between
                if attempt == 9:
                    raise
        return {"id": text(self.node.id), "listen": "127.0.0.1:%d" % port, "subnet": text(protocol.id)}

    def connect(self, addr):
        host, port = addr.rsplit(":", 1)
        self.node.connect(host, int(port))
        return {}

    def send(self, packets):
        self.node.send(*map(to_packet, packets))
        return {}

    def reply(self, to, packets):
        self.received[to].reply(*map(to_packet, packets))
        return {}

    def disconnect(self, peer):
        for key, handler in list(self.node.routing_table.items()):
            if text(key) == peer:
                self.node.disconnect(handler)
        return {}

    def peers(self):
        table = [
            {"id": text(key), "addr": handler.addr and "%s:%d" % (text(handler.addr[0]), handler.addr[1])}
            for key, handler in list(self.node.routing_table.items())
        ]
        return {"peers": table, "awaiting": len(self.node.awaiting_ids)}

    def status(self):
        status = self.node.status
        return {"exceptions": [] if status == "Nominal" else sorted({repr(why) for why in status})}

    def report(self):
        while self.node is not None and self.node.queue:
            message = self.node.recv()
            name = message.id.hex() if isinstance(message.id, bytes) and len(message.id) == 32 else text(message.id)
            self.received[name] = message
            packets = [from_packet(packet) for packet in message.packets]
            say(event="message", id=name, sender=text(message.sender), type=packets[0], packets=packets[1:])


def answer(peer, line):
    command = json.loads(line)
    seq, name = command.pop("seq"), command.pop("do")
    try:
        say(event="answer", seq=seq, ok=getattr(peer, name)(**command))
    except Exception as why:  # whatever it is, the test wants to see it
        say(event="answer", seq=seq, error=repr(why))


def read_lines(lines):
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def main():
    """Runs every command on this one thread: py2p's own thread ends with the one that made its node."""
    lines = queue.Queue()
    threading.Thread(target=read_lines, args=(lines,), daemon=True).start()
    peer = Peer()
    while True:
        try:
            answer(peer, lines.get(timeout=0.01))
        except queue.Empty:
            pass
        peer.report()


main()

"""One py2p node as a co-process: a JSON object a line on standard input and output.

It uses py2p as any program would and adds only what a test must be able to arrange (a restricted
list of compression methods, an id on a chosen side of another, bytes written straight to a socket).

usage: peer.py FOLDER      FOLDER holds the py2p package

in:   {"seq": N, "do": NAME, ...}      the commands are the methods of Peer
out:  {"event": "answer", "seq": N, "ok": {...}} or {"event": "answer", "seq": N, "error": TEXT}
      {"event": "message", "id", "sender", "flag", "type", "packets", "time"}
A packet is a string, or {"hex": "00ff"} where its bytes are not UTF-8.
"""

import json
import os
import queue
import random
import socket
import sys
import threading
import time

OUT = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # py2p prints: its words must not mix with ours

# py2p brings a `typing` of Python 3.5 along: whoever has loaded its own by then keeps it.
import typing  # noqa: E402, F401

sys.path.insert(0, sys.argv[1])
from py2p import base, mesh  # noqa: E402  (found only now)

FLAGS = base.flags


def say(**line):
    OUT.write(json.dumps(line) + "\n")


def to_packet(value):
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value.encode()


def from_packet(raw):
    try:
        return bytes(raw).decode()
    except UnicodeDecodeError:
        return {"hex": bytes(raw).hex()}


def text(value):
    return value.decode() if isinstance(value, (bytes, bytearray)) else value


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def restrict(names):
    """Lets this process know these compression methods only, in this order of preference."""
    base.compression[:] = [getattr(FLAGS, name) for name in names]
    mesh.json_compressions = json.dumps([method.decode() for method in base.compression])


def id_beside(other, above):
    """A node id whose number lies above or below that of `other`."""
    limit, other = 1 << 384, base.from_base_58(other)
    return base.to_base_58(random.randrange(other + 1, limit) if above else random.randrange(1, other))


class Peer:
    def __init__(self):
        self.node = None
        self.received = {}
        self.kinds = set()

    def start(self, subnet="mesh", encryption="Plaintext", methods=None, max_outgoing=0, above=None, below=None):
        if methods is not None:
            restrict(methods)
        mesh.max_outgoing = max_outgoing
        protocol = base.protocol(subnet, encryption)
        for attempt in range(10):
            port = free_port()
            try:
                self.node = mesh.mesh_socket("127.0.0.1", port, protocol)
                break
            except OSError:  # another process took the port in between
                if attempt == 9:
                    raise
        self.node.register_handler(self.note_kind)
        if above or below:
            self.node.id = id_beside(above or below, above is not None)
        return {"id": text(self.node.id), "listen": "127.0.0.1:%d" % port, "subnet": text(protocol.id)}

    def note_kind(self, message, handler):
        """Sees what any user's handler sees, and lets it pass."""
        self.kinds.add(bytes(message.packets[0]))

    def kinds_seen(self):
        return {"kinds": sorted(kind.hex() for kind in self.kinds)}

    def link(self, peer):
        """The connection to a peer; its id may be a key of either type, after a deferred reply."""
        for key, handler in list(self.node.routing_table.items()):
            if text(key) == peer:
                return handler
        raise KeyError("not connected to " + peer)

    def connect(self, addr, expect=None):
        host, port = addr.rsplit(":", 1)
        self.node.connect(host, int(port), expect and expect.encode())
        return {}

    def send(self, packets, flag=None, type=None):
        options = {"flag": flag, "type": type}
        named = {name: to_packet(value) for name, value in options.items() if value is not None}
        # py2p stamps a message anew for each peer: where the second rolls over in between, it is two messages.
        # A sleep may end a hair before the wall clock's next second, hence the hundredth and the second look.
        while (into_the_second := time.time() % 1) > 0.2:
            time.sleep(1.01 - into_the_second)
        self.node.send(*map(to_packet, packets), **named)
        return {}

    def send_aged(self, packets, age):
        """A broadcast to every peer whose time stamp lies `age` seconds back."""
        stamp = int(time.time()) - age
        for handler in list(self.node.routing_table.values()):
            handler.send(FLAGS.broadcast, FLAGS.broadcast, *map(to_packet, packets), time=stamp)
        return {}

    def whisper(self, to, packets):
        self.link(to).send(FLAGS.whisper, FLAGS.whisper, *map(to_packet, packets))
        return {}

    def reply(self, to, packets):
        self.received[to].reply(*map(to_packet, packets))
        return {}

    def renegotiate(self, peer, methods):
        """Asks a peer to use only these methods, and expects nothing else from it from now on."""
        methods = [getattr(FLAGS, name) for name in methods]
        handler = self.link(peer)
        handler.compression = methods
        handler.send(FLAGS.renegotiate, FLAGS.compression, json.dumps([method.decode() for method in methods]))
        return {}

    def resend(self, peer):
        self.link(peer).send(FLAGS.renegotiate, FLAGS.resend)
        return {}

    def raw(self, peer, hex):
        self.link(peer).sock.sendall(bytes.fromhex(hex))
        return {}

    def disconnect(self, peer):
        self.node.disconnect(self.link(peer))
        return {}

    def peers(self):
        table = [
            {
                "id": text(key),
                "addr": handler.addr and "%s:%d" % tuple(handler.addr),
                "outgoing": handler.outgoing,
                "methods": [bytes(method).hex() for method in handler.compression],
            }
            for key, handler in list(self.node.routing_table.items())
        ]
        return {"peers": table, "awaiting": len(self.node.awaiting_ids)}

    def status(self):
        """The different things that went wrong; a py2p in trouble records the same one thousands of times."""
        return {"exceptions": sorted({repr(why) for why, _ in list(self.node.daemon.exceptions)})}

    def report(self):
        """Prints what arrived, and keeps it so that it can be replied to."""
        while self.node is not None and self.node.queue:
            message = self.node.recv()
            self.received[text(message.id)] = message
            kind, packets = message.packets[0], message.packets[1:]
            say(
                event="message",
                id=text(message.id),
                sender=text(message.sender),
                flag=from_packet(message.msg.msg_type),
                type=from_packet(kind),
                packets=[from_packet(packet) for packet in packets],
                time=message.time,
            )


COMMANDS = {
    name: getattr(Peer, name)
    for name in ("start", "connect", "send", "send_aged", "whisper", "reply", "renegotiate", "resend", "raw",
                 "disconnect", "peers", "status", "kinds_seen")
}


def answer(peer, line):
    command = json.loads(line)
    seq, name = command.pop("seq"), command.pop("do")
    try:
        say(event="answer", seq=seq, ok=COMMANDS[name](peer, **command))
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

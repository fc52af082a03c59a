#!/usr/bin/env python3
"""The workloads of docs/performance.md on this crate alone: each node a process of its own, on the loopback.

    cargo build --release --features cli --example load_node
    python3 benches/workloads.py                    # all of them
    python3 benches/workloads.py W1 --size 1024 --rounds 5 --opt wire=0.7

    W1  a line of three nodes: the first publishes, the last counts
    W2  a star: the hub publishes, eight nodes count
    W3  the line of W1, one message at a time: how long each takes
    W4  the memory of a node with 500 peers that do nothing
    W5  eight nodes, each connected to each: all publish, all count

A publisher keeps at most a window of messages ahead of the slowest receiver. Prints a line for each round, then the
median and the range. Figures of one machine are no promise for another: compare what ran side by side.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

LINE = {0: [], 1: [0], 2: [1]}
STAR = {0: []} | {node: [0] for node in range(1, 9)}
MESH = {node: list(range(node)) for node in range(8)}

# Who dials whom, who publishes, who counts, how many messages of 100 B and of more, and the window.
WORKLOADS = {
    "W1": (LINE, [0], [2], 400_000, 2048),
    "W2": (STAR, [0], list(range(1, 9)), 100_000, 1024),
    "W3": (LINE, [0], [2], 5_000, 1),
    "W5": (MESH, list(range(8)), list(range(8)), 20_000, 256),
}
PATIENCE = 120


class Node:
    """A running load_node."""

    def __init__(self, program, base, node, dials, options):
        words = [program, "--id", str(node), "--base", str(base)]
        if dials:
            words += ["--connect", ",".join(map(str, dials))]
        for option in options:
            words += ["--opt", option]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def say(self, line):
        self.process.stdin.write(line + "\n")

    def hear(self, word):
        line = self.process.stdout.readline()
        if not line.startswith(word):
            sys.exit(f"load_node said {line!r} where {word} was expected")
        return line[len(word):].strip()

    def ask(self, line, word):
        self.say(line)
        return self.hear(word)

    def end(self):
        self.process.kill()
        self.process.wait()


def connected(nodes, links):
    """Waits until each node has the peers it should have."""
    until = time.monotonic() + PATIENCE
    for node, process in nodes.items():
        peers = len(links[node]) + sum(node in dials for dials in links.values())
        while int(process.ask("peers", "PEERS")) < peers:
            if time.monotonic() > until:
                sys.exit(f"node {node} has not found its peers")
            time.sleep(0.02)


def run(program, workload, size, options):
    """Returns messages a second, the share lost, CPU microseconds a delivery, and p50 and p99 in microseconds."""
    links, publishers, receivers, count, window = WORKLOADS[workload]
    count = max(count * 100 // max(size, 100) // (1 if size < 10_000 else 2), 200) if window > 1 else count
    window = max(8, min(window, (4 << 20) // size)) if window > 1 else window
    base = random.randrange(20_000, 50_000, 200)
    nodes = {}
    try:
        for node, dials in links.items():
            nodes[node] = Node(program, base, node, dials, options)
            nodes[node].hear("READY")
        connected(nodes, links)
        heard = {node: [p for p in publishers if p != node] for node in receivers}
        for node, process in nodes.items():
            process.ask(f"expect {len(heard.get(node, []))} {count} {max(1, window // 8)}", "OK")
        for process in nodes.values():
            process.ask("mark", "OK")
        for node in publishers:
            whom = ",".join(str(receiver) for receiver in receivers if receiver != node)
            nodes[node].say(f"pub {count} {size} {window} {whom}")
        for node in receivers:
            nodes[node].hear("DONE")
        stats = {node: json.loads(process.ask("stat", "STAT")) for node, process in nodes.items()}
    finally:
        for process in nodes.values():
            process.end()
    ends = [stats[node] for node in receivers]
    began = min(stat["first_ns"] for stat in ends)
    ended = max(stat["last_ns"] for stat in ends)
    unique = sum(stat["unique"] for stat in ends)
    wanted = sum(count * len(heard[node]) for node in receivers)
    cpu = sum(stat["cpu_us"] for stat in stats.values())
    if sum(stat["dup"] for stat in ends):
        sys.exit("a message was delivered twice")
    rate = unique / (ended - began) * 1e9
    return rate, 1 - unique / wanted, cpu / unique, max(s["p50"] for s in ends), max(s["p99"] for s in ends)


def idle(program, peers, options):
    """Returns the resident memory of a node with so many idle peers, and what each adds, in KiB."""
    base = random.randrange(20_000, 50_000, 200)
    hub = Node(program, base, 0, [], options)
    crowd = []
    try:
        hub.hear("READY")
        before = json.loads(hub.ask("stat", "STAT"))["rss_kb"]
        for first in range(1, peers + 1, 64):
            count = min(64, peers + 1 - first)
            words = [program, "--id", str(first), "--base", str(base), "--connect", "0", "--idle", str(count)]
            crowd.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
        until = time.monotonic() + PATIENCE
        while int(hub.ask("peers", "PEERS")) < peers and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(2)
        after = json.loads(hub.ask("stat", "STAT"))["rss_kb"]
    finally:
        for process in crowd:
            process.kill()
        hub.end()
    return after, (after - before) / peers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="W1..W5")
    parser.add_argument("--size", type=int, default=100, help="bytes of a message (default 100)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=int, default=500, help="idle peers of W4")
    parser.add_argument("--opt", action="append", default=[], help="passed on to load_node, as wire=0.7")
    parser.add_argument("--program", default="target/release/examples/load_node")
    args = parser.parse_args()
    if not os.path.exists(args.program):
        sys.exit(f"{args.program} is not there: cargo build --release --features cli --example load_node")
    for workload in args.workloads or ["W1", "W2", "W3", "W4", "W5"]:
        if workload == "W4":
            resident, each = idle(args.program, args.peers, args.opt)
            print(f"W4  {args.peers} idle peers: {resident} KiB resident, {each:.1f} KiB a peer")
            continue
        rounds = []
        for number in range(args.rounds):
            rate, lost, cpu, p50, p99 = run(args.program, workload, args.size, args.opt)
            print(f"{workload}  {args.size} B, round {number + 1}: {rate:,.0f} a second, {lost:.2%} lost, "
                  f"{cpu:.2f} us of CPU each, p50 {p50} us, p99 {p99} us")
            rounds.append(p50 if workload == "W3" else rate)
        unit = "us at p50" if workload == "W3" else "a second"
        print(f"{workload}  median {statistics.median(rounds):,.0f} {unit} "
              f"({min(rounds):,.0f} to {max(rounds):,.0f})")


if __name__ == "__main__":
    main()

"""Answers the questions of a mesh from Python: the program `actix-mesh` is its ear and mouth, line by line.

    python3 examples/python/answer.py HOST:PORT

Needs nothing but Python and the program, which the variable ACTIX_MESH names where it is not in the PATH.
"""

import json
import os
import subprocess
import sys

KIND, ANSWER = "square/1", "squared/1"

node = subprocess.Popen(
    [os.environ.get("ACTIX_MESH", "actix-mesh"), "node", "--format", "json", "--connect", sys.argv[1]],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
)
for line in node.stdout:
    said = json.loads(line)
    if said["event"] == "error":
        print(said, file=sys.stderr)
    # A question: its kind, its value, and a tag that goes back with the answer.
    if said["event"] != "message" or said.get("type") != KIND:
        continue
    value, tag = said["packets"][:2]
    if not tag.startswith("ask:"):
        continue
    n = json.loads(value)["n"]
    print(f"python squares {n}", flush=True)
    reply = [ANSWER, json.dumps({"n": n * n}), tag.replace("ask:", "reply:", 1)]
    command = {"do": "reply", "to": said["id"], "packets": reply}
    print(json.dumps(command), file=node.stdin, flush=True)

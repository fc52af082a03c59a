// One js2p node as a co-process: a JSON object a line on standard input and output.
//
// usage: later.js FOLDER      FOLDER holds node_modules/js2p
//
// The lines are those of later.py.
"use strict";

const fs = require("fs");
const net = require("net");
const path = require("path");
const readline = require("readline");

// js2p prints: its words must not mix with ours.
const say = (line) => fs.writeSync(1, JSON.stringify(line) + "\n");
console.log = console.info = console.warn = (...words) => console.error(...words);

const js2p = require(path.join(process.argv[2], "node_modules", "js2p"));
const received = new Map();
let node = null;

const text = (value) => (Buffer.isBuffer(value) ? value.toString() : String(value));
const toPacket = (value) => (value && value.hex !== undefined ? Buffer.from(value.hex, "hex") : value);
const fromPacket = (value) => (Buffer.isBuffer(value) ? { hex: value.toString("hex") } : value);

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

function report() {
  for (let message = node.recv(); message !== undefined; message = node.recv()) {
    const id = Buffer.isBuffer(message.id) ? message.id.toString("hex") : text(message.id);
    received.set(id, message);
    const packets = Array.from(message.packets, fromPacket);
    say({ event: "message", id, sender: text(message.sender), type: packets[0], packets: packets.slice(1) });
  }
}

function connections() {
  const table = node.routing_table;
  return table instanceof Map ? Array.from(table.entries()) : Object.entries(table);
}

const commands = {
  async start({ subnet = "mesh", max_outgoing = 0, transport }) {
    js2p.mesh.max_outgoing = max_outgoing;
    const port = await freePort();
    const protocol = new js2p.base.Protocol(subnet, transport || "Plaintext");
    node = new js2p.mesh.MeshSocket("127.0.0.1", port, protocol);
    node.on("message", report);
    return { id: text(node.id), listen: `127.0.0.1:${port}`, subnet: text(protocol.id) };
  },
  async connect({ addr }) {
    const [host, port] = addr.split(":");
    node.connect(host, Number(port));
    return {};
  },
  async send({ packets }) {
    node.send(packets.map(toPacket));
    return {};
  },
  async reply({ to, packets }) {
    received.get(to).reply(packets.map(toPacket));
    return {};
  },
  async disconnect({ peer }) {
    for (const [id, handler] of connections()) {
      if (text(id) === peer) node.disconnect(handler);
    }
    return {};
  },
  async peers() {
    const peers = connections().map(([id, handler]) => ({ id: text(id), addr: handler.addr && `${handler.addr[0]}:${handler.addr[1]}` }));
    return { peers, awaiting: node.awaiting_ids.length };
  },
  async status() {
    return { exceptions: node.status === "Nominal" ? [] : Array.from(node.status, String) };
  },
};

process.on("uncaughtException", (why) => console.error(why));

readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { seq, do: name, ...settings } = JSON.parse(line);
  try {
    say({ event: "answer", seq, ok: await commands[name](settings) });
  } catch (why) {
    say({ event: "answer", seq, error: String(why && why.stack) });
  }
}).on("close", () => process.exit(0));

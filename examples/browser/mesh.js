// A node of the mesh in a browser: generation 0.7 over WebSocket, with one neighbour, which relays for it.
//
//   const mesh = await Mesh.join("ws://127.0.0.1:4444/", { subnet: "mesh" });
//   mesh.onmessage = ({ sender, time, packets }) => ...;      packets[0] is the kind; 0: a user's broadcast, 2: a whisper
//   mesh.send("hello");                                       or mesh.send(["room/tea", "hello"]) with a kind of its own
//   mesh.close();
//
// Needs what a page has anyway where it is served from this machine or over HTTPS: crypto.subtle. It is no full node: it
// dials nobody else, and relays nothing, because it has one neighbour only.

const FLAG = { broadcast: 0, whisper: 2 };
const SUB = { broadcast: 0, handshake: 5, request: 8, response: 10 };
const VERSION = "0.7";
const WINDOW = 60;

const utf8 = new TextEncoder();
const text = new TextDecoder();

function base58(bytes) {
  const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  let number = 0n;
  for (const byte of bytes) number = (number << 8n) | BigInt(byte);
  let written = "";
  for (; number > 0n; number /= 58n) written = digits[Number(number % 58n)] + written;
  return written || digits[0];
}

const hash = async (algorithm, bytes) => new Uint8Array(await crypto.subtle.digest(algorithm, bytes));
const now = () => Math.floor(Date.now() / 1000);

// MessagePack: what messages are made of. Text is a string, binary a Uint8Array.

function pack(value, out = []) {
  const big = (number, bytes) => {
    for (let at = bytes - 1; at >= 0; at--) out.push(Math.floor(number / 2 ** (8 * at)) & 0xff);
  };
  // What begins a value of that length: in one byte with it, or before 1, 2 or 4 bytes of it, where there is such.
  const sized = (length, small, first, heads) => {
    if (length <= small) return out.push(first | length);
    const width = [0, 1, 2].find((width) => heads[width] && length < 2 ** (8 << width));
    out.push(heads[width]);
    big(length, 1 << width);
  };
  if (value === null || value === undefined) out.push(0xc0);
  else if (typeof value === "boolean") out.push(value ? 0xc3 : 0xc2);
  else if (typeof value === "number") {
    if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) {
      if (value < 0x80) out.push(value);
      else {
        const width = value < 0x100 ? 0 : value < 0x10000 ? 1 : 2;
        out.push(0xcc + width);
        big(value, 1 << width);
      }
    } else {
      const view = new DataView(new ArrayBuffer(8));
      view.setFloat64(0, value);
      out.push(0xcb, ...new Uint8Array(view.buffer));
    }
  } else if (typeof value === "string") {
    const bytes = utf8.encode(value);
    sized(bytes.length, 31, 0xa0, [0xd9, 0xda, 0xdb]);
    for (const byte of bytes) out.push(byte);
  } else if (value instanceof Uint8Array) {
    sized(value.length, -1, 0, [0xc4, 0xc5, 0xc6]);
    for (const byte of value) out.push(byte);
  } else if (Array.isArray(value)) {
    sized(value.length, 15, 0x90, [0, 0xdc, 0xdd]);
    for (const item of value) pack(item, out);
  } else throw new TypeError("only text, binary, numbers, booleans, null and lists travel");
  return out;
}

function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (length) => {
    if (at + length > bytes.length) throw new RangeError("cut off");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const number = (length) => take(length).reduce((sum, byte) => sum * 256 + byte, 0);
  const list = (length) => Array.from({ length }, value);
  const map = (length) => Object.fromEntries(Array.from({ length }, () => [value(), value()]));
  function value() {
    const head = number(1);
    if (head < 0x80) return head;
    if (head < 0x90) return map(head & 15);
    if (head < 0xa0) return list(head & 15);
    if (head < 0xc0) return text.decode(take(head & 31));
    if (head >= 0xe0) return head - 256;
    switch (head) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return take(number(2 ** (head - 0xc4))).slice();
      case 0xca: take(4); return view.getFloat32(at - 4);
      case 0xcb: take(8); return view.getFloat64(at - 8);
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return number(2 ** (head - 0xcc));
      case 0xd0: take(1); return view.getInt8(at - 1);
      case 0xd1: take(2); return view.getInt16(at - 2);
      case 0xd2: take(4); return view.getInt32(at - 4);
      case 0xd3: take(8); return Number(view.getBigInt64(at - 8));
      case 0xd9: case 0xda: case 0xdb: return text.decode(take(number(2 ** (head - 0xd9))));
      case 0xdc: case 0xdd: return list(number(2 ** (head - 0xdb)));
      case 0xde: case 0xdf: return map(number(2 ** (head - 0xdd)));
      default: throw new RangeError("a value of an unknown type");
    }
  }
  return value();
}

export class Mesh {
  onmessage = () => {};
  onclose = () => {};
  // Ids of broadcasts that were heard or sent, and when they were stamped.
  #seen = new Map();
  #last = 0;

  static async join(url, { subnet = "mesh", encryption = new URL(url).protocol.replace(":", "") } = {}) {
    const mesh = new Mesh();
    mesh.subnet = base58(await hash("SHA-256", utf8.encode(subnet + encryption + VERSION)));
    mesh.id = base58(await hash("SHA-384", crypto.getRandomValues(new Uint8Array(32))));
    mesh.socket = new WebSocket(url);
    mesh.socket.binaryType = "arraybuffer";
    await new Promise((joined, failed) => {
      mesh.socket.onopen = () => mesh.#greet();
      mesh.socket.onclose = () => {
        failed(new Error("refused: check address, subnet, generation, and the origin of this page"));
        mesh.onclose();
      };
      // One after the other: each has to be hashed first.
      let turn = Promise.resolve();
      mesh.socket.onmessage = ({ data }) => {
        turn = turn.then(() => mesh.#hear(new Uint8Array(data), joined)).catch((why) => console.warn(why));
      };
    });
    return mesh;
  }

  // Text, or a list of values whose first is the kind.
  async send(what) {
    const payload = Array.isArray(what) ? what : [SUB.broadcast, what];
    // The id has no finer clock than a second: an equal payload takes the next.
    this.#last = Math.max(now(), JSON.stringify(payload) === this.#said ? this.#last + 1 : 0);
    this.#said = JSON.stringify(payload);
    await this.#say(FLAG.broadcast, payload, this.#last);
  }
  #said = "";

  close() {
    this.socket.close();
  }

  #greet() {
    // Nobody can dial a page, so it names no address.
    return this.#say(FLAG.whisper, [SUB.handshake, this.id, this.subnet, null, []]);
  }

  async #say(flag, payload, time = now()) {
    const body = new Uint8Array(pack([flag, this.id, time, ...payload]));
    const id = await hash("SHA-256", body);
    if (flag === FLAG.broadcast) this.#remember(base58(id), time);
    const frame = new Uint8Array(4 + id.length + body.length);
    new DataView(frame.buffer).setUint32(0, id.length + body.length);
    frame.set(id, 4);
    frame.set(body, 4 + id.length);
    this.socket.send(frame);
  }

  #remember(id, time) {
    const isNew = !this.#seen.has(id);
    this.#seen.set(id, time);
    for (const [old, stamped] of this.#seen) {
      if (stamped >= now() - WINDOW) break;
      this.#seen.delete(old);
    }
    return isNew;
  }

  async #hear(frame, joined) {
    const [id, body] = [frame.subarray(4, 36), frame.subarray(36)];
    const digest = await hash("SHA-256", body);
    if (!digest.every((byte, at) => byte === id[at])) throw new Error("a message with a false id");
    const [flag, author, time, ...packets] = unpack(body);
    const asText = (value) => (value instanceof Uint8Array ? text.decode(value) : String(value));
    const sender = asText(author);
    if (flag === FLAG.broadcast) {
      const isTimely = Math.abs(time - now()) <= WINDOW;
      if (!isTimely || sender === this.id || !this.#remember(base58(id), time)) return;
    }
    const [kind, ...rest] = packets;
    if (kind === SUB.handshake) {
      if (asText(rest[1]) !== this.subnet) return this.close();
      this.neighbour = { id: asText(rest[0]), address: rest[2] };
      return joined();
    }
    if (kind === SUB.request) {
      // Asked for our neighbour, which is how it asks for a sign of life.
      const { id, address } = this.neighbour ?? {};
      if (asText(rest[1]) !== id) return;
      return this.#say(FLAG.broadcast, [SUB.response, rest[0], [address, id]]);
    }
    const isControl = typeof kind === "number" && kind !== 0 && kind !== FLAG.whisper;
    if (!isControl) this.onmessage({ sender, time, packets });
  }
}

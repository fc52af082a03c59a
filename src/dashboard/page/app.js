// The page: shows snapshots and events as they arrive. Sets text from the mesh only as text, never as markup.

import { Map2D, rate, short } from "./map.js";

const $ = (id) => document.getElementById(id);
const MAX_EVENTS = 200;
const MAX_PROBLEMS = 4;

const state = { snapshot: null, node: null, history: [], seq: 0, chosen: null, message: null, allProblems: false, closed: new Set() };

function element(name, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  if (text != null) made.textContent = text;
  made.append(...children);
  return made;
}

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
function count(value) {
  if (value >= 1e9) return `${number.format(value / 1e9)} G`;
  if (value >= 1e6) return `${number.format(value / 1e6)} M`;
  if (value >= 1e4) return `${number.format(value / 1e3)} k`;
  return number.format(value >= 10 ? Math.round(value) : value);
}
function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${number.format(value >= 100 ? Math.round(value) : value)} ${units[at]}`;
}
function span(seconds) {
  seconds = Math.max(0, Math.round(seconds));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}
const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const map = new Map2D($("map"), choose);

function show(snapshot) {
  const key = `${snapshot.node.id} ${snapshot.node.since}`;
  if (state.key !== key) begin(snapshot, key);
  state.snapshot = snapshot;
  state.history.push({ time: snapshot.time, peers: snapshot.peers.length, ...snapshot.rates });
  if (state.history.length > 300) state.history.shift();
  const { node } = snapshot;
  $("own-id").textContent = short(node.id);
  $("own-facts").textContent =
    `${node.address}  ·  subnet ${node.subnet}, ${node.encryption}  ·  wire ${node.wire}  ·  up ${span(snapshot.time / 1000 - node.since)}`;
  $("version").textContent = `actix-mesh ${node.version}`;
  document.title = `${snapshot.peers.length} ${snapshot.peers.length === 1 ? "peer" : "peers"} · actix-mesh`;
  if (!snapshot.running) mark("lost", "node ended");
  else mark("live", "live");
  problems(snapshot);
  map.show(snapshot.topology, (one) => (one.origin === "own" ? "this node" : short(one.id)));
  const { nodes, links, omitted } = snapshot.topology;
  $("map-facts").textContent =
    `${nodes.length} ${nodes.length === 1 ? "node" : "nodes"}, ${links.length} ${links.length === 1 ? "link" : "links"}` +
    (omitted ? `, ${omitted} more not drawn` : "");
  $("map-empty").hidden = snapshot.peers.length > 0 || !snapshot.running;
  $("hint").textContent = hint(node);
  tiles();
  peers(snapshot);
  settings(snapshot);
  detail();
  messages();
}

function hint(node) {
  const subnet = node.subnet === "mesh" ? "" : ` --subnet ${node.subnet}`;
  return `actix-mesh node --connect ${node.address}${subnet}`;
}

/// Another node answers than before, or the first one: forget what was shown of the old one.
function begin(snapshot, key) {
  state.key = key;
  state.node = snapshot.node.id;
  state.history = [];
  state.seq = 0;
  state.chosen = null;
  state.message = null;
  map.clear();
  map.follow([]);
  $("event-rows").replaceChildren();
  $("events-empty").hidden = false;
  fetch("api/history").then((answer) => answer.json()).then((history) => {
    state.history = history;
    tiles();
  }).catch(() => {});
  catchUp();
}

function catchUp() {
  fetch(`api/events?since=${state.seq}`).then((answer) => answer.json()).then((events) => events.forEach(tell)).catch(() => {});
}

function mark(kind, text) {
  $("link-state").dataset.state = kind;
  $("link-state").textContent = text;
}

const problemRows = new Map();
function problems({ problems: all, time, running }) {
  const shown = state.allProblems ? all : all.slice(0, MAX_PROBLEMS);
  const marks = { error: "✕", warning: "!", info: "i" };
  const place = $("problems");
  const keep = new Set();
  const rows = shown.map((problem) => {
    const key = `${problem.code} ${problem.what}`;
    keep.add(key);
    let row = problemRows.get(key);
    if (!row) {
      row = element("article", { class: "problem", "data-code": problem.code },
        element("span", { class: "mark" }), element("b", { text: problem.what }), element("time"), element("p"));
      problemRows.set(key, row);
    }
    row.dataset.severity = problem.severity;
    const [mark, , ago, advice] = row.children;
    mark.textContent = marks[problem.severity] ?? "!";
    ago.textContent = when(problem, time);
    advice.textContent = problem.advice;
    return row;
  });
  for (const key of problemRows.keys()) if (!keep.has(key)) problemRows.delete(key);
  if (all.length > MAX_PROBLEMS) {
    const text = state.allProblems ? "show fewer" : `and ${all.length - shown.length} more`;
    const more = element("button", { class: "more", text });
    more.addEventListener("click", () => { state.allProblems = !state.allProblems; problems(state.snapshot); });
    rows.push(more);
  }
  if (rows.length === 0 && running) rows.push(element("p", { class: "fine", text: "Nothing is wrong." }));
  // Rows that stay keep their place in the document, so that they do not flicker.
  rows.forEach((row, at) => { if (place.children[at] !== row) place.insertBefore(row, place.children[at] ?? null); });
  while (place.children.length > rows.length) place.lastChild.remove();
}

function when(problem, time) {
  const ago = time / 1000 - problem.last;
  const last = ago < 3 ? "now" : `${span(ago)} ago`;
  return problem.count > 1 ? `${count(problem.count)} times, ${last}` : last;
}

function tiles() {
  const history = state.history;
  const now = history.at(-1);
  if (!now) return;
  const fresh = now.received - now.duplicates;
  const copies = (one) => {
    const own = one.delivered || one.relayed;
    return own > 0 ? one.duplicates / own : 0;
  };
  const quiet = now.received + now.sent === 0;
  tile("received", count(now.received), (one) => one.received);
  tile("sent", count(now.sent + now.relayed), (one) => one.sent + one.relayed);
  tile("copies", quiet || fresh <= 0 ? "–" : number.format(copies(now)), copies);
  const lately = history.slice(-10).filter((one) => one.delay != null);
  const delay = lately.length ? lately.reduce((sum, one) => sum + one.delay, 0) / lately.length : null;
  tile("delay", delay == null ? "–" : delay < 0.1 ? "< 0.1 s" : `${number.format(delay)} s`, (one) => one.delay ?? 0);
  tile("bytes", `${bytes(now.bytes_in + now.bytes_out)}/s`, (one) => one.bytes_in + one.bytes_out);
  document.querySelector('[data-tile="bytes"] small').textContent = `${bytes(now.bytes_in)} in, ${bytes(now.bytes_out)} out`;
  tile("peers", count(now.peers), (one) => one.peers);
}

function tile(name, figure, value) {
  const place = document.querySelector(`[data-tile="${name}"]`);
  place.querySelector("b").textContent = figure;
  const svg = place.querySelector("svg");
  const points = state.history.slice(-120).map(value);
  const room = Math.max(30, points.length) - 1;
  const most = Math.max(...points, 1e-9);
  const [width, height] = [240, 34];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  const at = (index) => width - ((points.length - 1 - index) * width) / room;
  const line = points.map((one, index) => `${index ? "L" : "M"}${at(index).toFixed(1)} ${(height - 2 - (one / most) * (height - 5)).toFixed(1)}`).join(" ");
  let [area, stroke] = svg.children;
  if (!stroke) {
    area = document.createElementNS("http://www.w3.org/2000/svg", "path");
    stroke = document.createElementNS("http://www.w3.org/2000/svg", "path");
    area.setAttribute("class", "area"); stroke.setAttribute("class", "line");
    svg.append(area, stroke);
  }
  stroke.setAttribute("d", line);
  area.setAttribute("d", points.length > 1 ? `${line} L${width} ${height} L${at(0).toFixed(1)} ${height} Z` : "");
}

const rows = new Map();
function peers({ peers: all, time }) {
  const body = $("peer-rows");
  $("peers-empty").hidden = all.length > 0;
  const incoming = all.filter((peer) => peer.direction === "incoming").length;
  $("peers-facts").textContent = all.length ? `${all.length - incoming} dialled by us, ${incoming} came to us` : "";
  const most = Math.max(1, ...all.flatMap((peer) => [peer.received.messages_per_second, peer.sent.messages_per_second]));
  const seen = new Set();
  for (const peer of all) {
    seen.add(peer.id);
    let row = rows.get(peer.id);
    if (!row) {
      row = element("tr", { "data-peer": peer.id });
      for (const kind of ["", "", "wide", "num", "num", "num", "num wide"]) row.append(element("td", { class: kind }));
      const pick = element("button", { class: "id", title: peer.id, text: short(peer.id) });
      pick.addEventListener("click", () => choose(peer.id));
      row.children[0].append(pick);
      rows.set(peer.id, row);
      body.append(row);
    }
    row.classList.toggle("chosen", state.chosen === peer.id);
    const [, addr, link, trip, inn, out, total] = row.children;
    addr.textContent = peer.addr;
    link.replaceChildren(peer.direction === "outgoing" ? "we dialled" : "came to us",
      element("span", { class: "sub", text: ` · ${peer.compression ?? "plain"} · ${span(time / 1000 - peer.since)}` }));
    trip.textContent = peer.round_trip == null ? "–" : `${peer.round_trip.toFixed(peer.round_trip < 10 ? 1 : 0)} ms`;
    flow(inn, peer.received.messages_per_second, most, "bar-in");
    flow(out, peer.sent.messages_per_second, most, "bar-in out");
    total.textContent = `${bytes(peer.received.bytes)} / ${bytes(peer.sent.bytes)}`;
  }
  for (const [id, row] of rows) {
    if (seen.has(id)) continue;
    rows.delete(id);
    row.removeAttribute("data-peer");
    row.classList.add("leaving");
    setTimeout(() => row.remove(), 500);
  }
}

function flow(cell, value, most, kind) {
  if (!cell.firstChild) cell.append("", element("i", { class: kind }));
  cell.firstChild.textContent = rate(value).replace("/s", "");
  cell.lastChild.style.width = `${((value / most) * 46).toFixed(0)}px`;
}

function tell(event) {
  if (event.seq <= state.seq) return;
  state.seq = event.seq;
  $("events-empty").hidden = true;
  const row = element("li", { class: "new", "data-severity": event.severity, "data-event": event.event, title: event.event },
    element("span", { text: abbreviate(event.what) }), element("time", { text: clock(event.time) }));
  const list = $("event-rows");
  list.prepend(row);
  while (list.children.length > MAX_EVENTS) list.lastChild.remove();
}

/// Ids are long; their beginning is enough to tell nodes apart, and a click on the node shows all of it.
const abbreviate = (text) => text.replace(/[1-9A-HJ-NP-Za-km-z]{40,}/g, (id) => short(id));

function settings({ settings: all, stats }) {
  const place = $("settings");
  const key = JSON.stringify(all);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  const changed = all.filter((one) => one.default != null).length;
  $("settings-facts").textContent = all.length ? `${all.length} settings, ${changed} changed` : "";
  place.replaceChildren(...all.map((one) => {
    const value = element("dd", { class: one.default != null ? "changed" : "", text: one.value });
    if (one.default != null) value.append(element("small", { text: `  (default ${one.default})` }));
    return element("div", {}, element("dt", { text: one.name.replaceAll("_", " ") }), value);
  }));
}

/// Recent broadcasts, and the path of the chosen one. Nodes are asked again each second while it is chosen.
function messages() {
  fetch("api/messages").then((answer) => answer.json()).then((passed) => {
    $("messages-empty").hidden = passed.length > 0;
    $("messages-facts").textContent = passed.length ? `the last ${passed.length}` : "";
    $("message-rows").replaceChildren(...passed.map((one) => {
      const from = one.sender === state.node ? "this node" : short(one.sender);
      const pick = element("button", { title: one.id, "data-message": one.id },
        element("span", { text: one.kind || "(no kind)" }), element("small", { text: `by ${from}` }), element("time", { text: `${span(one.ago / 1000)} ago` }));
      pick.addEventListener("click", () => followMessage(one.id));
      return element("li", { class: one.id === state.message ? "chosen" : "" }, pick);
    }));
  }).catch(() => {});
  if (state.message) way();
}

function followMessage(id) {
  state.message = state.message === id ? null : id;
  $("way").hidden = true;
  map.follow([]);
  for (const row of $("message-rows").children) row.classList.toggle("chosen", row.firstChild.dataset.message === state.message);
  if (state.message) way();
}

function way() {
  fetch(`api/route?id=${encodeURIComponent(state.message)}`).then((answer) => answer.json()).then(({ id, hops, unknown }) => {
    if (id !== state.message) return;
    map.follow(hops);
    const name = (node) => (node === state.node ? "this node" : short(node));
    const first = Math.max(0, ...hops.map((hop) => hop.ago));
    const rows = hops.map((hop) => element("div", { class: "hop", "data-hop": hop.node },
      element("time", { text: hop.from == null ? "sent" : `+${number.format(first - hop.ago)} ms` }),
      element("span", { text: hop.from == null ? name(hop.node) : `${name(hop.node)} heard it from ${name(hop.from)}` })));
    const silent = unknown.length ? ` ${unknown.length} of the nodes asked do not know it.` : "";
    const what = hops.length ? "Told by this node and those of its peers that share their topology." : "Nobody who was asked knows this message any more.";
    $("way").replaceChildren(element("p", { text: `${id}: ${what}${silent}` }), ...rows);
    $("way").hidden = false;
  }).catch(() => {});
}

function choose(id) {
  state.chosen = state.chosen === id ? null : id;
  map.choose_(state.chosen);
  for (const [key, row] of rows) row.classList.toggle("chosen", key === state.chosen);
  detail();
  if (state.chosen) $("detail").scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function detail() {
  const place = $("detail");
  const { snapshot, chosen } = state;
  const node = snapshot?.topology.nodes.find((one) => one.id === chosen);
  place.hidden = !node;
  if (!node) return;
  const peer = snapshot.peers.find((one) => one.id === chosen);
  const facts = [["Id", node.id, "mono"], ["Address", node.addr ?? "not known"]];
  if (node.origin === "own") {
    const { node: own, stats, rates } = snapshot;
    facts.push(["Listens on", own.listen], ["Subnet", `${own.subnet}, ${own.encryption} (${short(own.subnet_id)})`], ["Generation", own.wire],
      ["Up", span(snapshot.time / 1000 - own.since)], ["Received", count(stats.received ?? 0)], ["Delivered", count(stats.delivered ?? 0)],
      ["Sent", count(stats.sent ?? 0)], ["Relayed", count(stats.relayed ?? 0)], ["Duplicates", count(stats.duplicates ?? 0)],
      ["Waiting to be written", bytes(stats.sending ?? 0)], ["Out", `${bytes(rates.bytes_out)}/s`]);
  } else if (peer) {
    facts.push(["Link", peer.direction === "outgoing" ? "we dialled it" : "it came to us"], ["Compression to it", peer.compression ?? "none"],
      ["Connected for", span(snapshot.time / 1000 - peer.since)],
      ["Round trip", peer.round_trip == null ? "not measured" : `${peer.round_trip.toFixed(1)} ms`],
      ["Received", `${count(peer.received.messages)} messages, ${bytes(peer.received.bytes)}`],
      ["Sent", `${count(peer.sent.messages)} messages, ${bytes(peer.sent.bytes)}`],
      ["Now", `${rate(peer.received.messages_per_second)} in, ${rate(peer.sent.messages_per_second)} out`]);
  } else {
    facts.push(["Known", node.reports ? "it reports itself" : "others name it; nothing proves that it is there"]);
  }
  const close = element("button", { class: "close", text: "close" });
  close.addEventListener("click", () => choose(chosen));
  const title = node.origin === "own" ? "This node" : `Node ${short(node.id)}`;
  place.replaceChildren(
    element("div", { class: "card-head" }, element("h2", { text: title }), close),
    element("dl", {}, ...facts.map(([name, value, kind]) =>
      element("div", {}, element("dt", { text: name }), element("dd", { class: kind ?? "", text: value })))));
}

function theme(kind) {
  document.documentElement.dataset.theme = kind;
  try { localStorage.setItem("actix-mesh-theme", kind); } catch { /* private windows have no storage */ }
}
function firstTheme() {
  try {
    const kept = localStorage.getItem("actix-mesh-theme");
    if (kept) return kept;
  } catch { /* as above */ }
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}
theme(firstTheme());
const turn = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
$("theme").addEventListener("click", turn);
$("only-trouble").addEventListener("change", (change) => $("event-rows").classList.toggle("only-trouble", change.target.checked));
const copy = (text) => navigator.clipboard?.writeText(text).catch(() => {});
$("own-id").addEventListener("click", () => copy(state.node ?? ""));
$("hint").addEventListener("click", () => copy($("hint").textContent));
document.addEventListener("keydown", (key) => {
  if (key.target.closest("input, textarea") || key.ctrlKey || key.metaKey || key.altKey) return;
  if (key.key === "t") turn();
  if (key.key === "Escape" && state.chosen) choose(state.chosen);
  if (key.key === "n" && state.snapshot) {
    const ids = state.snapshot.topology.nodes.map((node) => node.id);
    const next = ids[(ids.indexOf(state.chosen) + 1) % ids.length];
    if (next !== state.chosen) choose(next);
  }
});

function listen() {
  const source = new EventSource("api/live");
  source.addEventListener("snapshot", (message) => show(JSON.parse(message.data)));
  source.addEventListener("told", (message) => tell(JSON.parse(message.data)));
  source.addEventListener("missed", catchUp);
  source.addEventListener("open", () => { if (state.node) catchUp(); });
  source.addEventListener("error", () => {
    mark("lost", "connection lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}
listen();

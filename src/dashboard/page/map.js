// The mesh as an animated picture: a force layout of nodes and links in SVG, and a spark for each message in transit.
// Knows what a topology is, but not where it comes from.

const SVG = "http://www.w3.org/2000/svg";
const MAX_SPARKS = 160;
const still = matchMedia("(prefers-reduced-motion: reduce)");

function make(name, attributes = {}, parent = null) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
}

/// Hashes a text to a number from 0 to 1, so that a node returns to its place.
function chance(text, salt) {
  let hash = 2166136261 ^ salt;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 16777619);
  return ((hash >>> 0) % 10007) / 10007;
}

export const short = (id) => (id.length > 12 ? `${id.slice(0, 8)}…` : id);

export class Map2D {
  constructor(place, choose) {
    this.choose = choose;
    this.nodes = new Map();
    this.edges = new Map();
    this.sparks = [];
    this.heat = 0;
    this.chosen = null;
    this.route = new Map();
    this.svg = make("svg", { role: "group", "aria-label": "Nodes and their links" }, place);
    this.edgeLayer = make("g", {}, this.svg);
    this.sparkLayer = make("g", {}, this.svg);
    this.nodeLayer = make("g", {}, this.svg);
    new ResizeObserver(([entry]) => {
      this.width = entry.contentRect.width;
      this.height = entry.contentRect.height;
      this.warm(0.6);
    }).observe(place);
    const box = place.getBoundingClientRect();
    this.width = box.width || 600;
    this.height = box.height || 400;
    this.last = performance.now();
    requestAnimationFrame((now) => this.frame(now));
  }

  clear() {
    for (const one of [...this.nodes.values(), ...this.edges.values()]) one.group.remove();
    this.nodes.clear();
    this.edges.clear();
    this.sparks.forEach((spark) => spark.dot.remove());
    this.sparks = [];
  }

  warm(heat) { this.heat = Math.max(this.heat, heat); }

  show(topology, names) {
    const seen = new Set();
    for (const node of topology.nodes) {
      seen.add(node.id);
      let known = this.nodes.get(node.id);
      if (!known) {
        known = this.addNode(node);
        this.warm(1);
      }
      known.leaving = false;
      known.data = node;
      const classes = ["node", node.origin];
      if (node.reports && node.origin !== "own") classes.push("reports");
      if (node.id === this.chosen) classes.push("chosen");
      known.group.setAttribute("class", classes.join(" "));
      known.group.setAttribute("aria-label", `${node.origin === "own" ? "this node" : node.origin} ${node.id}`);
      known.label.textContent = names?.(node) ?? short(node.id);
      known.fixed = node.origin === "own";
    }
    for (const [id, node] of this.nodes) if (!seen.has(id)) this.leave(this.nodes, id, node);

    const tied = new Set();
    for (const link of topology.links) {
      const [a, b] = [this.nodes.get(link.from), this.nodes.get(link.to)];
      if (!a || !b || a === b) continue;
      const key = `${link.from} ${link.to}`;
      tied.add(key);
      let edge = this.edges.get(key);
      if (!edge) {
        edge = this.addEdge(key, a, b);
        this.warm(0.8);
      }
      edge.leaving = false;
      edge.a = a; edge.b = b; edge.data = link;
      edge.group.setAttribute("class", link.own ? "edge" : "edge other");
      const rate = link.forth + link.back;
      edge.line.setAttribute("stroke-width", (1 + Math.min(5, Math.log2(1 + rate) * 0.55)).toFixed(2));
      edge.text.textContent = this.describe(link);
    }
    for (const [key, edge] of this.edges) if (!tied.has(key)) this.leave(this.edges, key, edge);
    this.light();
  }

  describe(link) {
    const parts = [`→ ${rate(link.forth)}`, `← ${rate(link.back)}`];
    if (link.compression) parts.push(link.compression);
    if (link.round_trip != null) parts.push(`${link.round_trip.toFixed(link.round_trip < 10 ? 1 : 0)} ms`);
    return parts.join("  ");
  }

  addNode(node) {
    const group = make("g", { tabindex: 0, role: "button", "data-node": node.id }, this.nodeLayer);
    make("circle", { class: "halo", r: 16 }, group);
    const own = node.origin === "own";
    const body = make("circle", { class: "body", r: own ? 13 : 10 }, group);
    const label = make("text", { y: own ? 31 : 27 }, group);
    const angle = chance(node.id, 1) * Math.PI * 2;
    const reach = Math.min(this.width, this.height) * (own ? 0 : 0.3 + 0.12 * chance(node.id, 2));
    const made = {
      group, body, label, data: node,
      x: this.width / 2 + Math.cos(angle) * reach * 1.25, y: this.height / 2 + Math.sin(angle) * reach, vx: 0, vy: 0,
    };
    const pick = () => this.choose(made.data.id);
    group.addEventListener("click", pick);
    group.addEventListener("keydown", (key) => {
      if (key.key === "Enter" || key.key === " ") { key.preventDefault(); pick(); }
    });
    group.addEventListener("pointerenter", () => { this.hover = node.id; this.light(); });
    group.addEventListener("pointerleave", () => { this.hover = null; this.light(); });
    this.nodes.set(node.id, made);
    return made;
  }

  addEdge(key, a, b) {
    const group = make("g", { class: "edge" }, this.edgeLayer);
    const edge = {
      group, line: make("line", {}, group), arrow: make("path", { d: "M-3 -4 L2 0 L-3 4" }, group),
      text: make("text", { dy: -6 }, group), a, b, due: [Math.random(), Math.random()],
    };
    this.edges.set(key, edge);
    return edge;
  }

  leave(from, key, one) {
    if (one.leaving) return;
    one.leaving = true;
    one.group.classList.add("leaving");
    setTimeout(() => {
      if (!one.leaving || from.get(key) !== one) return;
      one.group.remove();
      from.delete(key);
      this.warm(0.5);
    }, still.matches ? 0 : 700);
  }

  choose_(id) {
    this.chosen = id;
    for (const [key, node] of this.nodes) node.group.classList.toggle("chosen", key === id);
    this.light();
  }

  /// Shows a message's path: each node that has it, with the one it came from.
  follow(hops) {
    this.route = new Map(hops.map((hop) => [hop.node, hop.from]));
    this.light();
  }

  light() {
    const took = (one, other) => this.route.get(one) === other;
    for (const [id, node] of this.nodes) node.group.classList.toggle("reached", this.route.has(id));
    for (const { data, group } of this.edges.values()) {
      group.classList.toggle("route", Boolean(data) && (took(data.from, data.to) || took(data.to, data.from)));
    }
    const lit = this.hover ?? this.chosen;
    const own = this.nodes.get(lit)?.data.origin === "own" && this.edges.size > 14;
    for (const edge of this.edges.values()) {
      const touches = edge.data && (edge.data.from === lit || edge.data.to === lit);
      edge.group.classList.toggle("lit", Boolean(touches) && !own);
    }
  }

  frame(now) {
    const step = Math.min(0.05, (now - this.last) / 1000);
    this.last = now;
    if (document.visibilityState === "visible") {
      if (this.heat > 0.01) {
        const rounds = still.matches ? 60 : this.nodes.size < 80 ? 3 : 1;
        for (let round = 0; round < rounds; round += 1) this.relax();
        this.draw();
      }
      if (!still.matches) this.fly(step);
    }
    requestAnimationFrame((then) => this.frame(then));
  }

  relax() {
    const nodes = [...this.nodes.values()];
    const [cx, cy] = [this.width / 2, this.height / 2];
    const room = Math.min(this.width, this.height);
    const length = Math.max(44, Math.min(170, (room / (1 + Math.sqrt(nodes.length))) * 1.2));
    for (const node of nodes) {
      node.fx = (cx - node.x) * 0.012 * (room / this.width);
      node.fy = (cy - node.y) * 0.012 * (room / this.height);
    }
    for (let i = 0; i < nodes.length; i += 1) {
      for (let j = i + 1; j < nodes.length; j += 1) {
        const [a, b] = [nodes[i], nodes[j]];
        let [dx, dy] = [a.x - b.x, a.y - b.y];
        const near = dx * dx + dy * dy || 0.01;
        if (near > length * length * 16) continue;
        const push = (length * length * 1.1) / near;
        const far = Math.sqrt(near);
        dx = (dx / far) * push; dy = (dy / far) * push;
        a.fx += dx; a.fy += dy; b.fx -= dx; b.fy -= dy;
      }
    }
    for (const { a, b } of this.edges.values()) {
      const [dx, dy] = [b.x - a.x, b.y - a.y];
      const far = Math.hypot(dx, dy) || 0.01;
      const pull = ((far - length) / far) * 0.05;
      a.fx += dx * pull; a.fy += dy * pull; b.fx -= dx * pull; b.fy -= dy * pull;
    }
    for (const node of nodes) {
      if (node.fixed) { node.fx += (cx - node.x) * 0.15; node.fy += (cy - node.y) * 0.15; }
      node.vx = Math.max(-9, Math.min(9, (node.vx + node.fx * this.heat) * 0.72));
      node.vy = Math.max(-9, Math.min(9, (node.vy + node.fy * this.heat) * 0.72));
      node.x = Math.max(42, Math.min(this.width - 42, node.x + node.vx));
      node.y = Math.max(26, Math.min(this.height - 40, node.y + node.vy));
    }
    this.heat *= 0.99;
  }

  draw() {
    for (const node of this.nodes.values()) {
      node.group.setAttribute("transform", `translate(${node.x.toFixed(1)} ${node.y.toFixed(1)})`);
    }
    for (const { a, b, line, arrow, text } of this.edges.values()) {
      line.setAttribute("x1", a.x.toFixed(1)); line.setAttribute("y1", a.y.toFixed(1));
      line.setAttribute("x2", b.x.toFixed(1)); line.setAttribute("y2", b.y.toFixed(1));
      const turn = (Math.atan2(b.y - a.y, b.x - a.x) * 180) / Math.PI;
      const [mx, my] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
      arrow.setAttribute("transform", `translate(${mx.toFixed(1)} ${my.toFixed(1)}) rotate(${turn.toFixed(1)})`);
      const upright = turn > 90 || turn < -90 ? turn + 180 : turn;
      text.setAttribute("transform", `translate(${mx.toFixed(1)} ${my.toFixed(1)}) rotate(${upright.toFixed(1)})`);
    }
  }

  fly(step) {
    for (const edge of this.edges.values()) {
      if (edge.leaving || !edge.data) continue;
      [edge.data.forth, edge.data.back].forEach((perSecond, way) => {
        // Few messages: one spark each. Many: one spark for several.
        edge.due[way] += step * Math.min(perSecond, 2 + Math.log2(1 + perSecond));
        if (edge.due[way] >= 1 && this.sparks.length < MAX_SPARKS) {
          edge.due[way] = (edge.due[way] - 1) % 1;
          const dot = make("circle", { class: way ? "spark back" : "spark", r: 2.4 }, this.sparkLayer);
          this.sparks.push({ edge, way, at: 0, dot });
        }
      });
    }
    this.sparks = this.sparks.filter((spark) => {
      spark.at += step / 1.1;
      const { a, b, leaving } = spark.edge;
      if (spark.at >= 1 || leaving) { spark.dot.remove(); return false; }
      const eased = spark.at * spark.at * (3 - 2 * spark.at);
      const part = spark.way ? 1 - eased : eased;
      spark.dot.setAttribute("cx", (a.x + (b.x - a.x) * part).toFixed(1));
      spark.dot.setAttribute("cy", (a.y + (b.y - a.y) * part).toFixed(1));
      spark.dot.setAttribute("opacity", Math.sin(Math.PI * spark.at).toFixed(2));
      return true;
    });
  }
}

export function rate(perSecond) {
  if (perSecond >= 1000) return `${(perSecond / 1000).toFixed(perSecond < 10000 ? 1 : 0)}k/s`;
  if (perSecond >= 10 || perSecond === 0) return `${Math.round(perSecond)}/s`;
  return `${perSecond.toFixed(1)}/s`;
}

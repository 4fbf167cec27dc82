// The geometry of lines. They leave to the side on which the other end stands; neighbours above each other are joined by
// a bow at the side. What is cut bows up and what is opened bows down, so that both are seen between the same two boxes.
const bows = { cut: -14, opened: 14 };
function route(a, b, bow = 0) {
  const am = a.y + a.h / 2, bm = b.y + b.h / 2;
  let x1, x2, c1, c2;
  if (b.x >= a.x + a.w) {
    x1 = a.x + a.w; x2 = b.x;
    const bend = Math.max(24, Math.min(160, (x2 - x1) * 0.5));
    c1 = x1 + bend; c2 = x2 - bend;
  } else if (b.x + b.w <= a.x) {
    x1 = a.x; x2 = b.x + b.w;
    const bend = Math.max(24, Math.min(160, (x1 - x2) * 0.5));
    c1 = x1 - bend; c2 = x2 + bend;
  } else {
    x1 = a.x + a.w; x2 = b.x + b.w;
    const bend = 20 + Math.min(60, Math.abs(am - bm) * 0.22);
    c1 = Math.max(x1, x2) + bend; c2 = c1;
  }
  return { d: `M${x1} ${am}C${c1} ${am + bow} ${c2} ${bm + bow} ${x2} ${bm}`, mid: middle(x1, am, c1, c2, x2, bm, bow) };
}

const middle = (x1, y1, c1, c2, x2, y2, bow) => ({ x: (x1 + 3 * c1 + 3 * c2 + x2) / 8, y: (y1 + y2) / 2 + bow * 0.75 });

// placeBox is the box of a place, see placeOf.
const placeBox = (place, asTarget) => (place < namespaces.length ? places[place] : boxOf(place - namespaces.length + size, asTarget));
const edgeTitle = (source, target, ports) => `${fullName(source)} → ${fullName(target)}: ${portSets[ports].label}`;
const placeName = (place) => (place < namespaces.length ? namespaces[place].name : outside[place - namespaces.length]);
const weight = (count) => Math.min(6, 1.2 + Math.log2(count) * 0.55);

// line makes one path between boxes.
function line(layer, from, to, kind, title, width) {
  const path = route(from, to, bows[kind]);
  const el = svg('path', { d: path.d, class: `line ${kind}`, 'marker-end': `url(#head-${kind.split(' ')[0]})` }, layer);
  if (width) el.style.strokeWidth = `${width}px`;
  if (title) svg('title', {}, el).textContent = title;
  return path;
}

// sign marks what is cut and opened in the middle of its line, so that colour is not all that tells them apart.
function sign(at, fate, count) {
  const g = svg('g', { class: `sign ${fate}`, transform: `translate(${at.x} ${at.y})` }, sheets.tags);
  const text = (fate === 'cut' ? '✕' : '+') + (count > 1 ? ` ${count}` : '');
  const w = 18 + (count > 1 ? String(count).length * 7 + 4 : 0);
  svg('rect', { x: -w / 2, y: -9, width: w, height: 18, rx: 9 }, g);
  svg('text', { y: 4 }, g).textContent = text;
}

// drawChangesAt draws what changes at one namespace: each edge where they are few in all, else by namespace, or as a
// count where even that is much.
function drawChangesAt(layer, id) {
  if (!manyChanges) return drawSingle(layer, changes.filter(([source, target]) => placeOf(source) === id || placeOf(target) === id));
  for (const fate of ['cut', 'opened']) {
    for (const side of ['in', 'out']) {
      const list = changesAt(id, fate).filter((b) => b.from !== b.to && (side === 'in' ? b.to : b.from) === id);
      if (list.length > manyBundles) {
        const count = list.reduce((sum, b) => sum + b.count, 0);
        foldBadge(places[id], fate, count, side, `${fate}: ${plural(count, 'connection')}`);
        continue;
      }
      for (const b of list) {
        const path = line(layer, placeBox(b.from, false), placeBox(b.to, true), fate, `${b.count} ${fate}`, weight(b.count));
        sign(path.mid, fate, b.count);
      }
    }
  }
}

const changesAt = (id, fate) => [...changeBundles[fate].values()].filter((b) => b.from === id || b.to === id).sort(byCount);
const byCount = (a, b) => b.count - a.count || a.from - b.from || a.to - b.to;

function drawBundles(layer, map, kind) {
  for (const b of map.values()) {
    if (b.from === b.to) continue;
    const title = `${placeName(b.from)} → ${placeName(b.to)}: ${plural(b.count, 'connection')}`;
    line(layer, placeBox(b.from, false), placeBox(b.to, true), kind, title, weight(b.count));
  }
}

// drawQuiet draws what is allowed while nothing is in focus: each edge where they are few, else by namespace.
const fewBundles = 40;
function drawQuiet(layer) {
  layer.style.setProperty('--quiet-share', Math.max(0.2, Math.min(1, fewBundles / bundles.size)));
  if (drawable.length > 90 || density !== 'card') return drawBundles(layer, bundles, 'quiet');
  const changed = new Set(changes.filter((c) => c[3] === 'opened').map(([s, t, ports]) => `${s} ${t} ${ports}`));
  for (const [source, target, ports] of drawable) {
    if (changed.has(`${source} ${target} ${ports}`)) continue;
    line(layer, boxOf(source, false), boxOf(target, true), 'quiet', edgeTitle(source, target, ports));
  }
  if (drawable.length <= 30 && !data.diff) drawPorts(layer, drawable);
}

// drawPorts writes the ports of few quiet lines before the boxes that they lead to.
function drawPorts(layer, edges) {
  const texts = new Map();
  for (const [, target, ports] of edges) {
    if (!texts.has(target)) texts.set(target, new Set());
    texts.get(target).add(portSets[ports].label);
  }
  for (const [target, set] of texts) {
    const box = boxOf(target, true);
    const el = svg('text', { class: 'quiet-ports', x: box.x - 7, y: box.y + box.h / 2 - 5 }, layer);
    el.textContent = set.size === 1 ? fit([...set][0], 84, `10px ${family}`) : plural(set.size, 'port set');
  }
}

// foldedBundles splits the bundles of a fate: those of places that have many are folded, the rest is drawn.
const manyBundles = 8;
function foldBundles(fate) {
  const into = new Map(), outOf = new Map();
  const all = [...changeBundles[fate].values()].filter((b) => b.from !== b.to);
  const gatherBy = (map, key, b) => map.set(key, [...(map.get(key) || []), b]);
  for (const b of all) {
    gatherBy(into, b.to, b);
    gatherBy(outOf, b.from, b);
  }
  const folds = [];
  const done = new Set();
  for (const [map, word] of [[into, 'from'], [outOf, 'to']]) {
    for (const [place, list] of map) {
      const left = list.filter((b) => !done.has(b));
      if (left.length <= manyBundles) continue;
      left.forEach((b) => done.add(b));
      folds.push({ fate, place, word, list: left, count: left.reduce((sum, b) => sum + b.count, 0) });
    }
  }
  return { folds, single: all.filter((b) => !done.has(b)) };
}

const manyChanges = totals.cut + totals.opened > 60;
const foldedChanges = { cut: foldBundles('cut'), opened: foldBundles('opened') };
const mark = { cut: '✕', opened: '+' };
const sides = { from: 'in', to: 'out' };

function drawSingle(layer, list) {
  for (const [source, target, ports, fate] of list) {
    const title = `${fate}: ${edgeTitle(source, target, ports)}`;
    sign(line(layer, boxOf(source, false), boxOf(target, true), fate, title).mid, fate, 1);
  }
}

// drawChanges draws what is cut and opened: each edge where they are few, else by namespace with its count, and where
// even those are many with a badge. It gives the ends that belong to what it draws.
function drawChanges(layer) {
  if (!manyChanges) {
    drawSingle(layer, changes);
    return touched;
  }
  const drawn = new Set();
  for (const fate of ['cut', 'opened']) {
    for (const b of foldedChanges[fate].single) {
      const title = `${placeName(b.from)} → ${placeName(b.to)}: ${b.count} ${fate}`;
      sign(line(layer, placeBox(b.from, false), placeBox(b.to, true), fate, title, weight(b.count)).mid, fate, b.count);
      drawn.add(b.from).add(b.to);
    }
  }
  for (const f of [...foldedChanges.cut.folds, ...foldedChanges.opened.folds]) {
    const title = `${f.fate}: ${plural(f.count, 'connection')} ${f.word} ${plural(f.list.length, 'namespace')}`;
    foldBadge(placeBox(f.place, f.word === 'from'), f.fate, f.count, sides[f.word], title);
    drawn.add(f.place);
  }
  return new Set([...touched].filter((end) => drawn.has(placeOf(end))));
}

// worthLines gives the peers that lines lead to: all of few; of many those that some policy decides on, because the rest
// is everything that is open.
const manyPeers = 40;
function worthLines(self, peers, outgoing) {
  if (peers.length <= manyPeers) return peers;
  return peers.filter((p) => !(outgoing ? undecided(self, p.end, p.ports) : undecided(p.end, self, p.ports)));
}

// drawPeers lights up the lines of one end: one for each peer or, where they are many, one for each other namespace.
function drawPeers(layer, self, peers, kind) {
  const outgoing = kind === 'outgoing';
  const join = (box, title, width) => {
    const own = boxOf(self, !outgoing);
    return outgoing ? line(layer, own, box, kind, title, width) : line(layer, box, own, kind, title, width);
  };
  for (const g of gather(peers, self)) {
    if (g.namespace < 0 || g.namespace === namespaceOf[self] || peers.length <= manyPeers) {
      for (const p of g.list) join(boxOf(p.end, outgoing), `${fullName(p.end)}: ${portSets[p.ports].label}`);
    } else {
      join(places[g.namespace], `${namespaces[g.namespace].name}: ${plural(g.list.length, 'workload')}`, weight(g.list.length));
    }
  }
}

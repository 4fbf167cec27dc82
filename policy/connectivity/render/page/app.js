// What is in focus, and everything that follows from it.
const field = document.getElementById('q');
const state = { pinned: null, hovered: null, result: null };
const tip = document.getElementById('tip');

const same = (a, b) => (a === b) || (a && b && a.end === b.end && a.namespace === b.namespace);

// pin keeps something in focus; the same again, or null, lets go.
function pin(what, show) {
  state.pinned = same(state.pinned, what) ? null : what;
  state.hovered = null;
  refresh();
  writeHash();
  if (show && state.pinned) reveal(state.pinned.end !== undefined ? boxes[state.pinned.end] : places[state.pinned.namespace]);
}

const hoverLimit = 1500; // workloads; more are lit too slowly to follow the pointer
let hoverTimer = 0;
function hover(end) {
  clearTimeout(hoverTimer);
  hoverTimer = setTimeout(() => {
    state.hovered = end;
    showTip(end);
    if (!state.pinned && size <= hoverLimit) refresh();
  }, end === null ? 120 : 40);
}

function showTip(end) {
  tip.hidden = end === null || density === 'card' && isWorkload(end);
  if (!tip.hidden) tip.textContent = describe(end);
}

function ask(query) {
  field.value = query;
  state.pinned = null;
  state.result = search(query);
  refresh();
  writeHash();
}

// lit says which ends stay bright, draws their lines, and fills the panel.
function refresh() {
  sheets.lit.replaceChildren();
  sheets.tags.replaceChildren();
  badgeEnds.clear();
  const what = state.pinned || (state.hovered !== null ? { end: state.hovered } : null);
  let lit = null;
  if (what && what.end !== undefined) lit = lightEnd(what.end);
  else if (what) lit = lightNamespace(what.namespace);
  else if (state.result) lit = lightSearch(state.result);
  else if (data.diff) lit = lightChanges();
  canvas.classList.toggle('focused', Boolean(lit) && (Boolean(what) || Boolean(state.result)));
  canvas.classList.toggle('changes', !what && !state.result && Boolean(lit));
  paint(lit, what);
  if (what && what.end !== undefined) showEnd(what.end);
  else if (what) showNamespace(what.namespace);
  else if (state.result) showSearch(state.result, field.value);
  else showOverview();
}

function paint(lit, what) {
  for (let end = 0; end < endCount; end++) {
    for (const el of nodeOf[end]) {
      el.classList.toggle('faded', Boolean(lit) && !(lit.has(end) && onLitSide(el, end, lit, what)));
      el.classList.toggle('self', Boolean(what) && what.end === end);
      el.classList.toggle('match', Boolean(state.result) && !what && lit.has(end));
    }
  }
  namespaces.forEach((n, i) => {
    const el = namespaceElements[i];
    el.classList.toggle('faded', Boolean(lit) && !n.members.some((m) => lit.has(m)));
    el.classList.toggle('self', Boolean(what) && what.namespace === i);
  });
}

// onLitSide tells the two elements of addresses apart that come in at the left and are reached at the right.
function onLitSide(el, end, lit, what) {
  if (!lit.comes || isWorkload(end) || nodeOf[end].length === 1 || what && what.end === end) return true;
  return (el === nodeOf[end][0] ? lit.comes : lit.reached).has(end);
}

const tagLimit = 40;
const namespaceLines = 80;
function lightEnd(end) {
  const lit = new Set([end]);
  const out = allowed.from(end), into = allowed.to(end);
  const drawnOut = worthLines(end, out, true), drawnInto = worthLines(end, into, false);
  drawPeers(sheets.lit, end, drawnInto, 'incoming');
  drawPeers(sheets.lit, end, drawnOut, 'outgoing');
  const gone = drawChangesOf(end);
  for (const p of [...out, ...into, ...gone]) lit.add(p.end);
  const ends = (list) => new Set(list.map((p) => p.end));
  lit.comes = ends([...into, ...cut.to(end)]);
  lit.reached = ends([...out, ...cut.from(end)]);
  if (drawnOut.length + drawnInto.length <= tagLimit && density !== 'dot') {
    for (const p of drawnOut) tag(boxOf(p.end, true), `→ ${portsText(p.ports)}`, 'outgoing', 'left');
    for (const p of drawnInto) tag(boxOf(p.end, false), `← ${portsText(p.ports)}`, 'incoming', 'right');
  }
  return lit;
}

// drawChangesOf draws what a change does to one end over its other lines, or counts it where it is much.
function drawChangesOf(end) {
  const box = { ...boxes[end], y: boxes[end].y - 13 }; // above its own text
  const drawn = [];
  for (const [fate, graph] of [['cut', cut], ['opened', opened]]) {
    for (const [list, outgoing] of [[graph.from(end), true], [graph.to(end), false]]) {
      drawn.push(...list);
      if (list.length > manyPeers) {
        foldBadge(box, fate, list.length, outgoing ? 'out' : 'in', `${fate}: ${plural(list.length, 'connection')}`);
        continue;
      }
      for (const p of list) {
        const [a, b] = outgoing ? [boxOf(end, false), boxOf(p.end, true)] : [boxOf(p.end, false), boxOf(end, true)];
        sign(line(sheets.lit, a, b, fate, `${fate}: ${portsText(p.ports)}`).mid, fate, 1);
      }
    }
  }
  return drawn;
}

// lightNamespace draws each edge of a namespace where they are few, else its bundles; the badges of wide ends stand for
// theirs.
function lightNamespace(id) {
  const lit = lightAllowedAt(id);
  drawChangesAt(sheets.lit, id);
  const around = new Set(['cut', 'opened'].flatMap((fate) => changesAt(id, fate)).flatMap((b) => [b.from, b.to]));
  for (const end of touched) if (around.has(placeOf(end))) lit.add(end);
  return lit;
}

function lightAllowedAt(id) {
  const lit = new Set(namespaces[id].members);
  const own = [], joined = new Map();
  allowed.each((source, target, ports) => {
    if (placeOf(source) !== id && placeOf(target) !== id) return;
    lit.add(source).add(target);
    if (undecided(source, target, ports) || widelyReached(target) || reachesWidely(source)) return;
    if (own.length <= namespaceLines) own.push([source, target, ports]);
    addBundle(joined, source, target);
  });
  const kind = (from) => (from === id ? 'outgoing' : 'incoming');
  if (own.length <= namespaceLines) {
    for (const [s, t, ports] of own) line(sheets.lit, boxOf(s, false), boxOf(t, true), kind(placeOf(s)), edgeTitle(s, t, ports));
    return lit;
  }
  for (const b of joined.values()) {
    if (b.from === b.to) continue;
    const title = plural(b.count, 'connection');
    line(sheets.lit, placeBox(b.from, false), placeBox(b.to, true), kind(b.from), title, weight(b.count));
  }
  return lit;
}

function lightSearch(result) {
  const lit = new Set(result.hit);
  const edges = result.edges || [];
  for (const [source, target] of edges) lit.add(source).add(target);
  if (edges.length <= 150) {
    for (const [s, t, ports] of edges) line(sheets.lit, boxOf(s, false), boxOf(t, true), 'found', edgeTitle(s, t, ports));
  } else {
    const found = new Map();
    for (const [source, target] of edges) addBundle(found, source, target);
    drawBundles(sheets.lit, found, 'found');
  }
  return lit;
}

function lightChanges() {
  if (totals.cut + totals.opened === 0) return null;
  const lit = drawChanges(sheets.lit);
  lit.comes = new Set([...cut.sources, ...opened.sources]);
  lit.reached = new Set(outside.map((_, i) => size + i).filter((end) => cut.to(end).length + opened.to(end).length > 0));
  return lit;
}

// writeHash keeps the state in the address, so that it can be sent to somebody.
function writeHash() {
  const parts = new URLSearchParams();
  const { end, namespace } = state.pinned || {};
  if (state.pinned) parts.set('focus', end !== undefined ? fullName(end) : `ns:${namespaces[namespace].name}`);
  if (field.value) parts.set('q', field.value);
  const hash = parts.toString().replace(/%2F/g, '/').replace(/%3A/g, ':');
  history.replaceState(null, '', hash ? `#${hash}` : location.pathname + location.search);
}

function readHash() {
  const parts = new URLSearchParams(location.hash.slice(1));
  field.value = parts.get('q') || '';
  state.result = search(field.value);
  const focus = parts.get('focus');
  state.pinned = focus ? find(focus) : null;
  if (parts.get('theme')) document.documentElement.style.colorScheme = parts.get('theme') === 'dark' ? 'dark' : 'light';
  refresh();
}

function find(name) {
  const namespace = namespaces.findIndex((n) => `ns:${n.name}` === name);
  if (namespace >= 0) return { namespace };
  for (let end = 0; end < endCount; end++) if (fullName(end) === name) return { end };
  return null;
}

// The drawing of namespaces, workloads and addresses. Texts are set as text and never as markup.
const canvas = document.getElementById('canvas');

function svg(name, attributes, parent) {
  const el = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) el.setAttribute(key, value);
  if (parent) parent.append(el);
  return el;
}

const defs = svg('defs', {}, canvas);
for (const kind of ['quiet', 'outgoing', 'incoming', 'found', 'cut', 'opened']) {
  const marker = svg('marker', {
    id: `head-${kind}`, viewBox: '0 0 8 8', refX: 7.4, refY: 4, markerWidth: 8, markerHeight: 8,
    markerUnits: 'userSpaceOnUse', orient: 'auto',
  }, defs);
  svg('path', { d: 'M0 .6 7.6 4 0 7.4 1.8 4Z', class: `head ${kind}` }, marker);
}
const world = svg('g', { id: 'world' }, canvas);
const sheets = {};
for (const name of ['namespaces', 'quiet', 'lit', 'ends', 'tags']) sheets[name] = svg('g', { class: name }, world);

const nodeOf = []; // the elements of each end: one, or two for addresses at both edges
const namespaceElements = [];
const measurer = document.createElement('canvas').getContext('2d');

// fit shortens text to a width in pixels, with an ellipsis.
function fit(text, width, font) {
  measurer.font = font;
  if (measurer.measureText(text).width <= width) return text;
  let low = 0, high = text.length;
  while (low < high) {
    const mid = (low + high + 1) >> 1;
    if (measurer.measureText(text.slice(0, mid) + '…').width <= width) low = mid;
    else high = mid - 1;
  }
  return text.slice(0, low) + '…';
}

// fitMiddle shortens a name in its middle: names that begin alike often end differently.
function fitMiddle(text, width, font) {
  if (fit(text, width, font) === text) return text;
  let kept = text.length - 1;
  const cutTo = (n) => `${text.slice(0, Math.ceil(n * 0.6))}…${text.slice(text.length - Math.floor(n * 0.4))}`;
  while (kept > 2 && measurer.measureText(cutTo(kept)).width > width) kept--;
  return cutTo(kept);
}

const family = '"Inter","Segoe UI",system-ui,-apple-system,"Helvetica Neue",Arial,sans-serif';
const label = (parent, x, y, text, cls, width, points, bold) => {
  const el = svg('text', { x, y, class: cls }, parent);
  el.textContent = (cls === 'name' ? fitMiddle : fit)(text, width, `${bold ? '600 ' : ''}${points}px ${family}`);
  return el;
};

// openLock is the sign of what nothing isolates; closedLock of what is isolated both ways.
const openLock = 'M1.5 6h8v6h-8zM3.2 6V3.6a2.3 2.3 0 0 1 4.4-.9';
const closedLock = 'M1.5 6h8v6h-8zM3.2 6V3.8a2.3 2.3 0 0 1 4.6 0V6';
const glyph = (parent, d, x, y, cls) => svg('path', { d, class: `glyph ${cls}`, transform: `translate(${x} ${y})` }, parent);

// namespaceState sums up a namespace: the word and the class that show it.
function namespaceState(n) {
  const governed = n.members.filter((m) => !workloads[m].host);
  const ways = [0, 0, 0, 0];
  for (const m of governed) ways[workloads[m].way]++;
  if (governed.some(isMixed)) return { cls: 'mixed', text: 'partly isolated' };
  if (governed.length === 0) return { cls: 'host', text: 'host network' };
  if (ways[0] === governed.length) return { cls: 'open', text: 'open' };
  if (ways[3] === governed.length) return { cls: 'closed', text: 'isolated' };
  if (ways[0] > 0) return { cls: 'mixed', text: `${ways[0]} of ${governed.length} open` };
  if (ways[1] === governed.length) return { cls: 'mixed', text: 'ingress isolated' };
  if (ways[2] === governed.length) return { cls: 'mixed', text: 'egress isolated' };
  return { cls: 'mixed', text: 'partly isolated' };
}

function drawNamespace(n) {
  const { x, y, w, h } = places[n.id];
  const state = namespaceState(n);
  const summary = `${n.name}: ${data.grouped ? shortName(n.members[0]) : plural(n.members.length, 'workload')}, ${state.text}`;
  const g = svg('g', {
    class: `namespace ${state.cls}`, transform: `translate(${x} ${y})`, role: 'button', tabindex: -1,
    'aria-label': `Namespace ${summary}`,
  }, sheets.namespaces);
  svg('title', {}, g).textContent = summary;
  svg('rect', { class: 'box', width: w, height: h, rx: 14 }, g);
  const left = metrics.pad + (state.cls === 'open' || state.cls === 'closed' ? 17 : 0);
  if (state.cls === 'open') glyph(g, openLock, metrics.pad, 7, 'open');
  if (state.cls === 'closed') glyph(g, closedLock, metrics.pad, 7, 'closed');
  label(g, left, 19, n.name, 'name', w - left - 8, density === 'card' ? 13 : 15, true);
  const pods = n.members.reduce((sum, m) => sum + workloads[m].pods, 0);
  const detail = density === 'card' ? state.text + podsText(pods) : state.text;
  label(g, metrics.pad, density === 'card' ? 34 : 31, detail, 'detail', w - metrics.pad - 8, 10.5);
  g.addEventListener('click', () => pin({ namespace: n.id }));
  namespaceElements[n.id] = g;
}

function describe(end) {
  if (!isWorkload(end)) return `${shortName(end)}, outside the cluster, reaches ${plural(reaches[end], unit)}`;
  const w = workloads[end];
  const change = w.change ? `${w.change}, ` : '';
  const pods = withPods ? `${plural(w.pods, 'pod')}, ` : '';
  const peers = `reaches ${reaches[end]}, reached by ${reachedBy[end]}`;
  return `${fullName(end)}, ${change}${w.kind}, ${pods}${stateOf(end)}, ${peers}`;
}

function endElement(end, box, cls) {
  const g = svg('g', {
    class: `end ${cls}`, transform: `translate(${box.x} ${box.y})`,
    role: 'button', tabindex: -1, 'aria-label': describe(end),
  }, sheets.ends);
  g.addEventListener('click', (event) => { event.stopPropagation(); pin({ end }); });
  g.addEventListener('pointerenter', () => hover(end));
  g.addEventListener('pointerleave', () => hover(null));
  g.addEventListener('focus', () => { if (g.matches(':focus-visible')) hover(end); });
  (nodeOf[end] = nodeOf[end] || []).push(g);
  return g;
}

function drawWorkload(end) {
  const w = workloads[end];
  const state = wayName(w);
  const { w: width, h } = metrics;
  const r = density === 'dot' ? 4 : density === 'chip' ? 6 : 9;
  const g = endElement(end, boxes[end], `workload ${state} ${w.change || ''} ${withPods && w.pods === 0 ? 'idle' : ''}`);
  svg('rect', { class: 'box', width, height: h, rx: r }, g);
  const bar = density === 'card' ? 5 : density === 'chip' ? 4 : 3.5;
  if (w.way & 1) svg('path', { class: 'bar', d: `M${bar / 2} ${r * 0.6}V${h - r * 0.6}` }, g).style.strokeWidth = `${bar}px`;
  if (w.way & 2) svg('path', { class: 'bar', d: `M${width - bar / 2} ${r * 0.6}V${h - r * 0.6}` }, g).style.strokeWidth = `${bar}px`;
  if (density === 'card') drawCardText(g, end, state);
  if (density === 'chip') drawChipText(g, end, state);
}

// wideCount is the badge of an end that reaches, or is reached by, nearly everybody.
function wideCount(end) {
  if (widelyReached(end)) return `◂ ${reachedBy[end]}`;
  return reachesWidely(end) ? `▸ ${reaches[end]}` : '';
}

function drawCardText(g, end, state) {
  const w = workloads[end];
  if (state === 'open') glyph(g, openLock, metrics.w - 20, 8, 'open');
  label(g, 14, 21, w.name, 'name', metrics.w - (state === 'open' ? 38 : 28), 13, true);
  const kind = data.grouped || withPods && w.kind === 'Deployment' && !duplicated.has(plainName(w)) ? '' : w.kind;
  const detail = ((w.host ? 'host network' : kind) + podsText(w.pods)).replace(/^ · /, '');
  const wide = wideCount(end);
  const badge = w.change || (wide && `${wide} of ${size - 1}`);
  measurer.font = `600 10px ${family}`;
  const taken = badge ? measurer.measureText(badge).width + 12 : 0;
  label(g, 14, 37, detail, 'detail', metrics.w - 28 - taken, 11);
  if (!badge) return;
  svg('rect', { class: `badge ${w.change || ''}`, x: metrics.w - taken - 8, y: 27, width: taken, height: 15, rx: 7.5 }, g);
  label(g, metrics.w - 8 - taken / 2, 38, badge, 'badge-text', 120, 10, true);
}

function drawChipText(g, end, state) {
  const w = workloads[end];
  const changed = { added: '+', removed: '−' }[w.change];
  const badge = changed || wideCount(end).replace(' ', '') || (withPods ? String(w.pods) : '');
  measurer.font = `10px ${family}`;
  const taken = measurer.measureText(badge).width;
  label(g, 8, 16.5, w.name, 'name', metrics.w - 19 - taken, 13);
  label(g, metrics.w - 7, 16, badge, `count ${widelyReached(end) || reachesWidely(end) ? 'wide' : ''}`, 60, 10);
}

function drawOutside(end) {
  const drawAt = (box, side) => {
    const g = endElement(end, box, `address ${side}`);
    svg('rect', { class: 'box', width: box.w, height: box.h, rx: box.h / 2 }, g);
    svg('title', {}, g).textContent = shortName(end);
    const [name, exception] = shortName(end).split(' except ');
    const [verb, n] = side === 'left' ? ['reaches', reaches[end]] : ['reached by', reachedBy[end]];
    const count = `${verb} ${n.toLocaleString('en')}`;
    label(g, box.w / 2, 20, name, 'name', box.w - 18, 12, true);
    label(g, box.w / 2, 35, exception ? `except ${exception}` : count, 'detail', box.w - 24, 10.5);
  };
  drawAt(boxes[end], twin[end] === boxes[end] ? 'right' : 'left');
  if (twin[end] && twin[end] !== boxes[end]) drawAt(twin[end], 'right');
}

function drawAll() {
  namespaces.forEach(drawNamespace);
  for (let end = 0; end < size; end++) drawWorkload(end);
  for (let end = size; end < endCount; end++) drawOutside(end);
  drawQuiet(sheets.quiet);
}

// foldBadge counts at the corner of a box what is cut or opened there and not drawn as lines, going in or out.
function foldBadge(box, fate, count, side, title) {
  const g = svg('g', { class: `sign ${fate}` }, sheets.tags);
  const text = `${mark[fate]} ${count.toLocaleString('en')} ${side}`;
  measurer.font = `700 14px ${family}`;
  const w = measurer.measureText(text).width + 16;
  const right = badgeEnds.get(box) ?? box.x + box.w + 6;
  badgeEnds.set(box, right - w - 4);
  g.setAttribute('transform', `translate(${right - w / 2} ${box.y})`);
  svg('title', {}, g).textContent = title;
  svg('rect', { x: -w / 2, y: -12, width: w, height: 24, rx: 12 }, g);
  svg('text', { y: 5, class: 'big' }, g).textContent = text;
}
const badgeEnds = new Map(); // by box: where the next badge ends

// tag writes the ports at the other end of a line that is lit.
function tag(box, text, kind, shift) {
  const g = svg('g', { class: `tag ${kind}` }, sheets.tags);
  const shown = fit(text, 132, `600 10px ${family}`);
  const w = measurer.measureText(shown).width + 12;
  const x = shift === 'right' ? box.x + box.w - w - 6 : box.x + 6;
  g.setAttribute('transform', `translate(${x} ${box.y + box.h - (density === 'card' ? 4 : 7)})`);
  svg('rect', { width: w, height: 15, rx: 4 }, g);
  svg('text', { x: w / 2, y: 11 }, g).textContent = shown;
}

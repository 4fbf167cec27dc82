// Where everything stands. Namespaces are packed in columns, those that call to the left of those that are called, with
// addresses that come in at the left edge and addresses that are reached at the right edge. The same data always gives
// the same picture.
const density = size <= 60 ? 'card' : size <= 600 ? 'chip' : 'dot';
const metrics = {
  card: { w: 158, h: 46, gapX: 22, gapY: 14, between: 64, pad: 16 },
  chip: { w: 108, h: 24, gapX: 6, gapY: 5, between: 22, pad: 8 },
  dot: { w: 13, h: 13, gapX: 5, gapY: 5, between: 28, pad: 10 },
}[density];
const headHeight = density === 'card' ? 42 : 36;
const places = []; // {x, y, w, h} by place: namespaces, then addresses (which may stand at both edges, see twin)
const boxes = []; // {x, y, w, h} by end
const twin = []; // by end: the second box of addresses that come in and are reached

// lean tells callers from callees: -1 only calls, 1 is only called.
function leans(count, pairs) {
  const calls = Array.from({ length: count }, () => new Set());
  const called = Array.from({ length: count }, () => new Set());
  for (const [a, b] of pairs) {
    if (a === b) continue;
    calls[a].add(b);
    called[b].add(a);
  }
  return calls.map((set, i) => (set.size + called[i].size === 0 ? 0 : (called[i].size - set.size) / (called[i].size + set.size)));
}

function namespaceLeans() {
  const count = namespaces.length;
  const pairs = [...bundles.values()].filter((b) => b.from < count && b.to < count).map((b) => [b.from, b.to]);
  for (let i = 0; i < size; i++) {
    // The badge of what nearly everybody reaches stands for its lines; its namespace still belongs on the right.
    if (widelyReached(i)) for (let n = 0; n < count; n++) pairs.push([n, namespaceOf[i]]);
  }
  const lean = leans(count, pairs);
  for (const b of bundles.values()) {
    if (b.from >= count && b.to < count) lean[b.to] -= 0.6;
  }
  return lean;
}

// layers orders the workloads of a small namespace from left to right by who calls whom.
function layers(members) {
  const layer = new Map(members.map((m) => [m, 0]));
  for (let round = 0; round < 3; round++) {
    for (const [source, target] of [...drawable, ...changes]) {
      if (layer.has(source) && layer.has(target) && layer.get(target) <= layer.get(source)) {
        layer.set(target, Math.min(layer.get(source) + 1, 3));
      }
    }
  }
  const used = [...new Set(layer.values())].sort((a, b) => a - b);
  const columns = used.map((l) => members.filter((m) => layer.get(m) === l));
  return columns.length > 1 ? columns : null;
}

// grid spreads members over columns so that the box is about as wide as high.
function grid(members) {
  const { w, h, gapX, gapY } = metrics;
  const ratio = density === 'card' ? 1.1 : 1.5;
  let count = Math.max(1, Math.round(Math.sqrt((members.length * (h + gapY) * ratio) / (w + gapX))));
  if (density === 'chip') count = Math.max(count, Math.min(members.length, 2));
  if (density === 'dot') count = Math.max(count, Math.min(members.length, 9));
  const perColumn = Math.ceil(members.length / count);
  const columns = [];
  for (let i = 0; i < members.length; i += perColumn) columns.push(members.slice(i, i + perColumn));
  return columns;
}

// inner lays out one namespace from its own corner.
function inner(namespace) {
  const { w, h, gapX, gapY, pad } = metrics;
  const layered = density === 'card' && namespace.members.length <= 14 ? layers(namespace.members) : null;
  const columns = layered || grid(namespace.members);
  const stepX = w + (layered ? 62 : gapX);
  const tallest = Math.max(...columns.map((c) => c.length));
  namespace.cells = [];
  columns.forEach((column, i) => {
    // A shift of half a row keeps lines that skip a column from running behind its cards.
    const shift = tallest > column.length && (tallest - column.length) % 2 === 0 ? 0.5 : 0;
    const top = layered ? ((tallest - column.length) / 2 + shift) * (h + gapY) : 0;
    column.forEach((end, j) => namespace.cells.push({ end, x: pad + i * stepX, y: headHeight + top + j * (h + gapY) }));
  });
  namespace.w = Math.max(pad * 2 + (columns.length - 1) * stepX + w, density === 'card' ? 190 : density === 'dot' ? 176 : 126);
  namespace.h = headHeight + tallest * (h + gapY) - gapY + pad;
}

// fill puts namespaces, in their order, into columns of about the same height.
function fill(order, count, gap) {
  const total = order.reduce((sum, n) => sum + n.h + gap, 0);
  const columns = [];
  let column = [], height = 0, used = 0;
  for (const n of order) {
    const left = count - columns.length;
    if (column.length > 0 && left > 1 && height + n.h / 2 > (total - used) / left) {
      columns.push(column);
      used += height;
      column = [];
      height = 0;
    }
    column.push(n);
    height += n.h + gap;
  }
  columns.push(column);
  return columns;
}

const columnWidth = (column) => Math.max(...column.map((n) => n.w));
const columnHeight = (column, gap) => column.reduce((sum, n) => sum + n.h + gap, -gap);

// splits gives every way to cut a short order into columns, and one way for each number of columns of a long one.
function splits(order, gap) {
  if (order.length > 9) return Array.from({ length: Math.min(16, order.length) }, (_, i) => fill(order, i + 1, gap));
  return Array.from({ length: 1 << (order.length - 1) }, (_, cuts) => {
    const columns = [[order[0]]];
    order.slice(1).forEach((n, i) => (cuts & (1 << i) ? columns.push([n]) : columns[columns.length - 1].push(n)));
    return columns;
  });
}

// forward is the share of the lines between namespaces that lead to the right.
function forward(columns) {
  const column = [];
  columns.forEach((c, i) => c.forEach((n) => { column[n.id] = i; }));
  const between = [...bundles.values()].filter((b) => b.from !== b.to && b.from < namespaces.length && b.to < namespaces.length);
  return between.length ? between.filter((b) => column[b.from] < column[b.to]).length / between.length : 0;
}

// bestColumns takes the split that can be shown largest, and lets one that reads from left to right be a bit smaller.
function bestColumns(order, gap, view) {
  let best = null;
  for (const columns of splits(order, gap)) {
    const width = columns.reduce((sum, c) => sum + columnWidth(c) + metrics.between, 0) + edgeWidth * 2 - metrics.between;
    const height = Math.max(...columns.map((c) => columnHeight(c, gap)));
    const score = Math.min(view.w / width, view.h / height, 1.15) * (1 + 0.3 * forward(columns));
    if (!best || score > best.score + 0.001) best = { columns, score };
  }
  return best.columns;
}

// untangle orders each column by where its neighbours stand, a few sweeps.
function untangle(columns) {
  const row = new Map();
  const number = () => columns.forEach((c) => c.forEach((n, i) => row.set(n.id, (i + 0.5) / c.length)));
  number();
  const neighbours = namespaces.map(() => []);
  for (const { from, to } of bundles.values()) {
    if (from === to || from >= namespaces.length || to >= namespaces.length) continue;
    neighbours[from].push(to);
    neighbours[to].push(from);
  }
  for (let sweep = 0; sweep < 4; sweep++) {
    for (const column of columns) {
      const weight = new Map(column.map((n) => {
        const near = neighbours[n.id];
        return [n, near.length ? near.reduce((sum, m) => sum + row.get(m), 0) / near.length : row.get(n.id)];
      }));
      column.sort((a, b) => weight.get(a) - weight.get(b) || a.id - b.id);
    }
    number();
  }
}

const edgeBox = density === 'card' ? { w: 152, h: 46, gap: 16 } : { w: 140, h: 48, gap: 12 };
const edgeWidth = outside.length ? edgeBox.w + metrics.between : 0;

function layout(view) {
  const gap = density === 'card' ? 30 : 14;
  namespaces.forEach(inner);
  const lean = namespaceLeans();
  const order = [...namespaces].sort((a, b) => lean[a.id] - lean[b.id] || a.id - b.id);
  const columns = order.length ? bestColumns(order, gap, view) : [];
  untangle(columns);
  const height = Math.max(0, ...columns.map((c) => columnHeight(c, gap)));
  let x = outside.length ? edgeBox.w + metrics.between : 0;
  for (const column of columns) {
    let y = (height - columnHeight(column, gap)) / 2;
    for (const n of column) {
      places[n.id] = { x: x + (columnWidth(column) - n.w) / 2, y, w: n.w, h: n.h };
      for (const c of n.cells) boxes[c.end] = { x: places[n.id].x + c.x, y: y + c.y, w: metrics.w, h: metrics.h };
      y += n.h + gap;
    }
    x += columnWidth(column) + metrics.between;
  }
  standOutside(x, height);
}

// standOutside puts the addresses that come in at the left and those that are reached at the right.
function standOutside(right, height) {
  const ends = outside.map((_, i) => size + i);
  const comes = new Set([...allowed.sources, ...cut.sources].filter((end) => !isWorkload(end)));
  const gone = new Set();
  for (const graph of [allowed, cut]) graph.sources.forEach((s) => graph.out[s].forEach((row) => row.runs.forEach(([first, last]) => {
    for (let t = Math.max(first, size); t <= last; t++) gone.add(t);
  })));
  const stack = (list, x, target) => list.forEach((end, i) => {
    const y = (height - list.length * (edgeBox.h + edgeBox.gap) + edgeBox.gap) / 2 + i * (edgeBox.h + edgeBox.gap);
    target[end] = { x, y, w: edgeBox.w, h: edgeBox.h };
  });
  stack(ends.filter((e) => comes.has(e)), 0, boxes);
  stack(ends.filter((e) => !comes.has(e)), right, boxes);
  const both = ends.filter((e) => gone.has(e));
  stack(both, right, twin);
  for (const end of ends) if (twin[end] && !comes.has(end)) boxes[end] = twin[end];
  for (const end of ends) places[placeOf(end)] = boxes[end];
}

// boxOf is the box of an end as a source (it stands left) or as a target (it stands right).
const boxOf = (end, asTarget) => (asTarget && twin[end]) || boxes[end];

// The overview: what the picture says, in words, so that a person knows where to look first.
function bar(counts) {
  const total = counts.reduce((sum, [n]) => sum + n, 0) || 1;
  const el = html('div', { class: 'bar', 'aria-hidden': 'true' });
  for (const [n, cls] of counts) {
    if (n === 0) continue;
    const part = html('i', { class: cls });
    part.style.flexGrow = n / total;
    el.append(part);
  }
  return el;
}

// counted is how many workloads are in a state, and asks for them.
function counted(n, text, query, cls) {
  const row = rowButton(() => ask(query), icon(cls), span('who', text), span('ports', n.toLocaleString('en')));
  row.className = n === 0 ? 'zero' : '';
  return row;
}

function namespaceRow(n) {
  const note = data.grouped ? shortName(n.members[0]) : plural(n.members.length, 'workload');
  return rowButton(() => pin({ namespace: n.id }, true), span('who', n.name), span('ports', note));
}

const governedWays = () => {
  const counts = { open: 0, partly: 0, closed: 0, host: 0 };
  for (const w of workloads) counts[{ ingress: 'partly', egress: 'partly', mixed: 'partly' }[wayName(w)] || wayName(w)]++;
  return counts;
};

// headline says in a sentence how the cluster stands.
function headline(counts) {
  const governed = size - counts.host;
  if (size === 0) return 'There are no workloads.';
  if (governed > 0 && counts.open === governed && undecidedPairs === size * (size - 1) && portSets[openPorts].all) {
    return `Nothing is isolated: every ${unit} accepts connections from everywhere, on every port.`;
  }
  if (counts.closed === governed) return 'Every workload is isolated both ways: only what a rule allows gets through.';
  const be = (count) => (count === 1 ? 'is' : 'are');
  const closed = `${counts.closed.toLocaleString('en')} of ${plural(governed, unit)} ${be(counts.closed)} isolated both ways`;
  return `${closed}, ${counts.open.toLocaleString('en')} ${be(counts.open)} open.`;
}

// bundleRow is what changes between two places; it opens into the workloads.
function bundleRow(b, fate) {
  const graph = fate === 'cut' ? cut : opened;
  const edges = [];
  for (const source of graph.sources.filter((s) => placeOf(s) === b.from)) {
    for (const p of graph.from(source)) if (placeOf(p.end) === b.to) edges.push({ source, ...p });
  }
  const inner = b.from === b.to ? `within ${placeName(b.from)}` : `${placeName(b.from)} → ${placeName(b.to)}`;
  const row = (e) => endRow(e.end, portsText(e.ports), fate, false, `${shortName(e.source)} → `);
  return folded(inner, b.count.toLocaleString('en'), edges, row);
}

function changeList(fate, title) {
  const graph = fate === 'cut' ? cut : opened;
  const list = html('ul', { class: 'peers' });
  if (!manyChanges) {
    for (const source of graph.sources) {
      list.append(html('li', { class: 'group' }, `from ${fullName(source)}`));
      list.append(...graph.from(source).map((p) => endRow(p.end, portsText(p.ports), fate)));
    }
  } else {
    const { folds, single } = foldedChanges[fate];
    const within = [...changeBundles[fate].values()].filter((b) => b.from === b.to);
    for (const f of folds.sort((a, b) => b.count - a.count || a.place - b.place)) {
      const others = plural(f.list.length, 'namespace');
      const name = f.word === 'from' ? `${others} → ${placeName(f.place)}` : `${placeName(f.place)} → ${others}`;
      list.append(folded(name, f.count.toLocaleString('en'), f.list.sort(byCount), (b) => bundleRow(b, fate)));
    }
    list.append(...limited([...single, ...within].sort(byCount), (b) => bundleRow(b, fate)));
  }
  const nothing = html('p', { class: 'none' }, `Nothing is ${fate}.`);
  return html('section', { class: fate }, heading(title, totals[fate]), totals[fate] ? list : nothing);
}

// titled is a section with one row for each of a list, and nothing without any.
const titled = (title, list, row) => (
  list.length ? html('section', {}, heading(title, list.length), peersOf(limited(list, row))) : ''
);

function showDifference() {
  const coming = workloads.map((w, end) => ({ w, end })).filter(({ w }) => w.change);
  panel.replaceChildren(
    ...showNotes(),
    html('h2', {}, totals.cut + totals.opened === 0 ? 'Nothing changes' : 'What changes'),
    html('p', { class: 'sums' },
      html('span', { class: 'cut' }, html('b', {}, totals.cut.toLocaleString('en')), ' cut'),
      html('span', { class: 'opened' }, html('b', {}, totals.opened.toLocaleString('en')), ' opened'),
      html('span', {}, html('b', {}, data.unchanged.toLocaleString('en')), ' unchanged')),
    titled('Workloads that come and go', coming, ({ w, end }) => endRow(end, w.change)),
    changeList('cut', 'Cut'),
    changeList('opened', 'Opened'),
  );
}

function showOverview() {
  if (data.diff) return showDifference();
  const counts = governedWays();
  const states = namespaces.map((n) => ({ n, state: namespaceState(n) }));
  const openOnes = states.filter(({ state }) => state.cls === 'open');
  const closedOnes = states.filter(({ state }) => state.cls === 'closed');
  const exposed = workloads.map((_, i) => i).filter(exposedByRule);
  panel.replaceChildren(
    ...showNotes(),
    html('p', { class: 'lead' }, headline(counts)),
    bar([[counts.closed, 'closed'], [counts.partly, 'partly'], [counts.open, 'open'], [counts.host, 'host']]),
    html('ul', { class: 'peers counts' },
      counted(counts.closed, 'isolated both ways', 'is:isolated', 'closed'),
      counted(counts.partly, 'isolated one way', 'is:partly', 'ingress'),
      counted(counts.open, 'open both ways', 'is:open', 'open'),
      counts.host ? counted(counts.host, 'on the host network', 'is:host', 'host') : ''),
    titled('Reachable from outside, by a rule', exposed, (end) => endRow(end)),
    titled('Open namespaces', openOnes, ({ n }) => namespaceRow(n)),
    titled('Isolated namespaces', closedOnes, ({ n }) => namespaceRow(n)),
    undecidedPairs ? html('p', { class: 'none' }, `Open workloads reach each other on ${portsText(openPorts)}. `
      + 'Their dashed outline says so; lines are drawn only for what some policy decides.') : '',
  );
}

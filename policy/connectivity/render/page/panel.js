// The panel at the side: the story of the cluster, or one workload, address, namespace or search in words.
const panel = document.getElementById('panel');
const rowLimit = 200; // rows of one list before the rest is counted only

function html(name, attributes, ...children) {
  const el = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === 'on') el.addEventListener('click', value);
    else el.setAttribute(key, value);
  }
  el.append(...children.filter((c) => c !== null && c !== undefined));
  return el;
}

const span = (cls, text) => html('span', { class: cls }, text);
const rowButton = (on, ...children) => html('li', {}, html('button', { type: 'button', on }, ...children));
const peersOf = (items) => html('ul', { class: 'peers' }, ...items);
const icon = (cls) => html('i', { class: `mark ${cls}`, 'aria-hidden': 'true' });
const heading = (text, n) => html('h3', {}, text, n === undefined ? null : html('span', { class: 'n' }, n.toLocaleString('en')));
const portsText = (ports) => portSets[ports].label;

// endRow is one end with the ports, which pins it.
function endRow(end, note, cls, within, before) {
  const name = isWorkload(end) && within ? shortName(end) : fullName(end);
  const row = rowButton(
    () => pin({ end }, true), icon(isWorkload(end) ? wayName(workloads[end]) : 'address'),
    span('who', (before || '') + name), note ? span('ports', note) : null,
  );
  row.className = cls || '';
  row.title = fullName(end);
  return row;
}

// folded is a row that opens into others, which are made when it does.
function folded(title, note, list, make) {
  const body = html('ul', {});
  const el = html('details', { class: 'fold' }, html('summary', {}, span('who', title), span('ports', note)), body);
  el.addEventListener('toggle', () => { if (el.open && !body.firstChild) body.append(...limited(list, make)); });
  return html('li', {}, el);
}

function limited(list, make) {
  const shown = list.slice(0, rowLimit).map(make);
  const more = (list.length - rowLimit).toLocaleString('en');
  if (list.length > rowLimit) shown.push(html('li', { class: 'more' }, `and ${more} more; search or pick one to see its own`));
  return shown;
}

// peerList lists peers by namespace; what is whole is one row, and so are those that no policy keeps apart.
const manyFree = 12;
function peerList(peers, self, fate, outgoing) {
  const isFree = (p) => !fate && isWorkload(p.end) && (outgoing ? undecided(self, p.end, p.ports) : undecided(p.end, self, p.ports));
  const free = peers.filter(isFree);
  if (free.length <= manyFree || everyWorkload(gather(peers, self), self)) return rowsOf(peers, self, fate);
  const ul = rowsOf(peers.filter((p) => !isFree(p)), self, fate);
  const what = `${plural(free.length, unit)} open for ${outgoing ? 'ingress' : 'egress'}`;
  ul.prepend(folded(what, portsText(free[0].ports), free, (p) => endRow(p.end)));
  return ul;
}

function rowsOf(peers, self, fate) {
  const groups = gather(peers, self);
  const ul = html('ul', { class: 'peers' });
  const every = everyWorkload(groups, self);
  for (const g of groups) {
    if (g.namespace < 0) ul.append(...limited(g.list, (p) => endRow(p.end, portsText(p.ports), fate)));
    else if (every) continue;
    else if (g.whole || g.alike) {
      const share = g.whole ? `all ${g.list.length}` : `${g.list.length} of ${g.members}`;
      const title = `${namespaces[g.namespace].name}: ${share}`;
      ul.append(folded(title, portsText(g.list[0].ports), g.list, (p) => endRow(p.end, '', '', true)));
    } else {
      ul.append(html('li', { class: 'group' }, namespaces[g.namespace].name));
      ul.append(...limited(g.list, (p) => endRow(p.end, portsText(p.ports), fate, true)));
    }
  }
  if (every) {
    const title = `every other ${unit} (${every.length.toLocaleString('en')})`;
    ul.append(folded(title, portsText(every[0].ports), every, (p) => endRow(p.end)));
  }
  return ul;
}

function section(title, peers, self, empty, cls, fate, outgoing) {
  const head = heading(title, peers.length);
  if (peers.length === 0) return empty ? html('section', { class: cls }, head, html('p', { class: 'none' }, empty)) : null;
  return html('section', { class: cls }, head, peerList(peers, self, fate, outgoing));
}

const subtitle = (w) => `${w.ns} · ${w.kind}${podsText(w.pods)}${w.change ? ` · ${w.change}` : ''}`;

function showEnd(end) {
  const w = workloads[end];
  const out = allowed.from(end), into = allowed.to(end);
  panel.replaceChildren(
    backButton(),
    html('h2', {}, isWorkload(end) ? w.name : shortName(end)),
    html('p', { class: 'sub' }, isWorkload(end) ? subtitle(w) : 'outside the cluster'),
    isWorkload(end) ? stateBox(end) : '',
    ...changeSections(end),
    section('Can reach', out, end, 'Nothing: no rule allows it to open a connection.', 'out', '', true) || '',
    section('Reachable from', into, end, 'Nothing: no rule lets anything in.', 'in') || '',
  );
}

function changeSections(end) {
  if (!data.diff) return [];
  return [
    section('Can no longer reach', cut.from(end), end, '', 'cut', 'cut'),
    section('No longer reachable from', cut.to(end), end, '', 'cut', 'cut'),
    section('Can now reach', opened.from(end), end, '', 'opened', 'opened'),
    section('Now reachable from', opened.to(end), end, '', 'opened', 'opened'),
  ].filter(Boolean);
}

function stateBox(end) {
  const w = workloads[end];
  if (w.host) return html('p', { class: 'state host' }, 'On the host network: NetworkPolicies do not apply to it.');
  if (w.mixed) return html('p', { class: 'state' }, 'Its workloads are isolated in different ways.');
  const side = (isolated, text) => html('span', { class: isolated ? 'closed' : 'open' }, `${text} ${isolated ? 'isolated' : 'open'}`);
  return html('p', { class: 'state' }, side(w.way & 1, 'Ingress'), side(w.way & 2, 'Egress'));
}

// placeRows are the other places that a namespace is joined with, the most connections first.
function placeRows(counts) {
  const joined = [...counts.entries()].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const what = (place) => (place < namespaces.length ? { namespace: place } : { end: place - namespaces.length + size });
  return limited(joined, ([place, n]) => rowButton(
    () => pin(what(place), true), span('who', placeName(place)), span('ports', plural(n, 'connection')),
  ));
}

function namespacePlaces(id) {
  const out = new Map(), into = new Map();
  const add = (map, place) => map.set(place, (map.get(place) || 0) + 1);
  allowed.each((source, target) => {
    const from = placeOf(source), to = placeOf(target);
    if (from === to) return;
    if (from === id) add(out, to);
    if (to === id) add(into, from);
  });
  const part = (title, counts, cls) => (
    counts.size ? html('section', { class: cls }, heading(title, counts.size), peersOf(placeRows(counts))) : ''
  );
  return [part('Can reach', out, 'out'), part('Reachable from', into, 'in')];
}

const memberRow = (end) => endRow(end, `${reaches[end]} out · ${reachedBy[end]} in`, '', true);

function showNamespace(id) {
  const n = namespaces[id];
  const state = namespaceState(n);
  panel.replaceChildren(
    backButton(),
    html('h2', {}, n.name),
    html('p', { class: 'sub' }, `namespace · ${plural(n.members.length, 'workload')} · ${state.text}`),
    ...namespaceChanges(id),
    html('section', {}, heading('Workloads', n.members.length), peersOf(limited(n.members, memberRow))),
    ...namespacePlaces(id),
  );
}

function namespaceChanges(id) {
  return [['cut', 'Cut'], ['opened', 'Opened']].map(([fate, title]) => {
    const list = changesAt(id, fate);
    const total = list.reduce((sum, b) => sum + b.count, 0);
    if (total === 0) return '';
    return html('section', { class: fate }, heading(title, total), peersOf(limited(list, (b) => bundleRow(b, fate))));
  });
}

function showSearch(result, query) {
  const port = parse(query).find(isPort);
  const found = result.found.length === 1 ? '1 match' : `${result.found.length.toLocaleString('en')} matches`;
  const children = [html('h2', {}, found), html('p', { class: 'sub' }, query)];
  if (port) {
    const text = `Connections that a rule allows on port ${port}: ${result.edges.length.toLocaleString('en')}.`;
    children.push(html('p', { class: 'none' }, `${text} What is open on all ports is not counted.`));
  }
  children.push(html('ul', { class: 'peers', id: 'matches' }, ...limited(result.found, (end) => endRow(end))));
  panel.replaceChildren(...children);
}

const backButton = () => html('button', { type: 'button', class: 'back', on: () => pin(null) }, '← Overview');

function showNotes() {
  return (data.notes || []).map((note) => html('p', { class: 'note' }, note));
}

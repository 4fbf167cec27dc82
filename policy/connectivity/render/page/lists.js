// What is listed in words: the peers of an end, gathered by namespace and ports.

// gather sorts peers [{end, ports}] into groups: the addresses, and each namespace. A group is whole where all workloads
// of the namespace (but the one asked about) are there on the same ports, and alike where several are.
const fewRows = 4;
function gather(peers, self) {
  const groups = new Map();
  for (const p of peers) {
    const key = isWorkload(p.end) ? namespaceOf[p.end] : -1;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(p);
  }
  return [...groups.keys()].sort((a, b) => a - b).map((key) => {
    const list = groups.get(key);
    const members = key < 0 ? 0 : namespaces[key].members.length - (namespaceOf[self] === key ? 1 : 0);
    const alike = key >= 0 && list.length >= fewRows && list.every((p) => p.ports === list[0].ports);
    const whole = members > 1 && list.length === members && list.every((p) => p.ports === list[0].ports);
    return { namespace: key, list, members, whole, alike };
  });
}

// everyWorkload says whether groups are all workloads of the cluster but self, on the same ports.
function everyWorkload(groups, self) {
  const inside = groups.filter((g) => g.namespace >= 0);
  const list = inside.flatMap((g) => g.list);
  const others = size - (isWorkload(self) ? 1 : 0);
  const whole = inside.length > 1 && list.length === others && list.every((p) => p.ports === list[0].ports);
  return whole ? list : null;
}

// parse reads a query: words that all have to fit.
function parse(query) {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}

const stateTests = {
  open: isOpen,
  isolated: (end) => isWorkload(end) && wayName(workloads[end]) === 'closed',
  partly: (end) => isWorkload(end) && ['ingress', 'egress', 'mixed'].includes(wayName(workloads[end])),
  exposed: (end) => isWorkload(end) && allowedFromOutside.has(end),
  host: (end) => isWorkload(end) && Boolean(workloads[end].host),
  changed: (end) => touched.has(end),
};

const isPort = (word) => /^\d{1,5}$/.test(word);
const onPort = (ports, port) => (portSets[ports].ranges || []).some(([first, last]) => first <= port && port <= last);

// edgesOnPort gives the edges whose ports are chosen by a rule and hold port; "all ports" holds every port and tells
// nothing.
function edgesOnPort(port) {
  const list = [];
  const fitting = new Set(portSets.map((_, i) => i).filter((i) => onPort(i, port)));
  const graphs = data.diff ? [allowed, cut] : [allowed];
  for (const graph of graphs) {
    for (const source of graph.sources) {
      for (const row of graph.out[source]) {
        if (!fitting.has(row.ports)) continue;
        for (const [first, last] of row.runs) {
          for (let t = first; t <= last; t++) if (t !== source) list.push([source, t, row.ports]);
        }
      }
    }
  }
  return list;
}

// search gives the ends that fit a query and, where it names a port, the edges on that port.
function search(query) {
  const words = parse(query);
  if (words.length === 0) return null;
  let edges = null;
  const tests = words.map((word) => {
    const [key, value] = word.split(/:(.*)/s);
    if (key === 'ns' && value !== undefined) return (end) => isWorkload(end) && workloads[end].ns.toLowerCase().includes(value);
    if (key === 'is' && value !== undefined) return stateTests[value] || (() => false);
    const byName = (end) => fullName(end).toLowerCase().includes(word);
    if (!isPort(word)) return byName;
    edges = edgesOnPort(Number(word));
    const ends = new Set(edges.flatMap(([source, target]) => [source, target]));
    return (end) => ends.has(end) || byName(end);
  });
  const found = [];
  for (let end = 0; end < endCount; end++) if (tests.every((test) => test(end))) found.push(end);
  const hit = new Set(found);
  return { found, hit, edges: edges && edges.filter(([source, target]) => hit.has(source) || hit.has(target)) };
}

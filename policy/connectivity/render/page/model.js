'use strict';
// The data of the page and the questions that everything else asks of it. An end is a number: workloads first, by
// their index, and then the sets of addresses outside the cluster.
const data = JSON.parse(document.getElementById('data').textContent);
const workloads = data.nodes || [];
const outside = data.addresses || [];
const portSets = data.ports || [];
const size = workloads.length;
const endCount = size + outside.length;

// rows[i] = {ports, runs: [[first, last], …]}: the ends that a source reaches on these ports.
const rows = (data.rows || []).map(([ports, ...ends]) => {
  const runs = [];
  for (let i = 0; i < ends.length; i += 2) runs.push([ends[i], ends[i + 1]]);
  return { ports, runs };
});

// Graph holds one set of edges: what is allowed, what is cut, or what is opened.
class Graph {
  constructor(list) {
    this.out = Array.from({ length: endCount }, () => []);
    this.sources = [];
    for (const [source, ...used] of list || []) {
      this.out[source] = used.map((i) => rows[i]);
      this.sources.push(source);
    }
  }

  // targets calls visit(target, ports) for everything that source reaches.
  targets(source, visit) {
    for (const row of this.out[source]) {
      for (const [first, last] of row.runs) {
        for (let t = first; t <= last; t++) if (t !== source) visit(t, row.ports);
      }
    }
  }

  from(source) {
    const list = [];
    this.targets(source, (end, ports) => list.push({ end, ports }));
    return list.sort((a, b) => a.end - b.end);
  }

  to(target) {
    const known = new Map();
    const holds = (row) => {
      if (!known.has(row)) known.set(row, row.runs.some(([first, last]) => first <= target && target <= last));
      return known.get(row);
    };
    const list = [];
    for (const source of this.sources) {
      if (source === target) continue;
      for (const row of this.out[source]) if (holds(row)) list.push({ end: source, ports: row.ports });
    }
    return list.sort((a, b) => a.end - b.end);
  }

  each(visit) {
    for (const source of this.sources) this.targets(source, (target, ports) => visit(source, target, ports));
  }
}

const allowed = new Graph(data.out);
const cut = new Graph(data.cut);
const opened = new Graph(data.opened);

const unit = data.grouped ? 'namespace' : 'workload';
const isWorkload = (end) => end < size;
const ingressIsolated = (end) => isWorkload(end) && (workloads[end].way & 1) !== 0;
const egressIsolated = (end) => isWorkload(end) && (workloads[end].way & 2) !== 0;
// A namespace that stands for workloads of several ways is mixed, and its lines are drawn.
const isMixed = (end) => isWorkload(end) && Boolean(workloads[end].mixed);
const isOpen = (end) => isWorkload(end) && workloads[end].way === 0 && !isMixed(end) && !workloads[end].host;
const wayNames = ['open', 'ingress', 'egress', 'closed'];
const wayName = (w) => (w.host ? 'host' : w.mixed ? 'mixed' : wayNames[w.way]);
// duplicated are the names that two kinds share, such as a Deployment and a StatefulSet.
const plainName = (w) => `${w.ns}/${w.name}`;
const duplicated = new Set();
workloads.forEach((w, i) => {
  if (i > 0 && plainName(workloads[i - 1]) === plainName(w)) duplicated.add(plainName(w));
});
const shortName = (end) => (isWorkload(end) ? workloads[end].name : outside[end - size]);
function fullName(end) {
  if (!isWorkload(end)) return outside[end - size];
  const w = workloads[end];
  return plainName(w) + (duplicated.has(plainName(w)) ? ` (${w.kind})` : '');
}

// namespaces are those of the workloads, in their order, which is by name.
const namespaces = [];
const namespaceOf = [];
workloads.forEach((w, i) => {
  let last = namespaces[namespaces.length - 1];
  if (!last || last.name !== w.ns) {
    last = { id: namespaces.length, name: w.ns, members: [] };
    namespaces.push(last);
  }
  last.members.push(i);
  namespaceOf[i] = last.id;
});

// undecided edges are those that no policy has a say in: neither end is isolated on its side, and the ports are those
// that most such edges have, which is all of them unless the page shows some ports only. (Policies of the whole cluster
// can take ports from what is not isolated.) The outlines of open workloads stand for these edges, so that their lines
// need not be drawn.
const bothOpen = (source, target) => !egressIsolated(source) && !ingressIsolated(target) && !isMixed(source) && !isMixed(target);
function mostCommonPorts() {
  const counts = new Array(portSets.length).fill(0);
  allowed.each((source, target, ports) => { if (bothOpen(source, target)) counts[ports]++; });
  return counts.indexOf(Math.max(0, ...counts));
}
const openPorts = mostCommonPorts();
const undecided = (source, target, ports) => ports === openPorts && bothOpen(source, target);

// wide ends are reached by, or reach, nearly every workload; where their lines are many, a badge stands for them.
const wideShare = 0.75;
const manyLines = 5;
const reachedBy = new Array(endCount).fill(0); // workloads, without the end itself
const reaches = new Array(endCount).fill(0);
const decidedIn = new Array(endCount).fill(0);
const decidedOut = new Array(endCount).fill(0);
const drawable = []; // the edges that are drawn when nothing is in focus: [source, target, ports]
const drawableLimit = 400;
const bundles = new Map(); // "a b" → {from, to, count} between places, see placeOf

// placeOf is where a line ends when namespaces are drawn as one: the namespace, or the addresses.
const placeOf = (end) => (isWorkload(end) ? namespaceOf[end] : namespaces.length + end - size);

function addBundle(map, source, target) {
  const from = placeOf(source), to = placeOf(target);
  const key = `${from} ${to}`;
  const known = map.get(key);
  if (known) known.count++;
  else map.set(key, { from, to, count: 1 });
}

let undecidedPairs = 0; // of workloads
function measure() {
  allowed.each((source, target, ports) => {
    if (isWorkload(source)) reachedBy[target]++;
    if (isWorkload(target)) reaches[source]++;
    if (undecided(source, target, ports)) {
      if (isWorkload(source) && isWorkload(target)) undecidedPairs++;
      return;
    }
    decidedIn[target]++;
    decidedOut[source]++;
  });
}

const most = wideShare * (size - 1);
const widelyReached = (end) => isWorkload(end) && reachedBy[end] >= most && decidedIn[end] >= manyLines;
const reachesWidely = (end) => isWorkload(end) && reaches[end] >= most && decidedOut[end] >= manyLines;

function collect() {
  allowed.each((source, target, ports) => {
    if (undecided(source, target, ports) || widelyReached(target) || reachesWidely(source)) return;
    if (drawable.length <= drawableLimit) drawable.push([source, target, ports]);
    addBundle(bundles, source, target);
  });
}
measure();
collect();

const changes = []; // of a difference: [source, target, ports, fate]
const changesLimit = 400;
const changeBundles = { cut: new Map(), opened: new Map() };
const totals = { cut: 0, opened: 0 };
const touched = new Set(); // ends that some change touches
for (const [fate, graph] of [['cut', cut], ['opened', opened]]) {
  graph.each((source, target, ports) => {
    totals[fate]++;
    touched.add(source).add(target);
    if (changes.length <= changesLimit) changes.push([source, target, ports, fate]);
    addBundle(changeBundles[fate], source, target);
  });
}

const exposedByRule = (end) => ingressIsolated(end) && allowedFromOutside.has(end);
const allowedFromOutside = new Set();
for (let a = size; a < endCount; a++) allowed.targets(a, (target) => allowedFromOutside.add(target));

// manifests know no pods; then none are mentioned.
const withPods = workloads.some((w) => w.pods > 0);
const podsText = (n) => (withPods ? ` · ${n > 0 ? plural(n, 'pod') : 'no pods'}` : '');
const plural = (n, word) => `${n.toLocaleString('en')} ${word}${n === 1 ? '' : 's'}`;
const stateWords = {
  open: 'open both ways', ingress: 'isolated for ingress, open for egress', egress: 'isolated for egress, open for ingress',
  closed: 'isolated both ways', mixed: 'partly isolated', host: 'on the host network, outside NetworkPolicy',
};
const stateOf = (end) => stateWords[wayName(workloads[end])];

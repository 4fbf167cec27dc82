// The keyboard, the theme, and the start.
const farAside = 1e6;
let current = 0; // the end that the Tab key comes to

// step gives the nearest end in a direction; what lies straight ahead counts as nearer, and what lies more aside than
// ahead is taken only where there is nothing else.
function step(dx, dy) {
  const from = boxes[current];
  let best = -1, least = Infinity;
  for (let end = 0; end < endCount; end++) {
    if (end === current) continue;
    const x = boxes[end].x + boxes[end].w / 2 - from.x - from.w / 2, y = boxes[end].y + boxes[end].h / 2 - from.y - from.h / 2;
    const ahead = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
    const distance = ahead + aside * 2.5 + (aside > ahead * 1.2 ? farAside : 0);
    if (ahead > 1 && distance < least) {
      best = end;
      least = distance;
    }
  }
  return best;
}

function focusEnd(end) {
  nodeOf[current][0].setAttribute('tabindex', -1);
  current = end;
  nodeOf[end][0].setAttribute('tabindex', 0);
  nodeOf[end][0].focus();
  reveal(boxes[end]);
}

const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onMapKey(event) {
  if (arrows[event.key]) {
    const next = step(...arrows[event.key]);
    if (next >= 0) focusEnd(next);
    event.preventDefault();
  } else if (event.key === 'Enter' || event.key === ' ') {
    pin({ end: current });
    event.preventDefault();
  }
}

function onPanelKey(event) {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  const buttons = [...panel.querySelectorAll('button, summary')].filter((b) => b.offsetParent);
  const next = buttons[buttons.indexOf(document.activeElement) + (event.key === 'ArrowDown' ? 1 : -1)];
  if (next) next.focus();
  else if (event.key === 'ArrowUp') field.focus();
  event.preventDefault();
}

function focusFirstMatch(event) {
  const first = panel.querySelector('#matches button');
  if (first) first.focus();
  event.preventDefault();
}

function onKey(event) {
  const typing = event.target === field;
  if (event.key === 'Escape') {
    if (state.pinned) pin(null);
    else if (field.value) ask('');
    else document.activeElement.blur();
  } else if (typing || event.ctrlKey || event.metaKey || event.altKey) {
    if (typing && event.key === 'ArrowDown') focusFirstMatch(event);
  } else if (event.key === '/') {
    field.focus();
    field.select();
    event.preventDefault();
  } else if (event.key === '+' || event.key === '=') zoomCentre(1.3);
  else if (event.key === '-') zoomCentre(1 / 1.3);
  else if (event.key === '0') fitView();
}

function drawLegend() {
  const items = [
    ['closed', 'isolated both ways'], ['ingress', 'isolated for ingress (left) only'], ['egress', 'isolated for egress (right) only'],
    ['open', 'open: no policy isolates it'],
    ...(workloads.some((w) => w.host) ? [['host', 'host network: outside NetworkPolicy']] : []),
  ].map(([cls, text]) => html('p', {}, html('i', { class: `mark ${cls}` }), text));
  const changed = [['cut', '✕ cut'], ['opened', '+ opened'], ['quiet', 'unchanged']];
  const plain = [['quiet', 'allowed by a rule'], ['outgoing', 'can reach'], ['incoming', 'reachable from']];
  const lines = data.diff ? changed : plain;
  items.push(...lines.map(([cls, text]) => html('p', {}, html('i', { class: `stroke ${cls}` }), text)));
  if (workloads.some((_, end) => widelyReached(end) || reachesWidely(end))) {
    items.push(html('p', {}, html('b', {}, '◂ ▸'), 'reached by or reaches nearly all, so without lines'));
  }
  document.getElementById('legend-items').append(...items);
}

function toggleTheme() {
  const root = document.documentElement.style;
  const dark = root.colorScheme ? root.colorScheme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.colorScheme = dark ? 'light' : 'dark';
}

function start() {
  const pods = workloads.reduce((sum, w) => sum + w.pods, 0);
  const counts = data.grouped ? plural(size, 'namespace') : `${plural(namespaces.length, 'namespace')} · ${plural(size, 'workload')}`;
  document.getElementById('counts').textContent = counts + podsText(pods);
  canvas.classList.add(density);
  if (density !== 'card' || innerHeight < 700 || innerWidth < 1100) document.getElementById('legend').open = false;
  layout(room());
  drawAll();
  drawLegend();
  fitView();
  readHash();
  watchPointer();
  if (endCount > 0) nodeOf[0][0].setAttribute('tabindex', 0);
  sheets.ends.addEventListener('keydown', onMapKey);
  sheets.ends.addEventListener('focusin', (event) => {
    const end = nodeOf.findIndex((list) => list.includes(event.target));
    if (end >= 0) current = end;
  });
  panel.addEventListener('keydown', onPanelKey);
  document.addEventListener('keydown', onKey);
  document.getElementById('theme').addEventListener('click', toggleTheme);
  field.addEventListener('input', () => ask(field.value));
  document.getElementById('search').addEventListener('submit', (event) => {
    event.preventDefault();
    if (state.result && state.result.found.length) pin({ end: state.result.found[0] }, true);
  });
  addEventListener('hashchange', readHash);
  addEventListener('resize', fitView);
}

start();

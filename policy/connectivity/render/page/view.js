// Panning and zooming: the world is moved and scaled inside the canvas.
const map = document.getElementById('map');
const view = { x: 0, y: 0, scale: 1 };

function applyView() {
  world.setAttribute('transform', `translate(${view.x} ${view.y}) scale(${view.scale})`);
}

function extent() {
  const all = [...places, ...twin].filter(Boolean);
  if (all.length === 0) return { x: 0, y: 0, w: 1, h: 1 };
  const x = Math.min(...all.map((p) => p.x)), y = Math.min(...all.map((p) => p.y));
  return { x, y, w: Math.max(...all.map((p) => p.x + p.w)) - x, h: Math.max(...all.map((p) => p.y + p.h)) - y };
}

function room() {
  const { width, height } = map.getBoundingClientRect();
  return { w: Math.max(200, width - 48), h: Math.max(200, height - (document.getElementById('legend').open ? 96 : 70)) };
}

function fitView() {
  const { width, height } = map.getBoundingClientRect();
  const e = extent(), r = room();
  view.scale = Math.min(r.w / e.w, r.h / e.h, 1.15);
  view.x = (width - e.w * view.scale) / 2 - e.x * view.scale;
  view.y = (height - 48 - e.h * view.scale) / 2 - e.y * view.scale + 4;
  applyView();
}

function zoomAt(factor, x, y) {
  const scale = Math.max(0.05, Math.min(4, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  applyView();
}

function zoomCentre(factor) {
  const { width, height } = map.getBoundingClientRect();
  zoomAt(factor, width / 2, height / 2);
}

// reveal moves a box into sight, and does nothing where it is.
function reveal(box) {
  const { width, height } = map.getBoundingClientRect();
  const x = view.x + box.x * view.scale, y = view.y + box.y * view.scale;
  const w = box.w * view.scale, h = box.h * view.scale;
  if (x < 8) view.x += 8 - x;
  if (y < 8) view.y += 8 - y;
  if (x + w > width - 8) view.x -= x + w - width + 8;
  if (y + h > height - 56) view.y -= y + h - height + 56;
  applyView();
}

const dragDistance = 4; // pixels that tell a drag from a click
let drag = null;

function watchPointer() {
  canvas.addEventListener('wheel', (event) => {
    event.preventDefault();
    const { left, top } = canvas.getBoundingClientRect();
    zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.clientX - left, event.clientY - top);
  }, { passive: false });
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button === 0) drag = { x: event.clientX, y: event.clientY, moved: false };
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!drag || !(event.buttons & 1)) return;
    const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
    if (!drag.moved && Math.hypot(dx, dy) < dragDistance) return;
    if (!drag.moved) canvas.setPointerCapture(event.pointerId);
    drag = { x: event.clientX, y: event.clientY, moved: true };
    view.x += dx;
    view.y += dy;
    applyView();
  });
  // A click that ends a drag must neither pin nor clear anything.
  canvas.addEventListener('click', (event) => {
    if (drag && drag.moved) event.stopPropagation();
    drag = null;
  }, true);
  canvas.addEventListener('click', (event) => {
    if (event.target === canvas) pin(null);
  });
  document.getElementById('zoom').addEventListener('click', (event) => {
    const how = event.target.dataset.zoom;
    if (how === 'fit') fitView();
    else if (how) zoomCentre(Number(how));
  });
}

// Keeps the first page of the feed current, and applies a filter as soon as it is chosen. Without it a reload and a button do.
(() => {
  'use strict';
  const every = 4000;
  const form = document.querySelector('form[data-auto]');
  if (!form) return;
  form.addEventListener('change', (event) => { if (event.target instanceof HTMLSelectElement) form.requestSubmit(); });
  // An address that is shared holds only what is set.
  form.addEventListener('formdata', (event) => { for (const [name, value] of [...event.formData]) if (!value) event.formData.delete(name); });

  const bar = document.querySelector('[data-livebar]'), status = bar.querySelector('[data-status]'), pause = bar.querySelector('[data-pause]');
  const live = () => document.getElementById('live');
  if (!('live' in live().dataset)) return;
  bar.hidden = false;
  let paused = false, last = '';

  const say = (text, state) => {
    if (status.textContent !== text) status.textContent = text;
    bar.classList.toggle('paused', state === 'paused');
    bar.classList.toggle('lost', state === 'lost');
  };

  // replace puts the new list in place of the old one and leaves the reader where they were: what is open stays open, and what
  // has the focus keeps it.
  function replace(text) {
    const next = new DOMParser().parseFromString(text, 'text/html').getElementById('live');
    const old = live();
    if (!next || next.innerHTML === last) return;
    const known = new Set([...old.querySelectorAll('details.decision')].map((d) => d.id));
    const open = [...old.querySelectorAll('details[open]')].map((d) => d.id);
    const focused = old.contains(document.activeElement) ? document.activeElement.closest('details') : null;
    last = next.innerHTML;
    const top = focused ? focused.getBoundingClientRect().top : 0;
    old.replaceWith(document.adoptNode(next));
    for (const id of open) { const d = document.getElementById(id); if (d) d.open = true; }
    if (known.size) for (const d of live().querySelectorAll('details.decision')) d.classList.toggle('new', !known.has(d.id));
    const again = focused && document.getElementById(focused.id);
    if (again) {
      again.querySelector('summary').focus({ preventScroll: true });
      scrollBy({ top: again.getBoundingClientRect().top - top, behavior: 'instant' });
    }
  }

  async function refresh() {
    if (paused || document.hidden || String(getSelection())) return;
    try {
      const answer = await fetch(location.href.replace(/#.*/, ''), { headers: { 'X-Bulkhead-Refresh': '1' }, credentials: 'same-origin', redirect: 'error' });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (!paused) { replace(text); say('live', ''); }
    } catch { say('no connection, trying again', 'lost'); }
  }

  pause.addEventListener('click', () => {
    paused = !paused;
    pause.textContent = paused ? 'Resume' : 'Pause';
    say(paused ? 'paused' : 'live', paused ? 'paused' : '');
    if (!paused) refresh();
  });
  document.addEventListener('visibilitychange', refresh);
  last = live().innerHTML;
  setInterval(refresh, every);
})();

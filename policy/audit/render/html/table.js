// Sorts and filters what the server has written. Without it the page shows the same rows in their first order.
(() => {
  'use strict';
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const cell = (row, i) => row.cells[i];
  const valueOf = (row, i) => {
    const c = cell(row, i);
    return 'value' in c.dataset ? Number(c.dataset.value) : c.textContent.trim();
  };
  const compare = (a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', { numeric: true }));

  function sortBy(table, i, head) {
    const numeric = head.classList.contains('n');
    const before = head.getAttribute('aria-sort');
    const next = before === null ? (numeric ? 'descending' : 'ascending') : before === 'ascending' ? 'descending' : 'ascending';
    all('thead th', table).forEach((th) => th.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', next);
    const sign = next === 'ascending' ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, at) => ({ row, at, value: valueOf(row, i) }));
    rows.sort((a, b) => sign * compare(a.value, b.value) || a.at - b.at);
    body.append(...rows.map((r) => r.row));
  }

  for (const table of all('table[data-sortable]')) {
    all('thead th', table).forEach((head, i) => {
      if (head.classList.contains('chart')) return;
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener('click', () => sortBy(table, i, head));
    });
  }

  const tools = document.querySelector('[data-tools]');
  if (tools) {
    const field = (name) => tools.querySelector(`[data-filter=${name}]`);
    const names = field('names'), denies = field('denies'), violations = field('violations');
    const rows = all('table[data-filtered] tbody tr'), groups = all('.group[data-name]');
    const none = document.querySelector('[data-none]'), count = tools.querySelector('[data-count]');
    const matches = (el, text) => el.dataset.name.toLowerCase().includes(text)
      && (!denies.value || el.dataset.denies === denies.value)
      && (!violations.checked || Number(el.dataset.violations) > 0);
    const apply = () => {
      const text = names.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !matches(row, text);
        if (!row.hidden) shown++;
      }
      for (const group of groups) group.hidden = !matches(group, text);
      none.hidden = shown > 0;
      count.textContent = shown === rows.length ? `${rows.length.toLocaleString('en')} namespaces` : `${shown.toLocaleString('en')} of ${rows.length.toLocaleString('en')} namespaces`;
    };
    let timer = 0;
    tools.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(apply, rows.length > 2000 ? 150 : 0); });
    tools.hidden = false;
    apply();
  }

  // A link to a group opens it, and paper has no use for what is folded.
  const openTarget = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) { target.open = true; target.scrollIntoView(); }
  };
  addEventListener('hashchange', openTarget);
  addEventListener('beforeprint', () => all('details.group').forEach((d) => { d.open = true; }));
  openTarget();
})();

#include "report/page_assets.hpp"

namespace assay {
namespace {

constexpr std::string_view kScript = R"js(
'use strict';
(function () {
  const root = document.documentElement;

  // The theme: what the system says until the reader chooses. A page without storage forgets the choice.
  const theme = document.getElementById('theme');
  const stored = {
    get() { try { return localStorage.getItem('assay-theme'); } catch (e) { return null; } },
    set(value) { try { localStorage.setItem('assay-theme', value); } catch (e) { /* not kept */ } },
  };
  const isDark = () => root.dataset.theme
    ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  const nameTheme = () => {
    theme.textContent = isDark() ? 'Light' : 'Dark';
    theme.setAttribute('aria-label', 'Switch to the ' + (isDark() ? 'light' : 'dark') + ' theme');
  };
  if (['light', 'dark'].includes(stored.get())) root.dataset.theme = stored.get();
  theme.hidden = false;
  theme.addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    stored.set(root.dataset.theme);
    nameTheme();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', nameTheme);
  nameTheme();

  // Tables: every header becomes a button. Cells without a value stay last in both directions.
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell || cell.classList.contains('none')) return null;
    const text = cell.dataset.sort !== undefined ? cell.dataset.sort : cell.textContent.trim();
    const number = Number(text);
    return text === '' ? null : Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => typeof a === 'number' && typeof b === 'number'
    ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  const sortBy = (table, header, column) => {
    const down = header.getAttribute('aria-sort') === 'ascending';
    for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
    header.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: keyOf(row, column) }));
    rows.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return down ? compare(b.key, a.key) : compare(a.key, b.key);
    });
    table.tBodies[0].append(...rows.map((entry) => entry.row));
  };
  for (const table of document.querySelectorAll('table.sortable')) {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      if (header.textContent.trim() === '') return;
      const button = document.createElement('button');
      button.type = 'button';
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener('click', () => sortBy(table, header, column));
    });
  }

  // What a number rests on: in a card beside it, for mouse, keyboard and touch.
  const card = document.createElement('div');
  card.className = 'card';
  card.hidden = true;
  document.body.append(card);
  let shownFor = null;
  const hide = () => { card.hidden = true; shownFor = null; };
  const show = (element, text) => {
    card.textContent = text;
    card.hidden = false;
    shownFor = element;
    const at = element.getBoundingClientRect();
    const size = card.getBoundingClientRect();
    const below = at.bottom + 6 + size.height < innerHeight;
    card.style.left = Math.max(8, Math.min(at.left, innerWidth - size.width - 8)) + 'px';
    card.style.top = Math.max(8, below ? at.bottom + 6 : at.top - 6 - size.height) + 'px';
  };
  for (const number of document.querySelectorAll('a.num')) {
    const basis = number.title;
    number.removeAttribute('title');
    number.addEventListener('mouseenter', () => show(number, basis));
    number.addEventListener('mouseleave', hide);
    number.addEventListener('focus', () => show(number, basis));
    number.addEventListener('blur', hide);
    let touched = false;
    number.addEventListener('pointerdown', (event) => { touched = event.pointerType === 'touch' && shownFor !== number; });
    number.addEventListener('click', (event) => {
      if (!touched) return;
      event.preventDefault();
      show(number, basis + '\n(again: its row among all numbers)');
    });
  }
  for (const mark of document.querySelectorAll('svg.chart [class] > title')) {
    mark.parentNode.addEventListener('click', (event) => {
      event.stopPropagation();
      show(mark.parentNode, mark.textContent);
    });
  }
  document.addEventListener('click', (event) => { if (!event.target.closest('a.num')) hide(); });
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape') hide(); });
  addEventListener('scroll', hide, { passive: true });

  // Paper has nothing to click.
  addEventListener('beforeprint', () => {
    hide();
    for (const fold of document.querySelectorAll('details:not([open])')) {
      fold.open = true;
      fold.dataset.opened = 'print';
    }
  });
  addEventListener('afterprint', () => {
    for (const fold of document.querySelectorAll('details[data-opened]')) {
      fold.open = false;
      delete fold.dataset.opened;
    }
  });
})();
)js";

}  // namespace

std::string_view page_script() noexcept {
  return kScript;
}

}  // namespace assay

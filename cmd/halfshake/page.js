'use strict';
(() => {
  const find = id => document.getElementById(id);
  const status = find('status'), pause = find('pause'), plot = find('plot'), svg = plot.querySelector('svg');
  const number = n => n.toLocaleString('en', { maximumFractionDigits: 1 });
  let timer, paused = false, asking = false, last;

  // say changes the status only when there is something new: it is read aloud.
  const say = text => { if (status.textContent !== text) status.textContent = text; };
  const clock = () => new Date().toLocaleTimeString('en-GB');

  async function ask() {
    clearTimeout(timer);
    if (paused || asking || document.hidden) return;
    asking = true;
    let next = 1000;
    try {
      const response = await fetch('/live.json', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
      if (!response.ok) throw new Error(response.status);
      last = { at: clock(), ...await response.json() };
      show(last);
      if (!paused) say('Read every second.');
    } catch {
      next = 4000;
      if (!paused) say('The server does not answer' + (last ? '; this is of ' + last.at : '') + '. Trying again.');
    }
    asking = false;
    if (!paused) timer = setTimeout(ask, next);
  }

  function show(live) {
    const s = live.stats, full = Math.max(0, s.accept_good - s.hits);
    const share = Math.floor(100 * s.hits / Math.max(1, s.accept_good, s.hits));
    const figures = { ...s, ...s.refused, full, share };
    for (const cell of document.querySelectorAll('[data-figure]')) {
      put(cell, figures[cell.dataset.figure]);
    }
    sort(s.refused);
    draw(live);
  }

  function put(cell, value) {
    const text = number(value ?? 0);
    if (cell.textContent === text) return;
    const first = cell.dataset.seen === undefined;
    cell.dataset.seen = '';
    cell.textContent = text;
    if (first) return;
    cell.classList.remove('changed');
    void cell.offsetWidth; // so that the animation begins again
    cell.classList.add('changed');
  }

  // sort moves the reasons that have occurred out of the fold.
  function sort(refused) {
    for (const row of [...find('unrefused').rows]) {
      if (refused[row.cells[1].dataset.figure]) find('refused').append(row);
    }
    find('none-refused').hidden = find('refused').rows.length > 0;
  }

  function shape(name, attributes, text) {
    const e = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in attributes) e.setAttribute(key, attributes[key]);
    if (text !== undefined) e.textContent = text;
    return e;
  }

  // nice is a round number that is at least n.
  function nice(n) {
    const power = 10 ** Math.floor(Math.log10(n));
    return [1, 2, 4, 10].find(m => m * power >= n) * power;
  }

  function draw({ spans, window_seconds: seconds }) {
    plot.hidden = false;
    const width = svg.clientWidth, height = 176, left = 44, top = 8, bottom = height - 24;
    const peak = Math.max(0, ...spans.map(s => s.full_per_second + s.resumed_per_second));
    const most = nice(Math.max(1, peak));
    const x = ago => left + (width - left) * (1 - ago / seconds);
    const y = rate => bottom - (bottom - top) * rate / most;
    const shapes = [];
    for (const rate of [0, most / 2, most]) {
      shapes.push(shape('line', { x1: left, x2: width, y1: y(rate), y2: y(rate) }));
      shapes.push(shape('text', { x: left - 8, y: y(rate) + 4, 'text-anchor': 'end' }, number(rate)));
    }
    for (let ago = seconds; ago >= 0; ago -= width < 480 ? seconds : 60) {
      const anchor = ago === seconds ? 'start' : ago ? 'middle' : 'end';
      shapes.push(shape('text', { x: x(ago), y: height - 6, 'text-anchor': anchor }, ago ? ago / 60 + ' min ago' : 'now'));
    }
    for (const s of spans) {
      const w = Math.max(1, x(s.to) - x(s.from) - (s.from - s.to < 3 ? 1 : 0)), both = s.resumed_per_second + s.full_per_second;
      bar('is-resumed', x(s.from), w, y(s.resumed_per_second), bottom);
      bar('is-full', x(s.from), w, y(both), y(s.resumed_per_second));
    }
    function bar(kind, x, width, y, to) {
      if (to > y) shapes.push(shape('rect', { class: kind, x, width, y, height: to - y }));
    }
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.replaceChildren(...shapes);
    const total = kind => number(Math.round(spans.reduce((sum, s) => sum + s[kind] * (s.from - s.to), 0)));
    find('summary').textContent = `${total('resumed_per_second')} resumed and ${total('full_per_second')} full in that time, at most ${number(peak)} a second.`;
  }

  pause.hidden = false;
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.textContent = paused ? 'Go on' : 'Pause';
    if (paused) say('Paused at ' + clock() + '.');
    else ask();
  });
  document.addEventListener('visibilitychange', ask);
  addEventListener('resize', () => last && draw(last));
  ask();
})();

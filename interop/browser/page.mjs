// Looks at the built-in page in Chromium. The argument is a task (see browser_test.go); each check is a line of JSON.
import assert from 'node:assert/strict';
import https from 'node:https';
import { chromium } from 'playwright-core';

const task = JSON.parse(process.argv[2]);
const browser = await chromium.launch({
  executablePath: task.browser,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...task.flags],
});

// What must never happen, in any check.
const complaints = [];

async function open(options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on('console', m => complaints.push(`${m.type()}: ${m.text()}`));
  page.on('pageerror', e => complaints.push(`error: ${e.message}`));
  page.on('request', r => {
    if (!r.url().startsWith(task.url + '/') && !r.url().startsWith('data:')) complaints.push('request to ' + r.url());
  });
  if (options.javaScriptEnabled !== false) {
    await page.exposeFunction('violated', text => complaints.push(text));
    await page.addInitScript(() => addEventListener('securitypolicyviolation',
      e => violated(`policy: ${e.violatedDirective} ${e.blockedURI}`)));
  }
  return page;
}

async function check(name, deed) {
  let error = '';
  try {
    await deed();
  } catch (e) {
    error = e.stack;
  }
  console.log(JSON.stringify({ name, error }));
}

// connect makes a connection to the server that is not the browser's.
const connect = agent => new Promise((resolve, reject) => {
  https.get(task.url + '/connection.json', { agent, rejectUnauthorized: false }, r => r.resume().on('end', resolve)).on('error', reject);
});
const stats = async () => (await fetch(task.metrics + '/stats.json')).json();

const text = (page, selector) => page.locator(selector).innerText();
const figure = async (page, name) => Number((await text(page, `.tiles [data-figure=${name}]`)).replaceAll(',', ''));
const loaded = (page, deed) => Promise.all([page.waitForEvent('load'), deed()]);
const anew = page => loaded(page, () => page.click('button[name=anew]'));

// mustSay compares the page, and what the server says of the same connection, with what is wanted.
async function mustSay(page, mark, connection) {
  assert.equal(await text(page, '.mark'), mark);
  const said = await page.evaluate(async () => (await fetch('/connection.json')).json());
  for (const name in connection) assert.equal(said[name], connection[name], name);
  const row = name => text(page, `.fields tr:has(th:text-is("${name}")) td`);
  assert.equal(await row('Protocol'), said.protocol);
  assert.equal(await row('Cipher suite'), said.cipher_suite);
  assert.equal(await row('Server name'), 'localhost');
  assert.equal(await row('ALPN'), said.alpn);
  assert.equal(await row('Engine'), said.engine);
  assert.match(await row('Resumed'), said.resumed ? /^yes/ : /^no$/);
}

async function resumption() {
  const { mark, ...second } = task.want;
  const page = await open();
  await check('the first load is a full handshake', async () => {
    await page.goto(task.url + '/');
    assert.match(await text(page, 'h1'), /full handshake/);
    assert.equal(await page.locator('.ladder s').count(), 0, 'messages spared');
    await mustSay(page, 'Full handshake', { resumed: false, resumed_by: '', protocol: second.protocol, engine: second.engine });
  });
  for (const time of ['second', 'third']) {
    await check(`the ${time} load is resumed`, async () => {
      await anew(page);
      assert.match(await text(page, 'h1'), /resumed a session/);
      assert.ok((await page.locator('.ladder ol s').allInnerTexts()).some(name => name.endsWith('Certificate')), 'no certificate spared');
      await mustSay(page, mark, { resumed: true, ...second });
    });
  }
  await check('a reload keeps the connection', async () => {
    for (let tries = 0; ; tries++) {
      const before = (await stats()).accept;
      await page.reload();
      if ((await stats()).accept === before) return;
      assert.ok(tries < 4, 'each made a handshake'); // one may, to be ready for more
    }
  });
  return page;
}

async function counters(page) {
  await check('the counters are live', async () => {
    await page.waitForFunction(() => document.querySelector('#status').textContent === 'Read every second.');
    const before = await figure(page, 'accept_good');
    await connect(false);
    await connect(false);
    await page.waitForFunction(n => Number(document.querySelector('.tiles [data-figure=accept_good]').textContent) === n, before + 2);
    assert.ok(await page.locator('#plot rect.is-full').count() > 0, 'nothing in the plot');
    assert.match(await text(page, '#summary'), /^\d+ resumed and \d+ full/);
    const now = await stats();
    for (const name of ['accept', 'hits', 'number', 'bytes', 'misses']) {
      assert.equal((await text(page, `.figures [data-figure=${name}]`)).replaceAll(',', ''), String(now[name]), name);
    }
  });
  await check('reading them makes no handshake', async () => {
    let polls = 0;
    const count = r => { if (r.url().endsWith('/live.json')) polls++; };
    page.on('request', count);
    const before = (await stats()).accept;
    await page.waitForTimeout(3500);
    page.off('request', count);
    assert.ok(polls >= 2, `${polls} polls`);
    assert.equal((await stats()).accept, before);
  });
}

async function keyboard(page) {
  await check('everything is reached by Tab, with a visible focus', async () => {
    await page.goto(task.url + '/');
    await page.locator('#pause').waitFor();
    const all = await page.evaluate(() => {
      const found = [...document.querySelectorAll('a[href], button, summary, [tabindex]')].filter(e => e.checkVisibility());
      found.forEach((e, i) => { e.dataset.stop = i; });
      return found.length;
    });
    assert.ok(all >= 7, `${all} stops`);
    for (let i = 0; i < all; i++) {
      await page.keyboard.press('Tab');
      const at = await page.evaluate(async () => {
        const e = document.activeElement, style = getComputedStyle(e);
        const inView = () => { const box = e.getBoundingClientRect(); return box.top > -1 && box.bottom < innerHeight + 1; };
        for (let frames = 0; !inView() && frames < 60; frames++) await new Promise(requestAnimationFrame); // it is scrolled to
        return {
          stop: e.dataset.stop, inView: inView(),
          seen: e.matches(':focus-visible') && style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2,
        };
      });
      assert.deepEqual(at, { stop: String(i), seen: true, inView: true });
    }
  });
  await check('the keyboard works it', async () => {
    await page.locator('#pause').focus();
    await page.keyboard.press('Space');
    assert.match(await text(page, '#status'), /^Paused at \d\d:\d\d:\d\d\.$/);
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelector('#status').textContent === 'Read every second.');
    await page.locator('summary').last().focus();
    await page.keyboard.press('Enter');
    await page.locator('#unrefused tr').first().waitFor();
    const before = (await stats()).hits;
    await page.locator('button[name=anew]').focus();
    await loaded(page, () => page.keyboard.press('Enter'));
    assert.equal(await text(page, '.mark'), task.want.mark);
    assert.ok((await stats()).hits > before, 'no connection was resumed');
  });
}

// tooFaint lists the texts whose contrast is below WCAG's 4.5 (AA), or 3 where they are large.
function tooFaint() {
  const channels = color => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = color => channels(color).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if ((channels(color)[3] ?? 1) === 1) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const faint = [];
  for (const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walker.nextNode();) {
    const e = walker.currentNode.parentElement, said = walker.currentNode.data.trim();
    if (!said || e.closest('script') || !e.checkVisibility()) continue;
    const style = getComputedStyle(e);
    const a = luminance(e.closest('svg') ? style.fill : style.color), b = luminance(ground(e));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) faint.push(`${said}: ${contrast.toFixed(2)}`);
  }
  return faint;
}

async function looks(page) {
  await page.emulateMedia({ reducedMotion: 'reduce' }); // no animation while colours are read
  await page.evaluate(() => document.querySelectorAll('details').forEach(d => { d.open = true; }));
  const grounds = {};
  for (const scheme of ['light', 'dark']) {
    for (const width of [320, 800, 1600]) {
      await check(`${scheme}, ${width} wide`, async () => {
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize({ width, height: 900 });
        await page.waitForTimeout(100);
        const beyond = await page.evaluate(() => [document.documentElement.scrollWidth > innerWidth ? 'the page scrolls' : '',
          ...[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))]
          .filter(Boolean));
        assert.deepEqual(beyond, []);
        assert.deepEqual(await page.evaluate(tooFaint), []);
        grounds[scheme] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      });
    }
  }
  await check('light and dark differ', async () => assert.notEqual(grounds.light, grounds.dark));
}

async function withoutScript() {
  const page = await open({ javaScriptEnabled: false });
  await check('it works without JavaScript', async () => {
    await page.goto(task.url + '/');
    assert.equal(await text(page, '.mark'), 'Full handshake');
    assert.equal(await page.locator('#plot').isVisible(), false, 'an empty plot');
    assert.equal(await page.locator('#pause').isVisible(), false, 'a dead button');
    const before = await figure(page, 'accept_good');
    await connect(false);
    await loaded(page, () => page.click('#status a'));
    assert.equal(await figure(page, 'accept_good'), before + 1);
    await anew(page);
    assert.equal(await text(page, '.mark'), task.want.mark);
  });
  await page.context().close();
}

// shots makes some traffic and takes the pictures of the README.
async function shots(page) {
  const agents = new https.Agent({ keepAlive: false });
  for (let second = 0; second < 170; second++) {
    const some = Math.round(4 + 3 * Math.sin(second / 13) + 2 * Math.sin(second / 4));
    for (let i = 0; i < some; i++) await connect(i % 5 === 0 ? false : agents);
    await page.waitForTimeout(900);
  }
  await page.setViewportSize({ width: 1120, height: 1410 });
  await anew(page);
  await page.waitForTimeout(2500);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: `${task.shots}/page-${colorScheme}.png` });
  }
}

try {
  const page = await resumption();
  if (task.all) {
    await counters(page);
    await keyboard(page);
    await looks(page);
    await withoutScript();
  }
  await check('no complaint, and nothing from elsewhere', async () => assert.deepEqual(complaints, []));
  if (task.shots) await shots(page);
} finally {
  await browser.close();
}

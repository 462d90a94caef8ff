// A real browser: Debian's Chromium, or the one that CHROMIUM names.
const { existsSync } = require('node:fs');
const { chromium } = require('playwright-core');

function executable() {
  const path = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
    .find((candidate) => candidate && existsSync(candidate));
  if (!path) throw new Error('no Chromium: install one (apt-get install chromium), or set CHROMIUM to its path');
  return path;
}

/** The editor of Node-RED, as a person uses it. */
async function openEditor(t, url) {
  const browser = await chromium.launch({ executablePath: executable(), args: ['--no-sandbox'] });
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 760 }, deviceScaleFactor: 1.5 });
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.message));
  await page.goto(url);
  await page.locator('.red-ui-palette-node[data-palette-type="google-operation-get"]').waitFor();
  await page.locator('#red-ui-loading-progress').waitFor({ state: 'hidden' });

  const center = async (locator) => {
    const { x, y, width, height } = await locator.boundingBox();
    return [x + width / 2, y + height / 2];
  };
  const drag = async ([fromX, fromY], [toX, toY]) => {
    await page.mouse.move(fromX, fromY);
    await page.mouse.down();
    await page.mouse.move((fromX + toX) / 2, (fromY + toY) / 2, { steps: 8 });
    await page.mouse.move(toX, toY, { steps: 8 });
    await page.mouse.up();
  };

  const editor = {
    page, faults, center,
    /** Drags a node from the palette to a place on the workspace, and gives it. */
    async add(type, x, y) {
      const before = new Set(await page.locator('g.red-ui-flow-node-group').evaluateAll((all) => all.map(({ id }) => id)));
      const node = page.locator(`.red-ui-palette-node[data-palette-type="${type}"]`);
      await node.scrollIntoViewIfNeeded();
      const chart = await page.locator('#red-ui-workspace-chart').boundingBox();
      await drag(await center(node), [chart.x + x, chart.y + y]);
      const ids = () => page.locator('g.red-ui-flow-node-group').evaluateAll((all) => all.map(({ id }) => id));
      let added;
      while (!added) added = (await ids()).find((id) => !before.has(id));
      return page.locator(`[id="${added}"]`);
    },
    /** Draws a wire from an output of a node to the input of another. */
    async wire(from, output, to) {
      await drag(
        await center(from.locator('.red-ui-flow-port-output .red-ui-flow-port').nth(output)),
        await center(to.locator('.red-ui-flow-port-input .red-ui-flow-port')),
      );
    },
    async open(node) {
      await page.mouse.dblclick(...(await center(node.locator('.red-ui-flow-node'))));
      await page.locator('#node-dialog-ok').waitFor();
      await settled();
    },
    /** Types into the field with the drop-down of types. */
    async operation(name) {
      await page.locator('.red-ui-typedInput-container .red-ui-typedInput-input').first().fill(name);
    },
    async done() {
      await page.locator('#node-dialog-ok').click();
      await page.locator('.red-ui-tray').waitFor({ state: 'detached' });
    },
    async deploy() {
      const button = page.locator('#red-ui-header-button-deploy');
      await button.click();
      await page.locator('#red-ui-header-button-deploy.disabled').waitFor();
    },
    /** Presses the button of an Inject node, when the shade of a deploy no longer lies over it. */
    async press(inject) {
      const [x, y] = await center(inject.locator('.red-ui-flow-node-button-button'));
      await page.waitForFunction(
        (at) => document.elementFromPoint(...at)?.classList.contains('red-ui-flow-node-button-button'), [x, y]);
      await page.mouse.click(x, y);
    },
    async sidebar(tab) {
      await page.evaluate((id) => RED.sidebar.show(id), tab);
    },
    async shot(name) {
      if (!process.env.SCREENSHOTS) return;
      await page.locator('.red-ui-notification').evaluateAll((all) => all.forEach((element) => element.remove()));
      await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
    },
  };
  /** A tray slides in: it is there when it no longer moves. */
  async function settled() {
    const tray = page.locator('.red-ui-tray').last();
    let before;
    for (;;) {
      const { x } = await tray.boundingBox();
      if (x === before) return;
      before = x;
      await page.evaluate(() => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next))));
    }
  }
  editor.settled = settled;
  return editor;
}

module.exports = { openEditor };

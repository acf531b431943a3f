// The status page in a browser: accessible, readable at each width and theme, and inert. Usage: node test.mjs <folder of pages> <folder of pictures>.
// HUBKEEPER_CHROMIUM names the browser; HUBKEEPER_RENEW_PICTURES=1 rewrites docs/pictures/status.png.
import { createHash } from "node:crypto";
import { readFile, readdir, mkdir, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [pages, pictures] = process.argv.slice(2);
const here = import.meta.dirname;
// the modules are in the folder of the tools, from which run.sh starts this file
const tools = createRequire(path.join(process.cwd(), "package.json"));
const puppeteer = tools("puppeteer-core");
const axe = await readFile(tools.resolve("axe-core/axe.min.js"), "utf8");

const PICTURE = path.join(here, "../../docs/pictures/status.png");
const DIGEST = path.join(here, "picture.sha256");
const LARGEST = 150_000;

let passed = 0;
const failures = [];
async function test(name, run) {
    try {
        await run();
        passed += 1;
    } catch (error) {
        failures.push(`${name}: ${error.message}`);
    }
}
function equal(found, wanted, what) {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) {
        throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
    }
}

// CloudWatch puts the HTML into the dashboard, and turns each action into a click on the element before it
function dashboard(html) {
    return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>dashboard</title><style>cwdb-action{display:none}</style></head><body style="margin:0"><main><h1>dashboard</h1>${html}</main></body></html>`;
}

// the sandbox of chromium needs rights that containers do not give; it opens files of this repository alone
const browser = await puppeteer.launch({
    executablePath: process.env.HUBKEEPER_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--font-render-hinting=none", "--hide-scrollbars"],
});
const requests = [];

async function open(name, { width = 1600, dark = false } = {}) {
    const page = await browser.newPage();
    page.on("request", (request) => requests.push(request.url()));
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
    const html = await readFile(path.join(pages, name), "utf8");
    if (name.startsWith("file-")) {
        await page.goto(pathToFileURL(path.join(pages, name)).href);
    } else {
        await page.setContent(dashboard(html));
    }
    return page;
}

async function accessible(page) {
    await page.evaluate(axe);
    const found = await page.evaluate(async () => {
        const { violations } = await globalThis.axe.run(document);
        return violations.map((rule) => `${rule.id}: ${rule.help} (${rule.nodes[0].html.slice(0, 120)})`);
    });
    equal(found, [], "axe");
}

async function fits(page, width) {
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > width) {
        throw new Error(`the page is ${wide} pixels wide`);
    }
}

const shown = (page) =>
    page.$$eval("tbody tr", (rows) => rows.filter((row) => row.getClientRects().length > 0).length);

await mkdir(pictures, { recursive: true });
for (const name of (await readdir(pages)).filter((name) => name.endsWith(".html")).sort()) {
    for (const width of [400, 1600]) {
        for (const dark of name.startsWith("file-") ? [false, true] : [name.endsWith("-dark.html")]) {
            const title = `${path.parse(name).name}-${width}${dark ? "-dark" : ""}`;
            const page = await open(name, { width, dark });
            await page.screenshot({ path: path.join(pictures, `${title}.png`), fullPage: !name.includes("fleet") });
            // the rows of a fleet are alike, and axe takes seconds for 300 of them
            if (!name.includes("fleet") || (width === 1600 && !dark)) {
                await test(`${title} is accessible`, () => accessible(page));
            }
            await test(`${title} fits`, () => fits(page, width));
            await page.close();
        }
    }
}

await test("a name is text", async () => {
    for (const name of ["widget-hostile.html", "file-hostile.html", "widget-filtered.html"]) {
        const page = await open(name);
        const found = await page.evaluate(() => [
            globalThis.ran === undefined,
            document.querySelectorAll("main script, main img").length,
            document.querySelector("tbody th").textContent,
        ]);
        equal(found, [true, 0, `<script>window.ran = true</script><img src=x onerror="window.ran = true">"'`], name);
        await page.close();
    }
});

await test("a fleet has a row for each organization, with state, bar and number", async () => {
    const page = await open("widget-fleet.html");
    equal(await shown(page), 300, "rows");
    const row = await page.$eval("tbody tr:last-child", (row) => [
        row.querySelector("td:nth-child(2)").textContent,
        row.querySelector("td:nth-child(3)").textContent,
        row.querySelector("i").getBoundingClientRect().width,
    ]);
    equal(row, ["✓ ready", "85", 56], "the last row");
    const actions = await page.$$eval("cwdb-action", (actions) => actions.map((action) => JSON.parse(action.textContent)));
    equal(actions.map((action) => action.next === null), [true, true, false], "the buttons");
    await page.close();
});

await test("a file shows one state alone, by keyboard and without a script", async () => {
    const page = await open("file-fleet.html");
    await page.setJavaScriptEnabled(false);
    equal(await shown(page), 300, "all");
    await page.focus("fieldset input");
    await page.keyboard.press("ArrowDown");
    equal(await shown(page), 1, "expired");
    await page.keyboard.press("ArrowDown");
    equal(await shown(page), 4, "drifted");
    await page.close();
});

await test("themes differ", async () => {
    const colour = (page) => page.$eval(".hk", (page) => getComputedStyle(page).backgroundColor);
    const found = [];
    for (const [name, dark] of [["widget-states.html", false], ["widget-states-dark.html", false], ["file-states.html", false], ["file-states.html", true]]) {
        const page = await open(name, { dark });
        found.push(await colour(page));
        await page.close();
    }
    equal(found, ["rgb(255, 255, 255)", "rgb(15, 27, 42)", "rgb(255, 255, 255)", "rgb(15, 27, 42)"], "backgrounds");
});

await test("a page requests nothing", async () => {
    const others = requests.filter((url) => !url.startsWith(pathToFileURL(path.resolve(pages)).href) && url !== "about:blank");
    equal(others, [], "requests");
});

// Fonts differ between machines, so the test does not compare pixels: it compares the HTML that the committed picture was made of.
await test("docs/pictures/status.png shows the page as it is", async () => {
    const html = await readFile(path.join(pages, "file-states.html"), "utf8");
    const digest = createHash("sha256").update(html).digest("hex");
    if (process.env.HUBKEEPER_RENEW_PICTURES) {
        const page = await open("file-states.html", { width: 1280 });
        const height = await page.$eval("tbody tr:nth-child(6)", (row) => Math.ceil(row.getBoundingClientRect().bottom));
        await page.screenshot({ path: PICTURE, clip: { x: 0, y: 0, width: 1280, height } });
        await page.close();
        await writeFile(DIGEST, `${digest}\n`);
    }
    const kept = (await readFile(DIGEST, "utf8")).trim();
    if (kept !== digest) {
        throw new Error("the picture is out of date: run `make page RENEW=1`, look at it, and commit it with tests/page/picture.sha256");
    }
    const { size } = await stat(PICTURE);
    if (size > LARGEST) {
        throw new Error(`${size} bytes are more than ${LARGEST}`);
    }
});

await browser.close();
for (const failure of failures) {
    console.error(`FAILED ${failure}`);
}
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;

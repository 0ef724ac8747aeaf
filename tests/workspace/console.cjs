// Drives the console in headless Chromium: the life of a token, and every trap of pages with secrets.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { spawn } = require("node:child_process");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { Workspace } = require("./workspace.cjs");

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP workspace.test 127.0.0.1"];
const shots = process.argv[2];
const only = process.argv[3];
const HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe & \"quotes\" '";

let passed = 0;
const failures = [];
/** The tests of pages alone, whatever the store. */
const PAGES = [/secure context/, /clipboard falls back/, /cross-site POST/, /load nothing inline/, /hostile texts/, /by keyboard/, /tree, and grants/, /320 px/, /reverse proxy/];
const test = async (name, run) => {
  if (only && !name.includes(only)) return;
  if (process.env.CONSOLE_POSTGRES && PAGES.some((page) => page.test(name))) return;
  try {
    await run();
    passed++;
  } catch (error) {
    failures.push(name);
    console.error(`FAIL ${name}\n${error.stack}\n`);
  }
};

/** Fails if axe finds anything serious, if the page scrolls sideways, or if the browser reported an error. */
const sound = async (page, what) => {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return result.violations.map((it) => `${it.impact} ${it.id}: ${it.nodes.map((node) => node.target.join(" ")).join("; ")}`);
  });
  assert.deepEqual(found, [], `${what}: accessibility`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${what}: scrolls sideways by ${wide} px`);
  assert.deepEqual(page.problems, [], `${what}: messages of the browser`);
};

const TIMEOUT = 15000;
const context = async (browser, site, options = {}) => {
  // axe is injected by the test, so only tests without it see what the policy refuses.
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, colorScheme: "light", reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(TIMEOUT);
  watch(page);
  if (site.cookie) await context.addCookies([{ ...site.cookie }]);
  return page;
};
const watch = (page) => {
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error" && !/status of (4\d\d|503)/.test(message.text())) page.problems.push(message.text()); });
};

const fill = async (page, token) => {
  await page.fill("#name", token.name);
  for (const api of token.apis || ["maps"]) await page.check(`[name=api][value=${api}]`);
  for (const [index, [connection, kind, source]] of (token.grants || [["carto_dw", "name", "acme.shared.roads"]]).entries()) {
    if (index > 0) await page.click("[data-add]");
    await page.selectOption(`#grant-${index}-connection`, connection);
    await page.selectOption(`#grant-${index}-kind`, kind);
    if (kind !== "all") await page.fill(`#grant-${index}-source`, source);
  }
  if (token.referers) await page.fill("#referers", token.referers.join("\n"));
  if (token.expiration) await page.check(`[name=expiration][value="${token.expiration}"]`);
};
const valid = (page) => page.waitForFunction(() => document.querySelector("[data-status]").textContent === "The form is valid.");
const create = async (page, site, token) => {
  await page.goto(`${site.url}/credentials/tokens/new`);
  await fill(page, token);
  await valid(page);
  await page.click("[data-save]");
  await page.waitForSelector("#secret");
  const secret = await page.inputValue("#secret");
  const id = page.url().match(/tokens\/([^/]+)\/secret$/)[1];
  return { secret, id };
};
/** Sends a request as the session, without the browser. */
const send = (site, target, { method = "GET", body, headers = {} } = {}) => new Promise((resolve, reject) => {
  const url = new URL(site.url + target);
  const sent = { cookie: `${site.cookie.name}=${site.cookie.value}`, origin: url.origin, "content-type": "application/x-www-form-urlencoded", ...headers };
  for (const name of Object.keys(sent)) if (sent[name] === null) delete sent[name];
  const request = http.request(url, { method, headers: sent }, (response) => {
    let text = "";
    response.on("data", (data) => { text += data; });
    response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
  });
  request.on("error", reject);
  request.end(body);
});
const names = (site) => JSON.parse(site.workspace.run("credentials", "list", "tokens", "--format", "json"));

/** Waits until the sidecar beside the workspace decides a request with `secret` as expected. */
const obeys = async (site, secret, allow, request = {}) => {
  const body = JSON.stringify({ token: secret, api: "maps", connection: "carto_dw", resource: "acme.shared.roads", ...request });
  let decision;
  for (let attempt = 0; attempt < 500; attempt++) {
    const answer = await fetch(`${site.sidecar}/v1/decide`, { method: "POST", body, headers: { "content-type": "application/json" } });
    decision = await answer.json();
    if ((decision.decision === "allow") === allow) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`the sidecar should ${allow ? "allow" : "deny"} ${body.replace(secret, "…")}: ${JSON.stringify(decision)}`);
};

const main = async () => {
  const workspace = new Workspace();
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: ARGS });
  const proxies = [];
  try {
    workspace.sample();
    const site = { ...await workspace.serve("--catalog", "catalog.csv", "--user", "ana", "--allow-host", "workspace.test"), workspace };
    const [, sidecar] = await workspace.start(/(?:listen|http)\S*127\.0\.0\.1:(\d+)/, "serve", "--db", workspace.db, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0");
    site.sidecar = `http://127.0.0.1:${sidecar}`;

    await test("a login link signs in once, and nobody else sees anything", async () => {
      const page = await context(browser, site);
      await page.goto(`${site.url}/`);
      await sound(page, "signed out");
      for (const closed of ["/credentials/tokens", "/credentials/tokens/new", "/connections", "/catalog", "/trail", "/report"]) {
        assert.equal((await page.goto(site.url + closed)).status(), 401, closed);
      }
      assert.equal((await fetch(site.link, { method: "HEAD" })).status, 200);
      await page.goto(site.link);
      await page.waitForSelector("text=No tokens yet");
      await sound(page, "empty list");
      const cookie = (await page.context().cookies()).find((it) => it.name === "portcullis");
      assert.ok(cookie.httpOnly && cookie.sameSite === "Strict");
      site.cookie = cookie;
      const again = await context(browser, { ...site, cookie: undefined });
      assert.equal((await again.goto(site.link)).status(), 403);
      await sound(again, "used link");
    });
    if (!site.cookie) {
      const page = await context(browser, site);
      await page.goto(site.link);
      site.cookie = (await page.context().cookies()).find((it) => it.name === "portcullis");
    }

    const page = await context(browser, site, { permissions: ["clipboard-read", "clipboard-write"] });
    let token;

    await test("the wizard is invalid until the engine accepts it, and names problems beside their fields", async () => {
      await page.goto(`${site.url}/credentials/tokens/new`);
      await page.waitForFunction(() => document.querySelector("[data-save]").disabled);
      assert.equal(await page.locator(".field-error:visible").count(), 0, "fields that were not reached have no error");
      await page.fill("#name", "web map");
      await page.check("[name=api][value=maps]");
      await page.fill("#grant-0-source", "acme..roads");
      await page.locator("#referers").focus();
      await page.waitForSelector("#grant-0-error:visible");
      assert.equal(await page.getAttribute("#grant-0-source", "aria-invalid"), "true");
      const problem = page.locator("#grant-0-error");
      assert.ok(await problem.locator("code").count() > 0 && !(await problem.textContent()).includes("`"), await problem.innerHTML());
      assert.ok(await page.isDisabled("[data-save]"));
      await page.fill("#grant-0-source", "acme.shared.roads*");
      await valid(page);
      assert.ok(await page.isEnabled("[data-save]"));
      await page.waitForSelector("text=2 of 418 names on carto_dw");
      await page.waitForSelector("#reads-tomorrow ~ ul code");
      await sound(page, "wizard");
      await page.check("[name=api][value=imports]");
      assert.deepEqual(await page.locator("[name=api]:checked").evaluateAll((all) => all.map((it) => it.value)), ["imports"]);
      await page.check("[name=api][value=maps]");
      assert.deepEqual(await page.locator("[name=api]:checked").evaluateAll((all) => all.map((it) => it.value)), ["maps"]);
    });

    await test("try it decides a request with near misses", async () => {
      await page.fill("#try-source", "acme.shared.stores");
      await page.waitForSelector("#decision .badge.deny");
      await page.waitForSelector("#decision >> text=source_not_granted");
      assert.ok(!(await page.locator("#decision").textContent()).includes("`"), await page.locator("#decision").innerHTML());
      await page.fill("#try-source", "acme.shared.roads_2025");
      await page.waitForSelector("#decision .badge.allow");
    });

    await test("the created secret is shown once, copied, and gone after reload, back and forward", async () => {
      const stored = [];
      page.on("response", (response) => stored.push(response));
      token = await create(page, site, { name: "web map", grants: [["carto_dw", "name", "acme.shared.roads*"]], referers: ["https://*.example.com"] });
      assert.match(token.secret, /^pcl_tk_/);
      await obeys(site, token.secret, true, { referer: "https://a.example.com/" });
      await obeys(site, token.secret, false, { referer: "https://a.example.com/", resource: "acme.hr.roads" });
      await sound(page, "secret");
      await page.click("[data-copy]");
      await page.waitForSelector("text=Copied.");
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), token.secret);
      const bodies = await Promise.all(stored.map((response) => response.text().catch(() => "")));
      const with_secret = stored.filter((_, index) => bodies[index].includes(token.secret));
      assert.equal(with_secret.length, 1, "one answer has the secret");
      assert.equal(with_secret[0].headers()["cache-control"], "no-store");
      const left = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, history.state]));
      assert.ok(!left.includes(token.secret));
      const secret_page = page.url();
      for (const move of [() => page.reload(), () => page.goto(`${site.url}/trail`), () => page.goBack(), () => page.goForward(), () => page.goBack(), () => page.goto(secret_page)]) {
        await move();
        assert.ok(!(await page.content()).includes(token.secret), "the secret is shown again");
        assert.ok(!(await page.locator("input").evaluateAll((all) => all.map((it) => it.value).join(" "))).includes(token.secret));
      }
      await page.goto(secret_page);
      await page.waitForSelector("text=The secret is not shown again");
      const files = fs.readdirSync(workspace.folder).map((file) => fs.readFileSync(path.join(workspace.folder, file), "latin1"));
      assert.ok(!files.some((file) => file.includes(token.secret)), "a database file holds the secret");
    });

    await test("HEAD and another user's cookie do not use the secret up", async () => {
      await page.goto(`${site.url}/credentials/tokens/new`);
      const key = await page.inputValue("[name=key]");
      const body = new URLSearchParams([["key", key], ["name", "head"], ["api", "lds"], ["expiration", "1d"], ["action", "save"]]).toString();
      const made = await send(site, "/credentials/tokens/new", { method: "POST", body });
      assert.equal(made.status, 303, made.text);
      const target = made.headers.location.replace(new URL(site.url).pathname.replace(/\/$/, ""), "");
      const cookie = `${site.cookie.name}=${site.cookie.value}; portcullis-once=${key}`;
      assert.ok(!(await send(site, target, { method: "HEAD", headers: { cookie } })).text.includes("pcl_tk_"));
      assert.ok((await send(site, target, { headers: { cookie } })).text.includes("pcl_tk_"));
      assert.ok(!(await send(site, target, { headers: { cookie } })).text.includes("pcl_tk_"));
      assert.equal((await send(site, "/credentials/tokens/new", { method: "POST", body: body.replace("head", "other") })).status, 400, "another form with this key");
    });

    await test("a double click makes one token and shows its secret", async () => {
      await page.goto(`${site.url}/credentials/tokens/new`);
      await fill(page, { name: "twice" });
      await valid(page);
      await page.dblclick("[data-save]");
      await page.waitForSelector("#secret");
      const key = "k".repeat(32);
      const body = new URLSearchParams([["key", key], ["name", "parallel"], ["api", "lds"], ["expiration", "1d"], ["action", "save"]]).toString();
      const answers = await Promise.all(Array.from({ length: 20 }, () => send(site, "/credentials/tokens/new", { method: "POST", body })));
      assert.deepEqual([...new Set(answers.map((it) => `${it.status} ${it.headers.location}`))].length, 1);
      assert.equal(answers[0].status, 303);
      const list = names(site);
      assert.equal(list.filter((it) => it.name === "twice").length, 1);
      assert.equal(list.filter((it) => it.name === "parallel").length, 1);
    });

    await test("without a secure context, copy selects the secret and claims nothing", async () => {
      const port = new URL(site.url).port;
      const plain = await context(browser, { ...site, cookie: { ...site.cookie, domain: "workspace.test" } });
      const made = await create(plain, { url: `http://workspace.test:${port}` }, { name: "insecure" });
      assert.ok(!await plain.evaluate(() => window.isSecureContext));
      await plain.click("[data-copy]");
      await plain.waitForSelector("text=Selected. Press Ctrl+C");
      assert.equal(await plain.evaluate(() => { const it = document.activeElement; return it.value.slice(it.selectionStart, it.selectionEnd); }), made.secret);
      assert.equal(await plain.locator("text=Copied.").count(), 0);
    });

    await test("a refused clipboard falls back, and success is shown only after it happened", async () => {
      const refused = await context(browser, site);
      await refused.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: { writeText: () => Promise.reject(new Error("no")) } }));
      await create(refused, site, { name: "refused" });
      await refused.click("[data-copy]");
      await refused.waitForSelector("text=Selected. Press");
      assert.equal(await refused.locator("text=Copied.").count(), 0);
    });

    await test("the list shows grants in words, badges and both times; it searches, filters and pages", async () => {
      await create(page, site, { name: "everything", grants: [["operations", "all", ""]], expiration: "never" });
      await create(page, site, { name: "stored query", apis: ["sql"], grants: [["operations", "named_source", "top-stores"], ["carto_dw", "query", "SELECT *\nFROM acme.hr.customers -- all"]], expiration: "1d" });
      await page.goto(`${site.url}/credentials/tokens`);
      const text = await page.innerText("table.list");
      for (const part of ["web map", "names like acme.shared.roads*", "every source", "named source top-stores", "Never expires", "Expires soon", "https://*.example.com"]) assert.ok(text.includes(part), `${part} in ${text}`);
      assert.match(text, /in (1 day|23 hours)/);
      assert.match(await page.getAttribute("tr:has-text('stored query') time", "datetime"), /^\d{4}-\d\d-\d\dT/);
      await sound(page, "list");
      await page.fill("#search", "everyth");
      await page.press("#search", "Enter");
      assert.equal(await page.locator("tbody tr").count(), 1);
      await page.goto(`${site.url}/credentials/tokens?api=sql`);
      assert.deepEqual(await page.locator("tbody th a").allInnerTexts(), ["stored query"]);
      await page.goto(`${site.url}/credentials/tokens?search=nothing-has-this`);
      await page.waitForSelector("text=No token matches");
      for (let number = 0; number < 30; number++) workspace.run("credentials", "create", "token", "--name", `bulk ${number}`, "--apis", "lds");
      const seen = new Set();
      await page.goto(`${site.url}/credentials/tokens?order=name`);
      for (;;) {
        for (const name of await page.locator("tbody th a").allInnerTexts()) { assert.ok(!seen.has(name), name); seen.add(name); }
        if (await page.locator("a[rel=next]").count() === 0) break;
        await page.click("a[rel=next]");
      }
      assert.equal(seen.size, names(site).length);
      assert.equal((await page.goto(`${site.url}/credentials/tokens?cursor=broken`)).status(), 400);
      await sound(page, "wrong cursor");
    });

    await test("an edit that widens shows the new access with a witness, and asks", async () => {
      await page.goto(`${site.url}/credentials/tokens/${token.id}/edit`);
      await page.fill("#grant-0-source", "acme.*.roads*");
      await valid(page);
      await page.click("[data-save]");
      await page.waitForSelector("text=This edit widens access");
      const notice = await page.innerText(".notice.warning");
      assert.ok(/acme\.\*\.roads\*/.test(notice) && /was denied and would be allowed/.test(notice), notice);
      await sound(page, "widening");
      assert.equal(names(site).find((it) => it.id === token.id).grants[0].source, "acme.shared.roads*", "nothing is saved yet");
      await page.fill("#grant-0-source", "acme.*.*");
      await page.click("[name=accepts]");
      await page.waitForSelector("text=This edit widens access");
      assert.equal(names(site).find((it) => it.id === token.id).grants[0].source, "acme.shared.roads*", "another edit is accepted on its own");
      await page.click("[name=accepts]");
      await page.waitForSelector("h2:text('Access')");
      assert.equal(names(site).find((it) => it.id === token.id).grants[0].source, "acme.*.*");
      await obeys(site, token.secret, true, { referer: "https://a.example.com/", resource: "acme.hr.roads" });
      await obeys(site, token.secret, false, { referer: "https://new.example.org/" });
    });

    await test("an edit that narrows is saved at once; SQL keeps its lines; the expiry stays", async () => {
      const before = names(site).find((it) => it.name === "stored query");
      await page.goto(`${site.url}/credentials/tokens/${before.id}/edit`);
      await page.fill("#name", "stored query 2");
      await valid(page);
      await page.click("[data-save]");
      await page.waitForSelector("h1:text('stored query 2')");
      const after = names(site).find((it) => it.id === before.id);
      assert.deepEqual({ ...after, name: before.name }, before);
      const body = new URLSearchParams([["version", "x"], ["expiration", "never"], ["name", "n"]]).toString();
      await send(site, `/credentials/tokens/${before.id}/edit`, { method: "POST", body });
      assert.equal(names(site).find((it) => it.id === before.id).expiration_date, before.expiration_date);
    });

    await test("removing the last referer needs the box and the confirmation", async () => {
      await page.goto(`${site.url}/credentials/tokens/${token.id}/edit`);
      await page.fill("#referers", "");
      await page.locator("#name").focus();
      await page.waitForSelector("#referers-error:visible");
      assert.ok(await page.isDisabled("[data-save]"));
      await page.check("[name=any_referer]");
      await valid(page);
      await page.click("[data-save]");
      await page.waitForSelector("text=Every web page, and programs without a referer");
      assert.deepEqual(names(site).find((it) => it.id === token.id).referers, ["https://*.example.com"]);
    });

    await test("two tabs that edit get a page that merges, and nothing is overwritten", async () => {
      const other = await context(browser, site);
      const target = `${site.url}/credentials/tokens/${token.id}/edit`;
      await page.goto(target);
      await other.goto(target);
      await other.fill("#name", "renamed by the other tab");
      await valid(other);
      await other.click("[data-save]");
      await other.waitForSelector("h1:text('renamed by the other tab')");
      await page.fill("#referers", "https://*.example.com\nhttps://new.example.org");
      await page.waitForTimeout(600);
      await page.click("[data-save]");
      await page.waitForSelector("text=Somebody else changed this token");
      await sound(page, "merge");
      assert.equal(await page.inputValue("#name"), "renamed by the other tab");
      assert.ok((await page.inputValue("#referers")).includes("new.example.org"));
      assert.deepEqual(names(site).find((it) => it.id === token.id).referers, ["https://*.example.com"]);
      await valid(page);
      await page.click("[data-save]");
      await page.click("[name=accepts]");
      await page.waitForSelector("h1:text('renamed by the other tab')");
      assert.deepEqual(names(site).find((it) => it.id === token.id).referers, ["https://*.example.com", "https://new.example.org"]);
      await obeys(site, token.secret, true, { referer: "https://new.example.org/" });
    });

    await test("rotation shows a new secret once; the token's page shows use, access and changes", async () => {
      await page.goto(`${site.url}/credentials/tokens/${token.id}/rotate`);
      await sound(page, "rotate");
      await page.check("[name=overlap][value='1d']");
      await page.click("text=Rotate >> visible=true >> nth=-1");
      await page.waitForSelector("#secret");
      const secret = await page.inputValue("#secret");
      assert.ok(secret.startsWith("pcl_tk_") && secret !== token.secret);
      for (const valid of [secret, token.secret]) await obeys(site, valid, true, { referer: "https://a.example.com/" });
      await page.reload();
      assert.ok(!(await page.content()).includes(secret));
      await page.goto(`${site.url}/credentials/tokens/${token.id}`);
      await page.waitForSelector("text=rotate");
      await sound(page, "token");
      await page.fill("#try-source", "other.place.name");
      await page.click("button:text('Try')");
      await page.waitForSelector("#decision .badge.deny");
      await sound(page, "tried");
    });

    await test("a cross-site POST is refused with 403", async () => {
      const body = new URLSearchParams([["key", "c".repeat(32)], ["name", "forged"], ["api", "lds"], ["expiration", "1d"]]).toString();
      for (const headers of [{ origin: "https://evil.example" }, { origin: "null" }, { origin: null }]) {
        for (const target of ["/credentials/tokens/new", "/credentials/tokens/new/preview", `/credentials/tokens/${token.id}/delete`, `/credentials/tokens/${token.id}/edit`, `/credentials/tokens/${token.id}/rotate`, "/logout"]) {
          assert.equal((await send(site, target, { method: "POST", body, headers })).status, 403, `${target} ${headers.origin}`);
        }
      }
      assert.ok(!names(site).some((it) => it.name === "forged"));
      const secret = `/credentials/tokens?search=${token.secret}`;
      assert.equal((await send(site, secret)).status, 400, "a secret in a URL");
    });

    await test("pages load nothing inline or from elsewhere, and frames are refused", async () => {
      for (const target of ["/", "/credentials/tokens", "/credentials/tokens/new", `/credentials/tokens/${token.id}`, "/connections", "/catalog", "/nothing"]) {
        const answer = await send(site, target);
        const policy = answer.headers["content-security-policy"];
        assert.ok(policy && !policy.includes("unsafe") && (policy.includes("frame-ancestors 'none'")), `${target}: ${policy}`);
        assert.ok(!/<style|<script(?! src=)|\son\w+=|style=/i.test(answer.text), target);
        if (target !== "/nothing") assert.equal(answer.headers["cache-control"], "no-store", target);
      }
      const style = (await send(site, "/credentials/tokens")).text.match(/href="([^"]+\.css)"/)[1];
      assert.match((await send({ ...site, url: new URL(site.url).origin }, style)).headers["cache-control"], /immutable/);
      assert.equal((await send(site, "/assets/console-0000000000000000.css")).status, 404);
    });

    await test("hostile texts are text", async () => {
      const long = `SELECT '${"x".repeat(10_000)}' AS a FROM acme.hr.customers`;
      // Names have no characters that readers do not see; queries may have them.
      const name = HOSTILE.replaceAll("\u202e", "");
      await create(page, site, { name, apis: ["sql"], grants: [["carto_dw", "query", `SELECT 1 -- ${HOSTILE}`], ["carto_dw", "query", long]] });
      const made = names(site).find((it) => it.name === name);
      let dialogs = 0;
      page.on("dialog", (dialog) => { dialogs++; return dialog.dismiss(); });
      for (const target of ["/credentials/tokens", `/credentials/tokens/${made.id}`, `/credentials/tokens/${made.id}/edit`, `/credentials/tokens/${made.id}/rotate`, `/credentials/tokens/${made.id}/delete`, "/trail", "/report"]) {
        await page.goto(site.url + target);
        const shown = await page.evaluate(() => document.body.innerText);
        assert.ok(!shown.includes("\u202e"), `${target}: an override is shown`);
        assert.equal(await page.locator("img").count(), 0, target);
        await sound(page, target);
      }
      assert.equal(dialogs, 0);
      await page.goto(`${site.url}/credentials/tokens/${made.id}/edit`);
      assert.equal(await page.inputValue("#name"), name, "an edit keeps the text");
    });

    await test("everything works by keyboard, and focus moves to the first error", async () => {
      await page.goto(`${site.url}/credentials/tokens/new`);
      await page.waitForFunction(() => document.querySelector("[data-save]").disabled);
      const press = async (key, times = 1) => { for (let time = 0; time < times; time++) await page.keyboard.press(key); };
      const at = () => page.evaluate(() => (({ id, tagName, name, textContent }) => id || (["A", "BUTTON"].includes(tagName) ? textContent.trim() : name))(document.activeElement));
      const walk = async (goal, key = "Tab") => {
        for (let step = 0; step < 60; step++) { if (await at() === goal) return; await press(key); }
        assert.fail(`${goal} is not reached by ${key}, at ${await at()}`);
      };
      await walk("name");
      await page.keyboard.type("by keyboard");
      await walk("api");
      await page.keyboard.press("Space");
      await walk("grant-0-source");
      await page.keyboard.type("acme.shared.");
      await walk("Browse");
      await press("Enter");
      await page.waitForSelector("dialog[open]");
      assert.equal(await at(), "picker-text");
      await page.waitForSelector("dialog li");
      await sound(page, "picker");
      await page.keyboard.type("acme.shared.stor");
      await page.waitForFunction(() => document.querySelectorAll("dialog li").length === 1);
      await press("ArrowDown");
      await press("Enter");
      assert.equal(await page.inputValue("#grant-0-source"), "acme.shared.stores");
      assert.equal(await at(), "grant-0-source");
      await valid(page);
      await walk("Create token");
      await press("Enter");
      await page.waitForSelector("#secret");
      // Without the script's check, the answer of the server has the errors.
      const bare = await context(browser, site, { javaScriptEnabled: true });
      await bare.route("**/preview", (route) => route.abort());
      await bare.goto(`${site.url}/credentials/tokens/new`);
      await bare.fill("#name", "broken");
      await bare.fill("#grant-0-source", "acme..roads");
      await bare.click("[data-save]");
      await bare.waitForSelector("#grant-0-error:visible");
      await bare.waitForFunction(() => document.activeElement.matches("[aria-invalid=true]"));
    });

    await test("the picker has a tree, and grants every name of a schema", async () => {
      await page.goto(`${site.url}/credentials/tokens/new`);
      await page.click("[data-pick]");
      await page.click("dialog button:text-is('acme.')");
      await page.click("dialog button:text-is('sales.')");
      await page.waitForSelector("dialog button:text-is('visits')");
      await page.click("dialog [data-every]");
      assert.equal(await page.inputValue("#grant-0-source"), "acme.sales.*");
      await page.goto(`${site.url}/catalog?connection=carto_dw&path=acme.`);
      await page.click("text=tiles");
      await page.click("text=More");
      await sound(page, "catalog");
      await page.goto(`${site.url}/connections`);
      await page.waitForSelector("text=418 names");
      await sound(page, "connections");
    });

    await test("list, create, edit and delete work without JavaScript", async () => {
      const plain = await context(browser, site, { javaScriptEnabled: false });
      await plain.goto(`${site.url}/credentials/tokens`);
      await plain.click("text=Create token");
      await plain.fill("#name", "no script");
      await plain.click("text=Add a grant");
      assert.equal(await plain.inputValue("#name"), "no script");
      await plain.click("[name=remove][value='1']");
      await plain.click("[data-save]");
      assert.ok(await plain.locator("#apis-error").isVisible());
      await plain.check("[name=api][value=maps]");
      await plain.fill("#grant-0-source", "acme.hr.*");
      await plain.fill("#try-source", "acme.hr.visits");
      await plain.click("[data-check]");
      assert.ok((await plain.innerText("main")).includes("6 of 418 names on carto_dw"));
      assert.ok(await plain.locator("#decision .badge.allow").isVisible());
      await plain.click("[data-save]");
      assert.match(await plain.inputValue("#secret"), /^pcl_tk_/);
      await plain.click("text=Done");
      await plain.click("text=Edit");
      await plain.fill("#name", "no script 2");
      await plain.click("[data-save]");
      await plain.click("a:text-is('Delete')");
      await plain.click("button:text('Delete token')");
      assert.ok(!names(site).some((it) => it.name.startsWith("no script")));
    });

    await test("named sources are created, edited by two tabs, and deleted", async () => {
      await page.goto(`${site.url}/sources/new`);
      await page.fill("#name", "Not A Name");
      await page.fill("#query", "SELECT 1");
      await page.click("button:text('Save')");
      await page.waitForSelector("#name-error:visible");
      await sound(page, "invalid named source");
      await page.fill("#name", "all-visits");
      await page.fill("#query", "SELECT *\nFROM acme.hr.visits");
      await page.click("button:text('Save')");
      await page.waitForSelector("table >> text=all-visits");
      await sound(page, "named sources");
      const other = await context(browser, site);
      await page.goto(`${site.url}/sources/all-visits/edit`);
      await other.goto(`${site.url}/sources/all-visits/edit`);
      await other.fill("#query", "SELECT 2");
      await other.click("button:text('Save')");
      await other.waitForURL(/sources$/);
      await page.fill("#query", "SELECT 3");
      await page.click("button:text('Save')");
      await page.waitForSelector("text=Somebody else saved this named source meanwhile");
      assert.ok(workspace.run("named-sources", "get", "all-visits").includes("SELECT 2"), "nothing is overwritten");
      await sound(page, "stale named source");
      await page.goto(`${site.url}/sources/top-stores/delete`);
      await page.click("button:text('Delete named source')");
      await page.waitForSelector("text=Remove these grants first");
      await page.goto(`${site.url}/sources/all-visits/delete`);
      await sound(page, "delete named source");
      await page.click("button:text('Delete named source')");
      await page.waitForURL(/sources$/);
      assert.equal(await page.locator("text=all-visits").count(), 0);
      // A token may use a named source that was created here.
      await page.goto(`${site.url}/sources/new`);
      await page.fill("#name", "some-visits");
      await page.fill("#query", "SELECT 4");
      await page.click("button:text('Save')");
      await page.waitForSelector("table >> text=some-visits");
      const reader = await create(page, site, { name: "visits", apis: ["sql"], grants: [["carto_dw", "named_source", "some-visits"]] });
      await obeys(site, reader.secret, true, { api: "sql", resource: undefined, named_source: "some-visits" });
      await obeys(site, reader.secret, false, { api: "sql", resource: undefined, named_source: "all-visits" });
    });

    await test("a machine client is created and rotated with its secret shown once, edited and deleted", async () => {
      await page.goto(`${site.url}/credentials/m2m/new`);
      await page.fill("#title", "Deploy");
      await page.uncheck("[name=scope][value='read:trail']");
      await page.click("button:text('Create client')");
      const secret = await page.inputValue("#secret");
      assert.match(secret, /^pcl_/);
      await sound(page, "client secret");
      const id = page.url().match(/m2m\/([^/]+)\/secret/)[1];
      const asked = await fetch(`${site.url}/oauth/token`, { method: "POST", body: new URLSearchParams({ grant_type: "client_credentials", client_id: id, client_secret: secret }) });
      assert.equal(asked.status, 200);
      assert.ok(!(await asked.json()).scope.includes("read:trail"));
      await page.reload();
      assert.ok(!(await page.content()).includes(secret));
      await page.goto(`${site.url}/credentials/m2m/${id}/rotate`);
      await sound(page, "rotate client");
      await page.click("button:text('Rotate')");
      const rotated = await page.inputValue("#secret");
      assert.notEqual(rotated, secret);
      const old = await fetch(`${site.url}/oauth/token`, { method: "POST", body: new URLSearchParams({ grant_type: "client_credentials", client_id: id, client_secret: secret }) });
      assert.equal(old.status, 401);
      await page.goto(`${site.url}/credentials/m2m/${id}/edit`);
      await page.fill("#title", "Deploy 2");
      await page.click("button:text('Save')");
      await page.waitForSelector("table >> text=Deploy 2");
      await sound(page, "machines");
      const stale = await send(site, `/credentials/m2m/${id}/edit`, { method: "POST", body: "version=old&title=Overwritten" });
      assert.equal(stale.status, 412);
      assert.ok(stale.text.includes("Somebody else changed this client"));
      await page.goto(`${site.url}/credentials/m2m/${id}/delete`);
      await sound(page, "delete client");
      await page.click("button:text('Delete client')");
      await page.waitForSelector("text=No clients yet");
    });

    await test("the sidecar obeys what happens to a machine client", async () => {
      const created = JSON.parse(workspace.run("credentials", "create", "m2m", "--title", "Reader", "--apis", "maps", "--grant", "carto_dw,acme.shared.*", "--format", "json"));
      const access = async (secret) => {
        const body = new URLSearchParams({ grant_type: "client_credentials", client_id: created.client_id, client_secret: secret });
        return (await (await fetch(`${site.url}/oauth/token`, { method: "POST", body })).json()).access_token;
      };
      const first = await access(created.client_secret);
      await obeys(site, first, true);
      await obeys(site, first, false, { resource: "acme.hr.roads" });
      await page.goto(`${site.url}/credentials/m2m/${created.client_id}/rotate`);
      await page.click("button:text('Rotate')");
      const second = await access(await page.inputValue("#secret"));
      await obeys(site, first, false);
      await obeys(site, second, true);
      await page.goto(`${site.url}/credentials/m2m/${created.client_id}/delete`);
      await page.click("button:text('Delete client')");
      await page.waitForURL(/m2m$/);
      await obeys(site, second, false);
    });

    await test("a single-page application has exact URLs and no secret", async () => {
      await page.goto(`${site.url}/credentials/spa/new`);
      await page.fill("#title", "Atlas");
      await page.fill("#callbacks", "http://evil.example/");
      await page.click("button:text('Create client')");
      await page.waitForSelector(".notice.error");
      await sound(page, "invalid application");
      await page.fill("#callbacks", "https://app.example.com/callback\nhttps://app.example.com/silent");
      await page.fill("#web_origins", "https://app.example.com");
      await page.click("button:text('Create client')");
      await page.waitForSelector("text=has no secret");
      const [client] = JSON.parse(workspace.run("credentials", "list", "spa", "--format", "json"));
      assert.deepEqual(client.callbacks, ["https://app.example.com/callback", "https://app.example.com/silent"]);
      await page.goto(`${site.url}/credentials/spa/${client.client_id}/edit`);
      await page.fill("#callbacks", "https://app.example.com/callback");
      await page.click("button:text('Save')");
      await page.waitForURL(/spa$/);
      assert.deepEqual(JSON.parse(workspace.run("credentials", "list", "spa", "--format", "json"))[0].callbacks, ["https://app.example.com/callback"]);
      await sound(page, "applications");
    });

    await test("the trail names who changed what and how, and the report is in a frame", async () => {
      await page.goto(`${site.url}/trail?id=${token.id}`);
      const trail = await page.innerText(".trail");
      for (const part of ["ana changed token", "rotated the secret of", "console", "acme.shared.roads* on carto_dw", "https://new.example.org"]) assert.ok(trail.includes(part), `${part} in ${trail}`);
      assert.ok(!trail.includes("pcl_tk_"));
      await page.goto(`${site.url}/trail`);
      await page.click("a[rel=next]");
      await sound(page, "trail");
      await page.goto(`${site.url}/report`);
      const frame = page.frameLocator("iframe");
      await frame.locator("h1").waitFor();
      await frame.locator("text=Exposure by token").first().waitFor();
      assert.deepEqual(page.problems, []);
    });

    await test("a token in use is deleted only after a second confirmation", async () => {
      const used = await create(page, site, { name: "in use" });
      const request = JSON.stringify({ token: used.secret, api: "maps", connection: "carto_dw", resource: "acme.shared.roads" });
      let usage;
      for (let attempt = 0; attempt < 60 && !usage; attempt++) {
        await fetch(`${site.sidecar}/v1/decide`, { method: "POST", body: request, headers: { "content-type": "application/json" } });
        await new Promise((resolve) => setTimeout(resolve, 500));
        const answer = await send(site, `/credentials/tokens/${used.id}`);
        usage = /allowed request/.test(answer.text);
      }
      assert.ok(usage, "the sidecar reports the use");
      await page.goto(`${site.url}/credentials/tokens/${used.id}/delete`);
      await sound(page, "delete");
      const version = await page.inputValue("[name=version]");
      const refused = await send(site, `/credentials/tokens/${used.id}/delete`, { method: "POST", body: `version=${version}` });
      assert.equal(refused.status, 409);
      assert.ok(refused.text.includes("last used"));
      const stale = await send(site, `/credentials/tokens/${used.id}/delete`, { method: "POST", body: "version=old&force=yes" });
      assert.equal(stale.status, 412);
      await obeys(site, used.secret, true);
      await page.goto(`${site.url}/credentials/tokens/${used.id}/rotate`);
      await page.check("[name=overlap][value='']");
      await page.click("text=Rotate >> visible=true >> nth=-1");
      await page.waitForSelector("#secret");
      const rotated = await page.inputValue("#secret");
      await obeys(site, used.secret, false);
      await obeys(site, rotated, true);
      await page.goto(`${site.url}/credentials/tokens/${used.id}/delete`);
      await page.check("[name=force]");
      await page.click("button:text('Delete token')");
      await page.waitForURL(/credentials\/tokens$/);
      assert.ok(!names(site).some((it) => it.id === used.id));
      await obeys(site, rotated, false);
    });

    await test("another user's session never shows a token of this one", async () => {
      const [, , link] = await workspace.start(/workspace +(\S+)\/\nlogin link +(\S+)\n/, "workspace", "--db", workspace.db, "--listen", "127.0.0.1:0", "--user", "ben");
      const bens = { url: new URL(link).origin, workspace };
      const ben = await context(browser, bens);
      await ben.goto(link);
      await ben.waitForSelector("text=No tokens yet");
      for (const target of ["", "/edit", "/rotate", "/delete", "/secret"]) {
        const theirs = await ben.goto(`${bens.url}/credentials/tokens/${token.id}${target}`);
        assert.equal(theirs.status(), 404, target);
        assert.ok(!(await ben.content()).includes("renamed"), target);
        const unknown = await ben.goto(`${bens.url}/credentials/tokens/tk_0000000000${target}`);
        assert.equal(unknown.status(), 404, target);
      }
      for (const target of ["/credentials/tokens?search=renamed", "/trail", "/report/page"]) {
        await ben.goto(bens.url + target);
        const text = await ben.content();
        assert.ok(!text.includes(token.id) && !text.includes("renamed by the other tab"), target);
      }
      const benCookie = (await ben.context().cookies()).find((it) => it.name === "portcullis");
      const taken = await send({ ...bens, cookie: benCookie }, `/credentials/tokens/${token.id}/edit/preview`, { method: "POST", body: "name=x" });
      assert.equal(taken.status, 404);
    });

    await test("a login link of another user asks before it replaces a session", async () => {
      const start = async (user) => (await workspace.start(/workspace +(\S+)\/\nlogin link +(\S+)\n/, "workspace", "--db", workspace.db, "--listen", "127.0.0.1:0", "--user", user))[2];
      const [nina, mallory] = [await start("nina"), await start("mallory")];
      const visitor = await context(browser, { workspace });
      const isUser = (name) => visitor.waitForSelector(`.who:text-is('${name}')`);
      await visitor.goto(nina);
      await isUser("nina");
      await visitor.goto(mallory);
      await visitor.waitForSelector("h1:text('Sign in as mallory?')");
      await visitor.setViewportSize({ width: 320, height: 700 });
      await sound(visitor, "a link of another user");
      await visitor.click("text=Cancel");
      await isUser("nina");
      // The browser does not send the session's cookie with the link of another site.
      await visitor.goto(`data:text/html,<a href="${mallory}">link</a>`);
      await visitor.click("text=link");
      await visitor.waitForSelector("text=A page of another site opened this login link.");
      await visitor.goto(new URL(nina).origin);
      await isUser("nina");
      await visitor.goto(mallory);
      await visitor.click("button:text('Sign in as mallory')");
      await isUser("mallory");
    });

    await test("a token with many grants keeps all of them in an edit, and an auditor changes nothing", async () => {
      const sources = Array.from({ length: 300 }, (_, index) => ["--connection", "carto_dw", "--source", `acme.wide.table_${index}`]).flat();
      workspace.run("credentials", "create", "token", "--name", "wide", "--apis", "maps", ...sources);
      const wide = names(site).find((it) => it.name === "wide");
      await page.goto(`${site.url}/credentials/tokens/${wide.id}/edit`);
      await page.fill("#name", "wide 2");
      await valid(page);
      await page.click("[data-save]");
      await page.waitForSelector("h1:text('wide 2')");
      assert.equal(names(site).find((it) => it.id === wide.id).grants.length, 300);
      const [, , link] = await workspace.start(/workspace +(\S+)\/\nlogin link +(\S+)\n/, "workspace", "--db", workspace.db, "--listen", "127.0.0.1:0", "--user", "olga");
      const admin = await (await fetch(`${site.url}/v3/users/olga`, { method: "PATCH", body: JSON.stringify({ role: "auditor" }), headers: { "content-type": "application/json", cookie: `${site.cookie.name}=${site.cookie.value}`, origin: new URL(site.url).origin } })).text();
      const olgas = { url: new URL(link).origin, workspace };
      const olga = await context(browser, olgas);
      await olga.goto(link);
      await olga.goto(`${olgas.url}/credentials/tokens?search=wide`);
      await olga.waitForSelector("text=wide 2");
      assert.equal(await olga.locator("text=/^(Edit|Rotate|Delete|Create token)$/").count(), 0, admin);
      const cookie = (await olga.context().cookies()).find((it) => it.name === "portcullis");
      for (const action of ["delete", "rotate"]) {
        const key = `&key=${"a".repeat(32)}${action}`;
        await olga.goto(`${olgas.url}/credentials/tokens/${wide.id}/${action}`);
        const version = await olga.inputValue("[name=version]");
        const refused = await send({ ...olgas, cookie }, `/credentials/tokens/${wide.id}/${action}`, { method: "POST", body: `version=${version}${key}` });
        assert.equal(refused.status, 403, action);
      }
      assert.ok(names(site).some((it) => it.id === wide.id));
    });

    await test("pages fit 320 px and dark screens", async () => {
      for (const colorScheme of ["light", "dark"]) {
        const small = await context(browser, site, { viewport: { width: 320, height: 640 }, colorScheme });
        for (const target of ["/credentials/tokens", "/credentials/tokens/new", `/credentials/tokens/${token.id}`, `/credentials/tokens/${token.id}/edit`, `/credentials/tokens/${token.id}/delete`, "/connections", "/catalog", "/trail", "/users", "/report", "/sources", "/credentials/spa", "/credentials/m2m"]) {
          await small.goto(site.url + target);
          const isSeen = await small.evaluate(() => [...document.querySelectorAll("nav [aria-current]")].every((it) => it.getBoundingClientRect().right <= innerWidth));
          assert.ok(isSeen, `${target}: the current tab is on the screen`);
          if (target.endsWith("new")) await small.waitForFunction(() => document.querySelector("[data-save]").disabled);
          await sound(small, `${target} on a phone, ${colorScheme}`);
        }
      }
      const background = async (colorScheme) => {
        const one = await context(browser, site, { colorScheme });
        await one.goto(`${site.url}/credentials/tokens`);
        return one.evaluate(() => getComputedStyle(document.body).backgroundColor);
      };
      assert.notEqual(await background("dark"), await background("light"));
    });

    await test("the console works behind a reverse proxy under a path", async () => {
      const second = new Workspace();
      proxies.push(second);
      second.sample();
      const proxy = 18000 + (process.pid % 2000);
      const behind = await second.serve("--public-url", `http://127.0.0.1:${proxy}/tools/portcullis`, "--catalog", "catalog.csv", "--user", "ana", "--listen", `127.0.0.1:${proxy + 2000}`);
      const conf = path.join(second.folder, "nginx.conf");
      fs.writeFileSync(conf, `daemon off; pid ${second.folder}/nginx.pid; error_log ${second.folder}/error.log;
        events {} http { access_log off; client_body_temp_path ${second.folder}/body; proxy_temp_path ${second.folder}/proxy; fastcgi_temp_path ${second.folder}/f; uwsgi_temp_path ${second.folder}/u; scgi_temp_path ${second.folder}/s;
        server { listen 127.0.0.1:${proxy}; location /tools/portcullis/ { proxy_pass http://127.0.0.1:${proxy + 2000}/; proxy_set_header Host $http_host; } } }`);
      const nginx = spawn("nginx", ["-c", conf, "-p", second.folder], { stdio: "ignore" });
      second.children.push(nginx);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      assert.ok(behind.link.includes("/tools/portcullis/login"));
      const page = await context(browser, {});
      await page.goto(behind.link);
      await page.waitForURL(/tools\/portcullis\/credentials\/tokens$/);
      const made = await create(page, { url: `http://127.0.0.1:${proxy}/tools/portcullis` }, { name: "proxied" });
      await sound(page, "secret behind a proxy");
      await page.click("text=Done");
      await page.waitForSelector("h1:text('proxied')");
      await page.click("a:text-is('Edit')");
      await page.click("[data-pick]");
      await page.waitForSelector("dialog li");
      await page.keyboard.press("Escape");
      await page.click("text=Trail");
      await page.click("text=Sign out");
      await page.waitForSelector("text=Sign in with the one-time link");
      assert.ok(made.secret);
    });

    if (shots) await screenshots(browser);
  } finally {
    await browser.close();
    [workspace, ...proxies].forEach((it) => it.close());
  }
  console.log(`console: ${passed} passed, ${failures.length} failed`);
  process.exit(failures.length ? 1 : 0);
};

/** Answers as an OpenID provider does whose pages nobody opens. */
const provider = () => new Promise((resolve) => {
  const server = http.createServer((request, response) => {
    const issuer = `http://localhost:${server.address().port}`;
    const metadata = { issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/jwks`,
      response_types_supported: ["code"], subject_types_supported: ["public"], id_token_signing_alg_values_supported: ["RS256"] };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(request.url === "/jwks" ? { keys: [] } : metadata));
  });
  server.listen(0, "localhost", () => resolve({ issuer: `http://localhost:${server.address().port}`, close: () => server.close() }));
});

/** Takes the pictures of `docs/console`: the main pages, in light, dark and on a phone. With MORE_PICTURES, of further pages. */
const screenshots = async (browser) => {
  fs.mkdirSync(shots, { recursive: true });
  const workspace = new Workspace();
  const peer = await provider();
  try {
    workspace.sample();
    const token = (name, ...args) => workspace.run("credentials", "create", "token", "--name", name, ...args);
    token("Parcel export", "--apis", "imports", "--connection", "carto_dw", "--source", "acme.shared.parcels", "--expiration-date", "1y", "--user", "ben");
    token("Ad-hoc analysis", "--apis", "sql,maps", "--connection", "operations", "--source", "*", "--yes", "--user", "ben");
    token("Top stores widget", "--apis", "sql", "--connection", "operations", "--source", "top-stores", "--referer", "https://www.example.com", "--expiration-date", "6m");
    token("Road atlas", "--apis", "maps", "--connection", "carto_dw", "--source", "acme.shared.roads*", "--referer", "https://*.example.com", "--expiration-date", "3d");
    workspace.run("credentials", "update", "token", "Road atlas", "--add-grant", "carto_dw,acme.tiles.*");
    workspace.run("credentials", "rotate", "token", "Top stores widget");
    const application = JSON.parse(workspace.run("credentials", "create", "spa", "--title", "Atlas", "--apis", "maps", "--grant", "carto_dw,acme.shared.*",
      "--callback", "https://atlas.example.com/callback", "--web-origin", "https://atlas.example.com", "--format", "json")).client_id;
    const consent = new URLSearchParams({ client_id: application, redirect_uri: "https://atlas.example.com/callback", response_type: "code",
      scope: "openid profile offline_access read:tokens", state: "s", code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", code_challenge_method: "S256" });
    const site = { ...await workspace.serve("--catalog", "catalog.csv", "--user", "ana", "--oidc-issuer", peer.issuer, "--oidc-client-id", "portcullis"), workspace };
    const first = await context(browser, site);
    await first.goto(site.link);
    site.cookie = (await first.context().cookies()).find((it) => it.name === "portcullis");
    const id = names(site).find((it) => it.name === "Road atlas").id;
    const more = [["token", `/credentials/tokens/${id}`], ["edit", `/credentials/tokens/${id}/edit`], ["sources", "/sources"], ["m2m", "/credentials/m2m"],
      ["spa", "/credentials/spa"], ["users", "/users"], ["report", "/report"]];
    const looks = [["light", { width: 1280, height: 860 }, "light"], ["dark", { width: 1280, height: 860 }, "dark"], ["phone", { width: 390, height: 844 }, "light"]];
    for (const [look, viewport, colorScheme] of looks) {
      const page = await context(browser, site, { viewport, colorScheme });
      const stranger = await context(browser, {}, { viewport, colorScheme });
      const shot = (name, of = page, options = {}) => of.screenshot({ path: path.join(shots, `${name}-${look}.png`), ...options });
      await stranger.goto(`${site.url}/`);
      await shot("sign-in", stranger);
      await page.goto(`${site.url}/credentials/tokens`);
      await shot("list");
      await page.goto(`${site.url}/credentials/tokens/new`);
      await fill(page, { name: "Store locator", apis: ["maps"], grants: [["carto_dw", "name", "acme.shared.*"]], referers: ["https://*.example.com"] });
      await page.fill("#try-source", "acme.sales.stores");
      await page.waitForSelector("#decision .badge.deny");
      await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
      await shot("wizard", page, { fullPage: true });
      await page.click("[data-pick]");
      await page.fill("#picker-text", "roads");
      await page.waitForFunction(() => [...document.querySelectorAll("dialog li")].filter((it) => it.textContent.includes(".roads")).length === 6);
      await shot("picker");
      const further = process.env.MORE_PICTURES ? more : [];
      for (const [name, target] of [["trail", "/trail"], ["connections", "/connections"], ["consent", `/oauth/authorize?${consent}`], ...further]) {
        await page.goto(site.url + target);
        await page.waitForTimeout(300);
        await shot(name);
      }
    }
  } finally {
    workspace.close();
    peer.close();
  }
};

main();

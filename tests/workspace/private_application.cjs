// Tries examples/private-application as a new user does.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { execFileSync, spawn } = require("node:child_process");
const { chromium } = require("playwright-core");
const { Workspace } = require("./workspace.cjs");

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const EXAMPLE = path.join(__dirname, "../../examples/private-application");

const freePort = () => new Promise((resolve) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

const main = async () => {
  const workspace = new Workspace();
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: ARGS });
  try {
    workspace.sample();
    const application = path.join(workspace.folder, "application");
    fs.cpSync(EXAMPLE, application, { recursive: true, filter: (name) => !name.includes("node_modules") });
    execFileSync("npm", ["ci", "--silent", "--no-fund", "--no-audit"], { cwd: application });

    const port = await freePort();
    const origin = `http://localhost:${port}`;
    const client = JSON.parse(workspace.run("credentials", "create", "spa", "--title", "Private application", "--callback", origin, "--logout-url", origin,
      "--web-origin", origin, "--apis", "sql", "--grant", "carto_dw,SELECT * FROM `carto.shared.roads`", "--format", "json"));
    const site = await workspace.serve("--user", "ana");
    const sidecar = (await workspace.start(/"listen":"([^"]+)"/, "serve", "--db", workspace.db, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--messages", "json"))[1];
    const server = spawn("node", ["server.mjs"], {
      cwd: application, stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, PORT: String(port), DOMAIN: site.url, CLIENT_ID: client.client_id, SIDECAR: `http://${sidecar}` },
    });
    workspace.children.push(server);
    await new Promise((resolve) => server.stdout.once("data", resolve));

    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(20000);
    await page.goto(site.link);
    await page.waitForSelector("text=No tokens yet");

    await page.goto(`${origin}/`);
    await page.waitForSelector("text=Signed out");
    await page.click("#login");
    // The workspace asks for consent once.
    await page.click("button[value=allow]");
    await page.waitForURL(`${origin}/`);
    await page.waitForSelector("text=Signed in as ana");
    const query = async (sql) => {
      await page.fill("#sql", sql);
      await page.evaluate(() => { document.querySelector("#answer").textContent = ""; });
      await page.click("#query button");
      await page.waitForFunction(() => document.querySelector("#answer").textContent);
      return page.textContent("#answer");
    };
    assert.match(await query("SELECT * FROM `carto.shared.roads`"), /^200 .*allowed/);
    assert.match(await query("SELECT * FROM `carto.private.salaries`"), /^403 /);

    // A reload keeps the sign-in, by the refresh token.
    await page.reload();
    await page.waitForSelector("text=Signed in as ana");
    assert.match(await query("SELECT * FROM `carto.shared.roads`"), /^200 /);

    // The workspace asks before it signs out: any site can open this page.
    await page.click("#logout");
    await page.waitForSelector("text=Sign out?");
    await page.click("main button.primary");
    await page.waitForURL((url) => url.origin === origin);
    await page.waitForSelector("text=Signed out");
    await page.reload();
    await page.waitForSelector("text=Signed out");
  } finally {
    await browser.close();
    workspace.close();
  }
  console.log("private application: passed");
  process.exit(0);
};

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});

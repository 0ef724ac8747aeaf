// Signs users in at a real OpenID provider, in headless Chromium.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { spawn } = require("node:child_process");
const { pathToFileURL } = require("node:url");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { Workspace } = require("./workspace.cjs");

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const SECRET = "s3cret-of-the-client-of-the-test";
const ACCOUNTS = {
  ben: { email: "ben@example.com", email_verified: true },
  eve: { email: "eve@example.com", email_verified: true },
  fay: { email: "fay@example.com", email_verified: false },
};

const freePort = () => new Promise((resolve) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** Starts the provider. Claims are in the user information only, which is its default. */
const startProvider = async (port, urls) => {
  const { default: Provider } = await import(pathToFileURL(path.join(process.env.NODE_PATH, "oidc-provider/lib/index.js")));
  const provider = new Provider(`http://localhost:${port}`, {
    clients: [{
      client_id: "portcullis", client_secret: SECRET, grant_types: ["authorization_code"], response_types: ["code"],
      redirect_uris: urls.map((url) => `${url}/login/callback`), post_logout_redirect_uris: urls.map((url) => `${url}/`),
    }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id, ...ACCOUNTS[id] }) }),
    features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    cookies: { keys: ["a key of the test"] },
    ttl: { Session: 3600, Interaction: 600, Grant: 3600, AccessToken: 60, IdToken: 300 },
  });
  return new Promise((resolve) => { const server = provider.listen(port, () => resolve(server)); });
};

const newPage = async (browser) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, reducedMotion: "reduce" });
  // The pages of the provider ask for fonts of another site.
  await context.route((url) => !["localhost", "127.0.0.1"].includes(url.hostname), (route) => route.abort());
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  return page;
};

const accessible = async (page, what) => {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return result.violations.map((it) => `${it.impact} ${it.id}`);
  });
  assert.deepEqual(found, [], `${what}: accessibility`);
};

/** Signs in on the pages of the provider. */
const signIn = async (page, account) => {
  await page.waitForSelector("[name=login]");
  await page.fill("[name=login]", account);
  await page.fill("[name=password]", "any");
  await page.click("[type=submit]");
  await page.waitForSelector("text=Authorize");
  await page.click("[type=submit]");
};

const main = async () => {
  const workspace = new Workspace();
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: ARGS });
  let provider;
  let passed = 0;
  const test = async (name, run) => {
    try {
      await run();
      passed++;
    } catch (error) {
      error.message = `${name}: ${error.message}`;
      throw error;
    }
  };
  try {
    workspace.sample();
    fs.writeFileSync(path.join(workspace.folder, "client-secret"), `${SECRET}\n`, { mode: 0o600 });
    const port = await freePort();
    const options = ["--user", "ana", "--oidc-issuer", `http://localhost:${port}`, "--oidc-client-id", "portcullis", "--oidc-client-secret-file", "client-secret"];
    const site = await workspace.serve(...options);
    const proxy = await freePort();
    const behind = `http://127.0.0.1:${proxy}/tools/portcullis`;
    const admin = await newPage(browser);

    await test("without the provider, the page says so, and a login link works", async () => {
      await admin.goto(`${site.url}/`);
      await admin.click("text=Sign in with localhost");
      await admin.waitForSelector(`text=The OpenID provider cannot be used now: localhost:${port}: connection refused`);
      await admin.waitForSelector("text=/Request req_/");
      await accessible(admin, "no provider");
      await admin.goto(site.link);
      await admin.waitForSelector("text=No tokens yet");
    });

    await test("an administrator invites a user", async () => {
      await admin.click("nav >> text=Users");
      await admin.fill("#name", "ben@example.com");
      await admin.click("button:text('Invite')");
      await admin.waitForSelector("th:has-text('ben@example.com')");
      await accessible(admin, "users");
    });

    provider = await startProvider(port, [site.url, behind]);
    // A failure is remembered for a few seconds.
    await new Promise((resolve) => setTimeout(resolve, 6000));
    const ben = await newPage(browser);

    await test("a user signs in at the provider and comes back to the page", async () => {
      await ben.goto(`${site.url}/sources?search=top`);
      await signIn(ben, "ben");
      await ben.waitForURL(`${site.url}/sources?search=top`);
      await ben.waitForSelector(".who:has-text('ben@example.com')");
      const session = (await ben.context().cookies(site.url)).find((it) => it.name === "portcullis");
      assert.ok(session.httpOnly && session.sameSite === "Strict");
    });

    await test("the trail names the person", async () => {
      await ben.goto(`${site.url}/credentials/tokens/new`);
      await ben.fill("#name", "of ben");
      await ben.check("[name=api][value=maps]");
      await ben.fill("#grant-0-source", "acme.shared.roads");
      await ben.click("[data-save]:enabled");
      await ben.waitForSelector("#secret");
      await ben.goto(`${site.url}/trail`);
      await ben.waitForSelector(`text=console, ben@example.com, subject ben of http://localhost:${port}`);
    });

    await test("a page behind a link of another site opens with the session", async () => {
      await ben.setContent(`<a href="${site.url}/connections">link</a>`);
      await ben.goto(`data:text/html,<a href="${site.url}/connections">link</a>`);
      await ben.click("text=link");
      await ben.waitForURL(`${site.url}/connections`);
      await ben.waitForSelector("h1:text('Connections')");
    });

    await test("strangers and unverified addresses get a page that says so", async () => {
      for (const account of ["eve", "fay"]) {
        const page = await newPage(browser);
        await page.goto(`${site.url}/login/start`);
        await signIn(page, account);
        await page.waitForSelector("text=/may not use this workspace/");
        await page.waitForSelector("text=/Request req_/");
        await accessible(page, "not admitted");
        const cookies = await page.context().cookies(site.url);
        assert.equal(cookies.find((it) => it.name === "portcullis"), undefined);
      }
    });

    await test("a refusal at the provider is a page of the workspace", async () => {
      const page = await newPage(browser);
      await page.goto(`${site.url}/login/start`);
      await page.waitForSelector("[name=login]");
      await page.click("text=Cancel");
      await page.waitForSelector("text=/has refused the sign-in: access_denied/");
    });

    await test("the answer of the provider is worth nothing in another browser", async () => {
      const [one, other] = [await newPage(browser), await newPage(browser)];
      await one.goto(`${site.url}/login/start`);
      await one.waitForSelector("[name=login]");
      // Without its cookie, the first browser is another one, too.
      await one.context().clearCookies({ name: "portcullis-sign-in" });
      await signIn(one, "ben");
      await one.waitForSelector("text=/was started in another browser/");
      assert.ok(one.url().includes("code="));
      await other.goto(`${site.url}/login/start`);
      await other.goto(one.url());
      await other.waitForSelector("text=/was started in another browser/");
    });

    await test("a sign-out ends the session at the provider", async () => {
      await ben.goto(`${site.url}/`);
      await ben.click("text=Sign out");
      await ben.waitForURL(new RegExp(`localhost:${port}`));
      await ben.click("text=/yes, sign me out/i");
      await ben.waitForURL(`${site.url}/`);
      await ben.waitForSelector("text=Sign in with localhost");
      await ben.click("text=Sign in with localhost");
      await ben.waitForSelector("[name=login]");
    });

    await test("a disabled user loses the session at once", async () => {
      const page = await newPage(browser);
      await page.goto(`${site.url}/trail`);
      await signIn(page, "ben");
      await page.waitForSelector("h1:text('Trail')");
      await admin.goto(`${site.url}/users/ben%40example.com`);
      await admin.check("[name=disabled]");
      await admin.click("button:text('Save')");
      await admin.waitForSelector("text=Disabled");
      await page.goto(`${site.url}/trail`);
      await page.waitForSelector("text=/is disabled/");
      await admin.goto(`${site.url}/users/ben%40example.com`);
      await admin.uncheck("[name=disabled]");
      await admin.click("button:text('Save')");
    });

    await test("an administrator adds, changes and deletes a connection", async () => {
      await admin.goto(`${site.url}/connections`);
      await admin.click("text=Add connection");
      await admin.fill("#name", "warehouse_2");
      await admin.selectOption("#dialect", "snowflake");
      await accessible(admin, "new connection");
      await admin.click("button:text('Add connection')");
      await admin.waitForSelector("th:has-text('warehouse_2')");
      await admin.click("[aria-label='Edit warehouse_2']");
      await admin.check("[name=named_sources_only]");
      await admin.click("button:text('Save')");
      await admin.waitForSelector("tr:has-text('warehouse_2') >> text=Named sources only");
      await admin.click("[aria-label='Delete warehouse_2']");
      await admin.click("button:text('Delete connection')");
      await admin.waitForSelector("h1:text('Connections')");
      assert.equal(await admin.locator("th:has-text('warehouse_2')").count(), 0);
      await admin.goto(`${site.url}/connections/carto_dw/delete`);
      await admin.click("button:text('Delete connection')");
      await admin.waitForSelector("text=/is granted by/");
    });

    await test("the grants of a machine are edited", async () => {
      workspace.run("credentials", "create", "m2m", "--title", "Deploy");
      await admin.goto(`${site.url}/credentials/m2m`);
      await admin.click("[aria-label='Edit Deploy']");
      await admin.check("[name=api][value=maps]");
      await admin.click("button:text('Save')");
      await admin.waitForSelector("[role=alert]");
      await admin.click("[data-add]");
      await admin.fill("[name=grant_source]", "acme.shared.*");
      await accessible(admin, "grants of a machine");
      await admin.click("button:text('Save')");
      await admin.waitForURL(/credentials\/m2m$/);
      const [client] = JSON.parse(workspace.run("credentials", "list", "m2m", "--format", "json"));
      assert.deepEqual(client.grants.map((it) => it.source), ["acme.shared.*"]);
    });

    await test("sign-in works behind a reverse proxy under a path, and without login links", async () => {
      const own = await freePort();
      await workspace.start(/workspace +(\S+)\/\n/, "workspace", "--db", workspace.db, "--listen", `127.0.0.1:${own}`, "--public-url", behind, "--no-login-link", ...options);
      const conf = path.join(workspace.folder, "nginx.conf");
      const at = workspace.folder;
      fs.writeFileSync(conf, `daemon off; pid ${at}/nginx.pid; error_log ${at}/error.log;
        events {} http { access_log off; client_body_temp_path ${at}/body; proxy_temp_path ${at}/proxy; fastcgi_temp_path ${at}/f; uwsgi_temp_path ${at}/u; scgi_temp_path ${at}/s;
        server { listen 127.0.0.1:${proxy}; location /tools/portcullis/ { proxy_pass http://127.0.0.1:${own}/; proxy_set_header Host $http_host; } } }`);
      workspace.children.push(spawn("nginx", ["-c", conf, "-p", at], { stdio: "ignore" }));
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const page = await newPage(browser);
      await page.goto(`${behind}/`);
      assert.equal(await page.locator("text=one-time link").count(), 0);
      await page.goto(`${behind}/trail`);
      await signIn(page, "ben");
      await page.waitForURL(`${behind}/trail`);
      await page.waitForSelector(".who:has-text('ben@example.com')");
    });
  } finally {
    await browser.close();
    provider?.close();
    provider?.closeAllConnections();
    workspace.close();
  }
  console.log(`sign-in: ${passed} passed`);
  process.exit(0);
};

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});

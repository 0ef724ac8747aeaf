// Signs users in with auth0-spa-js and oauth4webapi in headless Chromium, with a sidecar that decides by their tokens.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const { Workspace } = require("./workspace.cjs");

const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const TIMEOUT = 20000;
const modules = process.env.NODE_PATH;
// A folder for screenshots.
const shots = process.argv[2];

let passed = 0;
const failures = [];
const test = async (name, run) => {
  try {
    await run();
    passed++;
    console.log(`ok   ${name}`);
  } catch (error) {
    failures.push(name);
    console.error(`FAIL ${name}\n${error.stack}\n`);
  }
};

/** Fails if axe finds anything serious, or if the page scrolls sideways on a phone, in light or dark. */
const sound = async (page, what) => {
  const size = page.viewportSize();
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 320]) {
      await page.setViewportSize({ width, height: 860 });
      await page.emulateMedia({ colorScheme });
      if (shots) await page.screenshot({ path: path.join(shots, `${what}-${colorScheme}-${width}.png`) });
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const result = await globalThis.axe.run(document, { resultTypes: ["violations"] });
        return result.violations.map((it) => `${it.impact} ${it.id}: ${it.nodes.map((node) => node.target.join(" ")).join("; ")}`);
      });
      assert.deepEqual(found, [], `${what}, ${width} px, ${colorScheme}: accessibility`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${what}: scrolls sideways by ${wide} px`);
    }
  }
  await page.setViewportSize(size);
};

/** Serves the page of an application, which has both libraries, and returns its port. */
const application = () => new Promise((resolve) => {
  const files = {
    "/auth0.js": path.join(modules, "@auth0/auth0-spa-js/dist/auth0-spa-js.production.js"),
    "/oauth4webapi.js": path.join(modules, "oauth4webapi/build/index.js"),
  };
  const page = `<!doctype html><title>Application</title><script src="/auth0.js"></script>
    <script type="module">import * as oauth from "/oauth4webapi.js"; window.oauth = oauth;</script>`;
  const server = http.createServer((request, response) => {
    const file = files[request.url];
    response.setHeader("content-type", file ? "text/javascript" : "text/html");
    response.end(file ? fs.readFileSync(file) : page);
  });
  server.listen(0, "127.0.0.1", () => resolve({ port: server.address().port, close: () => server.close() }));
});

const main = async () => {
  const site = new Workspace();
  const app = await application();
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGS });
  try {
    site.sample();
    const workspace = await site.serve("--user", "ana");
    const sidecar = `http://${(await site.start(/serving.*listen"?[=:] ?"?([0-9.:]+)/, "serve", "--db", site.db, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--messages", "json"))[1]}`;
    // Ports do not count: an application on 127.0.0.1 is of the same site as the workspace, and one on localhost of another.
    const near = `http://127.0.0.1:${app.port}`;
    const far = `http://localhost:${app.port}`;
    const create = (title, ...options) => JSON.parse(site.run("credentials", "create", "spa", "--title", title, "--apis", "maps",
      "--grant", "carto_dw,acme.shared.*", "--format", "json", ...options)).client_id;
    const urls = (origin) => ["--callback", `${origin}/callback`, "--logout-url", `${origin}/`, "--web-origin", origin];
    const near_client = create("Near", ...urls(near));
    const far_client = create("Far", ...urls(far));
    const context = await browser.newContext({ reducedMotion: "reduce" });
    const open = async () => {
      const page = await context.newPage();
      page.setDefaultTimeout(TIMEOUT);
      page.problems = [];
      page.on("pageerror", (error) => page.problems.push(String(error)));
      page.on("console", (message) => { if (message.type() === "error") page.problems.push(message.text()); });
      return page;
    };
    /** Waits until the sidecar decides as expected. */
    const decides = async (token, want, referer, table = "acme.shared.roads") => {
      let got;
      for (let round = 0; round < 100; round++) {
        const body = JSON.stringify({ token, api: "maps", connection: "carto_dw", resource: table, referer });
        const response = await fetch(`${sidecar}/v1/decide`, { method: "POST", headers: { "content-type": "application/json" }, body });
        got = await response.json();
        if (got.decision === want) return;
        await new Promise((wait) => setTimeout(wait, 50));
      }
      assert.fail(`expected ${want}, found ${JSON.stringify(got)}`);
    };

    const auth0 = { domain: workspace.url, clientId: near_client, authorizationParams: { redirect_uri: `${near}/callback`, scope: "openid profile email read:tokens" } };
    const stored = { ...auth0, useRefreshTokens: true, cacheLocation: "localstorage" };
    const page = await open();
    let access;

    await test("auth0-spa-js signs in with a redirect, and the page asks for the sign-in and the consent", async () => {
      await page.goto(`${near}/`);
      await page.evaluate(async (options) => { await (await auth0.createAuth0Client(options)).loginWithRedirect(); }, stored);
      await page.waitForSelector("text=Sign in with the one-time link");
      await sound(page, "sign-in");
      // The link of the terminal, in another tab of the same browser, continues the authorization.
      await page.goto(workspace.link);
      await page.waitForSelector("text=Allow Near?");
      assert.ok((await page.textContent("main")).includes("acme.shared."));
      await sound(page, "consent");
      await page.click("button[value=allow]");
      await page.waitForURL(`${near}/callback?code=*`);
      const user = await page.evaluate(async (options) => {
        window.client = await auth0.createAuth0Client(options);
        await window.client.handleRedirectCallback();
        return window.client.getUser();
      }, stored);
      assert.equal(user.sub, "ana");
      access = await page.evaluate(() => window.client.getTokenSilently());
      assert.match(access, /^pcl_at_/);
      await decides(access, "allow", `${near}/`);
      await decides(access, "deny", "https://evil.example/");
      await decides(access, "deny", `${near}/`, "acme.hr.roads");
    });

    await test("auth0-spa-js rotates its refresh token, in two tabs at once", async () => {
      const fresh = () => page.evaluate(() => window.client.getTokenSilently({ cacheMode: "off" }));
      const next = await fresh();
      assert.notEqual(next, access);
      await decides(next, "allow", `${near}/`);
      const other = await open();
      await other.goto(`${near}/`);
      await other.evaluate(async (options) => { window.client = await auth0.createAuth0Client(options); }, stored);
      const tokens = await Promise.all([fresh(), other.evaluate(() => window.client.getTokenSilently({ cacheMode: "off" })), fresh()]);
      for (const token of tokens) assert.match(token, /^pcl_at_/);
      await decides(await fresh(), "allow", `${near}/`);
      await other.close();
    });

    await test("the console lists the application, and its form has its access", async () => {
      const own = await open();
      await own.goto(`${workspace.url}/applications`);
      await own.waitForSelector("text=Near");
      await sound(own, "applications");
      await own.goto(`${workspace.url}/credentials/spa/${near_client}/edit`);
      await sound(own, "form");
      assert.equal(await own.locator("[data-list] > [data-row]").count(), 1);
      await own.click("[data-add]");
      await own.fill("[data-list] > [data-row]:last-child [name=grant_source]", "acme.sales.*");
      await own.click("main button.primary");
      await own.waitForURL(`${workspace.url}/credentials/spa`);
      const grants = JSON.parse(site.run("credentials", "get", "spa", near_client, "--format", "json")).grants.map((it) => it.source);
      assert.deepEqual(grants, ["acme.shared.*", "acme.sales.*"]);
      // Ana allowed the old grants only, so nothing is renewed until she is asked again.
      const refused = page.evaluate(() => window.client.getTokenSilently({ cacheMode: "off" }));
      await assert.rejects(refused, /unknown, expired or revoked/);
      await page.evaluate(async (options) => { await (await auth0.createAuth0Client(options)).loginWithRedirect(); }, stored);
      await page.waitForSelector("text=Allow Near?");
      await page.click("button[value=allow]");
      await page.waitForURL(`${near}/callback?code=*`);
      await page.evaluate(async (options) => {
        window.client = await auth0.createAuth0Client(options);
        await window.client.handleRedirectCallback();
      }, stored);
      const token = await page.evaluate(() => window.client.getTokenSilently({ cacheMode: "off" }));
      await decides(token, "allow", `${near}/`, "acme.sales.roads");
      await own.close();
    });

    await test("a script of the application calls the HTTP API with its token", async () => {
      const status = await page.evaluate(async ([url, token]) => {
        const response = await fetch(`${url}/v3/tokens`, { headers: { authorization: `Bearer ${token}` } });
        return [response.status, (await response.json()).tokens.length];
      }, [workspace.url, await page.evaluate(() => window.client.getTokenSilently())]);
      assert.deepEqual(status, [200, 0]);
    });

    await test("auth0-spa-js renews silently in a frame, in an application of the same site", async () => {
      const silent = await open();
      await silent.goto(`${near}/`);
      const token = await silent.evaluate(async (options) => (await auth0.createAuth0Client(options)).getTokenSilently(), auth0);
      await decides(token, "allow", `${near}/`);
      assert.deepEqual(silent.problems, []);
      await silent.close();
    });

    await test("auth0-spa-js signs in in a window", async () => {
      const opener = await open();
      await opener.goto(`${near}/`);
      const user = await opener.evaluate(async (options) => {
        const client = await auth0.createAuth0Client(options);
        await client.loginWithPopup();
        return client.getUser();
      }, auth0);
      assert.equal(user.sub, "ana");
      await opener.close();
    });

    await test("the consent is not shown in a frame", async () => {
      const frame = await open();
      await frame.goto(`${near}/`);
      const address = `${workspace.url}/oauth/authorize?client_id=${near_client}&redirect_uri=${encodeURIComponent(`${near}/callback`)}` +
        "&response_type=code&code_challenge_method=S256&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&prompt=consent";
      await frame.evaluate((src) => { const element = document.createElement("iframe"); element.src = src; document.body.append(element); }, address);
      for (let round = 0; round < 100 && frame.problems.length === 0; round++) await frame.waitForTimeout(50);
      assert.match(frame.problems.join("\n"), /frame-ancestors 'none'/);
      await frame.close();
    });

    await test("oauth4webapi accepts every answer, in an application of another site", async () => {
      const strict = await open();
      await strict.goto(`${far}/`);
      await strict.waitForFunction(() => window.oauth);
      const address = await strict.evaluate(async ([issuer, client_id, redirect_uri]) => {
        const { oauth } = window;
        const options = { [oauth.allowInsecureRequests]: true };
        const as = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), options));
        const kept = { as, verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() };
        sessionStorage.setItem("kept", JSON.stringify(kept));
        const url = new URL(as.authorization_endpoint);
        const parameters = { client_id, redirect_uri, response_type: "code", scope: "openid email offline_access", state: kept.state, nonce: kept.nonce,
          code_challenge: await oauth.calculatePKCECodeChallenge(kept.verifier), code_challenge_method: "S256" };
        for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
        return url.href;
      }, [`${workspace.url}/`, far_client, `${far}/callback`]);
      // A script of another site opens the page, so the first request has no cookie: the workspace repeats it.
      await strict.evaluate((url) => { location.href = url; }, address);
      await strict.waitForSelector("text=Allow Far?");
      await strict.click("button[value=allow]");
      await strict.waitForURL(`${far}/callback?code=*`);
      await strict.waitForFunction(() => window.oauth);
      const got = await strict.evaluate(async ([client_id, redirect_uri]) => {
        const { oauth } = window;
        const options = { [oauth.allowInsecureRequests]: true };
        const { as, verifier, state, nonce } = JSON.parse(sessionStorage.getItem("kept"));
        const client = { client_id };
        // Checks the state, and the issuer that the answer names (RFC 9207).
        const parameters = oauth.validateAuthResponse(as, client, new URL(location.href), state);
        const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), parameters, redirect_uri, verifier, options);
        const first = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
        await oauth.validateApplicationLevelSignature(as, response, options);
        const info = await oauth.processUserInfoResponse(as, client, oauth.getValidatedIdTokenClaims(first).sub,
          await oauth.userInfoRequest(as, client, first.access_token, options));
        const refreshed = await oauth.processRefreshTokenResponse(as, client,
          await oauth.refreshTokenGrantRequest(as, client, oauth.None(), first.refresh_token, options));
        const other = await oauth.processRefreshTokenResponse(as, client,
          await oauth.refreshTokenGrantRequest(as, client, oauth.None(), first.refresh_token, options));
        await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, oauth.None(), refreshed.refresh_token, options));
        const ended = await oauth.refreshTokenGrantRequest(as, client, oauth.None(), refreshed.refresh_token, options);
        const replay = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), parameters, redirect_uri, verifier, options);
        return { sub: info.sub, first, refreshed, same: other.refresh_token === refreshed.refresh_token, ended: ended.status, replay: (await replay.json()).error };
      }, [far_client, `${far}/callback`]);
      assert.deepEqual([got.sub, got.same, got.ended, got.replay], ["ana", true, 400, "invalid_grant"]);
      assert.notEqual(got.refreshed.refresh_token, got.first.refresh_token);
      await decides(got.first.access_token, "deny", `${far}/`);
      await strict.close();
    });

    await test("a page of another client gets no answer", async () => {
      const stranger = await open();
      await stranger.goto(`${far}/`);
      const error = await stranger.evaluate(async ([url, client_id]) => {
        const body = new URLSearchParams({ grant_type: "authorization_code", client_id, code: "x", redirect_uri: "x", code_verifier: "x" });
        return (await (await fetch(`${url}/oauth/token`, { method: "POST", body })).json()).error_description;
      }, [workspace.url, near_client]);
      assert.match(error, /not of a web origin/);
      await stranger.goto("data:text/html,<title>no origin</title>");
      const refused = await stranger.evaluate((url) => fetch(`${url}/.well-known/jwks.json`).then(() => "read", () => "refused"), workspace.url);
      assert.equal(refused, "refused");
      await stranger.close();
    });

    await test("auth0-spa-js signs out, and the silent renewal fails then", async () => {
      await page.evaluate((returnTo) => window.client.logout({ logoutParams: { returnTo } }), `${near}/`);
      await page.waitForSelector("text=Sign out?");
      await sound(page, "sign-out");
      await page.click("main button.primary");
      await page.waitForURL(`${near}/`);
      const error = await page.evaluate(async (options) => {
        try {
          return await (await auth0.createAuth0Client(options)).getTokenSilently();
        } catch (found) {
          return found.error;
        }
      }, auth0);
      assert.equal(error, "login_required");
      await page.goto(`${workspace.url}/credentials/tokens`);
      await page.waitForSelector("text=Sign in with the one-time link");
    });
  } finally {
    await browser.close();
    app.close();
    site.close();
  }
  console.log(`${passed} passed, ${failures.length} failed`);
  if (failures.length || !passed) process.exit(1);
};

main().catch((error) => {
  console.error(error);
  process.exit(1);
});

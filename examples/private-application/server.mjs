// Serves the application, and plays the part of your gateway: it asks the sidecar about each request for data.
import { createServer, request as send } from "node:http";
import { readFile } from "node:fs/promises";

const { PORT = "5173", DOMAIN = "http://127.0.0.1:8183", CLIENT_ID = "", SIDECAR = "http://127.0.0.1:8181" } = process.env;
if (!CLIENT_ID) {
  console.error("CLIENT_ID is not set\nhelp: start with the id that `portcullis credentials create spa` printed: `CLIENT_ID=spa_… npm start`");
  process.exit(2);
}
const sdk = new URL("node_modules/@auth0/auth0-spa-js/dist/auth0-spa-js.production.esm.js", import.meta.url);
const files = {
  "/": [new URL("index.html", import.meta.url), "text/html; charset=utf-8"],
  "/main.js": [new URL("main.js", import.meta.url), "text/javascript; charset=utf-8"],
  "/auth0-spa-js.js": [sdk, "text/javascript; charset=utf-8"],
};

/** Asks the sidecar whether the access token of a request may run its query. */
const decide = (question) => new Promise((resolve, reject) => {
  const asked = send(`${SIDECAR}/v1/decide`, { method: "POST", headers: { "content-type": "application/json" } }, (answer) => {
    let text = "";
    answer.on("data", (data) => { text += data; });
    answer.on("end", () => { try { resolve(JSON.parse(text)); } catch (error) { reject(error); } });
  });
  asked.on("error", reject);
  asked.end(JSON.stringify(question));
});

const answer = async (request, response) => {
  const url = new URL(request.url, `http://${request.headers.host}`);
  if (url.pathname === "/config.json") {
    return [200, "application/json", JSON.stringify({ domain: DOMAIN, clientId: CLIENT_ID })];
  }
  const sql = url.pathname.match(/^\/v3\/sql\/([^/]+)\/query$/);
  if (sql) {
    const [scheme, token] = (request.headers.authorization || "").split(" ");
    if (scheme !== "Bearer" || !token) return [401, "application/json", JSON.stringify({ error: "no access token" })];
    const question = { token, api: "sql", connection: decodeURIComponent(sql[1]), query: url.searchParams.get("q") || "" };
    if (request.headers.referer) question.referer = request.headers.referer;
    const { decision, reason } = await decide(question);
    // A gateway would run the query now. This one has no warehouse.
    if (decision === "allow") return [200, "application/json", JSON.stringify({ rows: [], note: "allowed" })];
    return [403, "application/json", JSON.stringify({ error: reason || "denied" })];
  }
  const file = files[url.pathname];
  return file ? [200, file[1], await readFile(file[0])] : [404, "text/plain", "not found\n"];
};

createServer((request, response) => {
  answer(request, response)
    .catch((error) => [502, "application/json", JSON.stringify({ error: error.message })])
    .then(([status, type, body]) => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store", "referrer-policy": "strict-origin-when-cross-origin" });
      response.end(body);
    });
}).listen(Number(PORT), "localhost", () => console.log(`open http://localhost:${PORT}/`));

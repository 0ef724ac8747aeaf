"""A page in headless Chromium, on one origin, that calls through a gateway on another."""

import html
import json
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html><title>page</title><pre id=out></pre><script>
fetch(%s, {headers: {authorization: "Bearer of-the-page"}})
    .then(async answer => ({status: answer.status, body: await answer.json()}))
    .catch(error => ({failed: String(error)}))
    .then(result => { document.getElementById("out").textContent = JSON.stringify(result); });
</script>"""


def serve(page):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def visit(port, directory):
    """Returns the result that the page at this port received."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
               f"--user-data-dir={directory}/chromium", "--virtual-time-budget=5000", "--dump-dom", f"http://127.0.0.1:{port}/"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = re.search(r"<pre[^>]*>(.*?)</pre>", shown.stdout, re.DOTALL)
    return json.loads(html.unescape(found[1])) if found and found[1] else {"failed": shown.stdout + shown.stderr[-500:]}


def drive(gateway, directory, serving, check):
    page = PAGE % json.dumps(f"http://127.0.0.1:{gateway}/v3/maps/dw/table?name=acme.public.stores")
    with serve(page) as own, serve(page) as other:
        token = {"id": "page", "token": "of-the-page", "allowed_apis": ["maps"],
                 "grants": [{"connection_name": "dw", "source": "acme.public.stores"}],
                 "referers": [f"http://127.0.0.1:{own.server_address[1]}/"]}
        policy = directory / "browser.json"
        policy.write_text(json.dumps({"tokens": [token]}))
        with serving(policy):
            result = visit(own.server_address[1], directory)
            check(result.get("status") == 200, "browser: the token's own page received", result)
            result = visit(other.server_address[1], directory)
            is_readable = result.get("status") == 403 and result["body"]["reason"] == "referer_not_allowed" and result["body"]["error"]
            check(is_readable, "browser: another page received", result)
        own.shutdown()
        other.shutdown()
    print("browser: allowed and denied by referer, and the page can read why", flush=True)

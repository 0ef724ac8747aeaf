"""A policy and a catalog to report on: the same every time. sample.py DIRECTORY."""

import json
import random
import sys
from pathlib import Path

chance = random.Random(5)
directory = Path(sys.argv[1])
SCHEMAS = {"tiles": 420, "public": 310, "sales": 260, "finance": 140, "hr": 60, "raw": 900, "staging": 520, "geo": 380,
           "marketing": 150, "logistics": 210, "sensors": 640, "archive": 700}
WORDS = ["stores", "roads", "rivers", "visits", "orders", "customers", "routes", "parcels", "census", "income", "traffic", "alerts"]

rows = ["connection,name"]
for schema, count in SCHEMAS.items():
    rows += [f"carto_dw,acme.{schema}.{WORDS[at % len(WORDS)]}_{at:03}" for at in range(count)]
(directory / "catalog.csv").write_text("\n".join(rows) + "\n")


def grant(source):
    return {"connection_name": "carto_dw", "source": source}


def token(at):
    schemas = chance.sample(list(SCHEMAS), chance.choice([1, 1, 1, 1, 2, 2, 4]))
    sources = []
    for schema in schemas:
        word = chance.choice(WORDS)
        table = f"acme.{schema}.{word}_{WORDS.index(word) + 12:03}"
        sources.append(chance.choice([f"acme.{schema}.*", f"acme.{schema}.{word}_*", f"acme.{schema}.{word}_*", table, table]))
    token = {"id": f"{chance.choice(['store', 'fleet', 'census', 'board', 'public', 'field'])}-{chance.choice(['map', 'api', 'tiles', 'dashboard'])}-{at:02}",
             "token_sha256": f"{at:064x}", "allowed_apis": chance.choice([["maps"], ["maps", "sql"], ["maps", "lds"]]),
             "grants": [grant(source) for source in dict.fromkeys(sources)]}
    if chance.random() < 0.4:
        token["referers"] = ["https://www.example.com/"]
    if chance.random() < 0.75:
        token["expiration_date"] = f"{chance.choice([2027, 2027, 2028])}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    return token


tokens = [token(at) for at in range(48)]
tokens.append({"id": "warehouse-sync", "token_sha256": "f" * 64, "allowed_apis": ["sql"], "grants": [grant("acme.raw.*"), grant("acme.staging.*")]})
# What queries read is drawn apart; what cannot be followed is said.
tokens.append({"id": "finance-board", "token_sha256": "c" * 64, "allowed_apis": ["sql"], "expiration_date": "2027-06-30", "grants": [
    grant("acme.finance.stores_*"), grant("SELECT * FROM `acme.finance.*` AS f JOIN `acme.geo.census_*` AS o USING (id)"),
    grant("SELECT * FROM `acme.raw.orders_*` WHERE day > @since")]})
tokens.append({"id": "field-app", "token_sha256": "b" * 64, "allowed_apis": ["maps"], "referers": ["https://www.example.com/"], "grants": [
    grant("acme.geo.routes_*"), grant("WITH r AS (SELECT * FROM `acme.logistics.routes_*`) SELECT * FROM r"), grant("SELECT * FRM acme.hr.people")]})
tokens.append({"id": "old-dashboard", "token_sha256": "e" * 64, "allowed_apis": ["maps"], "expiration_date": "2026-01-01",
               "grants": [grant("acme.*.*"), grant("acme.sales.*"), grant("acme.sales.orders_004")], "referers": ["https://*.com/"]})
# What a policy calls its tokens is text, whatever it is.
tokens.append({"id": "<script>alert(1)</script>", "name": "\"><img src=https://evil.example/x onerror=alert(1)>", "token_sha256": "d" * 64,
               "allowed_apis": ["maps"], "grants": [grant("acme.tiles.*"), grant("acme.tiles.`</svg><script>x`"), grant("acme.tilse.*")]})
connections = [{"name": "carto_dw", "dialect": "bigquery"}]
(directory / "policy.json").write_text(json.dumps({"connections": connections, "tokens": tokens}, indent=1))
(directory / "empty.json").write_text('{"tokens": []}')

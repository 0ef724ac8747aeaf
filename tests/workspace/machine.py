"""A machine that uses Authlib: it gets an access token, calls the HTTP API with it, and revokes it."""

import json
import sys

from authlib.integrations.requests_client import OAuth2Session

url, path = sys.argv[1:]
with open(path) as file:
    machine = json.load(file)
for method in ["client_secret_basic", "client_secret_post"]:
    session = OAuth2Session(
        machine["client_id"],
        machine["client_secret"],
        scope="read:tokens",
        token_endpoint_auth_method=method,
        revocation_endpoint_auth_method=method,
    )
    metadata = session.get(f"{url}/.well-known/oauth-authorization-server", withhold_token=True).json()
    token = session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
    assert token["scope"] == "read:tokens", token
    answer = session.get(f"{url}/v3/tokens")
    assert answer.status_code == 200, answer.text
    found = session.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
    assert found["active"] and found["iss"] == metadata["issuer"], found
    assert session.revoke_token(metadata["revocation_endpoint"], token=token["access_token"]).status_code == 200
    assert session.get(f"{url}/v3/tokens").status_code == 401
print("  Authlib", url)

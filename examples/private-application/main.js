// The flow of the platform's guide: sign in, get an access token, send a query with it, sign out. Only `domain` differs.
import { createAuth0Client } from "/auth0-spa-js.js";

const $ = (id) => document.getElementById(id);
const { domain, clientId } = await (await fetch("/config.json")).json();

const auth0 = await createAuth0Client({
  domain,
  clientId,
  // A reload renews the sign-in by the refresh token. Browsers that block cookies of other sites break the way without one.
  useRefreshTokens: true,
  cacheLocation: "localstorage",
  authorizationParams: { redirect_uri: window.location.origin, audience: "carto-cloud-native-api" },
});

const show = async () => {
  const isSignedIn = await auth0.isAuthenticated();
  const user = isSignedIn ? await auth0.getUser() : undefined;
  // The name comes from outside: it is text, and never markup.
  $("status").textContent = user ? `Signed in as ${user.name || user.email || user.sub}` : "Signed out";
  $("login").hidden = isSignedIn;
  $("logout").hidden = !isSignedIn;
  $("query").hidden = !isSignedIn;
};

$("login").addEventListener("click", () => auth0.loginWithRedirect());
$("logout").addEventListener("click", () => auth0.logout({ logoutParams: { returnTo: window.location.origin } }));
$("query").addEventListener("submit", async (event) => {
  event.preventDefault();
  const accessToken = await auth0.getTokenSilently();
  const answer = await fetch(`/v3/sql/carto_dw/query?q=${encodeURIComponent($("sql").value)}`, {
    headers: { Authorization: `Bearer ${accessToken}` },
  });
  $("answer").textContent = `${answer.status} ${await answer.text()}`;
});

const parameters = new URLSearchParams(window.location.search);
if (parameters.has("state") && (parameters.has("code") || parameters.has("error"))) {
  try {
    await auth0.handleRedirectCallback();
  } catch (error) {
    $("status").textContent = `Not signed in: ${error.message}`;
    $("login").hidden = false;
    throw error;
  } finally {
    window.history.replaceState({}, document.title, "/");
  }
}
await show();

'use strict';

// Hands the answer of an authorization to the page that framed or opened this one. The browser delivers it only to the origin
// that the client registered.
{
  const { origin, message } = document.body.dataset;
  const page = window.opener || (window.parent === window ? null : window.parent);
  if (page) {
    page.postMessage({ type: 'authorization_response', response: JSON.parse(message) }, origin);
  }
}

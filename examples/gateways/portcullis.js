// Sends the method, URL, headers and body of a request to Portcullis. Only 200 forwards it; 204 answers a preflight.
const HEADERS = ['Content-Type', 'Cache-Control', 'Vary', 'WWW-Authenticate', 'Access-Control-Allow-Origin',
    'Access-Control-Expose-Headers', 'Access-Control-Allow-Methods', 'Access-Control-Allow-Headers', 'Access-Control-Max-Age'];

async function check(r) {
    let answer;
    try {
        const body = r.requestText || '';
        answer = await r.subrequest('/_portcullis', {method: body ? 'POST' : 'GET', body: body});
    } catch (error) {
        r.error(`portcullis: ${error}`);
        r.return(503);
        return;
    }
    if (answer.status === 200) {
        r.variables.token_id = answer.headersOut['X-Portcullis-Token-Id'] || '';
        r.variables.generation = answer.headersOut['X-Portcullis-Generation'] || '';
        r.internalRedirect('@apis');
        return;
    }
    HEADERS.filter(name => answer.headersOut[name]).forEach(name => {
        r.headersOut[name] = answer.headersOut[name];
    });
    r.return(answer.status === 204 || answer.status >= 400 ? answer.status : 503, answer.responseText || '');
}

export default {check};

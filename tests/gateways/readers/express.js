// A map service on Express, version 4 or 5. It reports what it reads in the header `X-Report`.
// Run as `node express.js PORT PACKAGE`, where the folder above PACKAGE has its dependencies.

const [port, folder, version] = process.argv.slice(2);
const load = require('module').createRequire(`${folder}/`);
const express = load(version);
const methodOverride = load('method-override');

// Returns every text in a parameter's value: an application may take the first, the last or all of them.
function texts(value) {
    if (typeof value === 'string') {
        return [value];
    }
    return value && typeof value === 'object' ? Object.values(value).flatMap(texts) : [];
}

function views(request) {
    const body = request.body && typeof request.body === 'object' ? request.body : {};
    return [request.query, body, {...request.query, ...body}, {...body, ...request.query}];
}

function answer(request, response, found) {
    const reads = [...new Map(found.map(read => [JSON.stringify(read), read])).values()];
    const report = {
        method: request.method,
        reads: request.method === 'OPTIONS' ? [] : reads,
        token_id: request.get('X-Portcullis-Token-Id') || '',
        tokens: views(request).flatMap(view => texts(view.access_token)),
    };
    response.set('X-Report', Buffer.from(JSON.stringify(report)).toString('base64'));
    response.end();
}

function reading(api, ...parameters) {
    return (request, response) => answer(request, response, views(request).flatMap(view => parameters.flatMap(([kind, name]) =>
        texts(view[name]).map(text => [api, kind, request.params.connection, text]))));
}

const below = version === 'express' ? '*' : '{/*below}';
const service = express.Router();
for (const kind of ['table', 'tileset', 'raster']) {
    service.all(`/maps/:connection/${kind}${below}`, reading('maps', ['resource', 'name']));
}
service.all(`/maps/:connection/query${below}`, reading('maps', ['q', 'q']));
service.all(`/maps/:connection/boundary${below}`, reading('maps', ['resource', 'tilesetTableName'],
    ['resource', 'propertiesTableName'], ['query', 'propertiesSqlQuery']));
service.all('/sql/:connection/query', reading('sql', ['q', 'q']));
service.all('/sql/:connection/job', reading('sql', ['q', 'q']));
service.all('/sql/:connection/model/:model', (request, response) => answer(request, response, views(request).flatMap(view =>
    texts(view.type).flatMap(type => texts(view.source).map(text =>
        ['model', type === 'query' ? 'q' : 'resource', request.params.connection, text])))));
service.all('/stats/:connection/:source/:column', (request, response) => answer(request, response, [
    ['maps', 'resource', request.params.connection, request.params.source],
    ...views(request).flatMap(view => texts(view.q).map(text => ['maps', 'q', request.params.connection, text]))]));
service.all('/stats/:connection/:column', reading('maps', ['q', 'q']));
service.all('/imports/:connection', reading('imports', ['resource', 'destination']));
service.all('/lds/:operation', (request, response) => answer(request, response, []));

const app = express();
app.set('query parser', 'extended');
app.disable('etag');
app.use(express.json({type: ['json', '+json']}));
app.use(express.urlencoded({extended: true}));
const any = {methods: null};
for (const override of ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', '_method']) {
    app.use(methodOverride(override, any));
}
const inBody = ({body}) => body && typeof body._method === 'string' ? body._method : undefined;
app.use(methodOverride(inBody, any));
app.use(['/v3', '/api/v3'], service);
// The default handler writes a stack to standard error for every refused body.
app.use((error, request, response, next) => response.status(error.status || 500).end());
require('http').createServer({maxHeaderSize: 131072}, app).listen(Number(port), '127.0.0.1');

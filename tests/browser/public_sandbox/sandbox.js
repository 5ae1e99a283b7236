// What the public CDS Hooks Sandbox (github.com/cds-hooks/sandbox) asks of a service, in our own words: how it discovers,
// prefetches, builds orders, signs, reads answers and sends feedback, with its peculiarities. No screen; tests drive it.

const RATING = "http://fhir.org/argonaut/Extension/pama-rating";
const SCOPES = "patient/*.* user/*.* launch openid profile online_access";

export class Sandbox {
  services = {}; // definitions by URL: one per id of a discovery endpoint
  study = {}; // the PAMA screen: the coding chosen, the codings of the reasons, the rating it shows
  reasons = [];
  rating = "unknown";
  exchanges = {}; // the last request and response of every service, by its URL

  /** @param site patient, fhirServer, and: token of the FHIR server; key, issuer and jku to sign with. */
  constructor(site) {
    Object.assign(this, { user: "Practitioner/COREPRACTITIONER1", token: null, ...site });
  }

  // --- calls ---------------------------------------------------------------------------------------------------------

  async discover(url) {
    const got = await this.#ask(url, { headers: { Accept: "application/json", ...(await this.#signed(url)) } });
    if (!got.body?.services?.length) throw new Error("no services");
    for (const service of got.body.services) this.services[`${url}/${service.id}`] = { ...service, enabled: true };
    return Object.keys(this.services);
  }

  /** Every enabled service of a hook is called. */
  async fire(hook, extra = {}) {
    const urls = Object.keys(this.services).filter((url) => this.services[url].hook === hook && this.services[url].enabled);
    return Promise.all(urls.map((url) => this.#call(url, hook, extra)));
  }

  async #call(url, hook, extra) {
    const context = { patientId: this.patient, userId: this.user, ...extra };
    const request = { hookInstance: crypto.randomUUID(), hook, fhirServer: this.fhirServer, context };
    if (this.token) {
      request.fhirAuthorization = {
        access_token: this.token, token_type: "Bearer", expires_in: 3600, scope: SCOPES, subject: "48163c5e-sandbox",
      };
    }
    const prefetch = await this.prefetch(this.services[url].prefetch ?? {}, context);
    if (Object.keys(prefetch).length) request.prefetch = prefetch;
    const got = await this.#post(url, request, { Accept: "application/json" });
    if (got.status === 200 && Object.keys(got.body).length) this.exchanges[url] = { request, response: got.body };
    return { url, request: JSON.parse(JSON.stringify(request)), ...got }; // as it was sent
  }

  async #post(url, body, headers) {
    const given = { "Content-Type": "application/json", ...headers, ...(await this.#signed(url)) };
    return this.#ask(url, { method: "POST", body: JSON.stringify(body), headers: given });
  }

  async #ask(url, options) {
    const got = await fetch(url, options);
    const text = await got.text();
    return { status: got.status, body: text ? JSON.parse(text) : null };
  }

  // --- prefetch ------------------------------------------------------------------------------------------------------

  /** A search is posted first and asked by GET when that fails; what is unresolved or fails is left out, silently. */
  async prefetch(templates, context) {
    const found = {};
    await Promise.all(Object.entries(templates).map(async ([key, template]) => {
      const query = this.#filled(template, context);
      if (/\{\{[^}]+\}\}/.test(query)) return;
      const value = await this.#fhir(query).catch(() => null);
      if (value && Object.keys(value).length) found[key] = value;
    }));
    return found;
  }

  /** Only plain values of the context are filled in; parameters are sorted by name, repeated ones joined by a comma. */
  #filled(template, context) {
    const isPlain = (value) => ["string", "number", "boolean"].includes(typeof value);
    const filled = template.replace(/\{\{\s*context\.(\w+)\s*\}\}/g, (token, name) => (isPlain(context[name]) ? context[name] : token));
    const [path, query] = filled.split("?");
    if (query === undefined) return path;
    const given = new URLSearchParams(query);
    const names = [...new Set(given.keys())].sort();
    return `${path}?${names.map((name) => `${name}=${encodeURIComponent(given.getAll(name).join(","))}`).join("&")}`;
  }

  async #fhir(query) {
    const headers = { Accept: "application/json+fhir", ...(this.token && { Authorization: `Bearer ${this.token}` }) };
    const read = async (url, options = {}) => {
      const got = await fetch(`${this.fhirServer}/${url}`, { ...options, headers: { ...headers, ...options.headers } });
      if (!got.ok) throw new Error(`${got.status}`);
      return got.json();
    };
    const [path, parameters] = query.split("?");
    if (!parameters) return read(path);
    const form = { "Content-Type": "application/x-www-form-urlencoded" };
    return read(`${path}/_search`, { method: "POST", headers: form, body: `${new URLSearchParams(parameters)}` })
      .catch(() => read(query));
  }

  // --- the PAMA screen -----------------------------------------------------------------------------------------------

  /** Opening the screen, and every change on it, fires order-select; what is not chosen yet stands there empty. */
  async choose({ study = this.study, reasons = this.reasons }) {
    [this.study, this.reasons] = [study, reasons];
    const answers = await this.fire("order-select", this.#order());
    for (const { response } of answers.map(({ url }) => this.exchanges[url] ?? {})) this.#record(response);
    return answers;
  }

  async sign() {
    this.rating = "unknown";
    const answers = await this.fire("order-sign", this.#order());
    for (const { response } of answers.map(({ url }) => this.exchanges[url] ?? {})) this.#record(response);
    return answers;
  }

  #order() {
    const resource = {
      resourceType: "ServiceRequest",
      id: "example-request-id",
      status: "draft",
      intent: "plan",
      code: { coding: [this.study], text: this.study.display },
      subject: { reference: `Patient/${this.patient}` },
      reasonCode: this.reasons.map((reason) => ({ coding: [reason], text: reason.display })),
    };
    return { selections: ["ServiceRequest/example-request-id"], draftOrders: { resourceType: "Bundle", entry: [{ resource }] } };
  }

  /** System actions are looked for in the extension only; the first code of the first rating is shown from then on. */
  #record(response) {
    const updates = (response?.extension?.systemActions ?? []).filter(({ type }) => type === "update");
    const [rating] = updates.flatMap(({ resource }) => (resource.extension ?? [])
      .filter(({ url }) => url === RATING)
      .flatMap(({ valueCodeableConcept }) => valueCodeableConcept.coding.map(({ code }) => code)));
    if (rating) this.rating = rating;
  }

  // --- cards ---------------------------------------------------------------------------------------------------------

  /** The first codings of what a suggestion creates or updates replace the study and join the reasons. */
  async accept(url, card, suggestion) {
    const told = await this.#tell(url, { card: card.uuid, outcome: "accepted", acceptedSuggestions: [{ id: suggestion.uuid }] });
    for (const { type, resource } of suggestion.actions) {
      if (type !== "create" && type !== "update") continue;
      if (resource.code?.coding.length > 0) this.study = resource.code.coding[0];
      if (resource.reasonCode?.length > 0) this.reasons = [...this.reasons, resource.reasonCode[0].coding[0]];
    }
    return told;
  }

  /** A reason is given back without its display. */
  async dismiss(url, card, reason) {
    const given = reason && { overrideReason: { reason: { code: reason.code, ...(reason.system && { system: reason.system }) } } };
    return this.#tell(url, { card: card.uuid, outcome: "overridden", ...given });
  }

  async #tell(url, outcome) {
    const entry = { ...outcome, outcomeTimestamp: new Date().toISOString() };
    return this.#post(`${url}/feedback`, { feedback: [entry] }, {});
  }

  // --- tokens --------------------------------------------------------------------------------------------------------

  /** The sandbox signs every call, also those to services that want no token. */
  async #signed(audience) {
    const now = Math.round(Date.now() / 1000);
    const header = { alg: "ES384", typ: "JWT", kid: this.key.kid, jku: this.jku };
    const claims = { iss: this.issuer, aud: audience, exp: now + 300, iat: now, jti: crypto.randomUUID() };
    const content = [header, claims].map((part) => coded(new TextEncoder().encode(JSON.stringify(part)))).join(".");
    const curve = { name: "ECDSA", namedCurve: "P-384" };
    const key = await crypto.subtle.importKey("jwk", this.key, curve, false, ["sign"]);
    const signature = await crypto.subtle.sign({ ...curve, hash: "SHA-384" }, key, new TextEncoder().encode(content));
    return { Authorization: `Bearer ${content}.${coded(new Uint8Array(signature))}` };
  }
}

const coded = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

window.Sandbox = Sandbox;

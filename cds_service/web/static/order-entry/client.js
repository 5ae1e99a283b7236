// A CDS Hooks client: discovery, calls and feedback, each kept with its request and answer so that it can be shown.
import { contextOf, prefetch } from "./ehr.js";

export class Client {
  /** @param base where the service is. @param fhirServer the EHR's own. @param kept told of every exchange. */
  constructor(base, fhirServer, kept) {
    this.base = base;
    this.fhirServer = fhirServer;
    this.kept = kept;
    this.services = [];
    this.running = {};
  }

  async discover() {
    const found = await this.#exchange("Discovery", "GET", "/cds-services");
    if (found.status !== 200) throw new Error(`/cds-services: ${found.failure ?? found.status}`);
    this.services = found.response.services;
  }

  /** Fires a hook: one call of its service. A call of the same hook that is still under way is given up. */
  fire(hook, open, about) {
    const service = this.services.find((entry) => entry.hook === hook);
    const context = contextOf(hook, open, about);
    const filled = prefetch(templatesFor(service, open.source), context, open.chart);
    const request = { hook, hookInstance: crypto.randomUUID(), ...access(open.source, this.fhirServer), context };
    if (Object.keys(filled).length) request.prefetch = filled;
    this.running[hook]?.abort();
    this.running[hook] = new AbortController();
    return this.#exchange(hook, "POST", `/cds-services/${service.id}`, request, this.running[hook].signal);
  }

  accept(path, card, suggestions) {
    return this.#tell(path, { card, outcome: "accepted", acceptedSuggestions: suggestions.map((id) => ({ id })) });
  }

  override(path, card, overrideReason) {
    return this.#tell(path, { card, outcome: "overridden", ...(overrideReason && { overrideReason }) });
  }

  #tell(path, outcome) {
    const feedback = [{ ...outcome, outcomeTimestamp: new Date().toISOString() }];
    return this.#exchange(`Feedback: ${outcome.outcome}`, "POST", `${path}/feedback`, { feedback });
  }

  async #exchange(name, method, path, request, signal) {
    const kept = { name, method, path, url: `${this.base}${path}`, request, status: 0, response: null };
    const begun = performance.now();
    try {
      const body = request && JSON.stringify(request);
      const got = await fetch(kept.url, { method, body, signal, headers: body ? { "Content-Type": "application/json" } : {} });
      kept.status = got.status;
      kept.response = await got.json();
    } catch (error) {
      kept.superseded = error.name === "AbortError";
      kept.failure = kept.superseded ? "given up for a newer call" : error.message;
    }
    kept.milliseconds = Math.round(performance.now() - begun);
    this.kept(kept);
    return kept;
  }
}

/** With a FHIR server the service reads for itself; only what this page changes, signed orders, goes along. */
function templatesFor({ prefetch: templates }, source) {
  if (!source) return templates;
  const { plannedServices } = templates;
  return plannedServices && !source.lacking.plannedServices ? { plannedServices } : {};
}

/** Where the EHR's own data are, or those of the server that was typed in, with its token. */
function access(source, own) {
  if (!source) return { fhirServer: own };
  const { fhirServer, token } = source;
  const granted = { token_type: "Bearer", expires_in: 300, scope: "user/*.read", subject: "order-entry" };
  return { fhirServer, ...(token && { fhirAuthorization: { access_token: token, ...granted } }) };
}

/** A request as it may be shown and copied: without its token. */
export function withoutToken(request) {
  if (!request?.fhirAuthorization) return request;
  return { ...request, fhirAuthorization: { ...request.fhirAuthorization, access_token: "(left out)" } };
}

/** The exchange as a command for a terminal. */
export function curl({ method, url, request }) {
  if (!request) return `curl -s '${url}'`;
  const body = JSON.stringify(withoutToken(request), null, 1);
  return `curl -s -X ${method} -H 'Content-Type: application/json' --data-binary @- '${url}' <<'JSON'\n${body}\nJSON\n`;
}

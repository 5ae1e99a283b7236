// A CDS Hooks client: discovery, calls and feedback, each kept with its request and answer so that it can be shown.
import { contextOf, prefetch } from "./ehr.js";

export class Client {
  /** @param base where the service is. @param fhirServer the EHR's own. @param kept told of every exchange. */
  constructor(base, fhirServer, kept) {
    this.base = base;
    this.fhirServer = fhirServer;
    this.kept = kept;
    this.services = [];
  }

  async discover() {
    const found = await this.#exchange("Discovery", "GET", "/cds-services");
    if (found.status !== 200) throw new Error(`/cds-services: ${found.failure ?? found.status}`);
    this.services = found.response.services;
  }

  /** Fires a hook: one call of its service, with prefetch as the service advertises it. */
  fire(hook, { patient, encounter, chart, drafts }, selected = []) {
    const service = this.services.find((entry) => entry.hook === hook);
    const context = contextOf(hook, patient, encounter, drafts, selected);
    const request = {
      hook,
      hookInstance: crypto.randomUUID(),
      fhirServer: this.fhirServer,
      context,
      prefetch: prefetch(service.prefetch, context, chart),
    };
    return this.#exchange(hook, "POST", `/cds-services/${service.id}`, request);
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

  async #exchange(name, method, path, request) {
    const kept = { name, method, path, url: `${this.base}${path}`, request, status: 0, response: null };
    const begun = performance.now();
    try {
      const body = request && JSON.stringify(request);
      const got = await fetch(kept.url, { method, body, headers: body ? { "Content-Type": "application/json" } : {} });
      kept.status = got.status;
      kept.response = await got.json();
    } catch (error) {
      kept.failure = error.message;
    }
    kept.milliseconds = Math.round(performance.now() - begun);
    this.kept(kept);
    return kept;
  }
}

/** The exchange as a command for a terminal. */
export function curl({ method, url, request }) {
  if (!request) return `curl -s '${url}'`;
  const body = JSON.stringify(request, null, 1);
  return `curl -s -X ${method} -H 'Content-Type: application/json' --data-binary @- '${url}' <<'JSON'\n${body}\nJSON\n`;
}

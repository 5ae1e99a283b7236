// What an EHR knows: the chart, the draft orders, and how an advertised query is answered from them.

const USER = "Practitioner/demo";
const PERFORMER = "Organization/demo-imaging";
const RATING = "http://fhir.org/argonaut/Extension/pama-rating";
const NEWEST_FIRST = (one, other) => dateOf(other).localeCompare(dateOf(one));

export const resources = (bundle) => bundle.entry.map((entry) => entry.resource);
export const isDraft = (resource) => resource.resourceType === "ServiceRequest" && resource.status === "draft";
export const referenceTo = (resource) => `${resource.resourceType}/${resource.id}`;
export const nameOf = (concept) =>
  concept?.text ?? concept?.coding?.find((coding) => coding.display)?.display ?? concept?.coding?.[0]?.code ?? "";

export function dateOf(resource) {
  const period = resource.effectivePeriod ?? resource.performedPeriod ?? resource.period ?? resource.timingPeriod;
  return resource.effectiveDateTime ?? resource.performedDateTime ?? resource.started ?? resource.authoredOn
    ?? period?.start ?? resource.onsetDateTime ?? resource.recordedDate ?? resource.recordedOn ?? "";
}

// --- prefetch --------------------------------------------------------------------------------------------------------

const SEARCH = {
  patient: (found, id) => found.filter((r) => [r.subject, r.patient].some((s) => s?.reference === `Patient/${id}`)),
  category: (found, code) => found.filter((r) => codes(r.category).includes(code)),
  status: (found, code) => found.filter((r) => r.status === code),
  _sort: (found, by) => (by === "-date" ? [...found].sort(NEWEST_FIRST) : null),
};

function codes(category) {
  return [category].flat().flatMap((concept) => concept?.coding ?? []).map((coding) => coding.code);
}

/** Every template that can be answered as it was advertised; what cannot is left out, so that the service asks. */
export function prefetch(templates, context, chart) {
  const filled = Object.entries(templates ?? {}).map(([key, template]) => [key, answer(template, context, chart)]);
  return Object.fromEntries(filled.filter(([, value]) => value !== undefined));
}

function answer(template, context, chart) {
  const query = template.replace(/\{\{context\.(\w+)\}\}/g, (_, name) => context[name] ?? "");
  const [, kind, id, parameters] = /^(\w+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(query);
  const held = chart.filter((resource) => resource.resourceType === kind);
  if (parameters === undefined) return held.find((resource) => resource.id === id) ?? null;
  let found = held;
  for (const [name, value] of new URLSearchParams(parameters)) {
    found = found && (SEARCH[name]?.(found, value) ?? null);
  }
  return found ? searchset(found) : undefined;
}

function searchset(found) {
  const bundle = { resourceType: "Bundle", type: "searchset", total: found.length };
  return found.length ? { ...bundle, entry: found.map((resource) => ({ resource })) } : bundle;
}

// --- calls -----------------------------------------------------------------------------------------------------------

const collection = (held) => ({ resourceType: "Bundle", type: "collection", entry: held.map((resource) => ({ resource })) });

const ABOUT = {
  "order-select": (chosen, drafts) => ({
    draftOrders: collection([...drafts, ...chosen.filter((order) => !drafts.includes(order))]),
    selections: chosen.map(referenceTo),
  }),
  "order-sign": (_, drafts) => ({ draftOrders: collection(drafts) }),
  "order-dispatch": (sent) => ({ dispatchedOrders: sent.map(referenceTo), performer: PERFORMER }),
  "appointment-book": (proposed) => ({ appointments: collection(proposed) }),
};

/** The context of a hook; `about` are the resources it is fired for. */
export function contextOf(hook, { patient, encounter, drafts }, about = []) {
  const context = { userId: USER, patientId: patient.id };
  if (encounter) context.encounterId = encounter.id;
  return { ...context, ...ABOUT[hook]?.(about, drafts) };
}

/** A proposed appointment for what an order asks for, on a day. */
export function appointmentFor(order, patient, day) {
  return {
    resourceType: "Appointment",
    id: `${order.id}-appointment`,
    status: "proposed",
    serviceType: [order.code],
    start: `${day}T09:00:00Z`,
    participant: [{ actor: { reference: `Patient/${patient.id}` }, status: "needs-action" }],
    basedOn: [{ reference: referenceTo(order) }],
  };
}

// --- orders ----------------------------------------------------------------------------------------------------------

/** A draft for a study of the catalogue. */
export function draftOf(study, indication, { patient, encounter, id }) {
  const order = {
    resourceType: "ServiceRequest",
    id,
    status: "draft",
    intent: "order",
    category: [{ text: "Imaging" }],
    code: { ...study.code, text: study.label },
    subject: { reference: `Patient/${patient.id}` },
  };
  if (encounter) order.encounter = { reference: `Encounter/${encounter.id}` };
  if (indication) order.reasonReference = [{ reference: indication }];
  return order;
}

/** The drafts after the actions of a suggestion or of the service itself. */
export function applied(drafts, actions, newId) {
  return actions.reduce((left, { type, resource, resourceId }) => {
    const [gone] = [resourceId].flat();
    if (type === "delete") return left.filter((draft) => referenceTo(draft) !== gone);
    if (type === "create") return [...left, { ...resource, id: newId() }];
    return left.map((draft) => (referenceTo(draft) === referenceTo(resource) ? resource : draft));
  }, drafts);
}

/** The rating recorded on an order, if any: what it says, and its codes. */
export function ratingOf(order) {
  const rating = order.extension?.find((extension) => extension.url === RATING)?.valueCodeableConcept;
  return rating ? { text: rating.text, codes: rating.coding.map((coding) => coding.code) } : null;
}

// Choosing, drafting and signing orders.
import { fire, forget } from "./advice.js";
import { signedView } from "./afterwards.js";
import { announce, changed, desk, newId, shows } from "./desk.js";
import { at, focusOn, h } from "./dom.js";
import { applied, draftOf, nameOf, ratingOf, referenceTo } from "./ehr.js";
import { orderView } from "./orders.js";

const PAUSE = 400; // milliseconds of rest before a choice is asked about: going through the list asks once
const MODALITY = {
  mri: "MRI", ct: "CT", "pet-ct": "PET/CT", scintigraphy: "Scintigraphy", endoscopy: "Endoscopy", ultrasound: "Ultrasound",
};
let waiting = 0;

export function startOrdering() {
  at("study").replaceChildren(...studyOptions());
  at("study").addEventListener("change", choose);
  at("indication").addEventListener("change", choose);
  at("order-form").addEventListener("submit", draft);
  at("sign").addEventListener("click", sign);
  shows(showOrders);
}

export function offerIndications(chart) {
  const found = chart.filter((r) => r.resourceType === "Condition");
  const options = found.map((r) => h("option", { value: referenceTo(r) }, nameOf(r.code)));
  at("indication").replaceChildren(...options, h("option", { value: "" }, "None stated"));
}

function studyOptions() {
  const modalities = [...new Set(desk.studies.map(({ modality }) => modality))];
  const options = (wanted) => desk.studies.filter(({ modality }) => modality === wanted)
    .map(({ study, label }) => h("option", { value: study }, label));
  const groups = modalities.map((modality) => h("optgroup", { label: MODALITY[modality] ?? modality }, options(modality)));
  return [h("option", { value: "" }, "Choose a study"), ...groups];
}

function showOrders() {
  const { drafts, signed, proposed, choice, source } = desk.open;
  at("story-orders").replaceChildren(...(proposed.length ? proposedView(proposed, source) : []));
  at("drafts").replaceChildren(...drafts.map((order) => orderView(order, removal(order))));
  at("no-drafts").hidden = drafts.length > 0;
  if (!choice) at("study").value = "";
  at("sign").textContent = isReviewed() ? "Sign anyway" : "Sign orders";
  at("sign-hint").hidden = !isReviewed();
  at("sign").setAttribute("aria-disabled", String(!drafts.length));
  at("signed").replaceChildren(...signed.map(signedView));
  at("signed-part").hidden = !signed.length;
}

function proposedView(proposed, source) {
  const names = proposed.map((order) => nameOf(order.code)).join(" + ");
  return [
    h("p", { class: "cite" }, source ? "Drafts on the server:" : "Ordered in this story:"),
    h("button", { type: "button", id: "story-order", class: "suggestion", onclick: takeProposed }, names),
  ];
}

function removal(order) {
  const label = `Remove ${nameOf(order.code)}`;
  return h("button", { type: "button", class: "quiet", "aria-label": label, onclick: () => remove(order) }, "Remove");
}

// --- choosing --------------------------------------------------------------------------------------------------------

/** The clinician looks at a study: the service is asked when the choice has rested, and a newer choice replaces it. */
function choose() {
  const { open, studies } = desk;
  const study = studies.find((one) => one.study === at("study").value);
  const had = open.choice;
  open.choice = study ? draftOf(study, at("indication").value, { ...open, id: had?.id ?? newId() }) : null;
  clearTimeout(waiting);
  waiting = open.choice ? setTimeout(ask, PAUSE, open) : 0;
  if (had && !open.choice) forget("order-select");
}

function ask(shown) {
  clearTimeout(waiting);
  waiting = 0;
  return desk.open === shown && shown.choice ? fire("order-select", [shown.choice]) : undefined;
}

/** What was chosen becomes a draft; about the same order nothing is asked twice. */
function draft(event) {
  event.preventDefault();
  const { open } = desk;
  at("study").setAttribute("aria-invalid", String(!open.choice));
  if (!open.choice) return announce("Choose a study first.");
  if (waiting) ask(open);
  open.drafts = [...open.drafts, open.choice];
  open.choice = null;
  return changed();
}

function takeProposed() {
  const { open } = desk;
  const taken = open.proposed;
  open.proposed = [];
  open.drafts = [...open.drafts, ...taken];
  changed();
  focusOn(at("drafts-title"));
  return fire("order-select", taken);
}

function remove(order) {
  const { open } = desk;
  open.drafts = open.drafts.filter((one) => one !== order);
  if (!open.drafts.length && !open.choice) ["order-select", "order-sign"].forEach(forget);
  changed();
  focusOn(at("drafts-title"));
  announce(`${nameOf(order.code)} is removed.`);
}

// --- signing ---------------------------------------------------------------------------------------------------------

const state = () => JSON.stringify(desk.open.drafts);
const isReviewed = () => desk.open.drafts.length > 0 && desk.open.reviewed === state();

/** An order is signed when the service has nothing to say, or when the clinician has seen what it says. */
async function sign() {
  const { open } = desk;
  if (!open.drafts.length) return announce("There is no draft order to sign.");
  if (isReviewed()) return signed();
  const { response, superseded } = await fire("order-sign");
  if (superseded) return undefined;
  const recorded = response?.systemActions ?? response?.extension?.systemActions ?? [];
  open.drafts = applied(open.drafts, recorded, newId);
  if (response?.cards?.length === 0) return signed();
  open.reviewed = state();
  return changed();
}

function signed() {
  const { open } = desk;
  const orders = open.drafts.map((order) => ({ ...order, status: "active" }));
  open.signed.push(...orders.map((order) => ({ order, sent: false, booked: "", warned: "" })));
  open.chart = [...open.chart, ...orders];
  open.drafts = [];
  changed();
  const ratings = orders.map((order) => `${nameOf(order.code)}: ${ratingOf(order)?.text ?? "no rating recorded"}`);
  announce(`Signed. ${ratings.join(". ")}`);
  focusOn(at("signed-title"));
}

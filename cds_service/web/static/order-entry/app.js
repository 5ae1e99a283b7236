// The order-entry page: it plays the EHR, and talks to the service as any CDS Hooks client does.
import { cardView } from "./cards.js";
import { chartView } from "./chart.js";
import { Client } from "./client.js";
import { at, focusOn, h } from "./dom.js";
import { AppFrame } from "./smart.js";
import { applied, draftOf, isDraft, nameOf, ratingOf, referenceTo, resources } from "./ehr.js";
import { orderView } from "./orders.js";
import { wire } from "./wire.js";

const BASE = `${location.origin}${at("order-entry").dataset.base}`;
const MODALITY = {
  mri: "MRI", ct: "CT", "pet-ct": "PET/CT", scintigraphy: "Scintigraphy", endoscopy: "Endoscopy", ultrasound: "Ultrasound",
};
const client = new Client(BASE, at("order-entry").dataset.fhirServer, keep);
const app = new AppFrame(at("app-room"), {
  drafts: () => open.drafts,
  change: changeDrafts,
  done: closeApp,
});
let patients = [];
let studies = [];
let open = null; // what is on the screen about one patient

async function json(path) {
  const got = await fetch(`${BASE}${path}`);
  if (!got.ok) throw new Error(`${path}: ${got.status}`);
  return got.json();
}

// --- patients --------------------------------------------------------------------------------------------------------

function pickerView() {
  return patients.map(({ slug, title, story }) =>
    h("li", {}, h("button", { type: "button", class: "patient", "data-patient": slug, onclick: () => visit(slug) },
      h("span", { class: "title" }, title), h("span", { class: "story" }, story))));
}

/** Opens a patient, and gives the page an address that leads back to this chart. */
function visit(slug) {
  history.pushState(null, "", slug ? `?patient=${encodeURIComponent(slug)}` : location.pathname);
  return route();
}

const route = () => showAddressed().catch(failed);

async function showAddressed() {
  const listed = patients.find(({ slug }) => slug === new URLSearchParams(location.search).get("patient"));
  at("picker").hidden = Boolean(listed);
  at("workspace").hidden = !listed;
  open = null;
  closeApp();
  if (listed) await openChart(listed);
  else focusOn(at("picker-title"));
}

async function openChart({ slug, title, story }) {
  const found = resources(await json(`/demo/patients/${encodeURIComponent(slug)}`));
  open = {
    patient: found.find((r) => r.resourceType === "Patient"),
    encounter: found.find((r) => r.resourceType === "Encounter"),
    chart: found.filter((r) => !isDraft(r)),
    proposed: found.filter(isDraft),
    slug,
    drafts: [],
    signed: [],
    reviewed: "",
    numbered: 0,
  };
  at("banner").replaceChildren(...bannerView(open.patient, slug, title, story));
  at("advice-body").replaceChildren();
  at("indication").replaceChildren(...indications(open.chart));
  at("study").value = "";
  showChart();
  showOrders();
  focusOn(at("patient-name"));
  await fire("patient-view");
}

function bannerView(patient, slug, title, story) {
  const name = patient.name?.[0];
  const full = name?.text ?? `${name?.family ?? ""}, ${(name?.given ?? []).join(" ")}`;
  const facts = [`Born ${patient.birthDate}`, patient.gender, `MRN ${patient.identifier?.[0]?.value ?? "unknown"}`];
  return [
    h("div", { class: "who" }, h("h2", { id: "patient-name" }, full), h("p", {}, facts.filter(Boolean).join(" · "))),
    h("p", { class: "story" }, h("strong", {}, `${title}. `), `${story} `,
      h("a", { href: `${BASE}/demo/patients/${encodeURIComponent(slug)}/story` }, "Timeline, staging and evidence")),
    h("button", { type: "button", class: "quiet", id: "change", onclick: () => visit("") }, "Change patient"),
  ];
}

function indications(chart) {
  const found = chart.filter((r) => r.resourceType === "Condition");
  return [...found.map((r) => h("option", { value: referenceTo(r) }, nameOf(r.code))), h("option", { value: "" }, "None stated")];
}

const showChart = () => at("chart-body").replaceChildren(...chartView(open.chart).filter(Boolean));

// --- orders ----------------------------------------------------------------------------------------------------------

function studyOptions() {
  const modalities = [...new Set(studies.map(({ modality }) => modality))];
  const options = (wanted) => studies.filter(({ modality }) => modality === wanted)
    .map(({ study, label }) => h("option", { value: study }, label));
  const groups = modalities.map((modality) => h("optgroup", { label: MODALITY[modality] ?? modality }, options(modality)));
  return [h("option", { value: "" }, "Choose a study"), ...groups];
}

const newId = () => `draft-${++open.numbered}`;

function showOrders() {
  const { drafts, signed, proposed } = open;
  at("story-orders").replaceChildren(...(proposed.length ? storyView(proposed) : []));
  at("drafts").replaceChildren(...drafts.map((order) => orderView(order, () => remove(order))));
  at("no-drafts").hidden = drafts.length > 0;
  at("sign").textContent = isReviewed() ? "Sign anyway" : "Sign orders";
  at("sign-hint").hidden = !isReviewed();
  at("sign").setAttribute("aria-disabled", String(!drafts.length));
  at("signed").replaceChildren(...signed.map((order) => orderView(order)));
  at("signed-part").hidden = !signed.length;
}

function storyView(proposed) {
  const names = proposed.map((order) => nameOf(order.code)).join(" + ");
  return [
    h("p", { class: "cite" }, "Ordered in this story:"),
    h("button", { type: "button", id: "story-order", class: "suggestion", onclick: takeStoryOrders }, names),
  ];
}

function takeStoryOrders() {
  const taken = open.proposed;
  open.proposed = [];
  focusOn(at("drafts-title"));
  return add(taken);
}

function chooseStudy(event) {
  event.preventDefault();
  const study = studies.find((one) => one.study === at("study").value);
  at("study").setAttribute("aria-invalid", String(!study));
  if (!study) return announce("Choose a study first.");
  return add([draftOf(study, at("indication").value, { ...open, id: newId() })]);
}

/** Orders are drafted: the clinician is still choosing. */
function add(orders) {
  open.drafts = [...open.drafts, ...orders];
  showOrders();
  return fire("order-select", orders);
}

function remove(order) {
  open.drafts = open.drafts.filter((draft) => draft !== order);
  showOrders();
  focusOn(at("drafts-title"));
  announce(`${nameOf(order.code)} is removed.`);
}

const state = () => JSON.stringify(open.drafts);
const isReviewed = () => open.drafts.length > 0 && open.reviewed === state();

/** An order is signed when the service has nothing to say, or when the clinician has seen what it says. */
async function sign() {
  const shown = open;
  if (!shown.drafts.length) return announce("There is no draft order to sign.");
  if (isReviewed()) return signed();
  const { response } = await fire("order-sign");
  if (open !== shown) return undefined;
  const recorded = response?.systemActions ?? response?.extension?.systemActions ?? [];
  shown.drafts = applied(shown.drafts, recorded, newId);
  if (response?.cards?.length === 0) return signed();
  shown.reviewed = state();
  return showOrders();
}

function signed() {
  const orders = open.drafts.map((order) => ({ ...order, status: "active" }));
  open.signed.push(...orders);
  open.chart = [...open.chart, ...orders];
  open.drafts = [];
  showChart();
  showOrders();
  const ratings = orders.map((order) => `${nameOf(order.code)}: ${ratingOf(order)?.text ?? "no rating recorded"}`);
  announce(`Signed. ${ratings.join(". ")}`);
  focusOn(at("signed-title"));
}

// --- decision support ------------------------------------------------------------------------------------------------

/** Fires a hook and shows what it answers; each hook has one place, where the latest answer stands. */
async function fire(hook, selected) {
  const shown = open;
  const exchange = await client.fire(hook, shown, selected);
  if (open !== shown) return exchange; // another patient has been opened meanwhile
  at(`said-${hook}`)?.remove();
  at("advice-body").prepend(answerView(hook, exchange));
  const cards = exchange.response?.cards;
  if (cards) announce(`${hook}: ${cards.map(({ summary }) => summary).join(". ") || "nothing to say"}`);
  return exchange;
}

function answerView(hook, exchange) {
  const { response, status, path, failure } = exchange;
  const cards = response?.cards ?? [];
  const silent = status === 200 && !cards.length;
  const problem = failure ?? response?.issue?.[0]?.details?.text;
  return h(
    "section",
    { class: "answer", id: `said-${hook}`, "aria-labelledby": `title-${hook}` },
    h("h3", { id: `title-${hook}` }, h("code", {}, hook)),
    silent ? h("p", { class: "silent" }, "No card: there is nothing that needs attention.") : null,
    problem ? h("p", { class: "note", role: "alert" }, `The service did not answer as it should: ${problem}`) : null,
    cards.map((card) => cardView(card, decisions(path, card))),
    wire(exchange),
  );
}

function decisions(path, card) {
  return {
    accept: async (accepted, suggestion) => {
      open.drafts = applied(open.drafts, suggestion.actions ?? [], newId);
      showOrders();
      return (await client.accept(path, card.uuid, accepted)).status === 200;
    },
    launch: openApp,
    override: async (reason) => (await client.override(path, card.uuid, reason)).status === 200,
  };
}

// --- the SMART app ---------------------------------------------------------------------------------------------------

/** Opens the app of a card's link as EHRs do: beside the chart, with a handle of what is open. */
async function openApp({ label, url, appContext }) {
  const query = new URLSearchParams(appContext ? { appContext } : {});
  const told = await json(`/demo/ehr/launch/${encodeURIComponent(open.slug)}?${query}`);
  const address = `${url}?${new URLSearchParams({ iss: told.iss, launch: told.launch })}`;
  if (new URL(url).origin !== location.origin) return window.open(address, "_blank", "noopener");
  app.open(address, label, told.messagingHandle);
  at("app").hidden = false;
  return focusOn(at("app-title"));
}

function closeApp() {
  app.close();
  at("app").hidden = true;
}

/** The app changed draft orders: the hook fires again, as after every change. */
function changeDrafts(drafts, changed) {
  open.drafts = drafts;
  showOrders();
  return changed.length ? fire("order-select", changed) : undefined;
}

const announce = (text) => { at("announcer").textContent = text; };

/** Every exchange, newest first, below everything else. */
function keep(exchange) {
  at("log").prepend(h("li", {}, h("span", { class: "call" }, exchange.name), wire(exchange)));
}

// --- start -----------------------------------------------------------------------------------------------------------

async function start() {
  const [, listed, catalogue] = await Promise.all([client.discover(), json("/demo/patients"), json("/demo/studies")]);
  [patients, studies] = [listed, catalogue];
  at("patients").replaceChildren(...pickerView());
  at("study").replaceChildren(...studyOptions());
  at("order-form").addEventListener("submit", chooseStudy);
  at("sign").addEventListener("click", sign);
  at("app-close").addEventListener("click", closeApp);
  window.addEventListener("popstate", route);
  if (location.search) await route();
}

function failed(error) {
  at("failure").hidden = false;
  at("failure").textContent = `Something could not be loaded: ${error.message}. Is the service still running?`;
}

start().catch(failed);

// The order-entry page: it plays the EHR, and talks to the service as any CDS Hooks client does.
import { fire } from "./advice.js";
import { discharge, startAfterwards } from "./afterwards.js";
import { chartView } from "./chart.js";
import { Client } from "./client.js";
import { announce, changed, desk, shows } from "./desk.js";
import { at, focusOn, h } from "./dom.js";
import { isDraft, resources } from "./ehr.js";
import { closeApp, startApp } from "./launching.js";
import { offerIndications, startOrdering } from "./ordering.js";
import { wire } from "./wire.js";

const BASE = `${location.origin}${at("order-entry").dataset.base}`;
let patients = [];
let token = ""; // of the FHIR server typed in; kept nowhere else

async function json(path, body) {
  const posted = body && { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const got = await fetch(`${BASE}${path}`, posted);
  const found = await got.json();
  if (!got.ok) throw new Error(found.issue?.[0]?.details?.text ?? `${path}: ${got.status}`);
  return found;
}

// --- whose chart -----------------------------------------------------------------------------------------------------

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

/** Opens a patient of a FHIR server; who it is stands in the history of this window, not in an address. */
function visitServer(event) {
  event.preventDefault();
  token = at("server-token").value.trim();
  const server = { fhirServer: at("server").value.trim(), patientId: at("server-patient").value.trim() };
  history.pushState({ server }, "", location.pathname);
  return route();
}

const route = () => showAddressed().catch(failed);

async function showAddressed() {
  desk.open = null;
  at("failure").hidden = true;
  const listed = patients.find(({ slug }) => slug === new URLSearchParams(location.search).get("patient"));
  const server = history.state?.server;
  const found = listed ? await listedChart(listed) : server ? await serverChart(server) : null;
  closeApp();
  at("picker").hidden = Boolean(found);
  at("workspace").hidden = !found;
  if (found) await openChart(found);
  else focusOn(at("picker-title"));
}

async function listedChart({ slug, title, story }) {
  const address = `/demo/patients/${encodeURIComponent(slug)}`;
  const link = h("a", { href: `${BASE}${address}/story` }, "Timeline, staging and evidence");
  return { slug, bundle: await json(address), source: null, about: [h("strong", {}, `${title}. `), `${story} `, link] };
}

async function serverChart({ fhirServer, patientId }) {
  announce("Reading the chart.");
  const { chart, lacking } = await json("/demo/charts", { fhirServer, patientId, ...(token && { token }) });
  const gaps = Object.entries(lacking).map(([key, why]) => `${key} (${why})`).join(", ");
  const about = ["Read from ", h("code", {}, fhirServer), ". Calls send what is changed here; the service reads the rest."];
  if (gaps) about.push(h("strong", {}, ` Not read to the end: ${gaps}.`));
  return { bundle: chart, source: { fhirServer, token, lacking }, about };
}

async function openChart({ slug = "", bundle, source, about }) {
  const found = resources(bundle);
  desk.open = {
    source,
    patient: found.find((r) => r.resourceType === "Patient"),
    encounter: found.find((r) => r.resourceType === "Encounter"),
    chart: found.filter((r) => !isDraft(r)),
    proposed: found.filter(isDraft),
    choice: null,
    slug,
    drafts: [],
    signed: [],
    reviewed: "",
    leaving: false,
    numbered: 0,
  };
  at("banner").replaceChildren(...bannerView(desk.open, about));
  at("advice-body").replaceChildren();
  offerIndications(desk.open.chart);
  changed();
  focusOn(at("patient-name"));
  await fire("patient-view");
}

function bannerView({ patient, encounter }, about) {
  const name = patient.name?.[0];
  const full = name?.text ?? `${name?.family ?? ""}, ${(name?.given ?? []).join(" ")}`;
  const born = patient.birthDate && `Born ${patient.birthDate}`;
  const facts = [born, patient.gender, `MRN ${patient.identifier?.[0]?.value ?? "unknown"}`];
  const button = (id, label, act) => h("button", { type: "button", class: "quiet", id, onclick: act }, label);
  return [
    h("div", { class: "who" }, h("h2", { id: "patient-name" }, full), h("p", {}, facts.filter(Boolean).join(" · "))),
    h("p", { class: "story" }, about),
    h("div", { class: "leave" }, encounter && button("discharge", "Discharge", discharge),
      button("change", "Change patient", () => visit(""))),
  ];
}

const showChart = () => at("chart-body").replaceChildren(...chartView(desk.open.chart).filter(Boolean));

/** Every exchange, newest first, below everything else. */
function keep(exchange) {
  at("log").prepend(h("li", {}, h("span", { class: "call" }, exchange.name), wire(exchange)));
}

// --- start -----------------------------------------------------------------------------------------------------------

async function start() {
  desk.client = new Client(BASE, at("order-entry").dataset.fhirServer, keep);
  [, patients, desk.studies] = await Promise.all([desk.client.discover(), json("/demo/patients"), json("/demo/studies")]);
  at("patients").replaceChildren(...pickerView());
  at("server-form").addEventListener("submit", visitServer);
  shows(showChart);
  startOrdering();
  startAfterwards();
  startApp(fire);
  window.addEventListener("popstate", route);
  if (location.search || history.state) await route();
}

function failed(error) {
  at("failure").hidden = false;
  at("failure").textContent = `Something could not be loaded. ${error.message}`;
}

start().catch(failed);

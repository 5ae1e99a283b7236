// The chart as an EHR shows it: one table for each kind of entry, newest first.
import { h, table } from "./dom.js";
import { dateOf, nameOf } from "./ehr.js";

const WIDE = matchMedia("(min-width: 48rem)"); // on a phone the way to the orders stays short
const SECTIONS = [
  ["Problems", ["Condition"], ["Problem", "Site", "Status", "Since"], problem],
  ["Allergies", ["AllergyIntolerance"], ["Substance", "Reaction", "Recorded"], allergy],
  ["Implants and devices", ["Device"], ["Device", "Safety", "Made"], device],
  ["Results", ["Observation"], ["Result", "Value", "Date"], result],
  ["Imaging and reports", ["DiagnosticReport", "ImagingStudy"], ["What", "Finding", "Date"], imaging],
  ["Procedures", ["Procedure"], ["Procedure", "Status", "Date"], procedure],
  ["Medications", ["MedicationStatement", "MedicationRequest", "MedicationAdministration"],
    ["Medication", "Status", "Since"], medication],
  ["Plans and active orders", ["CarePlan", "ServiceRequest"], ["What", "Status", "Since"], plan],
];

/** The sections that have entries; which have none is said in one line. */
export function chartView(chart) {
  const filled = SECTIONS.map((section) => [section, entries(chart, section[1])]);
  const empty = filled.filter(([, found]) => !found.length).map(([[title]]) => title.toLowerCase());
  return [
    ...filled.filter(([, found]) => found.length).map(([section, found]) => view(section, found, chart)),
    empty.length ? h("p", { class: "cite" }, `Nothing on record: ${empty.join(", ")}.`) : null,
  ];
}

function entries(chart, kinds) {
  const reported = new Set(chart.flatMap((r) => r.imagingStudy ?? []).map((study) => study.reference));
  return chart
    .filter((r) => kinds.includes(r.resourceType) && !reported.has(`ImagingStudy/${r.id}`))
    .sort((one, other) => dateOf(other).localeCompare(dateOf(one)));
}

function view([title, , head, row], found, chart) {
  return h(
    "details",
    { class: "section", open: WIDE.matches || title === "Problems" },
    h("summary", {}, h("h3", {}, title), ` (${found.length})`),
    table(title, head, found.map((resource) => row(resource, chart))),
  );
}

const day = (written) => (written ?? "").slice(0, 10);
const since = (r) => day(r.onsetDateTime ?? r.recordedDate);

function problem(r) {
  const status = [r.clinicalStatus, r.verificationStatus].map(nameOf).filter(Boolean).join(", ");
  return [nameOf(r.code), (r.bodySite ?? []).map(nameOf).join(", "), status, since(r)];
}

function result(r) {
  return [nameOf(r.code), [value(r), flag(r)], day(dateOf(r))];
}

function value(r) {
  const quantity = r.valueQuantity;
  if (quantity) return `${quantity.comparator ?? ""}${quantity.value} ${quantity.unit ?? quantity.code ?? ""}`.trim();
  if (r.valueBoolean !== undefined) return r.valueBoolean ? "yes" : "no";
  if (r.component) return r.component.map((part) => `${nameOf(part.code)}: ${value(part)}`).join("; ");
  const absent = r.dataAbsentReason && `not available (${nameOf(r.dataAbsentReason)})`;
  return r.valueString ?? r.valueInteger ?? (nameOf(r.valueCodeableConcept) || absent || "");
}

function flag(r) {
  const name = nameOf(r.interpretation?.[0]);
  return name && !/^(n|normal)$/i.test(name) ? h("span", { class: "flag" }, ` ${name}`) : null;
}

function imaging(r) {
  if (r.resourceType === "DiagnosticReport") return [nameOf(r.code), r.conclusion ?? "", day(dateOf(r))];
  return [nameOf(r.procedureCode?.[0]) || r.description || "", "images without a report here", day(dateOf(r))];
}

function procedure(r) {
  return [nameOf(r.code), r.status ?? "", day(dateOf(r))];
}

function medication(r, chart) {
  const drug = chart.find((m) => m.resourceType === "Medication" && `Medication/${m.id}` === r.medicationReference?.reference);
  const name = nameOf(r.medicationCodeableConcept) || r.medicationReference?.display || nameOf(drug?.code);
  const dose = r.dosage?.[0]?.text;
  return [dose ? `${name}, ${dose}` : name, r.status ?? "", day(dateOf(r))];
}

function allergy(r) {
  const reactions = (r.reaction ?? []).map((one) => [...(one.manifestation ?? []).map(nameOf), one.severity].filter(Boolean).join(", "));
  return [nameOf(r.code), reactions.join("; "), day(r.recordedDate)];
}

function device(r) {
  return [nameOf(r.type), (r.safety ?? []).map(nameOf).join(", "), r.manufactureDate ?? ""];
}

function plan(r) {
  return [r.title ?? nameOf(r.code), r.status ?? "", day(dateOf(r))];
}

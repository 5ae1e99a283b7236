// Draft and signed orders as lists, with the ratings recorded on them.
import { h } from "./dom.js";
import { nameOf, ratingOf } from "./ehr.js";

/** @param more what else is said about the order, and what can be done with it. */
export function orderView(order, ...more) {
  const coding = order.code?.coding?.[0];
  return h(
    "li",
    { class: "order" },
    h("p", { class: "study" }, nameOf(order.code) || "Order without a name"),
    h("p", { class: "cite" }, coding ? `${coding.code} (${systemName(coding.system)})` : "free text, no code", `, ${order.id}`),
    (order.orderDetail ?? []).map((detail) => h("p", { class: "cite" }, nameOf(detail))),
    ratingView(ratingOf(order)),
    more,
  );
}

function ratingView(rating) {
  if (!rating) return null;
  const [pama, category] = rating.codes;
  return h(
    "p",
    { class: `rating ${category ?? ""}` },
    h("strong", {}, "Rating recorded: "),
    rating.text,
    h("span", { class: "cite" }, ` (PAMA: ${pama})`),
  );
}

const SYSTEMS = { "http://loinc.org": "LOINC", "http://snomed.info/sct": "SNOMED CT", "http://www.ama-assn.org/go/cpt": "CPT" };
const systemName = (uri) => SYSTEMS[uri] ?? (uri?.includes("/CodeSystem/") ? "local code" : uri ?? "no system");

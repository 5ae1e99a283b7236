// What becomes of orders once they are signed, and the end of the stay: each step asks first.
import { fire } from "./advice.js";
import { announce, changed, desk } from "./desk.js";
import { at, focusOn, h } from "./dom.js";
import { appointmentFor, nameOf } from "./ehr.js";
import { orderView } from "./orders.js";

const AHEAD = 14 * 24 * 3600 * 1000; // milliseconds: imaging is rarely booked for tomorrow

export function startAfterwards() {
  at("starts").valueAsDate = new Date(Date.now() + AHEAD);
  at("starts").addEventListener("change", changed);
}

/** A signed order with what has become of it, and what can be done with it. */
export function signedView(entry) {
  const name = nameOf(entry.order.code);
  const button = (label, act) =>
    h("button", { type: "button", class: "quiet", "aria-label": `${label} ${name}`, onclick: () => act(entry) }, label);
  const said = [entry.sent && "Sent to the imaging department.", entry.booked && `Booked for ${entry.booked}.`];
  return orderView(
    entry.order,
    said.filter(Boolean).map((text) => h("p", { class: "done" }, text)),
    h("p", { class: "acts" },
      !entry.sent && button("Dispatch", dispatch),
      !entry.booked && button(isWarned(entry) ? "Book anyway" : "Book", book)),
  );
}

const isWarned = ({ warned }) => warned !== "" && warned === at("starts").value;

/** The order goes to whoever performs it, with what they should know; nobody is stopped. */
async function dispatch(entry) {
  const { superseded } = await fire("order-dispatch", [entry.order]);
  if (!superseded) done(entry, { sent: true });
}

/** An appointment is made when the service has nothing to say about the day, or when that has been seen. */
async function book(entry) {
  const day = at("starts").value;
  if (!day) return announce("Choose a day first.");
  if (isWarned(entry)) return done(entry, { booked: day });
  const { response, superseded } = await fire("appointment-book", [appointmentFor(entry.order, desk.open.patient, day)]);
  if (superseded) return undefined;
  return done(entry, response?.cards?.length === 0 ? { booked: day } : { warned: day });
}

function done(entry, what) {
  Object.assign(entry, what);
  changed();
  focusOn(at("signed-title")); // the button that was pressed may be gone
}

/** The patient leaves when nothing is left to be ordered, or when what is left has been seen. */
export async function discharge(event) {
  const { open } = desk;
  const button = event.currentTarget;
  if (!open.leaving) {
    const { response, superseded } = await fire("encounter-discharge");
    if (superseded) return;
    open.leaving = true;
    button.textContent = "Discharge anyway";
    if (response?.cards?.length !== 0) return;
  }
  button.replaceWith(h("p", { id: "discharged", class: "done" }, "Discharged"));
  focusOn(at("discharged"));
}

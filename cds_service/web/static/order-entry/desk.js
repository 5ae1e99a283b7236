// What is on the screen about one patient, and who shows it anew when it changes.
import { at } from "./dom.js";

/** `open` holds, once a chart is open: patient, encounter, chart, source (a FHIR server), orders in their stages. */
export const desk = { client: null, studies: [], open: null };

const views = [];
export const shows = (view) => views.push(view);
export const changed = () => views.forEach((view) => view());

export const announce = (text) => { at("announcer").textContent = text; };
export const newId = () => `draft-${++desk.open.numbered}`;

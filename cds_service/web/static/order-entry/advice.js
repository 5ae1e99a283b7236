// Fires hooks and shows what the service answers; each hook has one place, where its latest answer stands.
import { cardView } from "./cards.js";
import { announce, changed, desk, newId } from "./desk.js";
import { at, h } from "./dom.js";
import { applied, referenceTo } from "./ehr.js";
import { openApp } from "./launching.js";
import { wire } from "./wire.js";

const BROUGHT = ["order-sign", "order-dispatch", "appointment-book", "encounter-discharge"]; // somebody waits for these

/** @param about the resources a hook is about: selected drafts, dispatched orders, proposed appointments. */
export async function fire(hook, about = []) {
  const shown = desk.open;
  const exchange = await desk.client.fire(hook, shown, about);
  if (desk.open !== shown || exchange.superseded) return { ...exchange, superseded: true };
  forget(hook);
  const answer = answerView(hook, exchange);
  at("advice-body").prepend(answer);
  const cards = exchange.response?.cards;
  if (cards?.length && BROUGHT.includes(hook)) answer.scrollIntoView({ block: "nearest" });
  if (cards) announce(`${hook}: ${cards.map(({ summary }) => summary).join(". ") || "nothing to say"}`);
  return exchange;
}

/** Takes the answer to a hook away when what it was about is gone. */
export const forget = (hook) => at(`said-${hook}`)?.remove();

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
      take(suggestion.actions ?? []);
      return (await desk.client.accept(path, card.uuid, accepted)).status === 200;
    },
    launch: desk.open.slug ? openApp : null, // only the EHR that holds a chart can open an app about it
    override: async (reason) => (await desk.client.override(path, card.uuid, reason)).status === 200,
  };
}

/** A study that is merely chosen goes like a draft when a suggestion replaces it. */
function take(actions) {
  const { open } = desk;
  const gone = actions.filter(({ type }) => type === "delete").flatMap(({ resourceId }) => resourceId);
  if (open.choice && gone.includes(referenceTo(open.choice))) open.choice = null;
  open.drafts = applied(open.drafts, actions, newId);
  changed();
}

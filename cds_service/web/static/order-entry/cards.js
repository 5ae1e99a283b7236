// Cards as an EHR shows them: how grave, what, why, from where, and what can be done about it.
import { focusOn, h, link } from "./dom.js";
import { blocks } from "./markdown.js";

const GRAVITY = { info: ["i", "Information"], warning: ["!", "Warning"], critical: ["✕", "Critical"] };
const SHOWN_AT_ONCE = { info: 2, warning: 2, critical: 4 }; // blocks: the order and its rating; then the danger
let numbered = 0;

/** @param decided what happens on `accept(suggestions, newlyAccepted)` and `override(reason)`, which tell whether it was
 *  stored, and on `launch(link)`, which opens an app; null where this page cannot. */
export function cardView(card, decided) {
  const [sign, word] = GRAVITY[card.indicator] ?? GRAVITY.info;
  const title = `card-${++numbered}`;
  const [first, rest] = parted(blocks(card.detail), SHOWN_AT_ONCE[card.indicator]);
  return h(
    "article",
    { class: `card ${card.indicator}`, "aria-labelledby": title },
    h("p", { class: "gravity" }, h("span", { class: "sign", "aria-hidden": "true" }, sign), word),
    h("h4", { id: title }, card.summary),
    h("div", { class: "detail" }, first),
    choices(card, decided),
    reasons(rest),
    h("p", { class: "cite" }, "Source: ", link(card.source.label, card.source.url), topic(card.source.topic)),
    links(card.links, decided.launch),
  );
}

/** The first blocks and the others; a list stays with the line above it. */
function parted(all, most) {
  const end = all[most]?.tagName === "UL" ? most + 1 : most;
  return [all.slice(0, end), all.slice(end)];
}

const topic = (coding) => (coding?.display ? ` (${coding.display.toLowerCase()})` : "");

/** What follows the first blocks, which say what the card is about: below what can be done, and one click away. */
function reasons(rest) {
  if (!rest.length) return null;
  return h("details", { class: "detail" }, h("summary", {}, "Reasons, evidence and sources"), rest);
}

function links(given = [], launch) {
  if (!given.length) return null;
  const shown = given.map((one) => h("li", {}, one.type === "smart" ? app(one, launch) : link(one.label, one.url)));
  return h("ul", { class: "links", "aria-label": "Links" }, shown);
}

function app(given, launch) {
  if (!launch) return `${given.label} (SMART app, opened by the EHR that holds this chart)`;
  return h("button", { type: "button", class: "quiet", onclick: () => launch(given) }, `${given.label} (SMART app)`);
}

// --- suggestions and overriding --------------------------------------------------------------------------------------

function choices(card, decided) {
  const room = h("div", { class: "choices" });
  const said = h("p", { class: "outcome", role: "status" });
  const accepted = [];
  const end = (text) => {
    said.textContent = text;
    focusOn(said);
  };
  const accept = async (suggestion, button) => {
    accepted.push(suggestion.uuid);
    if (card.selectionBehavior === "any") button.remove();
    else room.replaceChildren();
    end(`Accepted: ${suggestion.label}. ${stored(await decided.accept(accepted, suggestion))}`);
  };
  const override = async (reason, words) => {
    room.replaceChildren();
    end(`Overridden: ${words}. ${stored(await decided.override(reason))}`);
  };
  room.append(
    ...(card.suggestions ?? []).map((suggestion) => suggestionButton(suggestion, accept)),
    overriding(card.overrideReasons ?? [], override),
  );
  return [room, said];
}

const stored = (kept) => (kept ? "Feedback is stored." : "Feedback could not be stored.");

function suggestionButton(suggestion, accept) {
  const recommended = suggestion.isRecommended ? h("span", { class: "recommended" }, "Recommended") : null;
  return h(
    "button",
    { type: "button", class: "suggestion", onclick: (event) => accept(suggestion, event.currentTarget) },
    suggestion.label,
    recommended,
  );
}

function overriding(reasons, override) {
  const id = `override-${++numbered}`;
  const choice = h("select", { id }, reasons.map((reason, index) => h("option", { value: index }, reason.display)));
  const comment = h("input", { id: `${id}-comment`, type: "text", autocomplete: "off" });
  const submit = (event) => {
    event.preventDefault();
    const reason = reasons[choice.value];
    const userComment = comment.value.trim();
    const given = { ...(reason && { reason }), ...(userComment && { userComment }) };
    override(Object.keys(given).length ? given : null, reason?.display ?? (userComment || "no reason given"));
  };
  const form = h(
    "form",
    { onsubmit: submit },
    reasons.length ? [h("label", { for: id }, "Reason"), choice] : null,
    h("label", { for: comment.id }, "Comment (optional)"),
    comment,
    h("button", { type: "submit" }, "Override this advice"),
  );
  return h("details", { class: "override" }, h("summary", {}, "Override with a reason"), form);
}

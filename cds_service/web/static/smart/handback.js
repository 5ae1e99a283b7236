// Hands a draft order back to the EHR by SMART Web Messaging: to the window around this one or that opened it, at the
// origin the EHR named with the token, and to nobody else.
const room = document.getElementById("drafts");
const { origin, handle } = room.dataset;
const ehr = window.parent !== window ? window.parent : window.opener;
const waiting = new Map();
const PATIENCE = 10_000;
const PATIENT = `Patient/${room.dataset.patient}`;
// What a clinician had already said on the draft that is replaced. Its old rating is not carried over.
const CARRIED = ["encounter", "requester", "priority", "reasonCode", "reasonReference", "intent"];

/** Sends a message and waits for its one answer. */
function ask(messageType, payload) {
  const messageId = crypto.randomUUID();
  return new Promise((resolve, reject) => {
    setTimeout(() => { waiting.delete(messageId); reject(new Error("the EHR does not answer")); }, PATIENCE);
    waiting.set(messageId, resolve);
    ehr.postMessage({ messagingHandle: handle, messageId, messageType, payload }, origin);
  });
}

function receive({ origin: from, source, data }) {
  const resolve = from === origin && source === ehr && waiting.get(data?.responseToMessageId);
  if (!resolve) return;
  waiting.delete(data.responseToMessageId);
  resolve(data.payload ?? {});
}

const named = (order) => order.code?.text ?? order.code?.coding?.[0]?.display ?? `Order ${order.id}`;
const drafted = new Map();

/** A draft order for the patient of this page. */
function isOurs(one) {
  const about = one?.subject?.reference ?? "";
  return one?.resourceType === "ServiceRequest" && one.status === "draft" && one.id && `/${about}`.endsWith(`/${PATIENT}`);
}

/** The draft orders the EHR holds; one that does not tell can still be given new ones. */
async function listDrafts() {
  const { scratchpad } = await ask("scratchpad.read", {});
  const found = (Array.isArray(scratchpad) ? scratchpad : []).filter(isOurs);
  const choice = document.getElementById("replaced");
  drafted.clear();
  choice.replaceChildren(choice.options[0], ...found.map((order) => {
    drafted.set(order.id, order);
    return new Option(named(order), order.id, false, found.length === 1);
  }));
}

/** Whether a draft is for this study already: the same text, or a code in common. */
function isFor(draft, order) {
  const codes = (one) => (one.code?.coding ?? []).map(({ system, code }) => `${system}|${code}`);
  return draft.code?.text === order.code.text || codes(draft).some((code) => codes(order).includes(code));
}

function instead(order, draft) {
  const carried = CARRIED.filter((name) => name in draft).map((name) => [name, draft[name]]);
  return { ...order, ...Object.fromEntries(carried), id: draft.id };
}

/** One message per order; the first takes the place of the chosen draft. */
async function hand(orders) {
  const draft = drafted.get(document.getElementById("replaced").value);
  if (draft && isFor(draft, orders[0])) return `${named(draft)} is drafted already.`;
  for (const [place, order] of orders.entries()) {
    const replaces = draft && place === 0;
    const { status, outcome } = await ask(
      replaces ? "scratchpad.update" : "scratchpad.create",
      { resource: replaces ? instead(order, draft) : order },
    );
    if (!/^2/.test(status ?? "")) throw new Error(outcome?.issue?.[0]?.details?.text ?? `the EHR answered ${status}`);
  }
  return draft ? `${named(draft)} is replaced by ${named(orders[0])}.` : `${named(orders[0])} is drafted.`;
}

async function clicked({ currentTarget: button }) {
  if (room.dataset.busy) return;
  room.dataset.busy = "yes";
  say("Asking the EHR…");
  try {
    say(await hand(JSON.parse(button.dataset.orders)));
    await listDrafts();
  } catch (error) {
    say(`Nothing is certain to have changed: ${error.message}.`);
  }
  delete room.dataset.busy;
}

const say = (text) => { document.getElementById("outcome").textContent = text; };

if (ehr) {
  window.addEventListener("message", receive);
  for (const button of room.querySelectorAll("button")) button.addEventListener("click", clicked);
  listDrafts().catch(() => {}).finally(() => { room.hidden = false; });
}

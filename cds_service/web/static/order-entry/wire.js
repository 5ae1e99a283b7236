// Request and answer of an exchange, for whoever wants to see what went over the wire.
import { h } from "./dom.js";
import { curl, withoutToken } from "./client.js";

/** Closed at first; the JSON is written when it is opened, because a chart is long. */
export function wire(exchange) {
  const inside = h("div");
  const show = (event) => event.target.open && !inside.hasChildNodes() && inside.append(...written(exchange));
  const status = exchange.status || "no answer";
  const summary = `${exchange.method} ${exchange.path} – ${status}, ${exchange.milliseconds} ms`;
  return h("details", { class: "wire", ontoggle: show }, h("summary", {}, "Request and response: ", h("code", {}, summary)), inside);
}

function written(exchange) {
  const said = h("span", { role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(curl(exchange));
      said.textContent = "Copied.";
    } catch {
      said.textContent = "The browser does not allow copying here.";
    }
  };
  return [
    h("p", {}, h("button", { type: "button", class: "quiet", onclick: copy }, "Copy as curl"), " ", said),
    ...(exchange.request ? json("Request", withoutToken(exchange.request)) : []),
    ...json("Response", exchange.response ?? exchange.failure ?? null),
  ];
}

function json(title, value) {
  const text = JSON.stringify(value, null, 2);
  return [h("p", { class: "label" }, title), h("pre", { tabindex: "0", role: "group", "aria-label": title }, text)];
}

// Elements from data: what a record says only ever becomes text, never markup.

/** An element. Attributes whose name begins with "on" are listeners; null and false leave an attribute or child out. */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return made;
}

export const at = (id) => document.getElementById(id);

/** Moves the keyboard to something that usually takes no focus. */
export function focusOn(element) {
  element.tabIndex = -1;
  element.focus();
}

/** A link that leaves the page; other schemes than these are shown as text. */
export function link(label, url) {
  if (!/^https?:\/\//i.test(url ?? "")) return h("span", {}, label);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, label);
}

/** A table in a frame that scrolls sideways on its own. */
export function table(caption, head, rows) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, rows.map(([first, ...rest]) =>
        h("tr", {}, h("th", { scope: "row" }, first), rest.map((cell) => h("td", {}, cell))))),
    ),
  );
}

// Markdown of cards as elements. markdown-it reads it; its tokens become nodes here, so that no HTML text is ever made.
import MarkdownIt from "./markdown-it.js";
import { h, link } from "./dom.js";

const reader = new MarkdownIt({ html: false, linkify: false });
const TAGS = new Set([
  "p", "ul", "ol", "li", "strong", "em", "s", "code", "pre", "blockquote",
  "table", "thead", "tbody", "tr", "th", "td", "hr", "br",
]);
const HEADING = /^h[1-6]$/;

/** The blocks of a text. */
export function blocks(text) {
  return nodes(reader.parse(text ?? "", {}));
}

function nodes(tokens) {
  const root = h("div");
  const open = [root];
  for (const token of tokens) {
    const parent = open.at(-1);
    if (token.nesting === 1) {
      const made = opened(token);
      parent.append(token.tag === "table" ? framed(made) : made);
      open.push(made);
    } else if (token.nesting === -1) {
      open.pop();
    } else {
      parent.append(...leaf(token));
    }
  }
  return [...root.childNodes];
}

// A wide table scrolls on its own, also by keyboard.
const framed = (table) => h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, table);

function opened(token) {
  if (token.hidden) return h("span"); // a paragraph in a tight list
  if (token.tag === "a") return link("", token.attrGet("href"));
  if (HEADING.test(token.tag)) return h("p", { class: "heading" }); // the page has headings of its own
  return h(TAGS.has(token.tag) ? token.tag : "span");
}

function leaf(token) {
  if (token.type === "inline") return nodes(token.children);
  if (token.type === "softbreak") return [" "];
  if (token.type === "hardbreak") return [h("br")];
  if (token.type === "hr") return [h("hr")];
  if (token.type === "code_inline") return [h("code", {}, token.content)];
  if (token.type === "fence" || token.type === "code_block") return [h("pre", { tabindex: "0" }, token.content)];
  return [token.content]; // text; of an image, what it stands for
}

/**
 * A small, safe part of Markdown: paragraphs, headings, lists, code, emphasis and links to web pages.
 * Descriptions may come from other clients, so everything becomes text nodes and known elements.
 */
import { h } from "./dom.js";
import { hintsOf } from "./schema.js";

// The bounds keep the time linear.
const INLINE = /`([^`]{1,500})`|\*\*(.{1,500}?)\*\*|__(.{1,500}?)__|\*([^*\s][^*]{0,500})\*|\[([^\]]{1,300})\]\(((?:[^()\s]|\([^()\s]*\)){1,500})\)|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?])/;
const MAX_LENGTH = 20_000;

/** Return an element with the formatted text. */
export function markdown(text) {
  const lines = text.slice(0, MAX_LENGTH).split(/\r?\n/);
  const element = h("div", { class: "prose" });
  let index = 0;
  while (index < lines.length) {
    const start = lines[index];
    const taken = [];
    const take = (matches) => {
      while (index < lines.length && matches(lines[index])) taken.push(lines[index++]);
    };
    if (/^\s*$/.test(start)) index += 1;
    else if (/^\s*```/.test(start)) {
      index += 1;
      take((line) => !/^\s*```/.test(line));
      index += 1;
      element.append(h("pre", {}, h("code", {}, taken.join("\n"))));
    } else if (/^#{1,6}\s/.test(start)) {
      index += 1;
      element.append(h("h4", {}, inline(start.replace(/^#+\s+/, ""))));
    } else if (isItem(start)) {
      take((line) => isItem(line) || /^\s+\S/.test(line));
      element.append(list(taken));
    } else {
      take((line) => line.trim() && !isItem(line) && !/^(\s*```|#{1,6}\s)/.test(line));
      element.append(h("p", {}, inline(taken.map((line) => line.trim()).join(" "))));
    }
  }
  return element;
}

const isItem = (line) => /^\s*([-*+]|\d{1,9}[.)])\s+\S/.test(line);

function list(lines) {
  const items = [];
  for (const line of lines) {
    if (isItem(line)) items.push(line.replace(/^\s*([-*+]|\d+[.)])\s+/, ""));
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  return h(/^\s*\d/.test(lines[0]) ? "ol" : "ul", {}, items.map((item) => h("li", {}, inline(item))));
}

/** Return paragraphs that help to fill in or to read a value. */
export function hintsFor(schema) {
  const [description, rules] = hintsOf(schema);
  return [inline(description), rules].filter(({ length }) => length).map((hint) => h("p", {}, hint));
}

/** Return nodes and texts for a text in one line. */
export function inline(text) {
  const parts = [];
  let found;
  while ((found = INLINE.exec(text))) {
    const [all, code, strong, underlined, emphasis, label, target, address] = found;
    parts.push(text.slice(0, found.index));
    if (code) parts.push(h("code", {}, code));
    else if (strong ?? underlined) parts.push(h("strong", {}, inline(strong ?? underlined)));
    else if (emphasis) parts.push(h("em", {}, inline(emphasis)));
    else parts.push(link(label ?? address, target ?? address));
    text = text.slice(found.index + all.length);
  }
  return [...parts, text].filter(Boolean);
}

function link(label, target) {
  if (!/^(https?:\/\/|mailto:)/i.test(target)) return label;
  return h("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, label);
}

/** The list of procedures and topics, by tag, with a filter. */
import { addRows, badge, button, count, h } from "./dom.js";
import { linkTo } from "./links.js";

const KINDS = [["procedure", "Procedures", "procedures"], ["topic", "Topics", "topics"]];

/** The key of an entry, for maps. */
export const keyOf = (kind, { match, uri }) => linkTo(kind, { match, uri });

/** Return `{element, show(description), select(key), focus()}`. `refresh` is called to read the description again. */
export function createDirectory(refresh) {
  const search = h("input", {
    type: "search", id: "filter", autocomplete: "off", spellcheck: "false", oninput: () => render(),
    "aria-label": "Filter procedures and topics", placeholder: "Filter",
  });
  const summary = h("p", { class: "muted", "aria-live": "polite" });
  const lists = h("div", { class: "lists" });
  const element = h("nav", { class: "directory", "aria-label": "Procedures and topics" },
    h("div", { class: "search" }, search, h("kbd", { "aria-hidden": "true" }, "/")),
    h("div", { class: "row count" }, summary, button("↻", refresh, { class: "bare", title: "Refresh description", "aria-label": "Refresh description" })),
    lists,
    h("p", { class: "other" }, "Anything else: ", h("a", { href: linkTo("procedure", { match: "prefix", uri: "" }) }, "call a URI"),
      ", ", h("a", { href: linkTo("topic", { match: "prefix", uri: "" }) }, "use a topic")));
  let description = null;
  let selected = null;
  let stops = [];

  function render() {
    stops.forEach((stop) => stop());
    stops = [];
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (entry) => {
      const text = [entry.uri, entry.summary ?? "", ...entry.tags].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const counts = [];
    lists.replaceChildren(...KINDS.map(([kind, title, name]) => {
      const found = (description?.[name] ?? []).filter(fits);
      counts.push(count(found.length, kind));
      return found.length > 0 && section(kind, title, found);
    }).filter(Boolean));
    summary.textContent = description ? counts.join(", ") : "";
    mark();
  }

  function section(kind, title, entries) {
    const list = h("div", {});
    const rows = grouped(entries).flatMap(([tag, members], _, groups) => [
      ...(groups.length > 1 || tag ? [{ tag: tag || "other" }] : []), ...members]);
    stops.push(addRows(list, rows, (row) => (row.tag ? h("h3", {}, row.tag) : entryRow(kind, row))));
    return h("section", {}, h("h2", {}, title), list);
  }

  function entryRow(kind, entry) {
    const key = keyOf(kind, entry);
    const current = key === selected;
    return h("a", { href: key, class: "entry", title: entry.uri, "aria-current": current && "true" },
      h("span", { class: entry.deprecated ? "uri gone" : "uri" }, entry.uri),
      entry.match !== "exact" && badge(entry.match),
      entry.provider === "client" && badge("client", "note"),
      entry.deprecated && badge("deprecated", "warn"),
      entry.summary && h("span", { class: "summary" }, entry.summary));
  }

  function mark() {
    for (const row of lists.querySelectorAll("a.entry")) {
      if (row.getAttribute("href") === selected) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  return {
    element,
    show(shown) {
      description = shown;
      render();
    },
    select(key) {
      selected = key;
      mark();
    },
    focus: () => search.focus(),
  };
}

/** Return `[tag, entries]` in the order of the tags' first appearance; entries without a tag come last. */
function grouped(entries) {
  const groups = new Map();
  for (const entry of entries) {
    for (const tag of entry.tags.length ? entry.tags : [""]) {
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(entry);
    }
  }
  return [...groups].sort(([one], [other]) => (one === "") - (other === ""));
}

/** The list of procedures and topics, by tag, with a filter. */
import { addRows, badge, button, count, h } from "./dom.js";
import { linkTo } from "./links.js";

/** Return `{element, show(description), select(link), focus()}`. `refresh` reads the description again. */
export function createDirectory(refresh) {
  const search = h("input", {
    type: "search", placeholder: "Filter", "aria-label": "Filter procedures and topics",
    autocomplete: "off", spellcheck: "false", oninput: render,
  });
  const again = "Refresh description";
  const summary = h("p", { role: "status" });
  const lists = h("div", { class: "lists" });
  const anything = { match: "prefix", uri: "" };
  const element = h("nav", { class: "directory", "aria-label": "Procedures and topics" },
    h("div", { class: "search" }, search, h("kbd", { "aria-hidden": "true" }, "/")),
    h("div", { class: "row count" }, summary, button("↻", refresh, { class: "bare", title: again, "aria-label": again })),
    lists, h("p", { class: "other" }, "Anything else: ", h("a", { href: linkTo("procedure", anything) }, "call a URI"), ", ",
      h("a", { href: linkTo("topic", anything) }, "use a topic")));
  let description = null;
  let selected = null;
  let stops = [];

  function render() {
    stops.forEach((stop) => stop());
    stops = [];
    const words = search.value.toLowerCase().split(/\s+/);
    const fits = ({ uri, summary: line, tags }) => {
      const text = [uri, line, ...tags].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const { procedures = [], topics = [] } = description ?? {};
    const found = [["procedure", "Procedures", procedures.filter(fits)], ["topic", "Topics", topics.filter(fits)]];
    lists.replaceChildren(...found.filter(([, , entries]) => entries.length).map(createSection));
    summary.textContent = description ? found.map(([kind, , entries]) => count(entries.length, kind)).join(", ") : "";
  }

  function createSection([kind, title, entries]) {
    const list = h("div", {});
    const groups = grouped(entries);
    const rows = [...groups].flatMap(([tag, members]) => (groups.size > 1 || tag ? [tag || "other", ...members] : members));
    stops.push(addRows(list, rows, (row) => (typeof row === "string" ? h("h3", {}, row) : createRow(kind, row))));
    return h("section", {}, h("h2", {}, title), list);
  }

  function createRow(kind, entry) {
    const href = linkTo(kind, entry);
    return h("a", { href, class: "entry", title: entry.uri, "aria-current": href === selected && "true" },
      h("span", { class: entry.deprecated ? "uri gone" : "uri" }, entry.uri),
      entry.match !== "exact" && badge(entry.match), entry.provider === "client" && badge("client", "note"),
      entry.deprecated && badge("deprecated", "warn"), entry.summary && h("span", { class: "summary" }, entry.summary));
  }

  return {
    element,
    show(shown) {
      description = shown;
      render();
    },
    select(link) {
      selected = link;
      for (const row of lists.querySelectorAll(".entry")) {
        if (row.getAttribute("href") === selected) row.setAttribute("aria-current", "true");
        else row.removeAttribute("aria-current");
      }
    },
    focus: () => search.focus(),
  };
}

/** Return the entries by tag, in the order of the tags' first appearance. Those without a tag come last. */
function grouped(entries) {
  const groups = new Map();
  const add = (tag, entry) => {
    if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push(entry);
  };
  for (const entry of entries) entry.tags.forEach((tag) => add(tag, entry));
  for (const entry of entries) if (!entry.tags.length) add("", entry);
  return groups;
}

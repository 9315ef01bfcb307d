/** The tables of the meta API: sessions, registrations and subscriptions of the realm. */
import { badge, button, fill, h } from "./dom.js";

const ROWS = 100;

const created = (found) => new Date(found.created).toLocaleString();
const flat = (lists) => Object.values(lists).flat();
const TABLES = [
  { title: "Sessions", name: "session", ids: (ids) => ids,
    columns: { Session: "session", "Auth ID": "authid", Role: "authrole", Method: "authmethod", Provider: "authprovider" } },
  { title: "Registrations", name: "registration", ids: flat, members: "count_callees",
    columns: { Procedure: "uri", Match: "match", Invoke: "invoke", Created: created, Callees: "members" } },
  { title: "Subscriptions", name: "subscription", ids: flat, members: "count_subscribers",
    columns: { Topic: "uri", Match: "match", Created: created, Subscribers: "members" } },
];

/** Return the view of the tables that the session may read, or null if it may read none. */
export async function createMeta(page) {
  const tables = await Promise.all(TABLES.map(async (table) => {
    const ids = await page.session.call(`wamp.${table.name}.list`).result.catch(() => null);
    return ids && createTable(table, page);
  }));
  const shown = tables.filter(Boolean);
  if (!shown.length) return null;
  const refresh = () => shown.forEach((table) => table.refresh());
  const element = h("div", { class: "view" },
    h("div", { class: "row" }, h("h1", {}, page.session.realm), button("Refresh", refresh)),
    shown.map((table) => table.element));
  return ["meta", "Meta", element, (visible) => visible && refresh()];
}

function createTable({ title, name, ids, members, columns }, page) {
  const body = h("tbody", {});
  const note = h("p", { class: "muted", role: "status" });
  const more = button("Show more", showMore, { hidden: true, class: "small" });
  const sessions = name === "session";
  const heads = Object.keys(columns).map((column) => h("th", { scope: "col" }, column));
  const element = h("section", {}, h("h2", {}, title),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title },
      h("table", {}, h("thead", {}, h("tr", {}, heads, sessions && h("td", {}))), body)),
    note, more);
  const call = async (procedure, ...args) => (await page.session.call(`wamp.${name}.${procedure}`, args).result).args[0];
  let waiting = [];

  async function refresh() {
    try {
      waiting = ids(await call("list"));
      fill(note);
      fill(body);
      await showMore();
    } catch (error) {
      fill(note, error.message);
    }
  }

  async function showMore() {
    const next = waiting.splice(0, ROWS);
    more.hidden = !waiting.length;
    body.append(...(await Promise.all(next.map(createRow))).filter(Boolean));
    if (!body.childElementCount) fill(note, "None.");
  }

  /** Return the row of an ID, or null if it has gone meanwhile or belongs to the router itself. */
  async function createRow(id) {
    const found = await call("get", id).catch((error) => (error.uri === "wamp.error.not_authorized" ? {} : null));
    if (!found || found.uri?.startsWith("wamp.")) return null;
    if (members) found.members = await call(members, id).catch(() => "");
    const cells = Object.values(columns).map((column) => (typeof column === "string" ? found[column] ?? "" : column(found)));
    const own = id === page.session.id;
    const row = h("tr", {}, h("th", { scope: "row" }, String(cells[0] || id), own && badge("this page", "note")),
      cells.slice(1).map((cell) => h("td", {}, String(cell))),
      sessions && h("td", {}, !own && button("Close", () => ask(id, found.authid, row),
        { class: "small", "aria-label": `Close session ${id}` })));
    return row;
  }

  function ask(id, authid, row) {
    const close = async () => {
      dialog.close();
      try {
        await call("kill", id);
        row.remove();
        fill(note, `Session ${id} is closed.`);
      } catch (error) {
        fill(note, `Session ${id} is not closed: ${error.message}`);
      }
    };
    const dialog = h("dialog", { "aria-labelledby": "question", onclose: () => dialog.remove() },
      h("p", { id: "question" }, "Close session ", h("code", {}, String(id)), authid ? ` of ${authid}?` : "?"),
      h("p", { class: "muted" }, "The client gets GOODBYE, and may connect again."),
      h("div", { class: "row" }, button("Close session", close, { class: "danger" }),
        button("Keep it", () => dialog.close(), { autofocus: true })));
    document.body.append(dialog);
    dialog.showModal();
  }

  return { element, refresh };
}

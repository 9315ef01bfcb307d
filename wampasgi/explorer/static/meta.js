/** The tables of the meta API: sessions, registrations and subscriptions of the realm. */
import { badge, button, count, fill, h } from "./dom.js";

const ROWS = 100;

const TABLES = [
  {
    title: "Sessions", list: "wamp.session.list", get: "wamp.session.get",
    columns: ["Session", "Auth ID", "Role", "Method", "Provider"],
    ids: ([ids]) => ids,
    cells: (found) => [String(found.session), found.authid, found.authrole, found.authmethod, found.authprovider],
  },
  {
    title: "Registrations", list: "wamp.registration.list", get: "wamp.registration.get", members: "wamp.registration.count_callees",
    columns: ["Procedure", "Match", "Invoke", "Created", "Callees"],
    ids: ([lists]) => Object.values(lists).flat(),
    cells: (found, members) => [found.uri, found.match, found.invoke, dateText(found.created), members],
  },
  {
    title: "Subscriptions", list: "wamp.subscription.list", get: "wamp.subscription.get", members: "wamp.subscription.count_subscribers",
    columns: ["Topic", "Match", "Created", "Subscribers"],
    ids: ([lists]) => Object.values(lists).flat(),
    cells: (found, members) => [found.uri, found.match, dateText(found.created), members],
  },
];

/** Return the tables that the session may read: `{element, refresh()}`, or null if it may read none. */
export async function createMeta(page) {
  const allowed = await Promise.all(TABLES.map(async (table) => {
    try {
      await page.session.call(table.list).result;
      return true;
    } catch (error) {
      if (!error.uri) throw error;
      return false;
    }
  }));
  const tables = TABLES.filter((_, index) => allowed[index]).map((table) => createTable(table, page));
  if (!tables.length) return null;
  const refresh = () => Promise.all(tables.map((table) => table.refresh()));
  const element = h("div", { class: "view meta" }, h("div", { class: "row" }, h("h1", {}, "Realm ", h("code", {}, page.session.realm)),
    button("Refresh", refresh)), tables.map((table) => table.element));
  return { element, refresh };
}

function createTable(table, page) {
  const body = h("tbody", {});
  const title = h("h2", {}, table.title);
  const more = button("Show more", () => addNext(), { hidden: true, class: "small" });
  const note = h("p", { class: "muted", role: "status" });
  const closes = table.get === "wamp.session.get";
  const element = h("section", {}, title, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": table.title },
    h("table", {}, h("thead", {}, h("tr", {}, table.columns.map((name) => h("th", { scope: "col" }, name)), closes && h("th", {}))), body)),
    note, more);
  let waiting = [];

  async function refresh() {
    try {
      waiting = table.ids((await page.session.call(table.list).result).args);
    } catch (error) {
      note.textContent = error.message;
      return;
    }
    title.textContent = `${table.title} (${waiting.length})`;
    note.textContent = waiting.length ? "" : "None.";
    const rows = await nextRows();
    fill(body, rows);
  }

  async function addNext() {
    body.append(...(await nextRows()));
  }

  async function nextRows() {
    const ids = waiting.slice(0, ROWS);
    waiting = waiting.slice(ROWS);
    more.hidden = !waiting.length;
    more.textContent = `Show more (${count(waiting.length, "row")} left)`;
    return (await Promise.all(ids.map(row))).filter(Boolean);
  }

  /** Return the row of an ID, or null if it has gone meanwhile. */
  async function row(id) {
    let found;
    try {
      found = (await page.session.call(table.get, [id]).result).args[0];
    } catch (error) {
      if (error.uri === "wamp.error.not_authorized") return h("tr", {}, h("td", {}, String(id)));
      return null;
    }
    const members = table.members ? await memberCount(id) : null;
    const own = closes && id === page.session.id;
    const created = h("tr", {}, table.cells(found, members).map((cell, index) =>
      h(index ? "td" : "th", { scope: index ? null : "row" }, cell ?? "", !index && own && badge("this page", "note"))));
    if (closes) created.append(h("td", {}, !own && button("Close", () => ask(id, found, created), { class: "small", "aria-label": `Close session ${id}` })));
    return created;
  }

  async function memberCount(id) {
    try {
      return String((await page.session.call(table.members, [id]).result).args[0]);
    } catch {
      return "";
    }
  }

  function ask(id, found, shown) {
    const close = async () => {
      dialog.close();
      try {
        await page.session.call("wamp.session.kill", [id]).result;
        shown.remove();
        note.textContent = `Session ${id} is closed.`;
      } catch (error) {
        note.textContent = `Session ${id} is not closed: ${error.message}`;
      }
    };
    const dialog = h("dialog", { "aria-labelledby": "question", onclose: () => dialog.remove() },
      h("p", { id: "question" }, "Close session ", h("code", {}, String(id)), found.authid ? ` of ${found.authid}?` : "?"),
      h("p", { class: "muted" }, "The client gets GOODBYE, and may connect again."),
      h("div", { class: "row actions" }, button("Close session", close, { class: "danger" }),
        button("Keep it", () => dialog.close(), { autofocus: true })));
    document.body.append(dialog);
    dialog.showModal();
  }

  return { element, refresh };
}

const dateText = (text) => (text ? new Date(text).toLocaleString() : "");

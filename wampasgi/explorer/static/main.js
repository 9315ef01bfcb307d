/** The page: joins a realm, asks for its description, and shows the entry that the address names. */
import { createDirectory, keyOf } from "./directory.js";
import { button, fill, h } from "./dom.js";
import { createEvents } from "./events.js";
import { parseLink, payloadOf } from "./links.js";
import { createLogin, explanation } from "./login.js";
import { createMeta } from "./meta.js";
import { createOverview } from "./overview.js";
import { createProcedurePanel } from "./procedure.js";
import { credentials } from "./proofs.js";
import { createTabs } from "./tabs.js";
import { setUpTheme } from "./theme.js";
import { createTopicPanel } from "./topic.js";
import { join } from "./wamp.js";

const DESCRIBE = "wamp.reflection.describe";
const MAX_PANELS = 30;
const REFRESH_DELAY = 500;

const byId = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

/** The state that the panels share. */
const page = { session: null, description: null, method: null, events: null, notify };

const url = address(meta("wamp-url"));
const directory = createDirectory(refresh);
const login = createLogin(meta("wamp-realms").split(" ").filter(Boolean), logIn);
const content = h("div", { class: "content" });
const tabs = createTabs(byId("tabs"), byId("views"));
const panels = new Map();
let overview = null;
let lastLogin = null;

page.events = createEvents(page);
const explore = h("div", { class: "explore" }, directory.element, h("div", { class: "work" }, content, page.events.element));

function address(reference) {
  const found = new URL(reference, location.href);
  found.protocol = found.protocol.replace("http", "ws");
  found.hash = "";
  return found.href;
}

function notify(text, ...actions) {
  fill(byId("notices"), h("p", { class: "notice warn" }, h("span", {}, text), actions,
    button("✕", () => fill(byId("notices")), { "aria-label": "Dismiss", class: "bare" })));
}

// Joining and leaving

async function logIn(values) {
  login.busy(true);
  login.show(null);
  try {
    await enter(values);
    login.clear();
  } catch (error) {
    showLogin(explanation(error, values.realm));
  } finally {
    login.busy(false);
  }
}

async function enter(values) {
  const { realm, method, authid, secret } = values;
  const session = await join(url, realm, await credentials(method, authid, secret));
  // In memory only, for a new connection.
  lastLogin = values;
  page.session = session;
  page.method = method;
  session.onclose = lost;
  showSession();
  await openRealm();
}

async function openRealm() {
  const { session } = page;
  await describe();
  tabs.show([["explore", "Explore", explore]]);
  tabs.select("explore");
  showEntry();
  const [views, charts] = await Promise.all([createMeta(page), createOverview(page)]);
  if (page.session !== session) return;
  overview?.stop();
  overview = charts;
  const found = [["explore", "Explore", explore]];
  if (views) found.push(["meta", "Meta", views.element, (is) => is && views.refresh()]);
  if (charts) found.push(["overview", "Overview", charts.element, (is) => charts.show(is)]);
  tabs.show(found);
  await followRegistrations(session);
}

function showLogin(reason) {
  if (page.session) page.session.onclose = null;
  page.session = null;
  fill(byId("notices"));
  fill(byId("session"));
  tabs.show([["login", "Login", login.element]]);
  tabs.select("login");
  login.show(reason);
  login.focus();
}

function showSession() {
  const { authid, authrole, realm, id } = page.session;
  const facts = [["user", authid], ["role", authrole], ["realm", realm], ["session", id]];
  fill(byId("session"), h("dl", {}, facts.map(([name, value]) =>
    h("div", { class: name }, h("dt", {}, name), h("dd", {}, String(value ?? "–"))))), button("Leave", leave, { class: "small" }));
}

async function leave() {
  overview?.stop();
  overview = null;
  lastLogin = null;
  await page.session.leave();
  forget();
  showLogin(null);
}

/** Forget what belongs to the user that has left. */
function forget() {
  page.description = null;
  page.events.forget();
  panels.clear();
  directory.show(null);
  fill(content);
  fill(byId("notices"));
}

function lost(message) {
  overview?.show(false);
  byId("session").classList.add("lost");
  notify(`${message} Nothing can be called until the page is connected again.`, button("Reconnect", reconnect, { class: "small" }));
}

async function reconnect(event) {
  const reconnectButton = event.target;
  const { realm, method, authid, secret } = lastLogin;
  reconnectButton.disabled = true;
  try {
    const session = await join(url, realm, await credentials(method, authid, secret));
    page.session = session;
    session.onclose = lost;
    byId("session").classList.remove("lost");
    showSession();
    fill(byId("notices"));
    await page.events.restore();
    await describe();
    tabs.refresh();
    await followRegistrations(session);
  } catch (error) {
    lost(explanation(error, realm));
  }
}

// The description

async function describe() {
  const previous = page.description;
  try {
    const { args } = await page.session.call(DESCRIBE).result;
    page.description = args[0];
    page.refused = null;
  } catch (error) {
    if (!error.uri) throw error;
    page.description = null;
    page.refused = error;
  }
  directory.show(page.description);
  if (previous) dropChangedPanels(previous);
}

function refresh() {
  describe().then(showEntry, (error) => notify(error.message));
}

/** Panels of entries that are still the same keep what was typed into them. */
function dropChangedPanels(previous) {
  const same = JSON.stringify(previous.$defs) === JSON.stringify(page.description?.$defs);
  for (const [key, panel] of panels) {
    const now = find(panel.link);
    if (!same || JSON.stringify(now) !== JSON.stringify(panel.entry)) panels.delete(key);
  }
  showEntry();
}

/** Refresh the description when clients register procedures, if this session may know. */
async function followRegistrations(session) {
  let timer = 0;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => session.open && page.session === session && describe().catch(() => {}), REFRESH_DELAY);
  };
  for (const topic of ["wamp.registration.on_create", "wamp.registration.on_delete"]) {
    // A refusal is no problem: there is a button.
    await session.subscribe(topic, "exact", soon).catch(() => {});
  }
}

// The entry in the address

function find({ kind, match, uri }) {
  const entries = page.description?.[kind === "topic" ? "topics" : "procedures"] ?? [];
  return entries.find((entry) => entry.match === match && entry.uri === uri) ?? undescribed(kind, match, uri);
}

/** An entry for a URI that is not in the description, so that everything can be tried. */
function undescribed(kind, match, uri) {
  const common = { uri, match, provider: "realm", summary: null, description: null, tags: [], deprecated: false, examples: [], parameters: null };
  if (kind === "topic") return { ...common, event: null, subscribe: true, publish: true };
  return { ...common, result: null, progressive: false, progress: null, errors: [] };
}

function showEntry() {
  if (!page.session) return;
  const link = parseLink(location.hash);
  explore.classList.toggle("chosen", Boolean(link));
  directory.select(link && keyOf(link.kind, link));
  if (!link) {
    fill(content, welcome());
    return;
  }
  const panel = panelOf(link);
  if (link.query.size) {
    panel.fill(payloadOf(link, panel.entry.parameters));
    // The form has the arguments now, and the user may change them.
    history.replaceState(null, "", location.hash.split("?")[0]);
  }
  if (content.lastElementChild === panel.element) return;
  fill(content, h("a", { href: "#", class: "back" }, "‹ All procedures and topics"), panel.element);
  content.scrollTop = 0;
  if (matchMedia("(max-width: 50rem)").matches) panel.element.querySelector("h1").focus();
}

function panelOf(link) {
  const key = keyOf(link.kind, link);
  if (!panels.has(key)) {
    const entry = find(link);
    const create = link.kind === "topic" ? createTopicPanel : createProcedurePanel;
    panels.set(key, { ...create(entry, page), entry, link });
    if (panels.size > MAX_PANELS) panels.delete(panels.keys().next().value);
  }
  return panels.get(key);
}

function welcome() {
  const { description } = page;
  if (!description) return h("article", { class: "panel" }, h("h1", {}, "No description"), refusedView());
  return h("article", { class: "panel empty" }, h("h1", {}, description.realm),
    h("p", { class: "muted" }, "Choose a procedure or a topic."),
    h("p", { class: "muted" }, "WAMP clients connect to ", h("code", {}, url), "."));
}

function refusedView() {
  const { authrole } = page.session;
  return [
    h("p", {}, "The server does not describe this realm to this session: ", h("code", {}, page.refused.uri), "."),
    h("p", {}, "To change that, serve the page with ", h("code", {}, 'Application(docs_url="/docs")'), ", or allow the description:"),
    h("pre", {}, h("code", {}, `realm.allow("wamp.reflection.", "call", match="prefix", role="${authrole}")`)),
    h("p", {}, "You can still call procedures and use topics whose URIs you know."),
    button("Try again", refresh, { class: "small" }),
  ];
}

// Start

addEventListener("hashchange", () => {
  tabs.select("explore");
  showEntry();
});
addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || !page.session) return;
  event.preventDefault();
  tabs.select("explore");
  directory.focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("views").focus();
});
setUpTheme(byId("theme"));
byId("brand").textContent = document.title;
const first = { realm: meta("wamp-realms").split(" ")[0] || "default", method: "anonymous", authid: "", secret: "" };
tabs.show([["login", "Login", h("p", { class: "view muted", role: "status" }, `Connecting to ${url} …`)]]);
tabs.select("login");
enter(first).catch((error) => {
  showLogin(explanation(error, first.realm));
  if (error.uri) login.suggest("ticket");
});

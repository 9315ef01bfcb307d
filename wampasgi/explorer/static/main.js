/** The page: joins a realm, reads its description, and shows the entry that the address names. */
import { createDirectory } from "./directory.js";
import { badge, button, fill, h } from "./dom.js";
import { createEvents } from "./events.js";
import { linkTo, parseLink, payloadOf } from "./links.js";
import { createLogin, explanation } from "./login.js";
import { markdown } from "./markdown.js";
import { createMeta } from "./meta.js";
import { createOverview } from "./overview.js";
import { createProcedurePanel } from "./procedure.js";
import { credentials } from "./proofs.js";
import { createTabs } from "./tabs.js";
import { setUpTheme } from "./theme.js";
import { createTopicPanel } from "./topic.js";
import { join } from "./wamp.js";

const MAX_PANELS = 30;
/** In milliseconds. Clients often register several procedures at once. */
const REFRESH_DELAY = 500;

const byId = (id) => document.getElementById(id);
const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;

/** The state that the parts of the page share. */
const page = { session: null, method: null, description: null, notify };
const url = Object.assign(new URL(meta("wamp-url"), location.href.split("#")[0]), { username: "" });
url.protocol = url.protocol.replace("http", "ws");
const realms = meta("wamp-realms").split(" ").filter(Boolean);
const login = createLogin(realms, logIn);
const directory = createDirectory(refresh);
const tabs = createTabs(byId("tabs"), byId("views"));
const content = h("div", { class: "content" });
page.events = createEvents(page);
const explore = ["explore", "Explore", h("div", { class: "explore" }, directory.element,
  h("div", { class: "work" }, content, page.events.element))];
const panels = new Map();
let lastLogin = null;
let refused = null;

function notify(text, ...actions) {
  fill(byId("notices"), h("p", { class: "notice warn" }, h("span", {}, text), actions,
    button("✕", () => fill(byId("notices")), { "aria-label": "Dismiss", class: "bare" })));
}

// Joining and leaving

async function enter(values) {
  const { realm, method, authid, secret } = values;
  const session = await join(url.href, realm, await credentials(method, authid, secret));
  // Kept in memory only, for another connection.
  lastLogin = values;
  Object.assign(page, { session, method });
  session.onclose = lost;
  const facts = { user: session.authid, role: session.authrole, realm: session.realm, session: session.id };
  fill(byId("session"), h("dl", {}, Object.entries(facts).map(([name, value]) =>
    h("div", { class: name }, h("dt", {}, name), h("dd", {}, String(value))))), logOut());
  byId("session").className = "account";
  await describe();
  await followRegistrations(session);
}

async function logIn(values, automatic = false) {
  login.busy(true);
  try {
    await enter(values);
    login.clear();
    fill(byId("notices"));
    tabs.show([explore]);
    showEntry();
    await addViews();
  } catch (error) {
    showLogin(explanation(error, values.realm), automatic);
  } finally {
    login.busy(false);
  }
}

/** Add the views that the session may see. */
async function addViews() {
  const { session } = page;
  const views = await Promise.all([createMeta(page), createOverview(page)]);
  if (page.session === session) tabs.show([explore, ...views.filter(Boolean)]);
}

function showLogin(reason, named) {
  if (page.session) page.session.onclose = null;
  page.session = null;
  fill(byId("session"));
  fill(byId("notices"));
  tabs.show([["login", "Login", login.element]]);
  login.show(reason, named);
}

const logOut = () => button(page.session.anonymous ? "Log in" : "Leave", leave, { class: "small" });

async function leave() {
  const { anonymous } = page.session;
  await page.session.leave();
  page.description = lastLogin = null;
  page.events.forget();
  panels.clear();
  showLogin(null, anonymous);
}

function lost(message) {
  byId("session").classList.add("lost");
  notify(`${message} Nothing can be called before the page is connected again.`,
    button("Reconnect", reconnect, { class: "small" }));
}

async function reconnect({ target }) {
  target.disabled = true;
  try {
    await enter(lastLogin);
    fill(byId("notices"));
    await page.events.restore();
  } catch (error) {
    lost(explanation(error, lastLogin.realm));
  }
}

// The description

async function describe() {
  refused = null;
  try {
    [page.description] = (await page.session.call("wamp.reflection.describe").result).args;
  } catch (error) {
    if (!error.uri) throw error;
    page.description = null;
    refused = error;
  }
  directory.show(page.description);
  [...panels].filter(([, { state, link }]) => stateOf(link) !== state).forEach(replacePanel);
  showEntry();
}

/** Show the new description of an entry, with the arguments that were typed already. */
function replacePanel([key, { link, form }]) {
  panels.delete(key);
  try {
    const payload = form?.value();
    if (payload) panelOf(link).form?.set(payload);
  } catch {
    // Unreadable fields begin anew.
  }
}

function refresh() {
  describe().catch((error) => notify(error.message));
}

/** Refresh the description when clients register procedures, if this session may know about it. */
async function followRegistrations(session) {
  let timer = 0;
  const soon = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      if (page.session === session && session.open) refresh();
    }, REFRESH_DELAY);
  };
  for (const topic of ["wamp.registration.on_create", "wamp.registration.on_delete"]) {
    // If this is refused, people can refresh it themselves.
    await session.subscribe(topic, "exact", soon).catch(() => {});
  }
}

function find({ kind, match, uri }) {
  const { topics = [], procedures = [] } = page.description ?? {};
  const found = (kind === "topic" ? topics : procedures).find((entry) => entry.match === match && entry.uri === uri);
  // Everything else can be tried, too.
  return found ?? {
    uri, match, provider: "realm", summary: null, description: null, tags: [], deprecated: false, examples: [], parameters: null,
    result: null, progressive: false, progress: null, errors: [], event: null, subscribe: true, publish: true,
  };
}

/** Return a text that changes with the parts of the description that belong to an entry. */
function stateOf(link) {
  const { $defs = {}, errors = [] } = page.description ?? {};
  const entry = find(link);
  const texts = [JSON.stringify([entry, errors.filter(({ uri }) => entry.errors?.includes(uri))])];
  const names = new Set();
  // It grows with the schemas that the schemas refer to.
  for (const text of texts) {
    for (const [, name] of text.matchAll(/"#\/\$defs\/([^"]+)"/g)) {
      if (!names.has(name)) texts.push(`${name} ${JSON.stringify($defs[name])}`);
      names.add(name);
    }
  }
  return texts.join("\n");
}

// The entry in the address

function showEntry() {
  if (!page.session) return;
  const link = parseLink(location.hash);
  explore[2].classList.toggle("chosen", Boolean(link) || !page.description);
  directory.select(link && linkTo(link.kind, link));
  if (!link) {
    fill(content, h("article", { class: "panel" }, page.description ? welcome() : undescribed()));
    return;
  }
  const panel = panelOf(link);
  if (link.query.size) {
    panel.form?.set(payloadOf(link, find(link).parameters));
    // The form has the arguments now, and people may change them.
    history.replaceState(null, "", location.hash.split("?")[0]);
  }
  if (content.lastElementChild === panel.element) return;
  fill(content, h("a", { href: "#", class: "back" }, "‹ All procedures and topics"), panel.element);
  content.scrollTop = 0;
  if (matchMedia("(max-width: 50rem)").matches) panel.element.querySelector("h1").focus();
}

function panelOf(link) {
  const key = linkTo(link.kind, link);
  if (!panels.has(key)) {
    const create = link.kind === "topic" ? createTopicPanel : createProcedurePanel;
    panels.set(key, { ...create(find(link), page), link, state: stateOf(link) });
    if (panels.size > MAX_PANELS) panels.delete(panels.keys().next().value);
  }
  return panels.get(key);
}

function welcome() {
  const { realm } = page.session;
  const [version, about] = [meta("wamp-version"), meta("description")];
  return [
    h("h1", {}, byId("brand").textContent, version && [" ", badge(version)]),
    about && markdown(about),
    loginHint(),
    h("p", {}, "Choose a procedure or a topic. Press ", h("kbd", {}, "/"), " to filter them."),
    h("p", { class: "muted" }, "WAMP clients connect to ", h("code", {}, url.href), ", realm ", h("code", {}, realm), "."),
  ];
}

const loginHint = () => page.session.anonymous && h("p", { class: "notice row" },
  "You are not logged in, so this is what everybody may use.", logOut());

function undescribed() {
  return [
    h("h1", {}, "No description"),
    h("p", {}, "The server does not describe this realm to this session: ", h("code", {}, refused.uri), "."),
    loginHint(),
    h("p", {}, "To change that, serve the page with ", h("code", {}, 'Application(docs_url="/docs")'),
      ", or allow the description:"),
    h("pre", {}, h("code", {}, `realm.allow("wamp.reflection.", "call", match="prefix", role="${page.session.authrole}")`)),
    h("p", {}, "You can still use procedures and topics whose URIs you know."),
    button("Try again", refresh, { class: "small" }),
  ];
}

// Start

addEventListener("hashchange", () => {
  tabs.select("explore");
  showEntry();
});
addEventListener("keydown", (event) => {
  const { key, target, ctrlKey, metaKey, altKey } = event;
  if (key !== "/" || ctrlKey || metaKey || altKey || !page.session || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) return;
  event.preventDefault();
  tabs.select("explore");
  directory.focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("views").focus();
});
setUpTheme(byId("theme"));
tabs.show([["login", "Login", h("p", { class: "view muted", role: "status" }, `Connecting to ${url.href} …`)]]);
logIn({ realm: realms[0] ?? "default", method: "anonymous", authid: "", secret: "" }, true);

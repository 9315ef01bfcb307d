/** The login form. */
import { button, field, fill, h } from "./dom.js";
import { METHODS } from "./proofs.js";

/** Say in a sentence why a realm could not be joined. */
export function explanation(error, realm) {
  const known = {
    "wamp.error.no_such_realm": `There is no realm ${realm}.`,
    "wamp.error.no_matching_auth_method": `The realm ${realm} does not accept this way to log in.`,
    "wamp.error.authentication_required": `The realm ${realm} needs a login.`,
    "wamp.error.authentication_failed": "The login was refused.",
    "wamp.error.authentication_denied": "The login was refused.",
    "wamp.error.authorization_denied": "This user is not allowed to join.",
    "wamp.error.no_such_principal": "This user is not known.",
  };
  if (!error.uri) return error.message;
  const said = error.message === error.uri ? "" : ` ${error.message}`;
  return `${known[error.uri] ?? ""}${said} (${error.uri})`.trim();
}

/**
 * Return `{element, show(reason), busy(is)}`. `submit({realm, method, authid, secret})` is called with the values of
 * the form.
 */
export function createLogin(realms, submit) {
  const realm = field("Realm", { list: "realms", required: true, value: realms[0] ?? "default" });
  const method = h("select", { id: "method", onchange: () => choose() }, METHODS.map(({ name, label }) => h("option", { value: name }, label)));
  const hint = h("small", {});
  const authid = field("Auth ID", { autocomplete: "username" });
  const secret = field("Secret", { type: "password", autocomplete: "current-password" });
  const reason = h("p", { class: "notice danger", role: "alert", hidden: true });
  const enter = h("button", { type: "submit", class: "primary" }, "Join");
  const reveal = button("Show", () => {
    const hidden = secret.input.type === "password";
    secret.input.type = hidden ? "text" : "password";
    reveal.textContent = hidden ? "Hide" : "Show";
  }, { class: "small" });
  const secretRow = h("div", { class: "row secret" }, secret.element, reveal);
  const form = h("form", { class: "login", onsubmit: (event) => {
    event.preventDefault();
    const { secret: needed } = chosen();
    submit({ realm: realm.input.value.trim(), method: method.value, authid: authid.input.value.trim(), secret: needed ? secret.input.value : "" });
  } },
  h("h1", {}, "Join a realm"), reason,
  realm.element, h("datalist", { id: "realms" }, realms.map((uri) => h("option", { value: uri }))),
  h("label", { class: "labelled" }, h("span", {}, "Method"), method, hint), authid.element, secretRow, enter);

  const chosen = () => METHODS.find(({ name }) => name === method.value);

  function choose() {
    const { hint: text, secret: label, name } = chosen();
    hint.textContent = text;
    authid.element.hidden = name === "anonymous" || name === "cookie";
    authid.input.required = label && name !== "cryptosign";
    secretRow.hidden = !label;
    secret.input.required = Boolean(label);
    if (label) secret.element.firstElementChild.textContent = label;
  }

  choose();
  return {
    element: h("div", { class: "view narrow" }, form),
    /** Show why the last attempt failed, or nothing. */
    show(text) {
      reason.hidden = !text;
      fill(reason, text);
    },
    /** Let the user choose a method that needs more than anonymous. */
    suggest(name) {
      method.value = name;
      choose();
    },
    busy(is) {
      enter.disabled = is;
      enter.textContent = is ? "Joining…" : "Join";
    },
    /** Forget what was typed as a secret. */
    clear() {
      secret.input.value = "";
    },
    focus: () => (method.value === "anonymous" ? method : authid.input).focus(),
  };
}

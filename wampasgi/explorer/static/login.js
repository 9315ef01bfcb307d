/** The login form. */
import { button, field, fill, h, labelled } from "./dom.js";
import { METHODS } from "./proofs.js";

const REASONS = {
  "wamp.error.no_such_realm": "This realm does not exist.",
  "wamp.error.no_matching_auth_method": "The realm does not accept this way to log in.",
  "wamp.error.authentication_required": "The realm needs a login.",
  "wamp.error.authentication_failed": "The login was refused.",
  "wamp.error.authentication_denied": "The login was refused.",
  "wamp.error.authorization_denied": "This user may not join the realm.",
  "wamp.error.no_such_principal": "The user is not known.",
};

/** Say why a realm could not be joined. */
export function explanation(error, realm) {
  if (!error.uri) return error.message;
  const { uri, message } = error;
  // Servers often repeat the URI in words.
  const said = uri.endsWith(message.replaceAll(" ", "_")) ? [] : [message];
  return [`Realm ${realm}:`, ...(uri in REASONS ? [REASONS[uri]] : []), ...said, `(${uri})`].join(" ");
}

/** Return `{element, show(reason, named), busy(is), clear()}`. `submit` gets `{realm, method, authid, secret}`. */
export function createLogin(realms, submit) {
  const realm = field("Realm", { list: "realms", required: true, value: realms[0] ?? "default" });
  const method = h("select", { onchange: choose }, METHODS.map(({ name, label }) => h("option", { value: name }, label)));
  const methodRow = labelled("Method", method);
  const authid = field("Auth ID", { autocomplete: "username" });
  const secret = field("Secret", { type: "password", autocomplete: "current-password" });
  const reveal = button("Show", () => setRevealed(secret.input.type === "password"));
  const secretRow = h("div", { class: "row secret" }, secret.element, reveal);
  const reason = h("p", { class: "notice danger", role: "alert" });
  const join = h("button", { type: "submit", class: "primary" }, "Join");
  const form = h("form", { class: "login", onsubmit: (event) => {
    event.preventDefault();
    const [uri, name] = [realm, authid].map(({ input }) => input.value.trim());
    submit({ realm: uri, method: method.value, authid: name, secret: secret.input.value });
  } },
  h("h1", {}, "Join a realm"), reason,
  realm.element, h("datalist", { id: "realms" }, realms.map((uri) => h("option", { value: uri }))),
  methodRow.element, authid.element, secretRow, join);

  function choose() {
    const chosen = METHODS.find(({ name }) => name === method.value);
    methodRow.note.textContent = chosen.hint;
    secretRow.hidden = authid.element.hidden = !chosen.secret;
    secret.input.required = Boolean(chosen.secret);
    authid.input.required = Boolean(chosen.secret) && chosen.name !== "cryptosign";
    secret.caption.textContent = chosen.secret;
    setRevealed(false);
  }

  function setRevealed(revealed) {
    secret.input.type = revealed ? "text" : "password";
    reveal.textContent = revealed ? "Hide" : "Show";
  }

  choose();
  return {
    element: h("div", { class: "view narrow" }, form),
    /** Show the form with a reason, or null. `named` proposes a method with a name instead of anonymous. */
    show(text, named) {
      reason.hidden = !text;
      fill(reason, text);
      if (named && method.value === "anonymous") {
        method.value = "ticket";
        choose();
      }
      (secretRow.hidden ? method : authid.input.value ? secret.input : authid.input).focus();
    },
    busy(is) {
      join.disabled = is;
      join.textContent = is ? "Joining…" : "Join";
    },
    clear() {
      secret.input.value = "";
      setRevealed(false);
    },
  };
}

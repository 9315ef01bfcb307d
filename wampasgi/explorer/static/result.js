/** Results and errors of requests. */
import { h } from "./dom.js";
import { createTree } from "./tree.js";
import { markdown } from "./markdown.js";
import { ConnectionLost } from "./wamp.js";

const KNOWN = {
  "wamp.error.invalid_argument": "The arguments do not fit the procedure.",
  "wamp.error.no_such_procedure": "No procedure is registered at this URI.",
  "wamp.error.not_authorized": "This session is not allowed to do this.",
  "wamp.error.authorization_failed": "The server could not find out whether this is allowed.",
  "wamp.error.invalid_uri": "The URI is not valid.",
  "wamp.error.canceled": "The call was canceled.",
  "wamp.error.timeout": "The call took longer than its timeout.",
  "wamp.error.runtime_error": "The procedure failed.",
  "wamp.error.payload_size_exceeded": "The message is larger than the server allows.",
  "wamp.error.option_disallowed.disclose_me": "The server does not allow to disclose the caller.",
};

/** Return an element with the arguments of a payload as trees. `shape` is its description, or null. */
export function payloadView(title, { args, kwargs }, shape, defs) {
  const named = Object.keys(kwargs ?? {}).length > 0;
  const parts = [];
  const first = shape?.args.prefixItems?.[0] ?? shape?.args.items;
  if (args.length === 1) parts.push(createTree(args[0], { schema: first, defs, open: 2 }));
  else if (args.length) parts.push(createTree(args, { schema: shape?.args, defs, open: 2 }));
  if (named) {
    parts.push(h("h3", {}, "Keyword arguments"), createTree(kwargs, { schema: shape?.kwargs, defs, open: 2 }));
  }
  if (!parts.length) parts.push(h("p", { class: "muted" }, "Nothing (no arguments)."));
  return h("section", { class: "result" }, title && h("h2", {}, title), parts);
}

/**
 * Return an element for an exception of a request. `unmatched` are the errors of arguments that no field
 * shows, or null if the error is not about arguments.
 */
export function errorView(error, description, unmatched = null) {
  if (!error.uri) {
    const title = error instanceof ConnectionLost ? "No answer" : "Not sent";
    return h("section", { class: "result danger" }, h("h2", {}, title), h("p", {}, error.message));
  }
  const described = description?.errors.find(({ uri }) => uri === error.uri);
  const note = described?.description ? markdown(described.description) : KNOWN[error.uri] && h("p", {}, KNOWN[error.uri]);
  const defs = description?.$defs ?? {};
  const kwargs = { ...error.kwargs };
  if (unmatched) delete kwargs.errors;
  const [first, ...others] = error.args;
  const message = typeof first === "string";
  const args = message ? others : error.args;
  return h("section", { class: "result danger" },
    h("h2", {}, "Error ", h("code", {}, error.uri)), note, message && h("p", { class: "message" }, first),
    unmatched?.length > 0 && h("ul", {}, unmatched.map(({ argument, path, reason }) =>
      h("li", {}, h("code", {}, [argument, ...(path ?? [])].filter((part) => part != null).join(".")), ` ${reason}`))),
    (args.length > 0 || Object.keys(kwargs).length > 0) && payloadView("", { args, kwargs }, described?.payload, defs));
}

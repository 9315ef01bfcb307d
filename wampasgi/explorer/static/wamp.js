/** A WAMP v2 client: JSON over one WebSocket, with the roles caller, subscriber and publisher. */

const HELLO = 1, WELCOME = 2, ABORT = 3, CHALLENGE = 4, AUTHENTICATE = 5, GOODBYE = 6, ERROR = 8;
const PUBLISH = 16, PUBLISHED = 17, SUBSCRIBE = 32, SUBSCRIBED = 33, UNSUBSCRIBE = 34, UNSUBSCRIBED = 35;
const EVENT = 36, CALL = 48, CANCEL = 49, RESULT = 50;

const ROLES = {
  caller: { features: { progressive_call_results: true, call_canceling: true, call_timeout: true,
    caller_identification: true } },
  subscriber: { features: { pattern_based_subscription: true, publisher_identification: true,
    subscription_revocation: true } },
  publisher: { features: { publisher_exclusion: true, publisher_identification: true } },
};
const ANSWER_TO_GOODBYE = "wamp.close.goodbye_and_out";

/** An ERROR or an ABORT: `uri`, `args`, `kwargs`. */
export class WampError extends Error {
  constructor(uri, args = [], kwargs = {}) {
    super(typeof args[0] === "string" ? args[0] : uri);
    Object.assign(this, { uri, args, kwargs });
  }
}

/** The connection could not be made, or it ended while an answer was expected. */
export class ConnectionLost extends Error {}

/** Text of JSON. A BigInt keeps all its digits. */
export function encode(value, indent) {
  const raw = (_, item) =>
    typeof item === "bigint" ? (JSON.rawJSON ? JSON.rawJSON(String(item)) : Number(item)) : item;
  return JSON.stringify(value, raw, indent);
}

/** Parse JSON. Integers that a number cannot hold become BigInts, if the browser tells their digits. */
export function decode(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source) : value);
}

/**
 * Join a realm and return a Session. `credentials` has `hello`, further HELLO.Details, and may have
 * `answer(method, extra)`, which returns `{signature, extra}` for a challenge, and `check(details)`, which
 * throws if WELCOME does not prove what it must. Rejects with a WampError for an ABORT.
 */
export function join(url, realm, credentials) {
  return new Promise((resolve, reject) => {
    let socket;
    try {
      socket = new WebSocket(url, ["wamp.2.json"]);
    } catch (error) {
      reject(new ConnectionLost(`${url} is not a valid address: ${error.message}`));
      return;
    }
    const fail = (error) => {
      socket.onclose = null;
      socket.close();
      reject(error);
    };
    const challenge = async (method, extra) => {
      if (!credentials.answer) throw new WampError("wamp.error.protocol_violation", ["a challenge nobody asked for"]);
      const { signature, extra: sent } = await credentials.answer(method, extra);
      socket.send(encode([AUTHENTICATE, signature, sent ?? {}]));
    };
    const handle = async ([code, ...rest]) => {
      if (code === CHALLENGE) await challenge(...rest);
      else if (code === ABORT) throw new WampError(rest[1], rest[2] ?? [rest[0]?.message ?? rest[1]], rest[3]);
      else if (code === WELCOME) {
        await credentials.check?.(rest[1]);
        resolve(new Session(socket, url, realm, ...rest));
      } else throw new ConnectionLost(`The server sent message ${code} instead of WELCOME.`);
    };
    socket.onopen = () =>
      socket.send(encode([HELLO, realm, { roles: ROLES, agent: "wampasgi-explorer", ...credentials.hello }]));
    socket.onmessage = ({ data }) => Promise.resolve(data).then(decode).then(handle).catch(fail);
    socket.onclose = (event) => reject(new ConnectionLost(closing(event) ?? `No connection to ${url}.`));
  });
}

function closing({ code, reason }) {
  const known = {
    1001: "The server went away.",
    1008: "The server does not let this page connect.",
    1009: "A message was larger than the server allows.",
    1011: "The server had an internal error.",
    1012: "The server restarts.",
    1013: "The server has no capacity left.",
  };
  if (code === 1006 || code === 1005 || code === 1000) return reason || null;
  return `${known[code] ?? "The connection was closed."} (code ${code}${reason ? `: ${reason}` : ""})`;
}

/** A joined session. `onclose(message)` is called once if it ends without `leave()`. */
export class Session {
  onclose = null;
  #socket;
  #requests = new Map();
  #subscriptions = new Map();
  #lastRequest = 0;
  #leaving = null;

  constructor(socket, url, realm, id, details) {
    Object.assign(this, { url, realm: details.realm ?? realm, id, details, open: true });
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = (event) => this.#end(closing(event) ?? "The connection was lost.");
  }

  get authid() {
    return this.details.authid;
  }

  get authrole() {
    return this.details.authrole;
  }

  /**
   * Call a procedure. Returns `{result, cancel}`: `result` is a promise of `{args, kwargs}`, and `cancel()`
   * asks the router to stop the call. `timeout` is in seconds.
   */
  call(uri, args = [], kwargs = {}, { timeout, onProgress, discloseMe } = {}) {
    const options = {};
    if (timeout) options.timeout = Math.round(timeout * 1000);
    if (onProgress) options.receive_progress = true;
    if (discloseMe) options.disclose_me = true;
    const { id, answer } = this.#request((request) => [CALL, request, options, uri, args, kwargs], onProgress);
    return { result: answer, cancel: () => this.#requests.has(id) && this.#send([CANCEL, id, {}]) };
  }

  /** Subscribe, and return `{unsubscribe}`. `handler` gets `{topic, args, kwargs, details}`; `revoked` a reason. */
  async subscribe(topic, match, handler, revoked = () => {}) {
    const options = match === "exact" ? {} : { match };
    const member = { handler, revoked };
    const { answer } = this.#request((request) => [SUBSCRIBE, request, options, topic], null, (id) => {
      const found = this.#subscriptions.get(id) ?? { topic, members: new Set() };
      this.#subscriptions.set(id, found);
      found.members.add(member);
    });
    const id = await answer;
    return { unsubscribe: () => this.#unsubscribe(id, member) };
  }

  /** Publish an event, and wait until the router has acknowledged it. Returns the publication ID. */
  publish(topic, args = [], kwargs = {}, { acknowledge = true, excludeMe = true } = {}) {
    const options = acknowledge ? { acknowledge } : {};
    if (!excludeMe) options.exclude_me = false;
    if (acknowledge) return this.#request((request) => [PUBLISH, request, options, topic, args, kwargs]).answer;
    this.#send([PUBLISH, ++this.#lastRequest, options, topic, args, kwargs]);
    return Promise.resolve(null);
  }

  /** Leave the realm and wait until the connection is closed, for at most two seconds. */
  leave() {
    this.#leaving ??= new Promise((resolve) => {
      this.#socket.addEventListener("close", resolve);
      setTimeout(resolve, 2000);
      this.#send([GOODBYE, {}, "wamp.close.close_realm"]);
    });
    return this.#leaving;
  }

  // Awaiters run later than the next message, so `onAnswer` handles what must be known before it.
  #request(message, onProgress = null, onAnswer = null) {
    const id = ++this.#lastRequest;
    const answer = new Promise((resolve, reject) => {
      if (!this.open) {
        reject(new ConnectionLost("There is no connection."));
        return;
      }
      this.#requests.set(id, { resolve, reject, onProgress, onAnswer });
      this.#send(message(id));
    });
    return { id, answer };
  }

  #send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(encode(message));
  }

  #receive(data) {
    let message;
    try {
      message = decode(data);
    } catch {
      message = [];
    }
    const [code, first, second, third, fourth, fifth] = message;
    if (code === EVENT) this.#event(first, { details: third, args: fourth ?? [], kwargs: fifth ?? {} });
    else if (code === RESULT) this.#result(first, second, { args: third ?? [], kwargs: fourth ?? {} });
    else if (code === ERROR) this.#take(second)?.reject(new WampError(fourth, fifth ?? [], message[6] ?? {}));
    else if (code === SUBSCRIBED || code === PUBLISHED) this.#answer(first, second);
    else if (code === UNSUBSCRIBED) this.#unsubscribed(first, second);
    else if (code === GOODBYE) this.#goodbye(first, second);
    else if (code === ABORT) this.#end(`The server aborted the session: ${first?.message ?? second} (${second})`);
    else this.#end(`The server sent an invalid message: ${String(data).slice(0, 80)}`);
  }

  #take(id) {
    const found = this.#requests.get(id);
    this.#requests.delete(id);
    return found;
  }

  #answer(id, value) {
    const found = this.#take(id);
    found?.onAnswer?.(value);
    found?.resolve(value);
  }

  #result(id, details, payload) {
    if (details.progress) this.#requests.get(id)?.onProgress?.(payload);
    else this.#answer(id, payload);
  }

  #event(id, event) {
    const found = this.#subscriptions.get(id);
    const topic = event.details.topic ?? found?.topic;
    found?.members.forEach(({ handler }) => handler({ topic, ...event }));
  }

  async #unsubscribe(id, member) {
    const found = this.#subscriptions.get(id);
    if (!found?.members.delete(member) || found.members.size) return;
    this.#subscriptions.delete(id);
    await this.#request((request) => [UNSUBSCRIBE, request, id]).answer;
  }

  #unsubscribed(request, details) {
    if (request) {
      this.#answer(request);
      return;
    }
    // The router has revoked a subscription.
    const found = this.#subscriptions.get(details.subscription);
    this.#subscriptions.delete(details.subscription);
    found?.members.forEach(({ revoked }) => revoked(details.reason ?? "wamp.subscription.revoked"));
  }

  #goodbye(details, reason) {
    if (!this.#leaving) this.#send([GOODBYE, {}, ANSWER_TO_GOODBYE]);
    this.#end(`The server ended the session: ${details?.message ?? reason} (${reason})`);
  }

  #end(message) {
    if (!this.open) return;
    this.open = false;
    this.#socket.close();
    const waiting = [...this.#requests.values()];
    this.#requests.clear();
    this.#subscriptions.clear();
    waiting.forEach(({ reject }) => reject(new ConnectionLost(message)));
    if (!this.#leaving) this.onclose?.(message);
  }
}

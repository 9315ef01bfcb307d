/** A WAMP v2 client: JSON over one WebSocket, with the roles caller, subscriber and publisher. */

const HELLO = 1, WELCOME = 2, ABORT = 3, CHALLENGE = 4, AUTHENTICATE = 5, GOODBYE = 6, ERROR = 8;
const PUBLISH = 16, PUBLISHED = 17, SUBSCRIBE = 32, SUBSCRIBED = 33, UNSUBSCRIBE = 34, UNSUBSCRIBED = 35;
const EVENT = 36, CALL = 48, CANCEL = 49, RESULT = 50;

const ROLES = {
  caller: { features: { progressive_call_results: true, call_canceling: true, call_timeout: true, caller_identification: true } },
  subscriber: { features: { pattern_based_subscription: true, publisher_identification: true, subscription_revocation: true } },
  publisher: { features: { publisher_exclusion: true, publisher_identification: true } },
};

const CLOSE_CODES = {
  1001: "The server went away.",
  1002: "The server found a violation of the protocol.",
  1008: "The server does not let this page connect.",
  1009: "A message was larger than the server allows.",
  1011: "The server had an internal error.",
  1012: "The server restarts.",
  1013: "The server has no capacity left.",
};

/** An ERROR or an ABORT: `uri`, `args`, `kwargs`. */
export class WampError extends Error {
  constructor(uri, args = [], kwargs = {}) {
    super(typeof args[0] === "string" ? args[0] : uri);
    Object.assign(this, { uri, args, kwargs });
  }
}

/** There is no connection, or it ended before the answer came. */
export class ConnectionLost extends Error {}

/** Return JSON text. A BigInt keeps all its digits. */
export function encode(value, indent) {
  return JSON.stringify(value, (_, item) =>
    typeof item === "bigint" ? (JSON.rawJSON ? JSON.rawJSON(String(item)) : Number(item)) : item, indent);
}

/** Parse JSON. Integers that a number cannot hold become BigInts, if the browser tells their digits. */
export function decode(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source) : value);
}

/**
 * Join a realm and return a Session. `credentials` has `hello` for HELLO.Details, and may have
 * `answer(method, extra)`, which returns `{signature, extra}` for a challenge, and `check(details)`, which throws
 * if WELCOME does not prove what it must. Rejects with a WampError for an ABORT.
 */
export function join(url, realm, credentials) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, ["wamp.2.json"]);
    const send = (message) => socket.send(encode(message));
    const handle = async (data) => {
      const [code, first, second, third, fourth] = decode(data);
      if (code === WELCOME) {
        await credentials.check?.(second);
        resolve(new Session(socket, url, { realm, ...second, id: first }));
      } else if (code === CHALLENGE && credentials.answer) {
        const { signature, extra = {} } = await credentials.answer(first, second);
        send([AUTHENTICATE, signature, extra]);
      } else if (code === ABORT) throw new WampError(second, third ?? [first.message ?? second], fourth);
      else throw new ConnectionLost(`The server sent message ${code} instead of WELCOME.`);
    };
    socket.onopen = () => send([HELLO, realm, { roles: ROLES, agent: "wampasgi-explorer", ...credentials.hello }]);
    socket.onmessage = ({ data }) => handle(data).catch((error) => {
      reject(error);
      socket.close();
    });
    socket.onclose = (event) => reject(new ConnectionLost(closing(event, `No connection to ${url}.`)));
  });
}

function closing({ code, reason }, otherwise) {
  return code in CLOSE_CODES ? `${CLOSE_CODES[code]} (code ${code})` : reason || otherwise;
}

/**
 * A joined session: `id`, `realm`, `authid` and `authrole` of WELCOME, and whether it is `anonymous`.
 * `onclose(message)` is called if it ends without `leave()`.
 */
export class Session {
  open = true;
  onclose = null;
  #socket;
  #requests = new Map();
  #subscriptions = new Map();
  #lastRequest = 0;
  #left = null;

  constructor(socket, url, { id, realm, authid, authrole, authmethod }) {
    Object.assign(this, { url, id, realm, authid, authrole, anonymous: authmethod === "anonymous" });
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = (event) => this.#end(closing(event, "The connection was lost."));
  }

  /**
   * Call a procedure. Returns `{result, cancel}`: a promise of `{args, kwargs}`, and a function that asks the
   * router to stop the call. `timeout` is in seconds.
   */
  call(uri, args = [], kwargs = {}, { timeout, onProgress, discloseMe } = {}) {
    const options = {};
    if (timeout) options.timeout = Math.round(timeout * 1000);
    if (onProgress) options.receive_progress = true;
    if (discloseMe) options.disclose_me = true;
    const { id, answer } = this.#request([CALL, options, uri, args, kwargs], { onProgress });
    return { result: answer, cancel: () => this.#requests.has(id) && this.#send([CANCEL, id, {}]) };
  }

  /**
   * Subscribe, and return a function that unsubscribes. `handler` gets `{topic, args, kwargs, details}`, and
   * `revoked` the reason if the router ends the subscription.
   */
  async subscribe(topic, match, handler, revoked = () => {}) {
    const member = { handler, revoked };
    // An event may follow SUBSCRIBED before the code after `await` runs.
    const onAnswer = (id) => {
      const found = this.#subscriptions.get(id) ?? { topic, members: new Set() };
      found.members.add(member);
      this.#subscriptions.set(id, found);
    };
    const id = await this.#request([SUBSCRIBE, match === "exact" ? {} : { match }, topic], { onAnswer }).answer;
    return async () => {
      const found = this.#subscriptions.get(id);
      if (!found?.members.delete(member) || found.members.size) return;
      this.#subscriptions.delete(id);
      await this.#request([UNSUBSCRIBE, id]).answer;
    };
  }

  /** Publish an event. With `acknowledge`, wait for the router, and return the publication ID. */
  async publish(topic, args = [], kwargs = {}, { acknowledge = true, excludeMe = true } = {}) {
    const message = [PUBLISH, { acknowledge, exclude_me: excludeMe }, topic, args, kwargs];
    if (acknowledge) return this.#request(message).answer;
    this.#send([PUBLISH, ++this.#lastRequest, ...message.slice(1)]);
    return null;
  }

  /** Leave the realm, and wait until the connection is closed, for at most two seconds. */
  leave() {
    if (!this.open) return Promise.resolve();
    this.#left ??= new Promise((resolve) => {
      this.#socket.addEventListener("close", resolve);
      setTimeout(resolve, 2000);
      this.#send([GOODBYE, {}, "wamp.close.close_realm"]);
    });
    return this.#left;
  }

  #request([code, ...fields], callbacks = {}) {
    const id = ++this.#lastRequest;
    const answer = new Promise((resolve, reject) => {
      if (!this.open) throw new ConnectionLost("There is no connection.");
      this.#send([code, id, ...fields]);
      this.#requests.set(id, { resolve, reject, ...callbacks });
    });
    return { id, answer };
  }

  #send(message) {
    const text = encode(message);
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  #receive(data) {
    let message = [];
    try {
      message = decode(data);
    } catch {
      // It is answered below as a message of no known type.
    }
    const [code, first, second, third, fourth, fifth, sixth] = message;
    if (code === EVENT) this.#event(first, { details: third, args: fourth ?? [], kwargs: fifth ?? {} });
    else if (code === RESULT) this.#result(first, second, { args: third ?? [], kwargs: fourth ?? {} });
    else if (code === ERROR) this.#take(second)?.reject(new WampError(fourth, fifth, sixth));
    else if (code === UNSUBSCRIBED && first === 0) this.#revoked(second);
    else if (code === SUBSCRIBED || code === PUBLISHED || code === UNSUBSCRIBED) this.#answer(first, second);
    else if (code === GOODBYE) this.#goodbye(first, second);
    else if (code === ABORT) this.#end(`The server aborted the session: ${first.message ?? ""} (${second})`);
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
    found?.members.forEach(({ handler }) => handler({ topic: event.details.topic ?? found.topic, ...event }));
  }

  #revoked({ subscription, reason = "revoked" }) {
    const found = this.#subscriptions.get(subscription);
    this.#subscriptions.delete(subscription);
    found?.members.forEach(({ revoked }) => revoked(reason));
  }

  #goodbye(details, reason) {
    if (!this.#left) this.#send([GOODBYE, {}, "wamp.close.goodbye_and_out"]);
    this.#end(`The server ended the session: ${details.message ?? ""} (${reason})`);
  }

  #end(message) {
    if (!this.open) return;
    this.open = false;
    this.#socket.close();
    this.#requests.forEach(({ reject }) => reject(new ConnectionLost(message)));
    this.#requests.clear();
    this.#subscriptions.clear();
    if (!this.#left) this.onclose?.(message);
  }
}

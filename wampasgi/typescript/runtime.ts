/** The URI of an error: one of `Errors`, or one that WAMP defines. */
export type ErrorUri = keyof Errors | `wamp.${string}`;

type ErrorPayload<U extends string> = U extends keyof Errors
  ? Errors[U]
  : { args: unknown[]; kwargs: Record<string, unknown> };

/** A refused argument: an item of `kwargs.errors` of `wamp.error.invalid_argument`. */
export interface InvalidArgument {
  argument: string | null;
  /** The keys and indices of the invalid value inside of the argument. */
  path: (string | number)[];
  reason: string;
  type: string;
}

/** The error that a call, subscription or publication failed with. */
export class WampError<U extends string = string> extends Error {
  readonly uri: U;
  readonly args: ErrorPayload<U>["args"];
  readonly kwargs: ErrorPayload<U>["kwargs"];

  constructor(uri: U, args: ErrorPayload<U>["args"], kwargs: ErrorPayload<U>["kwargs"]) {
    const [text] = args as unknown[];
    super(typeof text === "string" ? `${uri}: ${text}` : uri);
    this.name = "WampError";
    this.uri = uri;
    this.args = args;
    this.kwargs = kwargs;
  }
}

/** Return whether a caught value is a WAMP error, and has this URI if one is given. */
export function isWampError(error: unknown): error is WampError;
export function isWampError<U extends ErrorUri>(error: unknown, uri: U): error is WampError<U>;
export function isWampError(error: unknown, uri?: string): boolean {
  return error instanceof WampError && (uri === undefined || error.uri === uri);
}

/** A signal that cancels a call, such as the `signal` of an `AbortController`. */
export interface CancelSignal {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** Options of a call. `P` is the type of its progressive results. */
export type CallOptions<P = never> = {
  /** The router cancels the call after this time, in milliseconds. */
  timeout?: number;
  /** Disclose the caller to the callee. */
  disclose_me?: boolean;
  /** Cancels the call when it is aborted. The call then fails with `wamp.error.canceled`. */
  signal?: CancelSignal;
} & ([P] extends [never] ? { onProgress?: never } : { onProgress?: (value: P) => void });

export interface SubscribeOptions {
  match?: "exact" | "prefix" | "wildcard";
  /** Also send the event that the topic retains. */
  get_retained?: boolean;
}

export interface PublishOptions {
  /** Wait for the router's answer, so that a refusal is an error. The default is true. */
  acknowledge?: boolean;
  exclude?: number[];
  exclude_authid?: string[];
  exclude_authrole?: string[];
  eligible?: number[];
  eligible_authid?: string[];
  eligible_authrole?: string[];
  exclude_me?: boolean;
  disclose_me?: boolean;
  retain?: boolean;
}

/** The payload of an event and information about it: the second argument of a handler. */
export interface EventInfo<A = unknown[], K = Record<string, unknown>> {
  topic: string;
  args: A;
  kwargs: K;
  publisher?: number;
  publisher_authid?: string;
  publisher_authrole?: string;
  retained?: boolean;
}

type Sent = { args: unknown[]; kwargs: object };
type Result<P> = P extends { result: infer R } ? R : never;
type Progress<P> = P extends { progress: infer R } ? R : never;
type Arguments<P, O> = P extends { args: infer A; kwargs: infer K }
  ? {} extends K
    ? [] extends A
      ? [args?: A, kwargs?: K, options?: O]
      : [args: A, kwargs?: K, options?: O]
    : [args: A, kwargs: K, options?: O]
  : never;
type CallArguments<P> = Arguments<P, CallOptions<Progress<P>>>;
type Handler<T> = T extends { args: infer A; kwargs: infer K; value: infer V }
  ? (value: V, event: EventInfo<A, K>) => void
  : never;

/** A procedure with named arguments. */
export type Named<U extends ProcedureUri, N> = (
  ...rest: {} extends N
    ? [named?: N, options?: CallOptions<Progress<Procedure<U>>>]
    : [named: N, options?: CallOptions<Progress<Procedure<U>>>]
) => Promise<Result<Procedure<U>>>;

/** A procedure whose arguments do not all have names. */
export type Positional<U extends ProcedureUri> = (
  ...rest: CallArguments<Procedure<U>>
) => Promise<Result<Procedure<U>>>;

/** A session with the types of the realm. */
export interface TypedSession {
  /** The procedures as functions: `api.com.example.add({ a: 1, b: 2 })`. */
  readonly api: Api;

  /**
   * Call a procedure.
   *
   * The result is a single value itself, `null` if it is empty, an array of several values, and
   * `{ args, kwargs }` if it has keyword arguments. Failures are instances of `WampError`.
   */
  call<U extends ProcedureUri>(
    procedure: U,
    ...rest: CallArguments<Procedure<U>>
  ): Promise<Result<Procedure<U>>>;

  /** Subscribe to a topic. Returns a function that ends the subscription. */
  subscribe<U extends TopicUri>(
    topic: U,
    handler: Handler<Topic<U>>,
    options?: SubscribeOptions,
  ): Promise<() => Promise<void>>;

  /** Publish an event. */
  publish<U extends PublicationUri>(
    topic: U,
    ...rest: Arguments<Publication<U>, PublishOptions>
  ): Promise<void>;
}

/** A session of autobahn-js. */
export interface AutobahnSession {
  call(procedure: string, args?: any[], kwargs?: any, options?: any): PromiseLike<any>;
  subscribe(topic: string, handler: (...event: any[]) => void, options?: any): PromiseLike<any>;
  publish(topic: string, args?: any[], kwargs?: any, options?: any): PromiseLike<any>;
  leave(reason: string, message: string): void;
}

/** A connected `Wampy`. */
export interface WampySession {
  call(procedure: string, payload?: any, options?: any): Promise<any>;
  subscribe(topic: string, handler: (event: any) => void, options?: any): Promise<any>;
  unsubscribe(subscription: string | number, handler?: (event: any) => void): Promise<any>;
  publish(topic: string, payload?: any, options?: any): Promise<any>;
  cancel(request: number, options?: any): unknown;
  getOpStatus(): { reqId: number };
}

/** Give a session of autobahn-js or wampy the types of the realm. */
export function typed(session: AutobahnSession | WampySession): TypedSession {
  const library = "getOpStatus" in session ? wampy(session) : autobahn(session);

  async function call(
    uri: string,
    args: unknown[] = [],
    kwargs: object = {},
    options: AnyCallOptions = {},
  ) {
    const { signal, onProgress, ...others } = options;
    if (signal?.aborted) throw new WampError<string>("wamp.error.canceled", [], {});
    const report =
      onProgress && ((progress: Sent) => onProgress(valueOf(progress, "progress", uri)));
    let cancel: (() => void) | undefined;
    try {
      const running = library.call(uri, withoutUndefined({ args, kwargs }), others, report);
      cancel = running.cancel;
      signal?.addEventListener("abort", cancel);
      return valueOf(await running.result, "result", uri);
    } catch (error) {
      throw wampError(error);
    } finally {
      if (cancel) signal?.removeEventListener("abort", cancel);
    }
  }

  async function subscribe(
    uri: string,
    handler: (value: unknown, event: EventInfo<unknown[], object>) => void,
    options: SubscribeOptions = {},
  ) {
    try {
      const unsubscribe = await library.subscribe(
        uri,
        (event) => handler(valueOf(event, "event", event.topic), event),
        options,
      );
      return async () => {
        await unsubscribe();
      };
    } catch (error) {
      throw wampError(error);
    }
  }

  async function publish(
    uri: string,
    args: unknown[] = [],
    kwargs: object = {},
    options: PublishOptions = {},
  ) {
    const sent = withoutUndefined({ args, kwargs });
    try {
      await library.publish(uri, sent, { acknowledge: true, ...options });
    } catch (error) {
      throw wampError(error);
    }
  }

  return { api: procedures("", call), call, subscribe, publish } as unknown as TypedSession;
}

type AnyCallOptions = { signal?: CancelSignal; onProgress?: (value: unknown) => void };

interface Library {
  call(
    uri: string,
    sent: Sent,
    options: object,
    onProgress: ((progress: Sent) => void) | undefined,
  ): { result: PromiseLike<Sent>; cancel: () => void };
  subscribe(
    uri: string,
    handler: (event: EventInfo<unknown[], object>) => void,
    options: object,
  ): PromiseLike<() => PromiseLike<unknown>>;
  publish(uri: string, sent: Sent, options: object): PromiseLike<unknown>;
}

function autobahn(session: AutobahnSession): Library {
  // The promises are those of when.js, whose third callback gets the progressive results.
  type Call = PromiseLike<unknown> & {
    then(done?: null, failed?: null, progress?: (value: unknown) => void): PromiseLike<unknown>;
    cancel(options: object): void;
  };
  return {
    call(uri, { args, kwargs }, options, onProgress) {
      const sent = onProgress ? { ...options, receive_progress: true } : options;
      const call = session.call(uri, args, kwargs, sent) as Call;
      const observed = onProgress
        ? call.then(null, null, (value) => onProgress(wrapped(value)))
        : call;
      return { result: observed.then(wrapped), cancel: () => call.cancel({ mode: "kill" }) };
    },
    subscribe: (uri, handler, options) =>
      session
        .subscribe(
          uri,
          (args, kwargs, { topic, publisher, publisher_authid, publisher_authrole, retained }) =>
            handler({
              ...{ topic: topic ?? uri, args, kwargs },
              ...{ publisher, publisher_authid, publisher_authrole, retained },
            }),
          options,
        )
        .then((subscription) => () => subscription.unsubscribe()),
    publish: async (uri, { args, kwargs }, options) => session.publish(uri, args, kwargs, options),
  };
}

function wampy(session: WampySession): Library {
  const received = ({ argsList, argsDict }: any): Sent => ({
    args: argsList ?? [],
    kwargs: argsDict ?? {},
  });
  const payload = ({ args, kwargs }: Sent) => ({ argsList: args, argsDict: kwargs });
  return {
    call(uri, sent, options, onProgress) {
      const observed = onProgress && {
        progress_callback: (progress: unknown) => onProgress(received(progress)),
      };
      const call = session.call(uri, payload(sent), { ...options, ...observed });
      const { reqId } = session.getOpStatus();
      return {
        result: call.then(received),
        cancel: () => session.cancel(reqId, { mode: "kill" }),
      };
    },
    async subscribe(uri, handler, options) {
      let active = true;
      const onEvent = (event: any) => {
        if (active) handler({ topic: uri, ...event.details, ...received(event) });
      };
      const hasOptions = Object.keys(options).length > 0;
      // The key stays the same when wampy has reconnected, and the ID does not.
      const { subscriptionKey } = await session.subscribe(
        uri,
        onEvent,
        hasOptions ? options : undefined,
      );
      return async () => {
        active = false;
        // When a subscription with options ends, wampy 7 and 8 throw an error outside of promises.
        if (!hasOptions) await session.unsubscribe(subscriptionKey, onEvent);
      };
    },
    publish: (uri, sent, options) => session.publish(uri, payload(sent), options),
  };
}

/** Return the payload of a result of autobahn-js, which unwraps a single value. */
function wrapped(value: unknown): Sent {
  if (isResult(value)) return value;
  return { args: value === null || value === undefined ? [] : [value], kwargs: {} };
}

/** Return whether a value is an `autobahn.Result`, which has a class, unlike decoded objects. */
function isResult(value: any): value is Sent {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  const hasClass = prototype !== null && Object.getPrototypeOf(prototype) !== null;
  return hasClass && Array.isArray(value.args) && typeof value.kwargs === "object";
}

function valueOf(payload: Sent, kind: "result" | "progress" | "event", uri: string): unknown {
  const { args, kwargs } = payload;
  const shape = shapes.find(([of, pattern]) => of === kind && pattern.test(uri))?.[2];
  if (shape === "args and kwargs" || Object.keys(kwargs).length > 0) return { args, kwargs };
  if (shape === "args" || args.length > 1) return args;
  return args.length === 1 ? args[0] : null;
}

/** Remove undefined arguments, because serializers would send null. */
function withoutUndefined({ args, kwargs }: Sent): Sent {
  const end = args.reduce<number>((last, arg, index) => (arg === undefined ? last : index + 1), 0);
  const defined = Object.entries(kwargs).filter(([, value]) => value !== undefined);
  return { args: args.slice(0, end), kwargs: Object.fromEntries(defined) };
}

function wampError(error: any): unknown {
  if (typeof error === "string") return new Error(error);
  const uri = error?.errorUri ?? error?.error;
  if (typeof uri !== "string" || error instanceof WampError) return error;
  return new WampError(
    uri,
    error.argsList ?? error.args ?? [],
    error.argsDict ?? error.kwargs ?? {},
  );
}

type AnyCall = (uri: string, args?: any, kwargs?: any, options?: any) => Promise<unknown>;

/** Return a function that calls a URI, with a property for each URI below it. */
function procedures(uri: string, call: AnyCall): any {
  return new Proxy(() => undefined, {
    // `await` would call `then`, because promises have it.
    get: (_target, name) =>
      typeof name === "symbol" || name === "then"
        ? undefined
        : procedures(uri === "" ? name : `${uri}.${name}`, call),
    apply: (_target, _this, [first, ...rest]) =>
      Array.isArray(first) ? call(uri, first, ...rest) : call(uri, [], first, ...rest),
  });
}

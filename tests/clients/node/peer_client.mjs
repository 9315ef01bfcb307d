// Runs a session of autobahn-js or wampy until stdin ends. Tests control it by calling its procedures.
// Usage: node peer_client.mjs FOLDER-OF-NODE_MODULES URL autobahn|wampy json|msgpack|cbor
//
// Its procedures begin with `clients.LIBRARY.`. `echo`, `hang`, `caller` and the wildcard `.where` test it as a callee;
// `call`, `publish`, `subscribe` and `event` make it act in the other roles and return the outcome.

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { report } from './report.mjs';

const [folder, url, library, format] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));

globalThis.WebSocket ??= require('ws');

// Both libraries with the same interface. Payloads are {args, kwargs}; details are those of the message.
const libraries = { autobahn: connectAutobahn, wampy: connectWampy };

async function connectAutobahn() {
  const autobahn = require('autobahn');
  const { CBORSerializer, JSONSerializer, MsgpackSerializer } = autobahn.serializer;
  const serializer = new { cbor: CBORSerializer, json: JSONSerializer, msgpack: MsgpackSerializer }[format]();
  const connection = new autobahn.Connection({ url, realm: 'default', serializers: [serializer] });
  const session = await new Promise((resolve) => {
    connection.onopen = resolve;
    connection.open();
  });
  // Autobahn unwraps a result that has one positional value and nothing else.
  const payload = (result) =>
    result instanceof autobahn.Result ? { args: result.args, kwargs: result.kwargs } : { args: [result], kwargs: {} };
  return {
    register: (procedure, handle, options) =>
      session.register(procedure, (args, kwargs, details) => handle(args ?? [], kwargs ?? {}, details), options),
    async call(procedure, args, kwargs, { disclose, onProgress } = {}) {
      const options = { ...(disclose && { disclose_me: true }), ...(onProgress && { receive_progress: true }) };
      const promise = session.call(procedure, args, kwargs, options);
      const called = promise.then(payload, undefined, (progress) =>
        onProgress(payload(progress), () => promise.cancel({ mode: 'kill' })),
      );
      try {
        return await called;
      } catch (failure) {
        return { error: failure.error ?? String(failure), args: failure.args };
      }
    },
    publish: (topic, args, kwargs, disclose) =>
      session.publish(topic, args, kwargs, { acknowledge: true, disclose_me: disclose }),
    subscribe: (topic, match, handle) =>
      session.subscribe(
        topic,
        (args, kwargs, { topic, publisher }) => handle({ args, kwargs, topic, publisher }),
        { match },
      ),
    close: () => connection.close(),
  };
}

async function connectWampy() {
  const { Wampy } = require('wampy');
  const { CborSerializer } = require('wampy/CborSerializer.js');
  const { JsonSerializer } = require('wampy/JsonSerializer.js');
  const { MsgpackSerializer } = require('wampy/MsgpackSerializer.js');
  const serializer = new { cbor: CborSerializer, json: JsonSerializer, msgpack: MsgpackSerializer }[format]();
  const wampy = new Wampy(url, { realm: 'default', ws: require('ws'), serializer, autoReconnect: false });
  await wampy.connect();
  const payload = ({ argsList, argsDict }) => ({ args: argsList ?? [], kwargs: argsDict ?? {} });
  const message = (args, kwargs) => ({ argsList: args, argsDict: kwargs });
  return {
    register: (procedure, handle, options) =>
      wampy.register(
        procedure,
        async ({ argsList, argsDict, details }) => ({
          argsList: [await handle(argsList ?? [], argsDict ?? {}, details)],
        }),
        options,
      ),
    async call(procedure, args, kwargs, { disclose, onProgress } = {}) {
      let requestId;
      const cancel = () => wampy.cancel(requestId, { mode: 'kill' });
      const options = {
        ...(disclose && { disclose_me: true }),
        ...(onProgress && { progress_callback: (progress) => onProgress(payload(progress), cancel) }),
      };
      try {
        const called = wampy.call(procedure, message(args, kwargs), options);
        requestId = wampy.getOpStatus().reqId;
        return payload(await called);
      } catch (failure) {
        return { error: failure.errorUri ?? String(failure), args: failure.argsList };
      }
    },
    publish: (topic, args, kwargs, disclose) =>
      wampy.publish(topic, message(args, kwargs), { disclose_me: disclose }),
    subscribe: (topic, match, handle) =>
      wampy.subscribe(
        topic,
        ({ argsList, argsDict, details }) =>
          handle({ args: argsList, kwargs: argsDict, topic: details.topic, publisher: details.publisher }),
        { match },
      ),
    close: () => wampy.disconnect(),
  };
}

// Events that nobody has requested yet, and requests for events that have not arrived yet.
const events = [];
const waiting = [];

function arrived(event) {
  const plain = JSON.parse(JSON.stringify(event, (_, value) => (typeof value === 'bigint' ? Number(value) : value)));
  if (waiting.length) {
    waiting.shift()(plain);
  } else {
    events.push(plain);
  }
}

async function serve(session) {
  const name = (procedure) => `clients.${library}.${procedure}`;
  const { register } = session;
  await register(name('echo'), (args, kwargs) => ({ args, kwargs }));
  await register(name('hang'), () => new Promise(() => {}));
  await register(name('caller'), (args, kwargs, details) => Number(details.caller ?? 0), { disclose_caller: true });
  await register(name('.where'), (args, kwargs, details) => details.procedure, { match: 'wildcard' });
  await register('clients.answer', ([question]) => `${question} Yes.`);

  await register(name('call'), ([procedure, args], kwargs) =>
    session.call(procedure, args, {}, { disclose: kwargs.disclose }),
  );
  await register(name('call_with_progress'), async ([procedure]) => {
    const reports = [];
    const result = await session.call(procedure, [], {}, { onProgress: (report) => reports.push(report.args) });
    return { reports, result };
  });
  await register(name('call_and_cancel'), ([procedure]) =>
    session.call(procedure, [], {}, { onProgress: (report, cancel) => cancel() }),
  );
  await register(name('publish'), async ([topic, args], kwargs) => {
    await session.publish(topic, args, {}, kwargs.disclose);
    return true;
  });
  await register(name('subscribe'), async ([topic, match]) => {
    await session.subscribe(topic, match, arrived);
    return true;
  });
  await register(name('event'), () => events.shift() ?? new Promise((resolve) => waiting.push(resolve)));
}

try {
  const session = await libraries[library]();
  await serve(session);
  report('ready', true);
  process.stdin.on('end', () => session.close()).resume();
} catch (error) {
  console.error(error);
  process.exit(1);
}

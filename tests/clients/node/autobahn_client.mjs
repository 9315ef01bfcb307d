// Runs one session of autobahn-js.
// Usage: node autobahn_client.mjs FOLDER-OF-NODE_MODULES URL json|msgpack|cbor calls|events

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { nextEvent, rejection, report } from './report.mjs';

const [folder, url, format, scenario] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));

// Node has its own WebSocket since version 22.
globalThis.WebSocket ??= require('ws');
const autobahn = require('autobahn');

const { CBORSerializer, JSONSerializer, MsgpackSerializer } = autobahn.serializer;
const serializer = new { cbor: CBORSerializer, json: JSONSerializer, msgpack: MsgpackSerializer }[format]();

function payload(result) {
  return { args: result.args, kwargs: result.kwargs };
}

function failure({ error, args, kwargs }) {
  return { error, args, kwargs };
}

async function calls(session) {
  report('result', await session.call('math.add', [2], { b: 3 }));
  report('kwargs alone', await session.call('math.add', null, { a: 4, b: 5 }));
  report('echo', payload(await session.call('echo', [1, 'Zoë', null], { deep: [{ a: 1.5 }] })));
  const date = await session.call('echo', [new Date(1795348800500)]);
  report('date', { isDate: date instanceof Date, date });
  report('unknown', failure(await rejection(session.call('no.such.procedure'))));
  report('invalid argument', failure(await rejection(session.call('math.add', ['two']))));
  report('application error', failure(await rejection(session.call('stock.take', ['bolts']))));

  const progress = [];
  const result = await session
    .call('count.down', [2], {}, { receive_progress: true })
    .then(null, null, (report) => progress.push(payload(report)));
  report('progress', { progress, result });
}

async function events(session) {
  const news = nextEvent();
  const subscription = await session.subscribe('news', (args, kwargs) => news.handler({ args, kwargs }));
  await session.call('announce', ['news', 'rain'], { until: 'noon' });
  report('event', await news.event);

  const seen = nextEvent();
  await session.unsubscribe(subscription);
  await session.subscribe('news', (args, kwargs) => seen.handler({ args, kwargs }));
  const publication = await session.publish('sensors.attic', [21.5], { unit: 'F' }, { acknowledge: true });
  report('published', publication.id);
  report('seen by the server', await seen.event);

  const refused = session.publish('news', ['fake'], {}, { acknowledge: true });
  report('refused', (await rejection(refused)).error);
}

const connection = new autobahn.Connection({
  transports: [{ type: 'websocket', url, serializers: [serializer] }],
  realm: 'default',
  max_retries: 0,
});

connection.onopen = async (session, details) => {
  try {
    report('joined', { id: session.id, protocol: details.transport.protocol });
    await (scenario === 'calls' ? calls(session) : events(session));
    connection.close();
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
};

connection.onclose = (how, { reason }) => {
  report('closed', reason);
  // Prevents reconnecting.
  return true;
};

connection.open();

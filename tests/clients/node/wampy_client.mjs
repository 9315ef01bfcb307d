// Runs one session of wampy.
// Usage: node wampy_client.mjs FOLDER-OF-NODE_MODULES URL json|msgpack|cbor calls|events

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { nextEvent, rejection, report } from './report.mjs';

const [folder, url, format, scenario] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));

const { Wampy } = require('wampy');
const { CborSerializer } = require('wampy/CborSerializer.js');
const { JsonSerializer } = require('wampy/JsonSerializer.js');
const { MsgpackSerializer } = require('wampy/MsgpackSerializer.js');

const GOODBYE = 6;

function payload({ argsList, argsDict }) {
  return { args: argsList, kwargs: argsDict };
}

function failure({ errorUri, argsList, argsDict }) {
  return { error: errorUri, args: argsList, kwargs: argsDict };
}

async function calls(wampy) {
  report('result', payload(await wampy.call('math.add', { argsList: [2], argsDict: { b: 3 } })));
  report('kwargs alone', payload(await wampy.call('math.add', { a: 4, b: 5 })));
  const sent = { argsList: [1, 'Zoë', null], argsDict: { deep: [{ a: 1.5 }] } };
  report('echo', payload(await wampy.call('echo', sent)));
  const [date] = (await wampy.call('echo', { argsList: [new Date(1795348800500)] })).argsList;
  report('date', { isDate: date instanceof Date, date });
  report('unknown', failure(await rejection(wampy.call('no.such.procedure'))));
  report('invalid argument', failure(await rejection(wampy.call('math.add', ['two']))));
  report('application error', failure(await rejection(wampy.call('stock.take', ['bolts']))));

  const progress = [];
  const options = { progress_callback: (report) => progress.push(payload(report)) };
  const result = await wampy.call('count.down', [2], options);
  report('progress', { progress, result: payload(result) });
}

async function events(wampy) {
  const news = nextEvent();
  const subscription = await wampy.subscribe('news', (event) => news.handler(payload(event)));
  await wampy.call('announce', { argsList: ['news', 'rain'], argsDict: { until: 'noon' } });
  report('event', await news.event);

  const seen = nextEvent();
  await wampy.unsubscribe(subscription.subscriptionKey);
  await wampy.subscribe('news', (event) => seen.handler(payload(event)));
  // Wampy requests an acknowledgement for every publication.
  const publication = await wampy.publish('sensors.attic', { argsList: [21.5], argsDict: { unit: 'F' } });
  report('published', publication.publicationId);
  report('seen by the server', await seen.event);

  report('refused', (await rejection(wampy.publish('news', 'fake'))).errorUri);
}

const serializer = new { cbor: CborSerializer, json: JsonSerializer, msgpack: MsgpackSerializer }[format]();

// Wampy exposes neither the selected subprotocol nor the reason of GOODBYE.
let opened, goodbye;
class WebSocket extends require('ws') {
  constructor(...options) {
    super(...options);
    opened = this;
    this.addEventListener('message', ({ data }) => {
      const [code, , reason] = serializer.decode(data);
      if (code === GOODBYE) {
        goodbye = reason;
      }
    });
  }
}

const wampy = new Wampy(url, {
  realm: 'default',
  ws: WebSocket,
  serializer,
  autoReconnect: false,
});

try {
  await wampy.connect();
  report('joined', { id: wampy.getSessionId(), protocol: opened.protocol });
  await (scenario === 'calls' ? calls(wampy) : events(wampy));
  await wampy.disconnect();
  report('closed', goodbye);
} catch (error) {
  console.error(error);
  process.exit(1);
}

// Lets autobahn-js and wampy call each other.
// Usage: node routed_client.mjs FOLDER-OF-NODE_MODULES URL json|msgpack

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { rejection, report } from './report.mjs';

const [folder, url, format] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));

globalThis.WebSocket ??= require('ws');
const autobahn = require('autobahn');
const { Wampy } = require('wampy');
const { JsonSerializer } = require('wampy/JsonSerializer.js');
const { MsgpackSerializer } = require('wampy/MsgpackSerializer.js');

async function run(session, wampy) {
  await wampy.register('clients.wampy', (call) => ({
    argsList: [...(call.argsList ?? []), call.details.procedure],
    argsDict: call.argsDict,
  }), { match: 'prefix' });
  const answered = await session.call('clients.wampy.echo', [1, 'Zoë'], { deep: [{ a: 1.5 }] });
  report('wampy answers autobahn', { args: answered.args, kwargs: answered.kwargs });

  await session.register('clients.autobahn.sum', ([a, b]) => a + b);
  const sum = await wampy.call('clients.autobahn.sum', [2, 3]);
  report('autobahn answers wampy', sum.argsList);

  // autobahn-js announces progressive results, but not call canceling.
  await session.register('clients.autobahn.progress', (args, kwargs, details) => {
    details.progress(['half']);
    return 'all';
  });
  const reports = [];
  const options = { progress_callback: (result) => reports.push(result.argsList[0]) };
  const final = await wampy.call('clients.autobahn.progress', null, options);
  report('progress', [...reports, ...final.argsList]);

  await session.register('clients.autobahn.fail', () => {
    throw new autobahn.Error('com.example.failed', ['no'], { code: 7 });
  });
  const failed = await rejection(wampy.call('clients.autobahn.fail'));
  report('error', { error: failed.errorUri, args: failed.argsList, kwargs: failed.argsDict });

  await session.register('clients.answer', ([question]) => `${question} Yes.`);
  report('server asks', await session.call('ask.caller', ['Delete?']));
}

const serializer =
  format === 'json' ? new autobahn.serializer.JSONSerializer() : new autobahn.serializer.MsgpackSerializer();
const connection = new autobahn.Connection({ url, realm: 'default', serializers: [serializer] });
connection.onopen = async (session) => {
  try {
    // The other serializer, so that the router translates.
    const wampy = new Wampy(url, {
      realm: 'default',
      ws: require('ws'),
      serializer: format === 'json' ? new MsgpackSerializer() : new JsonSerializer(),
    });
    await wampy.connect();
    await run(session, wampy);
    await wampy.disconnect();
    connection.close();
  } catch (error) {
    console.error(error);
    process.exitCode = 1;
    process.exit();
  }
};
connection.open();

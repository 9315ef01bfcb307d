// Joins the default realm again after its connection was closed, as autobahn-js and wampy do by default.
// Usage: node reconnect_client.mjs FOLDER-OF-NODE_MODULES URL autobahn|wampy
//
// It ends when it has joined twice, or when its library gives up.

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { report } from './report.mjs';

const [folder, url, library] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));

// Unlike the WebSockets of browsers, those of ws end the process if nobody listens to their errors.
class QuietWebSocket extends require('ws') {
  constructor(...options) {
    super(...options);
    this.addEventListener('error', () => {});
  }
}

globalThis.WebSocket ??= QuietWebSocket;

// In seconds. By default, both wait longer, and so give a server more time with a limited number of retries.
const DELAY = 0.1;

let joined = 0;

async function onJoined(session_id, call) {
  joined += 1;
  report(`joined ${joined}`, session_id);
  if (joined === 2) {
    report('sum', await call());
    process.exit(0);
  }
}

function onGivenUp() {
  report('gave up', true);
  process.exit(0);
}

function runAutobahn() {
  const { Connection } = require('autobahn');
  const connection = new Connection({
    url,
    realm: 'default',
    max_retries: -1,
    initial_retry_delay: DELAY,
    max_retry_delay: DELAY,
  });
  connection.onopen = (session) => onJoined(session.id, () => session.call('math.add', [2, 3]));
  connection.onclose = (reason, { will_retry }) => {
    if (!will_retry) {
      onGivenUp();
    }
    return false;
  };
  connection.open();
}

async function runWampy() {
  const { Wampy } = require('wampy');
  const call = async () => (await wampy.call('math.add', [2, 3])).argsList[0];
  const wampy = new Wampy(url, {
    realm: 'default',
    ws: QuietWebSocket,
    maxRetries: 0,
    reconnectInterval: DELAY * 1000,
    onReconnectSuccess: () => onJoined(wampy.getSessionId(), call),
    onClose: onGivenUp,
  });
  await wampy.connect();
  await onJoined(wampy.getSessionId(), call);
}

({ autobahn: runAutobahn, wampy: runWampy })[library]();

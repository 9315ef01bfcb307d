// Joins a realm with wampy.
// Usage: node auth_wampy_client.mjs FOLDER-OF-NODE_MODULES URL json|msgpack REALM METHOD AUTHID SECRET
// For cryptosign, SECRET is the seed of the private key in hex.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { report } from './report.mjs';

const [folder, url, format, realm, method, authid, secret] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));

const { Wampy } = require('wampy');
const { JsonSerializer } = require('wampy/JsonSerializer.js');
const { MsgpackSerializer } = require('wampy/MsgpackSerializer.js');

// The authentication modules of wampy cannot be loaded with require.
function importAuth(path) {
  return import(pathToFileURL(join(folder, 'node_modules/wampy/dist/esm/auth', path)));
}

const { sign: signCra } = await importAuth('wampcra/wampy-cra.js');
const { sign: signKey } = await importAuth('cryptosign/wampy-cryptosign.js');
const serializer = format === 'json' ? new JsonSerializer() : new MsgpackSerializer();

const authextra = {};
if (method === 'cryptosign') {
  const { publicKey } = require('tweetnacl').sign.keyPair.fromSeed(Buffer.from(secret, 'hex'));
  authextra.pubkey = Buffer.from(publicKey).toString('hex');
}

// Wampy does not expose the reason of ABORT.
const ABORT = 3;
let reason;
class WebSocket extends require('ws') {
  constructor(...options) {
    super(...options);
    this.addEventListener('message', ({ data }) => {
      const message = serializer.decode(data);
      if (message[0] === ABORT) {
        reason = message[2];
      }
    });
  }
}

const wampy = new Wampy(url, {
  realm,
  authid,
  authmethods: [method],
  authextra,
  authMode: 'auto',
  authPlugins: {
    ticket: () => secret,
    wampcra: signCra(secret),
    cryptosign: method === 'cryptosign' ? signKey(secret) : () => '',
  },
  ws: WebSocket,
  serializer,
  autoReconnect: false,
});

try {
  const { authid, authrole, authmethod } = await wampy.connect();
  report('joined', { authid, authrole, authmethod });
  const { argsList } = await wampy.call('whoami');
  report('whoami', argsList[0]);
  await wampy.disconnect();
} catch (error) {
  if (reason === undefined) {
    console.error(error);
    process.exit(1);
  }
}
report('closed', reason ?? null);
process.exit(0);

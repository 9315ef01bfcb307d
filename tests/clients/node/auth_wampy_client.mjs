// Joins realms with wampy, one after the other.
// Usage: node auth_wampy_client.mjs FOLDER-OF-NODE_MODULES URL json|msgpack|cbor LOGINS
// LOGINS is a list of {realm, method, authid, secret} in JSON. For cryptosign, the secret is the seed of the
// private key in hex.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { report } from './report.mjs';

const [folder, url, format, logins] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));

const { Wampy } = require('wampy');
const { CborSerializer } = require('wampy/CborSerializer.js');
const { JsonSerializer } = require('wampy/JsonSerializer.js');
const { MsgpackSerializer } = require('wampy/MsgpackSerializer.js');

// The authentication modules of wampy cannot be loaded with require.
function importAuth(path) {
  return import(pathToFileURL(join(folder, 'node_modules/wampy/dist/esm/auth', path)));
}

const { sign: signCra } = await importAuth('wampcra/wampy-cra.js');
const { sign: signKey } = await importAuth('cryptosign/wampy-cryptosign.js');
const serializer = new { cbor: CborSerializer, json: JsonSerializer, msgpack: MsgpackSerializer }[format]();

const ABORT = 3;

// Returns what happened.
async function login({ realm, method, authid, secret }) {
  const authextra = {};
  if (method === 'cryptosign') {
    const { publicKey } = require('tweetnacl').sign.keyPair.fromSeed(Buffer.from(secret, 'hex'));
    authextra.pubkey = Buffer.from(publicKey).toString('hex');
  }

  // Wampy does not expose the reason of ABORT.
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

  const steps = {};
  try {
    const { authid, authrole, authmethod } = await wampy.connect();
    steps.joined = { authid, authrole, authmethod };
    steps.whoami = (await wampy.call('whoami')).argsList[0];
    await wampy.disconnect();
  } catch (error) {
    if (reason === undefined) {
      throw error;
    }
  }
  steps.closed = reason ?? null;
  return steps;
}

for (const [number, attempt] of JSON.parse(logins).entries()) {
  report(`login ${number}`, await login(attempt));
}
process.exit(0);

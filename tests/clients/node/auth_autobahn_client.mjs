// Joins a realm with autobahn-js.
// Usage: node auth_autobahn_client.mjs FOLDER-OF-NODE_MODULES URL json|msgpack REALM METHOD AUTHID SECRET
// For cryptosign, SECRET is the seed of the private key in hex.

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { report } from './report.mjs';

const [folder, url, format, realm, method, authid, secret] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));

// Node has its own WebSocket since version 22.
globalThis.WebSocket ??= require('ws');
const autobahn = require('autobahn');

const { JSONSerializer, MsgpackSerializer } = autobahn.serializer;
const serializer = format === 'json' ? new JSONSerializer() : new MsgpackSerializer();

const keys =
  method === 'cryptosign' ? require('tweetnacl').sign.keyPair.fromSeed(Buffer.from(secret, 'hex')) : null;

const answers = {
  ticket: () => secret,
  wampcra: ({ challenge, salt, iterations, keylen }) => {
    const { derive_key, sign } = autobahn.auth_cra;
    return sign(salt ? derive_key(secret, salt, iterations, keylen) : secret, challenge);
  },
  cryptosign: (extra) => autobahn.auth_cryptosign.sign_challenge(keys, extra),
};

const connection = new autobahn.Connection({
  transports: [{ type: 'websocket', url, serializers: [serializer] }],
  realm,
  authid,
  authmethods: [method],
  authextra: keys ? { pubkey: Buffer.from(keys.publicKey).toString('hex'), channel_binding: null } : undefined,
  onchallenge: (session, challenged, extra) => answers[challenged](extra),
  max_retries: 0,
});

connection.onopen = async (session, details) => {
  const { authid, authrole, authmethod } = details;
  report('joined', { authid, authrole, authmethod });
  report('whoami', await session.call('whoami'));
  connection.close();
};

connection.onclose = (how, { reason }) => {
  report('closed', reason);
  // Prevents reconnecting.
  return true;
};

connection.open();

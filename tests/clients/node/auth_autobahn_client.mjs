// Joins realms with autobahn-js, one after the other.
// Usage: node auth_autobahn_client.mjs FOLDER-OF-NODE_MODULES URL json|msgpack|cbor LOGINS
// LOGINS is a list of {realm, method, authid, secret} in JSON. For cryptosign, the secret is the seed of the
// private key in hex.

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { report } from './report.mjs';

const [folder, url, format, logins] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));

// Node has its own WebSocket since version 22.
globalThis.WebSocket ??= require('ws');
const autobahn = require('autobahn');

const { CBORSerializer, JSONSerializer, MsgpackSerializer } = autobahn.serializer;
const Serializer = { cbor: CBORSerializer, json: JSONSerializer, msgpack: MsgpackSerializer }[format];

// Returns what happened.
function login({ realm, method, authid, secret }) {
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
    transports: [{ type: 'websocket', url, serializers: [new Serializer()] }],
    realm,
    authid,
    authmethods: [method],
    authextra: keys
      ? { pubkey: Buffer.from(keys.publicKey).toString('hex'), channel_binding: null }
      : undefined,
    onchallenge: (session, challenged, extra) => answers[challenged](extra),
    max_retries: 0,
  });

  const steps = {};
  return new Promise((resolve) => {
    connection.onopen = async (session, { authid, authrole, authmethod }) => {
      steps.joined = { authid, authrole, authmethod };
      steps.whoami = await session.call('whoami');
      connection.close();
    };
    connection.onclose = (how, { reason }) => {
      steps.closed = reason;
      resolve(steps);
      // Prevents reconnecting.
      return true;
    };
    connection.open();
  });
}

for (const [number, attempt] of JSON.parse(logins).entries()) {
  report(`login ${number}`, await login(attempt));
}

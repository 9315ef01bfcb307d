// Opens a session, and runs the compiled client.ts with it. It prints one line of JSON for each step.
// Usage: node run_client.mjs autobahn|wampy URL

import autobahn from 'autobahn';
import { Wampy } from 'wampy';
import WebSocket from 'ws';

import { run } from './client.js';

const [library, url] = process.argv.slice(2);

// Node has its own WebSocket since version 22.
globalThis.WebSocket ??= WebSocket;

function report(step, value) {
  process.stdout.write(`${JSON.stringify({ step, value: value === undefined ? 'undefined' : value })}\n`);
}

function openAutobahn() {
  const connection = new autobahn.Connection({ url, realm: 'shop', max_retries: 0 });
  return new Promise((resolve, reject) => {
    connection.onopen = (session) => resolve([session, () => connection.close()]);
    connection.onclose = (reason) => {
      reject(new Error(reason));
      return true; // do not reconnect
    };
    connection.open();
  });
}

async function openWampy() {
  const wampy = new Wampy(url, { realm: 'shop', ws: globalThis.WebSocket, autoReconnect: false });
  await wampy.connect();
  return [wampy, () => wampy.disconnect()];
}

const [session, close] = await (library === 'autobahn' ? openAutobahn() : openWampy());
await run(session, report);
await close();

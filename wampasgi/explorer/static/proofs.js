/** The credentials of each authentication method. Secrets stay in the closures that need them. */

const utf8 = new TextEncoder();
const NO_CHANNEL_BINDING = "biws";
const PKCS8_ED25519 = "302e020100300506032b657004220420";

/** The methods, in the order of the menu. */
export const METHODS = [
  { name: "anonymous", label: "Anonymous", hint: "Join without a name." },
  { name: "cookie", label: "Cookie or network", hint: "The server knows this browser by a cookie, a header or its address." },
  { name: "ticket", label: "Ticket", secret: "Ticket", hint: "A password or a token, sent as it is." },
  { name: "wampcra", label: "WAMP-CRA", secret: "Secret", hint: "A shared secret, which is not sent." },
  { name: "wamp-scram", label: "WAMP-SCRAM", secret: "Password", hint: "A password, which is neither sent nor stored." },
  { name: "cryptosign", label: "Cryptosign", secret: "Private key (hex)", hint: "An Ed25519 key of 64 hex digits." },
];

/** Return the credentials for `join`. Rejects with an Error that explains a secret that cannot be used. */
export async function credentials(method, authid, secret) {
  const named = authid ? { authid } : {};
  const offer = { ...named, authmethods: [method] };
  if (method === "cookie") return { hello: named };
  if (method === "anonymous") return { hello: offer };
  if (method === "ticket") return { hello: offer, answer: async () => ({ signature: secret }) };
  requireCrypto();
  if (method === "wampcra") return { hello: offer, answer: (_, extra) => answerCRA(secret, extra) };
  if (method === "wamp-scram") return scram(offer, authid, secret);
  return cryptosign(offer, secret);
}

function requireCrypto() {
  if (globalThis.crypto?.subtle) return;
  throw new Error("This method needs the cryptography of the browser, which is only available over https or on localhost.");
}

async function answerCRA(secret, { challenge, salt, iterations = 1000, keylen = 32 }) {
  let key = utf8.encode(secret);
  if (salt) key = utf8.encode(base64(await pbkdf2(key, utf8.encode(salt), iterations, keylen)));
  return { signature: base64(await hmac(key, challenge)) };
}

function scram(offer, authid, secret) {
  const nonce = base64(crypto.getRandomValues(new Uint8Array(16)));
  let expected = null;
  return {
    hello: { ...offer, authextra: { nonce, channel_binding: null } },
    async answer(_, extra) {
      if (extra.kdf !== "pbkdf2") {
        throw new Error(`The password of this user is stored with ${extra.kdf}, which browsers cannot compute. `
          + "This page supports pbkdf2.");
      }
      if (!extra.nonce?.startsWith(nonce) || extra.nonce === nonce) throw new Error("The server sent a wrong nonce.");
      const name = authid.replaceAll("=", "=3D").replaceAll(",", "=2C");
      const message = `n=${name},r=${nonce},r=${extra.nonce},s=${extra.salt},i=${extra.iterations},`
        + `c=${NO_CHANNEL_BINDING},r=${extra.nonce}`;
      const salted = await pbkdf2(utf8.encode(prepared(secret)), unbase64(extra.salt), extra.iterations, 32);
      const clientKey = await hmac(salted, "Client Key");
      const storedKey = new Uint8Array(await crypto.subtle.digest("SHA-256", clientKey));
      const signature = await hmac(storedKey, message);
      expected = base64(await hmac(await hmac(salted, "Server Key"), message));
      return {
        signature: base64(clientKey.map((octet, index) => octet ^ signature[index])),
        extra: { nonce: extra.nonce, channel_binding: null, cbind_data: null },
      };
    },
    check(details) {
      if (!expected || details.authextra?.verifier !== expected) {
        throw new Error("The server has not proven that it knows the password. Do not trust it.");
      }
    },
  };
}

/** The part of SASLprep that matters for passwords that people type: spaces, invisible characters, NFKC. */
function prepared(text) {
  return text.replace(/[\u00ad\u200b-\u200d\u2060\ufeff\ufe00-\ufe0f]/g, "")
    .replace(/[\u00a0\u2000-\u200a\u202f\u205f\u3000]/g, " ").normalize("NFKC");
}

async function cryptosign(offer, secret) {
  const text = secret.trim().toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Error("The private key must have 64 hexadecimal digits.");
  const { private: key, pubkey } = await ed25519(text);
  return {
    hello: { ...offer, authextra: { pubkey, channel_binding: null } },
    async answer(_, extra) {
      const challenge = unhex(extra.challenge);
      const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", key, challenge));
      return { signature: hex(signature) + hex(challenge) };
    },
  };
}

async function ed25519(text) {
  try {
    const key = await crypto.subtle.importKey("pkcs8", unhex(PKCS8_ED25519 + text), "Ed25519", true, ["sign"]);
    const { x } = await crypto.subtle.exportKey("jwk", key);
    return { private: key, pubkey: hex(unbase64(x.replaceAll("-", "+").replaceAll("_", "/"))) };
  } catch (error) {
    if (error.name !== "NotSupportedError") throw error;
    throw new Error("This browser does not support Ed25519 keys.");
  }
}

async function hmac(key, message) {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, utf8.encode(message)));
}

async function pbkdf2(password, salt, iterations, length) {
  const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
  return new Uint8Array(
    await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations }, key, 8 * length));
}

const base64 = (octets) => btoa(String.fromCharCode(...octets));
const unbase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const hex = (octets) => Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

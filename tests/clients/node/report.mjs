// What a client of these tests prints: one line of JSON for each step, which the test asserts on.

// Wampy's MessagePack gives ids as BigInt, which JSON doesn't have.
export function report(step, value) {
  const number = (_, member) => (typeof member === 'bigint' ? Number(member) : member);
  process.stdout.write(`${JSON.stringify({ step, value }, number)}\n`);
}

// What a promise is rejected with; it is an error if it isn't.
export function rejection(promise) {
  return promise.then(
    (value) => {
      throw new Error(`expected a rejection, got ${JSON.stringify(value)}`);
    },
    (reason) => reason,
  );
}

// The first event of a subscription, and the handler that takes it.
export function nextEvent() {
  let handler;
  const event = new Promise((resolve) => {
    handler = resolve;
  });
  return { event, handler };
}

// Helpers for the clients of these tests. A client prints one line of JSON for each step; the test verifies them.

// Prints a step. Wampy's MessagePack returns IDs as BigInt, which JSON cannot represent.
export function report(step, value) {
  const number = (_, member) => (typeof member === 'bigint' ? Number(member) : member);
  process.stdout.write(`${JSON.stringify({ step, value }, number)}\n`);
}

// Returns the reason of a promise's rejection; throws an error if the promise is fulfilled.
export function rejection(promise) {
  return promise.then(
    (value) => {
      throw new Error(`expected a rejection, got ${JSON.stringify(value)}`);
    },
    (reason) => reason,
  );
}

// Returns a promise of the first event of a subscription, and the handler that receives it.
export function nextEvent() {
  let handler;
  const event = new Promise((resolve) => {
    handler = resolve;
  });
  return { event, handler };
}

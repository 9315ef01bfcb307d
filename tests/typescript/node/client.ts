// Uses a realm through the generated types, with either library, and reports the steps.

import { isWampError, typed } from "./served.js";
import type { AutobahnSession, Order, TypedSession, WampySession } from "./served.js";

type Report = (step: string, value: unknown) => void;

/** Return the reason of a promise's rejection. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("expected a rejection");
}

/** Return a promise of the next value, and the handler that gets it. */
function next<T>(): { value: Promise<T>; handler: (value: T) => void } {
  let handler: (value: T) => void = () => undefined;
  const value = new Promise<T>((resolve) => {
    handler = resolve;
  });
  return { value, handler: (received) => handler(received) };
}

async function calls(shop: TypedSession, report: Report): Promise<void> {
  const order: Order = await shop.call("shop.orders.create", [[{ sku: "cup", quantity: 2 }]]);
  report("created", order.lines);
  const child = await shop.api.shop.orders.create({ lines: [{ sku: "pot" }], parent: order.id });
  report("parent", child.parent?.id === order.id);

  const found = await shop.call("shop.orders.find", [order.id]);
  report("found", found?.id === order.id);
  report("forgotten", await shop.api.shop.orders.forget({ order_id: order.id }));
  report("not found", await shop.call("shop.orders.find", [order.id]));

  const [least, most] = await shop.call("shop.stock.range");
  report("range", { least, most });
  for (const first of [0, 1, 2]) {
    report(`first ${first}`, await shop.call("shop.stock.skus", [first]));
  }
  const size: "small" | "large" = "large";
  report("label", await shop.call(`shop.labels.${size}`, [3, size]));
  report("undefined", await shop.call("shop.labels.x", [3, undefined]));
}

async function undescribed(shop: TypedSession, report: Report): Promise<void> {
  report("echo of nothing", await shop.call("shop.echo"));
  report("echo of one", await shop.api.shop.echo(["one"]));
  report("echo of an object", await shop.call("shop.echo", [{ args: [], kwargs: {} }]));
  report("echo of two", await shop.call("shop.echo", [1, [2]]));
  report("echo of both", await shop.api.shop.echo([1], { two: 2, three: undefined }));
}

async function progress(shop: TypedSession, report: Report): Promise<void> {
  const shares: number[] = [];
  const options = { onProgress: (share: number) => shares.push(share) };
  report("count", await shop.call("shop.stock.count", [4], {}, options));
  report("shares", shares);
  report("count by name", await shop.api.shop.stock.count({ shelves: 1 }, options));
  report("without progress", await shop.api.shop.stock.count());
}

async function errors(shop: TypedSession, report: Report): Promise<void> {
  const soldOut = await failure(shop.api.shop.orders.create({ lines: [{ sku: "tea" }] }));
  if (isWampError(soldOut, "com.shop.sold_out")) {
    report("sold out", { left: soldOut.kwargs.left, sku: soldOut.kwargs.sku });
  }
  report("is another error", isWampError(soldOut, "wamp.error.canceled"));
  const invalid = await failure(shop.call("shop.orders.create", [[{ sku: "cup", quantity: 0 }]]));
  if (isWampError(invalid, "wamp.error.invalid_argument")) {
    report("invalid", invalid.kwargs.errors?.map(({ argument, path }) => [argument, ...path]));
  }
  const refused = await failure(shop.subscribe("shop.unknown" as "shop.readings", () => undefined));
  report("refused", isWampError(refused) && [refused.uri, refused instanceof Error, refused.name]);

  const controller = new AbortController();
  const audit = failure(shop.call("shop.stock.audit", [], {}, { signal: controller.signal }));
  controller.abort();
  report("canceled", isWampError(await audit, "wamp.error.canceled"));
  const late = failure(shop.call("shop.stock.audit", [], {}, { signal: controller.signal }));
  report("canceled before", isWampError(await late, "wamp.error.canceled"));
}

async function events(shop: TypedSession, report: Report): Promise<void> {
  const order = next<Order>();
  const unsubscribe = await shop.subscribe("shop.orders.changed", order.handler);
  const created = await shop.api.shop.orders.create({ lines: [{ sku: "cup" }] });
  report("event", (await order.value).id === created.id);
  await unsubscribe();

  const ended: unknown[] = [];
  const end = await shop.subscribe("shop.readings", (value) => ended.push(value), { match: "exact" });
  await end();

  const reading = next<unknown>();
  await shop.subscribe("shop.readings", ([topic, value], event) =>
    reading.handler({ topic, value, args: event.args, of: event.topic }),
  );
  await shop.publish("shop.sensors.kitchen", [21.5]);
  report("reading", await reading.value);
  report("events after the end", ended);
  const notice = next<unknown>();
  await shop.subscribe("shop.notices", notice.handler);
  await shop.call("shop.announce", ["closed"]);
  report("notice", await notice.value);
  const refused = await failure(shop.publish("shop.readings" as "shop.sensors.x", [1]));
  report("publication refused", isWampError(refused) && refused.uri);
}

export async function run(session: AutobahnSession | WampySession, report: Report): Promise<void> {
  const shop = typed(session);
  await calls(shop, report);
  await undescribed(shop, report);
  await progress(shop, report);
  await errors(shop, report);
  await events(shop, report);
}

/** The sessions of both libraries fit without a conversion. */
export type Libraries = [
  AutobahnSession & import("autobahn").Session,
  WampySession & import("wampy").Wampy,
];

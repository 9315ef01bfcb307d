// Right and wrong uses of the types of the realm "shop".

import type { Session } from "autobahn";
import type { Wampy } from "wampy";

import { isWampError, typed } from "./shop.js";
import type { Address, Order, Procedure, TypedSession } from "./shop.js";

declare const autobahnSession: Session;
declare const wampy: Wampy;
declare const address: Address;
declare const signal: AbortSignal;
declare function expectType<T>(value: T): void;

/** Tell the compiler that two types are the same, and not only that one fits the other. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? A : never;

const shop: TypedSession = typed(autobahnSession);
typed(wampy);
// @ts-expect-error a URL is no session
typed("ws://127.0.0.1:8000/");

export async function calls(): Promise<void> {
  const order = await shop.call("shop.orders.create", [[{ sku: "cup" }], address]);
  expectType<Same<Order, typeof order>>(order);
  await shop.call("shop.orders.create", [[{ sku: "cup", quantity: 2, note: null }], address], {
    voucher: "ABCD",
  });
  // @ts-expect-error an unknown procedure
  await shop.call("shop.orders.crate", [[], address]);
  // @ts-expect-error required arguments are missing
  await shop.call("shop.orders.create");
  // @ts-expect-error a required argument is missing
  await shop.call("shop.orders.create", [[]]);
  // @ts-expect-error too many arguments
  await shop.call("shop.orders.create", [[], address, "ABCD"]);
  // @ts-expect-error the order of the arguments is wrong
  await shop.call("shop.orders.create", [address, []]);
  // @ts-expect-error a keyword argument with a wrong name
  await shop.call("shop.orders.create", [[], address], { vouchr: "ABCD" });
  // @ts-expect-error a property of a model is missing
  await shop.call("shop.orders.create", [[{ quantity: 2 }], address]);
  // @ts-expect-error not one of the countries
  await shop.call("shop.orders.create", [[], { street: "Main St", city: "Ulm", country: "XX" }]);
  // @ts-expect-error the procedure sends no progressive results
  await shop.call("shop.orders.create", [[], address], {}, { onProgress: () => undefined });
}

export async function optionalArguments(): Promise<void> {
  const count = await shop.call("shop.stock.count");
  expectType<Same<number, typeof count>>(count);
  await shop.call("shop.stock.count", []);
  await shop.call("shop.stock.count", [3], {}, { timeout: 1000, disclose_me: true, signal });
  await shop.call("shop.stock.count", [3], {}, {
    onProgress: (share) => expectType<Same<number, typeof share>>(share),
  });
  // @ts-expect-error not a number
  await shop.call("shop.stock.count", ["3"]);
  // @ts-expect-error the procedure has no keyword arguments
  await shop.call("shop.stock.count", [], { shelves: 3 });
  // @ts-expect-error an unknown option
  await shop.call("shop.stock.count", [], {}, { timeuot: 1000 });
}

export async function namedArguments(): Promise<void> {
  const order = await shop.api.shop.orders.create({ lines: [{ sku: "cup" }], address });
  expectType<Same<Order, typeof order>>(order);
  await shop.api.shop.orders.create({ lines: [], address, voucher: null }, { timeout: 1000 });
  await shop.api.shop.stock.count();
  await shop.api.shop.stock.count({ shelves: 3 }, { onProgress: (share) => share.toFixed(2) });
  // @ts-expect-error a required argument is missing
  await shop.api.shop.orders.create({ lines: [] });
  // @ts-expect-error an argument with a wrong name
  await shop.api.shop.stock.count({ shelfs: 3 });
  // @ts-expect-error an unknown procedure
  await shop.api.shop.orders.crate();
}

export async function undescribedProcedures(): Promise<void> {
  const opened = await shop.call("till.open", [1, "two"], { three: 3 }, { onProgress: () => undefined });
  expectType<Same<unknown, typeof opened>>(opened);
  await shop.api.till.open([1, "two"], { three: 3 });
  await shop.api.till.open();
  // @ts-expect-error the result is unknown
  opened.amount;
}

export async function patterns(day: string): Promise<void> {
  const report = await shop.call(`shop.reports.${day}`, [1]);
  expectType<Same<unknown, typeof report>>(report);
  await shop.call("shop.reports.today");
  // @ts-expect-error no pattern has this URI
  await shop.call(`shop.report.${day}`);
}

export async function topics(): Promise<void> {
  const unsubscribe = await shop.subscribe("shop.orders.changed", (order, event) => {
    expectType<Same<Order, typeof order>>(order);
    expectType<Same<[Order], typeof event.args>>(event.args);
    expectType<string>(event.topic);
  });
  await unsubscribe();
  await shop.subscribe("shop.orders.changed", async () => undefined, { get_retained: true });
  // @ts-expect-error an unknown topic
  await shop.subscribe("shop.orders.chnaged", () => undefined);
  // @ts-expect-error clients may not subscribe to it
  await shop.subscribe("shop.sensors.kitchen", () => undefined);
  // @ts-expect-error the event has another type
  await shop.subscribe("shop.orders.changed", (order: number) => order);

  await shop.publish("shop.sensors.kitchen", [21.5]);
  await shop.publish("shop.sensors.kitchen", [21.5], {}, { acknowledge: false, retain: true });
  // @ts-expect-error clients may not publish to it
  await shop.publish("shop.orders.changed", [{}]);
  // @ts-expect-error a required argument is missing
  await shop.publish("shop.sensors.kitchen");
  // @ts-expect-error not a number
  await shop.publish("shop.sensors.kitchen", ["hot"]);
}

export function errors(error: unknown): void {
  if (isWampError(error, "com.shop.sold_out")) {
    expectType<Same<"com.shop.sold_out", typeof error.uri>>(error.uri);
    expectType<Same<number, typeof error.kwargs.left>>(error.kwargs.left);
    // @ts-expect-error the error has no such argument
    error.kwargs.right;
  } else if (isWampError(error, "wamp.error.invalid_argument")) {
    expectType<string | null | undefined>(error.kwargs.errors?.[0]?.argument);
  } else if (isWampError(error, "wamp.error.canceled")) {
    expectType<unknown[]>(error.args);
  } else if (isWampError(error)) {
    expectType<string>(error.uri);
    expectType<string>(error.message);
  }
  // @ts-expect-error the realm has no such error
  isWampError(error, "com.shop.sold_uot");
}

export const result: Procedure<"shop.stock.count">["result"] = 3;
// @ts-expect-error not a number
export const wrongResult: Procedure<"shop.stock.count">["result"] = "3";

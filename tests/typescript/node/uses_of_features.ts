// Right and wrong uses of the types of the realm that has every feature.

import { typed } from "./features.js";
import type { AutobahnSession, Color, RecordModel, Tree, TypedSession } from "./features.js";

declare const session: AutobahnSession;
declare function expectType<T>(value: T): void;

/** Tell the compiler that two types are the same, and not only that one fits the other. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? A : never;

const realm: TypedSession = typed(session);

export async function results(): Promise<void> {
  const [quotient, remainder] = await realm.call("math.divide", [7]);
  expectType<Same<number, typeof quotient>>(quotient);
  expectType<Same<number, typeof remainder>>(remainder);

  const found = await realm.call("math.find-one.2nd", [1, 2]);
  expectType<Same<RecordModel | null, typeof found>>(found);
  // @ts-expect-error the result may be null
  found.anything;

  const { args, kwargs } = await realm.call("odd.then");
  expectType<Same<[string], typeof args>>(args);
  expectType<Same<{ left: number }, typeof kwargs>>(kwargs);
}

export async function restArguments(): Promise<void> {
  await realm.call("math", [1, "two", 3], { base: 10, verbose: true });
  await realm.call("math", [], { base: 10 }, { onProgress: ({ kwargs }) => kwargs.percent?.toFixed() });
  await realm.api.math([1], { base: 10 });
  await realm.api.math["find-one"]["2nd"]({ second: 2 });
  await realm.api.math.divide([7, 2]);
  // @ts-expect-error a required keyword argument is missing
  await realm.call("math", [1]);
  // @ts-expect-error not a boolean
  await realm.call("math", [1], { base: 10, verbose: "yes" });
  // @ts-expect-error not a number or string
  await realm.call("math", [true], { base: 10 });
  // @ts-expect-error an object with `then` is a promise
  realm.api.odd;
}

export async function patterns(name: string): Promise<void> {
  const inFolder = await realm.call(`files.${name}`);
  expectType<Same<string[], typeof inFolder>>(inFolder);
  const special = await realm.call("files.`${x}`.a");
  expectType<Same<unknown, typeof special>>(special);

  await realm.subscribe("math.found", (value) => expectType<Tree[]>(value.args));
  await realm.subscribe("math.", (value) => expectType<Same<unknown, typeof value>>(value), {
    match: "prefix",
  });
  await realm.subscribe("any.thing", ([first, ...rest]) => {
    expectType<Same<number | undefined, typeof first>>(first);
    expectType<Same<unknown[], typeof rest>>(rest);
  });
}

export const tree: Tree = ["a", { b: ["c", { d: "e" }] }];
// @ts-expect-error a number is no tree
export const noTree: Tree = ["a", { b: 1 }];
export const color: Color = "red";
// @ts-expect-error not one of the colors
export const noColor: Color = "pink";
export const record: RecordModel = {
  anything: null,
  when: "2026-11-27T12:00:00Z",
  unnamed: 1,
  status: 'a "quote"',
  fixed: { x: [1, "y"], z: {} },
  maybe_pair: [1],
  head_and_rest: [1, "a", true],
  list_of_unions: [1, "leaf"],
  by_color: { red: 1 },
};
// @ts-expect-error an unknown color
export const wrongKey: Pick<RecordModel, "by_color"> = { by_color: { pink: 1 } };
// @ts-expect-error the tuple is too short
export const shortPair: Pick<RecordModel, "pair"> = { pair: [1] };

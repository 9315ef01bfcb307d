/**
 * Fields for JSON Schemas.
 *
 * A Slot is the place of one value: its name, the switch of an optional value, hints, errors, and a field that edits
 * the value. A field is `{element, control, read(report), find(path)}`. `read` returns the value or throws
 * Unreadable. A field with slots passes `report` on to them, and returns the values that they could read.
 */
import { button, h } from "./dom.js";
import { parse, Unreadable } from "./json_text.js";
import { hintsFor } from "./markdown.js";
import { bestBranch, branchesOf, breaksRule, extraOf, fits, isBase64, isObject, itemOf, kindOf, listOf, mapOf,
  own, resolve, same, textOf, typeName } from "./schema.js";
import { encode } from "./wamp.js";

const MAX_DEPTH = 10;
const MAX_SLOTS = 1000;
const MAX_FILE = 2 ** 20;
const NESTED = ["array", "object", "union"];
const PLAIN = { spellcheck: "false", autocomplete: "off" };
let ids = 0;

const changed = (element) => element.dispatchEvent(new Event("input", { bubbles: true }));

export class Slot {
  #field = null;
  #body = h("div", { class: "body", oninput: () => this.#edited() });
  #send = null;

  /**
   * Create the place of `value`; undefined leaves it in its initial state. `required` is false if the value can be
   * left out. `fresh` is false if the values around it are known. `json` is the type of a value edited as JSON.
   */
  constructor(form, { name, schema, value, required = true, fresh = true, parent, actions, json }) {
    this.schema = resolve(schema, form.defs);
    const kind = kindOf(this.schema);
    const kinds = kind === "union" ? branchesOf(this.schema, form.defs).map(kindOf) : [kind];
    const group = !json && kinds.some((found) => NESTED.includes(found));
    Object.assign(this, { form, name, parent, value, required, json, group, depth: parent ? parent.depth + 1 : 0 });
    form.slots += 1;
    const id = `slot-${ids += 1}`;
    this.label = h(group ? "legend" : "label", { id, class: "name", for: !group && `${id}-control` }, name);
    this.hint = h("div", { id: `${id}-hint`, class: "hint" });
    this.error = h("p", { id: `${id}-error`, class: "error", hidden: true });
    if (!required) {
      this.#send = h("input", { type: "checkbox", role: "switch", "aria-label": `Send ${name}`,
        oninput: () => this.#switch(this.#send.checked) });
    }
    const notes = [json ? `JSON ${json}` : typeName(this.schema, form.defs), ...["deprecated", "readOnly"].filter((key) => this.schema[key] === true)];
    this.element = h(group ? "fieldset" : "div", { class: "field" }, this.label, h("span", { class: "type" }, notes.join(", ")),
      this.#send && h("label", { class: "send" }, this.#send, "send"), actions, this.hint, this.#body, this.error);
    this.describe();
    this.#switch(required || value !== undefined || (fresh && "const" in this.schema));
  }

  get where() {
    return this.parent ? `${this.name} of ${this.parent.where}` : this.name;
  }

  rename(name) {
    this.name = this.label.textContent = name;
    this.#field?.renamed?.();
  }

  /** Return the value; undefined if it is left out or unreadable. `report(slot, message)` gets what is unreadable. */
  read(report) {
    if (!this.sent) return undefined;
    try {
      return this.#field.read(report);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      report?.(this, error.message);
      return undefined;
    }
  }

  /** Return the slot at a path inside of this one, or the nearest around it. */
  find(path) {
    return (this.sent && path.length && this.#field.find?.(path)) || this;
  }

  /** Show the hints of the schema, and of the chosen branch if it is a union. */
  describe(branch) {
    this.rules = branch ?? this.schema;
    const hints = [...hintsFor(this.schema), ...(branch ? hintsFor(branch) : [])];
    this.hint.replaceChildren(...hints);
    this.hint.hidden = !hints.length;
  }

  /** Show an error or a warning. */
  mark(message, invalid = true) {
    this.error.textContent = message;
    this.error.hidden = !message;
    this.form.marked[message ? "add" : "delete"](this);
    this.attach(Boolean(message) && invalid);
  }

  focus() {
    (this.#field?.control ?? this.#send ?? this.element).focus();
  }

  /** Connect the control that is shown now with the label, the hints and the error. */
  attach(invalid = false) {
    const control = this.#field?.control;
    if (this.group && control && !control.ariaLabel) control.setAttribute("aria-labelledby", this.label.id);
    const target = this.group ? this.element : control;
    if (!target) return;
    if (this.group) target.tabIndex = -1;
    else target.id = this.label.htmlFor;
    target.setAttribute("aria-describedby", [this.hint, this.error].filter(({ hidden }) => !hidden).map(({ id }) => id).join(" "));
    target.ariaInvalid = invalid ? "true" : null;
  }

  #switch(sent) {
    this.sent = sent;
    if (this.#send) this.#send.checked = sent;
    this.element.classList.toggle("absent", !sent);
    this.#body.hidden = this.group && !sent;
    if (!this.#field && !this.#body.hidden) {
      this.#field = createField(this, this.schema, this.value);
      this.#body.append(this.#field.element);
    }
    this.mark("");
  }

  #edited() {
    this.#switch(true);
    if (this.group) return;
    try {
      if (breaksRule(this.rules, this.#field.read())) this.mark("This breaks a rule. The server may refuse it.", false);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      if (!error.missing) this.mark(error.message);
    }
  }
}

function createField(slot, schema, given) {
  const { defs, slots } = slot.form;
  const kind = slot.json ? "any" : kindOf(schema);
  const value = given === undefined && fits(schema, schema.default, defs) ? schema.default : given;
  if (kind === "any") return jsonField(slot, value);
  if (NESTED.includes(kind) && (slot.depth > MAX_DEPTH || slots > MAX_SLOTS)) {
    return jsonField(slot, value, "This is too large for a form, so it is edited as JSON.");
  }
  if (value !== undefined && !fits(schema, value, defs)) {
    return jsonField(slot, value, "This value does not fit the form, so it is edited as JSON.");
  }
  // People who send an optional value rarely want the null that is its default.
  return FIELDS[kind](slot, schema, given === undefined && value === null ? undefined : value);
}

function jsonField({ json }, value, note) {
  const control = h("textarea", { rows: json ? 4 : 2, class: "code", ...PLAIN });
  if (value !== undefined) control.value = encode(value, 2);
  return { element: h("div", {}, control, note && h("p", { class: "hint" }, note)), control, read() {
    if (!control.value.trim()) throw new Unreadable("Enter JSON, such as \"text\", 1 or {}.", true);
    const read = parse(control.value);
    if (json && !(json === "array" ? Array.isArray(read) : isObject(read))) throw new Unreadable(`This must be a JSON ${json}.`);
    return read;
  } };
}

function stringField({ required }, { format, pattern, maxLength }, value) {
  const short = (format || pattern || maxLength <= 80) && !value?.includes("\n");
  const emptyIsValue = value === "" || (!required && !format);
  const control = h(short ? "input" : "textarea", { rows: 1, placeholder: emptyIsValue && "empty text", ...PLAIN });
  if (["date", "password"].includes(format)) control.type = format;
  control.value = value ?? "";
  if (control.value !== (value ?? "")) {
    // A date field drops what is no date.
    control.type = "text";
    control.value = value;
  }
  return { element: control, control, read() {
    if (!control.value && !emptyIsValue) throw new Unreadable("Enter a value. The JSON tab can send an empty text.", true);
    return control.value;
  } };
}

function numberField(slot, schema, value) {
  const control = h("input", { inputmode: schema.type === "integer" ? "numeric" : "decimal", ...PLAIN });
  if (value !== undefined) control.value = encode(value);
  return { element: control, control, read() {
    const text = control.value.trim();
    const number = /^-?\d/.test(text) ? parse(text) : null;
    if (!fits(schema, number)) throw new Unreadable(`Enter ${schema.type === "integer" ? "an integer" : "a number"}.`, !text);
    return number;
  } };
}

function choiceField(slot, { enum: choices = [true, false] }, value) {
  const texts = choices.every((choice) => typeof choice === "string");
  const found = choices.findIndex((choice) => same(choice, value));
  const control = h("select", {}, found < 0 && h("option", { value: "" }, "Choose…"), choices.map((choice, index) =>
    h("option", { value: index, selected: index === found }, textOf(texts ? choice : encode(choice)))));
  return { element: control, control, read() {
    if (!control.value) throw new Unreadable("Choose a value.", true);
    return choices[control.value];
  } };
}

function constantField(slot, schema) {
  const value = schema.const ?? null;
  const control = h("output", { class: "code", tabindex: -1 }, textOf(encode(value), 1000));
  return { element: control, control, read: () => value };
}

function bytesField(slot, schema, value) {
  let waiting = "";
  const control = h("textarea", { rows: 1, class: "code", ...PLAIN });
  const mode = h("select", { "aria-label": `Form of ${slot.name}` }, h("option", {}, "text"), h("option", {}, "base64"));
  const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  const encodeText = (text) => toBase64(new TextEncoder().encode(text));
  if (value !== undefined) {
    const base64 = value.slice(1);
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    const readable = encodeText(text) === base64 && !/[\0-\x08\x0b-\x1f]/.test(text);
    mode.value = readable ? "text" : "base64";
    control.value = readable ? text : base64;
  }
  const file = h("input", { type: "file", "aria-label": `File for ${slot.name}`, oninput: async () => {
    const [picked] = file.files;
    if (!picked) return;
    waiting = picked.size > MAX_FILE ? "The file is larger than 1 MiB." : "The file is being read.";
    if (picked.size > MAX_FILE) return;
    const buffer = await picked.arrayBuffer().catch(() => null);
    if (picked !== file.files[0]) return;
    waiting = buffer ? "" : "The file cannot be read.";
    mode.value = "base64";
    control.value = buffer ? toBase64(new Uint8Array(buffer)) : "";
    changed(mode);
  } });
  control.addEventListener("input", () => { waiting = ""; });
  return { element: h("div", { class: "row wrap" }, mode, control, file), control, read() {
    const base64 = mode.value === "text" ? encodeText(control.value) : control.value.replace(/\s/g, "");
    if (waiting || !isBase64(base64)) throw new Unreadable(waiting || "This is not valid Base64.");
    return `\0${base64}`;
  } };
}

function unionField(slot, schema, value) {
  const { defs } = slot.form;
  const branches = branchesOf(schema, defs);
  if (!branches.length) return jsonField(slot, value);
  let index = value === undefined ? Math.max(0, branches.findIndex(({ type }) => type !== "null"))
    : bestBranch(schema, branches, value, defs);
  const fields = [];
  const body = h("div", { class: "branch" });
  const names = branches.map((branch) => textOf(branch.title) || typeName(branch, defs));
  const select = h("select", { "aria-label": `Type of ${slot.name}`, oninput: () => choose(Number(select.value)) },
    names.map((name, at) => h("option", { value: at, selected: at === index },
      names.indexOf(name) === at ? name : `${name} (${at + 1})`)));
  const choose = (chosen, first) => {
    index = chosen;
    fields[index] ??= kindOf(branches[index]) === "null" ? { element: "", control: select, read: () => null }
      : createField(slot, branches[index], first);
    body.replaceChildren(fields[index].element);
    slot.describe(branches[index]);
    // It has the ID that the label refers to only while it is the control.
    select.removeAttribute("id");
    slot.attach();
  };
  choose(index, value);
  return {
    element: h("div", { class: slot.group ? "" : "row" }, branches.length > 1 && select, body),
    get control() { return fields[index].control ?? select; },
    read: (report) => fields[index].read(report),
    // The path of an error may name the branch.
    find: (path) => fields[index].find?.(path) ?? fields[index].find?.(path.slice(1)),
    renamed: () => fields[index].renamed?.(),
  };
}

function arrayField(slot, schema, value) {
  const items = [];
  const list = h("div", { class: "items" });
  const fixed = listOf(schema.prefixItems).length;
  const number = () => items.forEach(({ item, buttons }, index) => {
    item.rename(`item ${index + 1}`);
    buttons.forEach((control) => { control.ariaLabel = `${control.title} item ${index + 1} of ${slot.name}`; });
  });
  const edited = (focused) => {
    number();
    focused.focus();
    changed(list);
  };
  const move = (entry, by) => (event) => {
    const from = items.indexOf(entry);
    const other = items[from + by];
    if (!other?.buttons.length) return;
    other.item.element[by < 0 ? "before" : "after"](entry.item.element);
    items.splice(from + by, 0, ...items.splice(from, 1));
    edited(event.target);
  };
  const create = (itemValue) => {
    const entry = { buttons: [] };
    if (items.length >= fixed) {
      entry.buttons = [
        button("↑", move(entry, -1), { title: "Move up" }), button("↓", move(entry, 1), { title: "Move down" }),
        button("✕", () => {
          const [{ item }] = items.splice(items.indexOf(entry), 1);
          const next = item.element.nextElementSibling?.querySelector("[title=Remove]");
          item.element.remove();
          edited(next ?? add);
        }, { title: "Remove" })];
    }
    entry.item = new Slot(slot.form, { name: "", schema: itemOf(schema, items.length), value: itemValue, parent: slot, actions: entry.buttons });
    items.push(entry);
    list.append(entry.item.element);
    return entry.item;
  };
  const closed = fixed > 0 && !isObject(schema.items);
  const add = button("+ Add item", () => edited(create()), { "aria-label": `Add item to ${slot.name}`, hidden: closed });
  const length = Math.max(fixed, Math.min(10, Number(schema.minItems)) | 0);
  for (const item of value ?? Array(length).fill()) create(item);
  number();
  return {
    element: h("div", {}, list, add),
    control: closed ? undefined : add,
    read: (report) => items.map(({ item }) => item.read(report) ?? null),
    find: ([index, ...path]) => items[index]?.item?.find(path),
    renamed: number,
  };
}

function objectField(slot, schema, value) {
  const required = listOf(schema.required);
  const named = new Map(Object.entries(mapOf(schema.properties)).map(([name, property]) => [name, new Slot(slot.form, { name,
    schema: property, required: required.includes(name), fresh: value === undefined, value: own(value, name), parent: slot })]));
  const rows = new Set();
  const list = h("div", { class: "items" });
  const create = (name, item) => {
    const key = h("input", { class: "code key", "aria-label": `Key in ${slot.name}`, ...PLAIN, oninput: () => row.slot.rename(key.value || "value") });
    key.value = name ?? "";
    const remove = button("✕", () => {
      rows.delete(row);
      row.slot.element.remove();
      add.focus();
      changed(list);
    }, { "aria-label": `Remove this key of ${slot.name}` });
    const row = { key, name, slot: new Slot(slot.form, { name: name || "value", schema: extraOf(schema), value: item, parent: slot, actions: [key, remove] }) };
    rows.add(row);
    list.append(row.slot.element);
    return key;
  };
  for (const [name, item] of Object.entries(value ?? {})) if (!named.has(name)) create(name, item);
  const open = extraOf(schema) || schema.additionalProperties === true || !named.size;
  const add = button("+ Add key", () => {
    create().focus();
    changed(list);
  }, { "aria-label": `Add key to ${slot.name}`, hidden: !open });
  return {
    element: h("div", {}, [...named.values()].map(({ element }) => element), list, add),
    control: named.size || !open ? undefined : add,
    read(report) {
      const values = new Map([...named].map(([name, child]) => [name, child.read(report)]));
      for (const { key, name, slot: child } of rows) {
        if (values.has(key.value) || (!key.value && name !== "")) report?.(child, "This needs a key of its own.");
        else values.set(key.value, child.read(report));
      }
      return Object.fromEntries([...values].filter(([, item]) => item !== undefined));
    },
    find: ([name, ...path]) => (named.get(name) ?? [...rows].find(({ key }) => key.value === name)?.slot)?.find(path),
  };
}

const FIELDS = { string: stringField, bytes: bytesField, integer: numberField, number: numberField, boolean: choiceField,
  enum: choiceField, const: constantField, null: constantField, union: unionField, array: arrayField, object: objectField };

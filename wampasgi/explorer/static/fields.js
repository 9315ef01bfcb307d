/**
 * Fields for JSON Schemas.
 *
 * A Slot is the place of one value: its name, the switch of an optional value, hints, errors, and a field that edits
 * the value. A field is `{element, control, read(report), find(path)}`. `read` returns the value or throws
 * Unreadable. A field that contains slots passes `report` on, and returns the values that it could read.
 */
import { button, h } from "./dom.js";
import { parse, parseNumber, Unreadable } from "./json_text.js";
import { bestBranch, branchesOf, extraOf, fits, hintsOf, isBase64, isObject, itemOf, kindOf, listOf, own, resolve, textOf,
  typeName, warningOf } from "./schema.js";
import { encode } from "./wamp.js";

const MAX_DEPTH = 10;
const MAX_SLOTS = 1500;
const MAX_FILE = 8 * 2 ** 20;
const GROUPS = ["array", "object"];
let ids = 0;

export class Slot {
  #field = null;
  #body = h("div", { class: "body", oninput: () => this.#edited() });
  #error;
  #label;
  #send;

  /**
   * `value` is the value to show; undefined leaves the initial state. `required` is false if the value can be left
   * out. `fresh` says that nothing around it has a value. `json` is the type of a value that is edited as JSON.
   */
  constructor(form, { name, schema, value, required = true, fresh = true, parent = null, actions = [], json = null }) {
    Object.assign(this, { form, name, parent, required, json, depth: parent ? parent.depth + 1 : 0 });
    form.slots += 1;
    this.schema = resolve(schema, form.defs);
    const kinds = kindOf(this.schema) === "union" ? branchesOf(this.schema, form.defs).map(kindOf) : [kindOf(this.schema)];
    this.group = !json && kinds.some((kind) => GROUPS.includes(kind));
    this.sent = required || value !== undefined || (fresh && "const" in this.schema);
    this.value = value;
    const id = `field-${ids += 1}`;
    this.#label = h(this.group ? "legend" : "label", { id: `${id}-label`, class: "name" }, name);
    this.#error = h("p", { id: `${id}-error`, class: "error", hidden: true });
    const hints = hintsOf(this.schema);
    this.described = hints.length > 0 && `${id}-hint`;
    const send = !required && h("label", { class: "send" }, (this.#send = h("input", {
      type: "checkbox", role: "switch", checked: this.sent, "aria-label": `Send ${name}`,
      oninput: () => this.#switch(this.#send.checked) })), "send");
    this.element = h(this.group ? "fieldset" : "div", { class: "field" },
      this.#label, h("span", { class: "type" }, typeName(this.schema, form.defs)),
      ["deprecated", "readOnly"].filter((key) => this.schema[key] === true).map((key) => h("span", { class: "type" }, key)),
      send, actions, hints.length > 0 && h("div", { id: this.described, class: "hint" }, hints.map((hint) => h("p", {}, hint))),
      this.#body, this.#error);
    this.#switch(this.sent);
  }

  get where() {
    return this.parent ? `${this.name} of ${this.parent.where}` : this.name;
  }

  rename(name) {
    this.name = name;
    this.#label.textContent = name;
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
    return (path.length && this.#field?.find?.(path)) || this;
  }

  /** Show an error, or a warning. */
  mark(message, invalid = true) {
    this.#error.textContent = message;
    this.#error.hidden = !message;
    this.element.classList.toggle("invalid", Boolean(message) && invalid);
    if (message) this.form.marked.add(this);
    else this.form.marked.delete(this);
    this.attach();
  }

  focus() {
    const control = this.#field?.control ?? this.#send ?? this.element;
    if (control === this.element) control.tabIndex = -1;
    control.focus();
  }

  /** Connect the label, the hints and the error with the control that is shown now. */
  attach() {
    const control = this.group ? this.element : this.#field?.control;
    if (!control) return;
    const set = (name, value) => (value ? control.setAttribute(name, value) : control.removeAttribute(name));
    if (!this.group) {
      control.id ||= `field-${ids += 1}`;
      this.#label.htmlFor = control.id;
    }
    set("aria-describedby", [this.described, !this.#error.hidden && this.#error.id].filter(Boolean).join(" "));
    set("aria-invalid", this.element.classList.contains("invalid") && "true");
    if (this.group && this.#field?.control) this.#field.control.setAttribute("aria-labelledby", this.#label.id);
  }

  #switch(sent) {
    this.sent = sent;
    if (this.#send) this.#send.checked = sent;
    this.element.classList.toggle("absent", !sent);
    this.#body.hidden = this.group && !sent;
    if (!this.#field && (sent || !this.group)) {
      this.#field = createField(this, this.schema, this.value);
      this.#body.replaceChildren(this.#field.element);
    }
    this.mark("");
  }

  #edited() {
    if (!this.sent) this.#switch(true);
    this.mark("");
    if (this.group) return;
    try {
      this.mark(warningOf(this.schema, this.#field.read()), false);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      if (this.#field.control.value) this.mark(error.message);
    }
  }
}

function createField(slot, schema, value) {
  const { defs, slots } = slot.form;
  const kind = slot.json ? "any" : kindOf(schema);
  if (value === undefined && kind !== "union" && fits(schema, schema.default, defs)) value = schema.default;
  const large = [...GROUPS, "union"].includes(kind) && (slot.depth > MAX_DEPTH || slots > MAX_SLOTS);
  if (kind === "any" || large || (value !== undefined && !fits(schema, value, defs))) {
    return jsonField(slot, value, kind === "any" ? "" : large ? "This is too large for a form." : "This value does not fit the form.");
  }
  return FIELDS[kind](slot, schema, value);
}

function jsonField(slot, value, note) {
  const control = h("textarea", { rows: slot.json ? 4 : 2, spellcheck: "false", autocomplete: "off", class: "code" });
  control.value = value === undefined ? "" : encode(value, 2);
  return {
    element: h("div", {}, control, note && h("p", { class: "hint" }, `${note} It is edited as JSON.`)),
    control,
    read() {
      if (!control.value.trim()) throw new Unreadable("Enter JSON, such as \"text\", 1 or {}.");
      const read = parse(control.value);
      if (slot.json && !fits({ type: slot.json }, read)) throw new Unreadable(`This must be a JSON ${slot.json}.`);
      return read;
    },
  };
}

function stringField(slot, schema, value) {
  const field = { element: h("div", { class: "row" }), read };
  const { format, maxLength, contentMediaType } = schema;
  const emptyIsValue = !slot.required || value === "";
  const attributes = { spellcheck: "false", autocomplete: "off", placeholder: emptyIsValue && "empty text" };
  const use = (control, ...others) => {
    control.value = field.control?.value ?? value ?? "";
    field.control = control;
    field.element.replaceChildren(control, ...others);
  };
  const widen = () => use(h("textarea", { rows: 3, ...attributes }));
  if (/\n|.{100}/.test(value) || maxLength > 200 || contentMediaType) widen();
  else {
    const types = { date: "date", password: "password" };
    use(h("input", { type: own(types, format) ?? "text", ...attributes }), types[format] ? "" : button("¶", () => {
      widen();
      slot.attach();
      field.control.focus();
    }, { "aria-label": `Several lines for ${slot.name}`, title: "Several lines" }));
    // A date field drops what is no date.
    if (field.control.value !== (value ?? "")) use(h("input", { type: "text", ...attributes }));
  }
  function read() {
    const text = field.control.value;
    if (!text && !emptyIsValue) throw new Unreadable("Enter a text. An empty one can be sent from the JSON tab.");
    return text;
  }
  return field;
}

function numberField(slot, schema, value) {
  const whole = schema.type === "integer";
  const control = h("input", { type: "text", inputmode: whole ? "numeric" : "decimal", autocomplete: "off" });
  control.value = value === undefined ? "" : encode(value);
  return {
    element: control,
    control,
    read() {
      const number = parseNumber(control.value.trim());
      if (whole && !fits(schema, number)) throw new Unreadable("Enter an integer.");
      return number;
    },
  };
}

function choiceField(slot, { enum: choices = [true, false] }, value) {
  const texts = choices.every((choice) => typeof choice === "string");
  const shown = (choice) => textOf(texts ? choice : encode(choice), 100);
  const found = choices.findIndex((choice) => value !== undefined && encode(choice) === encode(value));
  const control = h("select", {}, found < 0 && h("option", { value: "" }, "Choose…"),
    choices.map((choice, index) => h("option", { value: index, selected: index === found }, shown(choice))));
  return {
    element: control,
    control,
    read() {
      if (!control.value) throw new Unreadable("Choose a value.");
      return choices[control.value];
    },
  };
}

function fixedField(value) {
  const control = h("output", { class: "code", tabindex: -1 }, textOf(encode(value)));
  return { element: control, control, read: () => value };
}

function bytesField(slot, schema, value) {
  let file = null;
  const control = h("textarea", { rows: 2, spellcheck: "false", class: "code" });
  const status = h("output", { class: "hint" });
  const mode = h("select", { "aria-label": `Form of ${slot.name}` },
    ["text", "base64"].map((name) => h("option", {}, name)));
  const base64 = (text) => btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(""));
  const show = (encoded) => {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    const plain = base64(text) === encoded && !/[\0-\x08\x0b-\x1f]/.test(text);
    mode.value = plain ? "text" : "base64";
    control.value = plain ? text : encoded;
  };
  if (value !== undefined) show(value.slice(1));
  const read = () => {
    if (file) {
      if (typeof file !== "string") throw new Unreadable(status.value);
      return `\0${file}`;
    }
    const encoded = mode.value === "text" ? base64(control.value) : control.value.replace(/\s/g, "");
    if (!isBase64(encoded)) throw new Unreadable("This is not valid Base64.");
    return `\0${encoded}`;
  };
  const changed = () => control.dispatchEvent(new Event("input", { bubbles: true }));
  const picker = h("input", { type: "file", "aria-label": `File for ${slot.name}`, onchange: () => {
    const [picked] = picker.files;
    file = picked ?? null;
    control.hidden = mode.hidden = Boolean(picked);
    status.value = !picked ? "" : picked.size > MAX_FILE ? "The file is larger than 8 MiB." : "The file is being read.";
    if (picked && picked.size <= MAX_FILE) {
      const reader = new FileReader();
      reader.onloadend = () => {
        if (file !== picked) return;
        if (reader.result === null) status.value = "The file cannot be read.";
        else {
          file = reader.result.split(",")[1] ?? "";
          status.value = `${picked.size.toLocaleString("en")} bytes`;
        }
        changed();
      };
      reader.readAsDataURL(picked);
    }
    changed();
  } });
  return { element: h("div", { class: "row wrap" }, mode, control, picker, status), control, read };
}

function unionField(slot, schema, value) {
  const { defs } = slot.form;
  const branches = branchesOf(schema, defs);
  const initial = value === undefined && fits(schema, schema.default, defs) ? schema.default : value;
  // A person who sends an optional value rarely wants the null that is its default.
  let index = initial === undefined || (value === undefined && initial === null)
    ? Math.max(0, branches.findIndex((branch) => branch.type !== "null")) : bestBranch(schema, branches, initial, defs);
  const fields = new Map();
  const body = h("div", { class: "branch" });
  const choose = (first) => {
    if (!fields.has(index)) fields.set(index, createField(slot, branches[index], first));
    body.replaceChildren(fields.get(index).element);
    slot.attach();
  };
  const labels = branches.map((branch) => textOf(branch.title, 60) || typeName(branch, defs));
  const select = h("select", { "aria-label": `Type of ${slot.name}`, oninput: () => {
    index = Number(select.value);
    choose();
  } }, labels.map((label, position) => h("option", { value: position, selected: position === index },
    labels.indexOf(label) === position ? label : `${label} (${position + 1})`)));
  choose(initial === null && branches[index].type !== "null" ? undefined : initial);
  return {
    element: h("div", { class: slot.group ? "union" : "union row" }, branches.length > 1 && select, body),
    get control() { return fields.get(index).control ?? select; },
    read: (report) => fields.get(index).read(report),
    // The path of an error may name the branch.
    find: (path) => fields.get(index).find?.(path) ?? fields.get(index).find?.(path.slice(1)),
    renamed: () => fields.get(index).renamed?.(),
  };
}

function arrayField(slot, schema, value) {
  const { form } = slot;
  const items = [];
  const list = h("div", { class: "items" });
  const fixed = listOf(schema.prefixItems).length;
  const changed = () => {
    items.forEach(({ item, buttons }, index) => {
      item.rename(`item ${index + 1}`);
      buttons.forEach(([action, control]) => control.setAttribute("aria-label", `${action} item ${index + 1} of ${slot.name}`));
    });
  };
  const edited = () => {
    changed();
    list.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const create = (itemValue) => {
    const entry = {};
    const at = () => items.indexOf(entry);
    const move = (by, control) => {
      const other = items[at() + by];
      if (!other || at() + by < fixed) return;
      other.item.element[by < 0 ? "before" : "after"](entry.item.element);
      items.splice(at() + by, 0, ...items.splice(at(), 1));
      control.focus();
      edited();
    };
    const remove = () => {
      const index = at();
      items.splice(index, 1);
      entry.item.element.remove();
      (items[index]?.buttons.at(-1)?.[1] ?? add).focus();
      edited();
    };
    entry.buttons = items.length < fixed ? [] : [
      ["Move up", button("↑", (event) => move(-1, event.currentTarget))],
      ["Move down", button("↓", (event) => move(1, event.currentTarget))],
      ["Remove", button("✕", remove)]];
    entry.item = new Slot(form, { name: `item ${items.length + 1}`, schema: itemOf(schema, items.length), value: itemValue,
      parent: slot, actions: entry.buttons.map(([, control]) => control) });
    items.push(entry);
    list.append(entry.item.element);
    return entry.item;
  };
  const add = button("+ Add item", () => {
    const item = create();
    edited();
    item.focus();
  }, { "aria-label": `Add item to ${slot.name}` });
  const minimum = Math.min(10, schema.minItems > 0 ? schema.minItems : 0);
  listOf(value ?? Array(Math.max(fixed, minimum)).fill(undefined)).forEach((itemValue) => create(itemValue));
  changed();
  const closed = fixed > 0 && !isObject(schema.items);
  return {
    element: h("div", {}, list, !closed && add),
    get control() { return closed ? undefined : add; },
    read: (report) => items.map(({ item }) => item.read(report) ?? null),
    find: ([index, ...path]) => items[index]?.item.find(path),
    renamed: changed,
  };
}

function objectField(slot, schema, value) {
  const { form } = slot;
  const properties = Object.entries(isObject(schema.properties) ? schema.properties : {});
  const required = listOf(schema.required);
  const named = new Map(properties.map(([name, property]) => [name, new Slot(form, { name, schema: property,
    required: required.includes(name), fresh: value === undefined, value: own(value, name), parent: slot })]));
  const rows = [];
  const list = h("div", { class: "items" });
  const edited = () => list.dispatchEvent(new Event("input", { bubbles: true }));
  const create = (key, item) => {
    const row = { key: h("input", { type: "text", class: "code", spellcheck: "false", autocomplete: "off", "aria-label": `Key in ${slot.name}` }), first: key };
    row.key.value = key ?? "";
    row.key.addEventListener("input", () => row.slot.rename(row.key.value));
    row.slot = new Slot(form, { name: key ?? "", schema: extraOf(schema), value: item, parent: slot,
      actions: [row.key, button("✕", () => {
        rows.splice(rows.indexOf(row), 1);
        row.slot.element.remove();
        add.focus();
        edited();
      }, { "aria-label": `Remove this key of ${slot.name}` })] });
    row.slot.element.classList.add("keyed");
    rows.push(row);
    list.append(row.slot.element);
    return row;
  };
  for (const [key, item] of Object.entries(value ?? {})) if (!named.has(key)) create(key, item);
  const open = extraOf(schema) || schema.additionalProperties === true || !named.size;
  const add = button("+ Add key", () => {
    const row = create();
    edited();
    row.key.focus();
  }, { "aria-label": `Add key to ${slot.name}` });
  return {
    element: h("div", {}, [...named.values()].map(({ element }) => element), list, open && add),
    get control() { return named.size || !open ? undefined : add; },
    read(report) {
      const entries = new Map([...named].map(([name, child]) => [name, child.read(report)]));
      for (const { key, first, slot: child } of rows) {
        if (!key.value && first !== "") report?.(child, "Enter a key.");
        else if (entries.has(key.value)) report?.(child, "This key is there already.");
        else entries.set(key.value, child.read(report));
      }
      return Object.fromEntries([...entries].filter(([, item]) => item !== undefined));
    },
    find: ([name, ...path]) => (named.get(name) ?? rows.find(({ key }) => key.value === name)?.slot)?.find(path),
    renamed: () => {},
  };
}

const FIELDS = {
  string: stringField, bytes: bytesField, integer: numberField, number: numberField, boolean: choiceField, enum: choiceField,
  const: (slot, schema) => fixedField(schema.const), null: () => fixedField(null),
  union: unionField, array: arrayField, object: objectField,
};

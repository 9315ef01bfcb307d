"""A page with an argument form or a result tree, without a WAMP connection, in headless Chromium."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

import wampasgi

STATIC = Path(wampasgi.__file__).parent / "explorer" / "static"
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'"
CONTENT_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}
TIMEOUT = 15.0

SHELL = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Form</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="page.css"><link rel="stylesheet" href="forms.css">
<script type="module" src="page.js"></script>
<main id="main"></main></html>
"""

STYLE = b"""
:root { color-scheme: light dark; --line: GrayText; --muted: GrayText; --danger: #b3261e; --mono: monospace; }
[hidden] { display: none !important; }
body { margin: 1rem; font: 15px/1.45 system-ui, sans-serif; }
button, input, select, textarea { font: inherit; padding: .3rem .5rem; border: 1px solid GrayText;
  border-radius: 6px; background: Canvas; color: inherit; }
.offscreen { position: absolute; left: -999rem; }
"""

SCRIPT = b"""
import { createForm } from "./forms.js";
import { createTree } from "./tree.js";
import { encode } from "./wamp.js";

window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
const main = document.getElementById("main");
window.showForm = (options) => {
  window.changes = 0;
  window.form = createForm({ ...options, onChange: () => { window.changes += 1; } });
  main.replaceChildren(form.element);
};
window.showTree = (value, options) => main.replaceChildren(createTree(value, options));
window.text = (value) => encode(value);
const status = document.createElement("p");
status.id = "announcements";
document.body.append(status);
document.body.dataset.ready = "yes";
"""

NULLABLE_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}

SHOP = {
    "Line": {
        "type": "object",
        "title": "Line",
        "properties": {
            "sku": {"type": "string", "minLength": 1},
            "quantity": {"type": "integer", "exclusiveMinimum": 0, "default": 1},
            "note": {**NULLABLE_TEXT, "default": None},
        },
        "required": ["sku"],
        "additionalProperties": False,
    },
    "Order": {
        "type": "object",
        "title": "Order",
        "properties": {
            "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "minItems": 1},
            "city": {"type": "string"},
        },
        "required": ["lines", "city"],
    },
    "Node": {
        "type": "object",
        "title": "Node",
        "properties": {
            "name": {"type": "string"},
            "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}], "default": None},
        },
        "required": ["name"],
    },
    "Cat": {
        "type": "object",
        "title": "Cat",
        "properties": {"kind": {"const": "cat", "type": "string"}, "lives": {"type": "integer"}},
        "required": ["kind", "lives"],
    },
    "Dog": {
        "type": "object",
        "title": "Dog",
        "properties": {"kind": {"const": "dog", "type": "string"}, "name": {"type": "string"}},
        "required": ["kind", "name"],
    },
}
LINE = {"$ref": "#/$defs/Line"}
ORDER = {"$ref": "#/$defs/Order"}
PET = {
    "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
    "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}},
}

PAGE = {"/": SHELL, "/page.css": STYLE, "/page.js": SCRIPT}


class Handler(BaseHTTPRequestHandler):
    """Serves the page and the files of the Explorer."""

    def do_GET(self) -> None:
        body = PAGE.get(self.path)
        file = STATIC / Path(self.path).name
        if body is None and file.is_file():
            body = file.read_bytes()
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", CONTENT_TYPES.get(file.suffix, "text/html"))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the output of the tests clean."""


@contextmanager
def serve_page() -> Iterator[str]:
    """Serve the page on a free port, and return its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class FormPage:
    """The page, with what tests do to it."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        browser.get(url)
        self.wait_for(lambda: self.run("return document.body.dataset.ready"), "yes")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def wait_for(self, look: Callable[[], object], expected: object) -> None:
        """Wait until ``look()`` returns the expected value; a failure shows the last value."""
        try:
            WebDriverWait(self.browser, TIMEOUT, poll_frequency=0.05).until(lambda _: look() == expected)
        except TimeoutException:
            assert look() == expected

    def show(self, parameters: list[dict[str, Any]] | None, defs: dict[str, Any] | None = None) -> None:
        self.run("showForm({parameters: arguments[0], defs: arguments[1]})", parameters, defs or {})

    def show_value(self, schema: Any, defs: dict[str, Any] | None = None, **parameter: Any) -> None:
        """Show a form with the single parameter ``x``."""
        self.show([make_parameter("x", schema, **parameter)], defs)

    def payload(self) -> Any:
        """Return what the form would send. Raises ValueError with its message if a field is unreadable."""
        script = "try { return {text: text(form.value())} } catch (error) { return {error: error.message} }"
        answer = self.run(script)
        if "error" in answer:
            raise ValueError(answer["error"])
        return json.loads(answer["text"])

    def set(self, *args: Any, **kwargs: Any) -> None:
        self.run("form.set({args: arguments[0], kwargs: arguments[1]})", args, kwargs)

    def value(self) -> Any:
        """Return the only argument that the form would send."""
        payload = self.payload()
        assert payload["kwargs"] == {}
        [value] = payload["args"]
        return value

    def json_fields(self) -> list[Any]:
        """Return the values in the JSON tab."""
        fields = self.all("[role=tabpanel] textarea")
        return [json.loads(str(field.get_property("value"))) for field in fields]

    def errors(self, *errors: dict[str, Any]) -> Any:
        return self.run("return form.showErrors(arguments[0])", errors)

    def all(self, selector: str) -> list[WebElement]:
        """Return the visible elements."""
        return [
            found for found in self.browser.find_elements(By.CSS_SELECTOR, selector) if found.is_displayed()
        ]

    def texts(self, selector: str) -> list[str]:
        return [found.text for found in self.all(selector)]

    def control(self, name: str) -> WebElement:
        """Return the visible control with an accessible name."""
        controls = self.all("#main :is(input, select, textarea, button, output, summary)")
        names = [control.accessible_name for control in controls]
        assert name in names, names
        return controls[names.index(name)]

    def input(self, text: str) -> None:
        """Replace the text of the first field, also with characters and sizes that a driver cannot type."""
        script = """const field = document.querySelector("#main :is(input, textarea):not([type=checkbox])");
            field.value = arguments[0];
            field.dispatchEvent(new Event("input", {bubbles: true}))"""
        self.run(script, text)

    def type(self, name: str, text: str) -> None:
        """Replace the text of a control."""
        control = self.control(name)
        control.send_keys(Keys.CONTROL, "a")
        control.send_keys(Keys.DELETE)
        control.send_keys(text)

    def click(self, name: str) -> None:
        self.control(name).click()

    def choose(self, name: str, option: str) -> None:
        # With a click, the driver fires only one of the two events that a click of a person fires.
        control = self.control(name)
        options = [found.text for found in control.find_elements(By.TAG_NAME, "option")]
        control.send_keys(Keys.HOME, *[Keys.ARROW_DOWN] * options.index(option))

    def focused(self) -> str:
        return str(self.browser.switch_to.active_element.accessible_name)

    def described(self, control: WebElement) -> str:
        """Return the texts that describe a control to screen readers."""
        script = """return (arguments[0].getAttribute("aria-describedby") ?? "").split(" ").filter(Boolean)
            .map((id) => document.getElementById(id).textContent).join(" ")"""
        return str(self.run(script, control))

    def check_quiet(self) -> None:
        """Fail if the page violated its policy or logged an error."""
        assert self.run("return violations") == []
        log: list[dict[str, Any]] = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        entries = [entry for entry in log if entry["level"] != "DEBUG"]
        assert [entry["message"] for entry in entries if "favicon" not in entry["message"]] == []


def make_parameter(
    name: str,
    schema: Any,
    *,
    required: bool = True,
    kind: str = "positional_or_keyword",
    aliases: list[str] | None = None,
) -> dict[str, Any]:
    return {"name": name, "aliases": aliases or [], "kind": kind, "required": required, "schema": schema}

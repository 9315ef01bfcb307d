/** The views of the page as tabs. */
import { fill, h } from "./dom.js";

/** Return `{show(views), select(name), refresh()}`. A view is `[name, label, element, onVisible?]`. */
export function createTabs(bar, container) {
  let views = [];
  let selected = null;

  function render() {
    fill(bar, views.length > 1 && views.map(([name, label]) => h("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "views", "aria-selected": String(name === selected),
      tabindex: name === selected ? "0" : "-1", onclick: () => select(name),
    }, label)));
    if (views.length > 1) container.setAttribute("aria-labelledby", `tab-${selected}`);
    else container.removeAttribute("aria-labelledby");
  }

  function select(name) {
    const found = views.find(([candidate]) => candidate === name);
    if (!found || (name === selected && container.firstElementChild === found[2])) return;
    views.find(([candidate]) => candidate === selected)?.[3]?.(false);
    selected = name;
    fill(container, found[2]);
    found[3]?.(true);
    render();
  }

  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const index = views.findIndex(([name]) => name === selected);
    select(views[(index + step + views.length) % views.length][0]);
    bar.querySelector('[aria-selected="true"]').focus();
  });

  return {
    show(shown) {
      views = shown;
      render();
    },
    select,
    /** Show the selected view again, with new data. */
    refresh() {
      views.find(([name]) => name === selected)?.[3]?.(true);
    },
  };
}

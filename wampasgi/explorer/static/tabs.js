/** The views of the page as tabs. */
import { fill, h } from "./dom.js";

/** Return `{show(views), select(name)}`. A view is `[name, label, element, onShow(visible)]`. */
export function createTabs(bar, container) {
  let views = [];
  let selected = [];

  function render() {
    fill(bar, views.length > 1 && views.map(([name, label]) => h("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "views", "aria-selected": String(name === selected[0]),
      tabindex: name === selected[0] ? "0" : "-1", onclick: () => select(name),
    }, label)));
  }

  function select(name) {
    const found = views.find((view) => view[0] === name);
    if (!found || found === selected) return;
    selected[3]?.(false);
    selected = found;
    fill(container, found[2]);
    found[3]?.(true);
    render();
  }

  bar.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    select(views.at((views.indexOf(selected) + step) % views.length)[0]);
    bar.querySelector('[aria-selected="true"]').focus();
  });

  return {
    /** Replace the views. The first one is selected if the selected one has gone. */
    show(shown) {
      views = shown;
      if (!views.includes(selected)) select(views[0][0]);
      render();
    },
    select,
  };
}

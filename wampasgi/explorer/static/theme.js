/** The choice between the light and the dark theme, and the system's. */

const NEXT = { auto: "light", light: "dark", dark: "auto" };
const KEY = "wampasgi-theme";

/** Let a button change the theme. The choice is kept in the browser. */
export function setUpTheme(toggle) {
  let theme = NEXT[stored()] ? stored() : "auto";
  const show = () => {
    document.documentElement.dataset.theme = theme;
    toggle.title = `Theme: ${theme}`;
    toggle.setAttribute("aria-label", `Theme: ${theme}. Change to ${NEXT[theme]}`);
    toggle.textContent = { auto: "◐", light: "○", dark: "●" }[theme];
  };
  toggle.addEventListener("click", () => {
    theme = NEXT[theme];
    store(theme);
    show();
  });
  show();
}

// Browsers may refuse the storage.
function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function store(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // The choice then ends with the page.
  }
}

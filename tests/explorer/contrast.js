// Returns the texts whose contrast is below the argument, as "ratio text".
const [least] = arguments;

function parse(color) {
  const [red, green, blue, alpha = 1] = color.match(/[\d.e-]+/g).map(Number);
  if (color.startsWith("rgb")) return [red, green, blue, alpha];
  if (color.startsWith("color(srgb ")) return [255 * red, 255 * green, 255 * blue, alpha];
  throw new Error(`unknown color ${color}`);
}

const over = ([red, green, blue, alpha], below) =>
  [red, green, blue].map((part, index) => alpha * part + (1 - alpha) * below[index]);

function luminance(color) {
  const [red, green, blue] = color.map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(element, color, opacity = 1) {
  const around = [];
  for (let found = element; found; found = found.parentElement) around.unshift(getComputedStyle(found));
  let background = [255, 255, 255];
  const groups = [];
  for (const style of around) {
    if (style.opacity < 1) groups.unshift([Number(style.opacity), background]);
    if (style.backgroundImage !== "none") throw new Error("a background is an image");
    background = over(parse(style.backgroundColor), background);
  }
  let [red, green, blue, alpha] = parse(color);
  let text = over([red, green, blue, alpha * opacity], background);
  for (const [share, below] of groups) {
    text = over([...text, share], below);
    background = over([...background, share], below);
  }
  const [darker, lighter] = [luminance(text), luminance(background)].sort((one, other) => one - other);
  return (lighter + 0.05) / (darker + 0.05);
}

const texts = new Map();
const check = (element, text, pseudo) => {
  const { width, height } = element.getBoundingClientRect();
  if (!text.trim() || width <= 1 || height <= 1 || element.closest(":disabled")) return;
  if (!element.checkVisibility({ visibilityProperty: true })) return;
  const { color, opacity } = getComputedStyle(element, pseudo);
  texts.set(`${element.tagName} ${element.className} ${text.trim().slice(0, 40)}`,
    contrast(element, color, pseudo ? Number(opacity) : 1));
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const { parentElement, data } = walker.currentNode;
  if (!["SCRIPT", "NOSCRIPT", "OPTION"].includes(parentElement.tagName)) check(parentElement, data);
}
for (const field of document.querySelectorAll("input, select, textarea")) {
  check(field, field.value);
  if (field.placeholder && !field.value) check(field, field.placeholder, "::placeholder");
}
for (const element of document.querySelectorAll("body *")) {
  for (const pseudo of ["::before", "::after"]) {
    const { content } = getComputedStyle(element, pseudo);
    if (/^"./.test(content)) check(element, content, pseudo);
  }
}
return { count: texts.size, low: [...texts].filter(([, ratio]) => !(ratio >= least))
  .map(([text, ratio]) => `${ratio.toFixed(2)} ${text}`) };

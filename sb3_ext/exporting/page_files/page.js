"use strict";

// What both kinds of pages need.

const find = (id) => document.getElementById(id);

function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

function readStored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // a page in a sandbox
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // as above: the choice lasts until the page is closed
  }
}

function startTheme(onChange) {
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  showTheme(readStored("theme") || (prefersDark.matches ? "dark" : "light"));
  prefersDark.addEventListener("change", () => {
    if (!readStored("theme")) showTheme(prefersDark.matches ? "dark" : "light");
    onChange();
  });
  find("theme").addEventListener("click", () => {
    showTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    store("theme", document.documentElement.dataset.theme);
    onChange();
  });
}

// Bars of probabilities, or of action values relative to the best and worst of them.
function showPreferences(element, names, preferences, chosen, areProbabilities) {
  const shown = preferences.map((x, i) => [x, i]).filter(([x]) => Number.isFinite(x));
  const numbers = shown.map(([x]) => x);
  const low = areProbabilities ? 0 : Math.min(...numbers), high = areProbabilities ? 1 : Math.max(...numbers);
  while (element.children.length > shown.length) element.lastChild.remove();
  shown.forEach(([number, action], place) => {
    let line = element.children[place];
    if (!line || !line.classList.contains("line")) {
      if (line) line.remove();
      line = document.createElement("div");
      line.innerHTML = '<span class="name"></span><div class="track"><div></div></div><span class="number"></span>';
      element.append(line);
    }
    line.className = action === chosen ? "line chosen" : "line";
    line.querySelector(".name").textContent = names[action];
    const share = areProbabilities ? number : high > low ? 0.06 + (0.94 * (number - low)) / (high - low) : 1;
    Object.assign(line.querySelector(".track div").style, { left: 0, width: `${100 * share}%` });
    line.querySelector(".number").textContent = areProbabilities ? `${Math.round(100 * number)}%` : number.toFixed(2);
  });
}

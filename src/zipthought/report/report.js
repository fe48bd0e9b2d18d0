// The page: theme, figures with their legends, sorting and filters of the table.
"use strict";
const report = JSON.parse(document.getElementById("report-data").textContent);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Theme: the reader's choice, otherwise the system's. A file opened from disk may have no storage.
const theme = {
  read() { try { return localStorage.getItem("zipthought-theme"); } catch (error) { return null; } },
  keep(value) { try { localStorage.setItem("zipthought-theme", value); } catch (error) { /* The choice holds for this visit only. */ } },
  now() { return document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"); },
  show() { document.getElementById("theme-word").textContent = theme.now() === "dark" ? "Light" : "Dark"; },
};
if (["light", "dark"].includes(theme.read())) document.documentElement.dataset.theme = theme.read();
document.getElementById("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = theme.now() === "dark" ? "light" : "dark";
  theme.keep(theme.now());
  theme.show();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme.show);
theme.show();

// Figures are SVG with CSS variables as colours, so they follow the theme. A hidden chart is drawn when it is first shown.
const views = new Map();
const hidden = new Set();
const signal = (view, name, value) => view.signal(name, value).runAsync();

async function draw(id) {
  const box = document.getElementById(id);
  if (views.has(id) || box.hidden) return;
  views.set(id, null);
  const result = await vegaEmbed(box, report.figures[id], { actions: false, renderer: "svg", tooltip: { theme: "custom" } });
  views.set(id, result.view);
  if (hidden.size) await signal(result.view, "hidden", [...hidden]);
}

const drawn = Promise.all(Object.keys(report.figures).map(draw)).then(() => {
  document.documentElement.dataset.ready = "yes";
});

all(".legend button").forEach((button) => button.addEventListener("click", () => {
  const name = button.dataset.format;
  if (!hidden.delete(name)) hidden.add(name);
  all(".legend button").forEach((b) => b.setAttribute("aria-pressed", String(!hidden.has(b.dataset.format))));
  views.forEach((view) => view && signal(view, "hidden", [...hidden]));
}));

all(".switch input").forEach((input) => input.addEventListener("change", () => {
  all(".chart", input.closest(".figure")).forEach((box) => { box.hidden = box.id !== input.value; });
  draw(input.value);
}));

const lossPick = document.getElementById("loss-examples");
if (lossPick) {
  const rows = Object.values(report.figures["fig-losses"].datasets).flat();
  const sizes = [...new Set(rows.map((row) => row.examples))].sort((a, b) => b - a);
  [...sizes, 0].forEach((size) => lossPick.add(new Option(size ? size.toLocaleString("en") : "all", size)));
  lossPick.addEventListener("change", () => {
    const view = views.get("fig-losses");
    if (view) signal(view, "shown", Number(lossPick.value));
  });
}

// The table of cells: headings sort it, selects filter it. Missing values sort last in both directions.
const table = document.getElementById("cells");
if (table) {
  const body = table.tBodies[0];
  const heads = all("thead th", table);
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent : cell.dataset.v === "" ? null : Number(cell.dataset.v);
  };
  all("thead button", table).forEach((button) => button.addEventListener("click", () => {
    const column = Number(button.dataset.column);
    const direction = heads[column].ariaSort === "ascending" ? -1 : 1;
    heads.forEach((head, index) => {
      head.setAttribute("aria-sort", index !== column ? "none" : direction > 0 ? "ascending" : "descending");
    });
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return direction * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
    });
    body.append(...rows.map(([, row]) => row));
  }));
  const filters = all("[data-filter]");
  const filter = () => {
    let shown = 0;
    for (const row of body.rows) {
      row.hidden = filters.some((f) => f.value && row.getAttribute(`data-${f.dataset.filter}`) !== f.value);
      shown += !row.hidden;
    }
    document.getElementById("cells-count").textContent = `${shown} of ${body.rows.length} rows`;
  };
  filters.forEach((f) => f.addEventListener("change", filter));
}

document.getElementById("copy").addEventListener("click", async (event) => {
  const command = document.getElementById("command");
  try {
    await navigator.clipboard.writeText(command.textContent);
    event.target.textContent = "Copied";
  } catch (error) {
    getSelection().selectAllChildren(command);
    event.target.textContent = "Selected";
  }
});

// Print everything unfolded.
addEventListener("beforeprint", () => all(".finding details").forEach((d) => { d.open = true; }));

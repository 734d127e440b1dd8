"use strict";
(() => {
  const { charts, marks } = JSON.parse(document.getElementById("data").textContent);
  const NS = "http://www.w3.org/2000/svg";
  const PAD = { left: 52, right: 10, top: 8, bottom: 22 };
  const state = { axis: "x", window: 1, zoom: null };
  const drawn = [];

  const make = (name, attributes = {}, parent = null) => {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (parent) parent.append(node);
    return node;
  };
  const element = (name, className, text, parent) => {
    const node = document.createElement(name);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };

  const formatNumber = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e9)) return value.toExponential(2);
    return value.toLocaleString("en-US", { maximumSignificantDigits: size >= 1000 ? 6 : 4 });
  };
  const formatTick = (value) => {
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(4)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(4)}k`;
    return size !== 0 && size < 1e-3 ? (+value.toPrecision(3)).toExponential() : `${+value.toPrecision(4)}`;
  };
  const formatSeconds = (value) => {
    if (value < 120) return `${Math.round(value)} s`;
    return value < 7200 ? `${+(value / 60).toFixed(1)} min` : `${+(value / 3600).toFixed(1)} h`;
  };
  const formatX = (value) => (state.axis === "t" ? formatSeconds(value) : `${Math.round(value).toLocaleString("en-US")} steps`);

  const niceTicks = (low, high, count) => {
    const span = high - low || 1;
    const rough = span / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const ticks = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) ticks.push(+tick.toPrecision(12));
    return ticks;
  };
  const timeTicks = (low, high, count) => {
    const units = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
    const step = units.find((unit) => (high - low) / unit <= count);
    if (!step) return niceTicks(low, high, count);
    const ticks = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
    return ticks;
  };

  const smooth = (values, size) => {
    if (size <= 1) return values;
    return values.map((value, index) => {
      if (value === null) return null;
      const part = values.slice(Math.max(0, index - size + 1), index + 1).filter((item) => item !== null);
      return part.reduce((sum, item) => sum + item, 0) / part.length;
    });
  };

  /** The part of a series that is in view, as rows {x, y, raw, low, high}. */
  const selectRows = (series) => {
    const xs = series[state.axis];
    const means = series.kind === "line" ? smooth(series.y, state.window) : series.y;
    const rows = [];
    for (let index = 0; index < xs.length; index += 1) {
      if (xs[index] === null || means[index] === null) continue;
      rows.push({
        x: xs[index], y: means[index], raw: series.y[index],
        low: series.low ? series.low[index] : null, high: series.high ? series.high[index] : null,
      });
    }
    if (!state.zoom) return rows;
    const [from, to] = state.zoom;
    // One more on each side, so that lines reach the edges.
    return rows.filter((row, index) => {
      const before = rows[Math.max(0, index - 1)].x, after = rows[Math.min(rows.length - 1, index + 1)].x;
      return after >= from && before <= to;
    });
  };

  const findDomain = () => {
    if (state.zoom) return state.zoom;
    let high = 0;
    for (const chart of charts) for (const series of chart.series) for (const x of series[state.axis]) if (x > high) high = x;
    return [0, high || 1];
  };

  const findRange = (chart, parts) => {
    if (chart.is_share) return [-0.02, 1.02];
    let low = Infinity, high = -Infinity;
    for (const { rows, series } of parts) {
      for (const row of rows) {
        const isShown = !state.zoom || (row.x >= state.zoom[0] && row.x <= state.zoom[1]);
        if (!isShown) continue;
        const values = series.kind === "line" && state.window > 1 ? [row.y] : [row.y, row.low, row.high];
        for (const value of values) if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); }
      }
    }
    if (low > high) return [0, 1];
    if (low === high) return low === 0 ? [-1, 1] : [Math.min(0, 2 * low), Math.max(0, 2 * low)];
    const margin = 0.05 * (high - low);
    return [low - margin, high + margin];
  };

  const draw = (entry) => {
    const { chart, svg } = entry;
    const width = Math.max(240, svg.clientWidth), height = chart.is_large ? 300 : 170;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    svg.replaceChildren();
    const parts = chart.series.map((series, index) => ({ series, index, rows: selectRows(series) }));
    const [from, to] = findDomain(), [low, high] = findRange(chart, parts);
    const px = (x) => PAD.left + ((x - from) / (to - from || 1)) * (width - PAD.left - PAD.right);
    const py = (y) => height - PAD.bottom - ((y - low) / (high - low)) * (height - PAD.top - PAD.bottom);
    Object.assign(entry, { parts, px, py, width, height, from, to });
    const clip = `clip-${drawn.indexOf(entry)}`;
    const area = { x: PAD.left, y: 0, width: width - PAD.left - PAD.right + 4, height: height - PAD.bottom + 2 };
    make("rect", area, make("clipPath", { id: clip }, make("defs", {}, svg)));
    for (const tick of niceTicks(low, high, chart.is_large ? 6 : 4)) {
      make("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: py(tick), y2: py(tick) }, svg);
      make("text", { x: PAD.left - 6, y: py(tick) + 4, "text-anchor": "end" }, svg).textContent = formatTick(tick);
    }
    const ticks = (state.axis === "t" ? timeTicks : niceTicks)(from, to, Math.max(3, Math.floor(width / 75)));
    for (const tick of ticks) {
      const place = Math.min(Math.max(px(tick), PAD.left + 6), width - 18);
      make("text", { x: place, y: height - 6, "text-anchor": "middle" }, svg).textContent =
        state.axis === "t" ? formatSeconds(tick) : formatTick(tick);
    }
    const plot = make("g", { "clip-path": `url(#${clip})` }, svg);
    if (state.axis === "x") drawMarks(chart, plot, px, height);
    for (const part of parts) drawSeries(part, plot, px, py);
    entry.overlay = make("g", {}, svg);
  };

  const drawMarks = (chart, plot, px, height) => {
    for (const mark of marks) {
      make("line", { class: "mark", x1: px(mark.x), x2: px(mark.x), y1: 0, y2: height - PAD.bottom }, plot);
      if (!chart.is_large) continue;
      const place = `translate(${px(mark.x) + 11}, ${PAD.top}) rotate(90)`;
      make("text", { transform: place }, plot).textContent = mark.label;
    }
  };

  const drawSeries = ({ series, index, rows }, plot, px, py) => {
    if (!rows.length) return;
    const color = `s${index % 6}`;
    const path = (name) => rows.map((row, at) => `${at ? "L" : "M"}${px(row.x).toFixed(1)} ${py(row[name]).toFixed(1)}`).join("");
    if (series.kind === "points") {
      make("path", { class: `raw ${color}`, d: path("y"), style: "fill:none;opacity:.6" }, plot);
      for (const row of rows) {
        if (row.low !== null && row.high !== null) {
          make("line", { class: `whisker ${color}`, x1: px(row.x), x2: px(row.x), y1: py(row.low), y2: py(row.high) }, plot);
        }
        make("circle", { class: color, cx: px(row.x), cy: py(row.y), r: rows.length > 80 ? 2 : 3 }, plot);
      }
      return;
    }
    const banded = rows.filter((row) => row.low !== null && row.high !== null);
    if (banded.length > 1 && state.window === 1) {
      const forth = banded.map((row) => `${px(row.x).toFixed(1)},${py(row.high).toFixed(1)}`);
      const back = banded.map((row) => `${px(row.x).toFixed(1)},${py(row.low).toFixed(1)}`).reverse();
      make("polygon", { class: `band ${color}`, points: [...forth, ...back].join(" ") }, plot);
    }
    if (state.window > 1) make("path", { class: `raw ${color}`, d: path("raw"), style: "fill:none" }, plot);
    make("path", { class: `line ${color}`, d: path("y"), style: "fill:none" }, plot);
    if (rows.length === 1) make("circle", { class: color, cx: px(rows[0].x), cy: py(rows[0].y), r: 3 }, plot);
  };

  const findNearest = (rows, x) => {
    let best = null;
    for (const row of rows) if (best === null || Math.abs(row.x - x) < Math.abs(best.x - x)) best = row;
    return best;
  };

  const showCursor = (entry, x) => {
    const { overlay, parts, px, py, height, tip, width } = entry;
    overlay.replaceChildren();
    const place = px(x);
    make("line", { class: "cursor", x1: place, x2: place, y1: 0, y2: height - PAD.bottom }, overlay);
    tip.replaceChildren();
    element("div", "", formatX(x), tip);
    for (const { series, index, rows } of parts) {
      const row = findNearest(rows, x);
      if (row === null) continue;
      make("circle", { class: `s${index % 6}`, cx: px(row.x), cy: py(row.y), r: 4 }, overlay);
      const line = element("div", "", "", tip);
      const swatch = element("i", `c${index % 6}`, "", line);
      swatch.style.cssText = "display:inline-block;width:.7em;height:.7em;border-radius:2px;margin-right:.4em";
      const interval = row.low !== null && row.high !== null ? ` (${formatNumber(row.low)} to ${formatNumber(row.high)})` : "";
      const name = parts.length > 1 ? `${series.name}: ` : "";
      line.append(`${name}${formatNumber(row.y)}${interval}`);
    }
    tip.hidden = false;
    const left = place > width / 2 ? place - tip.offsetWidth - 8 : place + 20;
    tip.style.left = `${Math.max(0, Math.min(left, width - tip.offsetWidth))}px`;
    tip.style.top = "2rem";
  };

  const hideCursor = (entry) => {
    entry.tip.hidden = true;
    if (entry.overlay) entry.overlay.replaceChildren();
  };

  const setZoom = (zoom) => {
    state.zoom = zoom;
    document.getElementById("reset").disabled = zoom === null;
    drawAll();
  };

  const listen = (entry) => {
    const { svg } = entry;
    let start = null;
    const toX = (event) => {
      const box = svg.getBoundingClientRect();
      const share = ((event.clientX - box.left) * (entry.width / box.width) - PAD.left) / (entry.width - PAD.left - PAD.right);
      return entry.from + Math.min(1, Math.max(0, share)) * (entry.to - entry.from);
    };
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) { start = toX(event); svg.setPointerCapture(event.pointerId); }
    });
    svg.addEventListener("pointermove", (event) => {
      const x = toX(event);
      showCursor(entry, x);
      if (start === null) return;
      const [from, to] = [entry.px(Math.min(start, x)), entry.px(Math.max(start, x))];
      make("rect", { class: "selection", x: from, width: to - from, y: 0, height: entry.height - PAD.bottom }, entry.overlay);
    });
    svg.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const [from, to] = [start, toX(event)].sort((a, b) => a - b);
      start = null;
      if (entry.px(to) - entry.px(from) > 8) setZoom([from, to]);
    });
    svg.addEventListener("pointercancel", () => { start = null; });
    svg.addEventListener("pointerleave", () => hideCursor(entry));
    svg.addEventListener("dblclick", () => setZoom(null));
  };

  const addChart = (chart, parent) => {
    const figure = element("figure", chart.is_large ? "chart large" : "chart", undefined, parent);
    element("h3", "", chart.title, figure);
    if (chart.series.length > 1) {
      const legend = element("ul", "legend", undefined, figure);
      chart.series.forEach((series, index) => {
        const item = element("li", "", undefined, legend);
        element("i", `c${index % 6}`, "", item);
        item.append(series.name);
      });
    }
    const svg = make("svg", { role: "img", "aria-label": `${chart.title} over ${chart.series.length} series` }, figure);
    const tip = element("div", "tip", undefined, figure);
    tip.hidden = true;
    const entry = { chart, svg, tip };
    drawn.push(entry);
    listen(entry);
  };

  const drawAll = () => {
    for (const entry of drawn) if (entry.svg.clientWidth) { hideCursor(entry); draw(entry); }
  };

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const text = button.nextElementSibling.textContent;
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(button.nextElementSibling);
        button.textContent = "Press Ctrl+C";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not(.packages)")) part.open = true;
    drawAll();
  });
  if (!charts.length) return;
  for (const chart of charts) addChart(chart, document.getElementById(chart.main ? "main-charts" : "more-charts"));
  const more = document.getElementById("more");
  more.hidden = charts.every((chart) => chart.main);
  more.addEventListener("toggle", drawAll);
  document.getElementById("smoothing").addEventListener("input", (event) => {
    state.window = Number(event.target.value);
    document.getElementById("window").textContent = state.window > 1 ? `${state.window} points` : "off";
    drawAll();
  });
  for (const choice of document.querySelectorAll("input[name=axis]")) {
    choice.addEventListener("change", () => { state.axis = choice.value; setZoom(null); });
  }
  document.getElementById("reset").addEventListener("click", () => setZoom(null));
  new ResizeObserver(drawAll).observe(document.body);
  drawAll();
})();

"use strict";

// A simulation that the agent, or a person, controls.

function drawLine(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

function drawDisc(pen, x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}

const agent = new Agent(AGENT);
const simulation = new Environment(AGENT.parameters);
const areProbabilities = AGENT.output.kind === "probabilities";
const LONGEST_PAUSE = 0.25; // seconds that are made up for after the page was hidden
const SMOOTHING = 0.15; // a frame
const REST = 0.9; // seconds between two episodes

const page = {
  isRunning: true,
  isManual: false,
  speed: 1,
  steps: 0,
  sum: 0,
  isOver: false,
  endText: "",
  direction: 0, // of the person: -1, 0 or 1
  held: 1, // the person's last direction where there is no third action
  returns: [],
  decision: null,
  shown: [], // preferences or actions, smoothed while the simulation runs: they would flicker
  due: 0, // steps
  rested: 0, // seconds
  time: null,
};

function startEpisode() {
  simulation.reset(Math.random);
  agent.begin();
  Object.assign(page, { steps: 0, sum: 0, isOver: false, endText: "", due: 0, rested: 0 });
  page.decision = agent.decide(simulation.observe());
}

function chooseAction() {
  if (!page.isManual) return page.decision.action;
  if (page.direction) page.held = page.direction;
  const chosen = simulation.choose(page.direction);
  return chosen === null ? simulation.choose(page.held) : chosen;
}

function step() {
  if (page.isOver) return;
  const { reward, terminated } = simulation.step(chooseAction());
  page.steps += 1;
  page.sum += reward;
  page.decision = agent.decide(simulation.observe());
  const isTruncated = AGENT.max_steps !== null && page.steps >= AGENT.max_steps;
  if (!terminated && !isTruncated) return;
  page.isOver = true;
  page.endText = terminated ? `Over after ${page.steps} steps` : `${page.steps} steps: time is up`;
  page.returns.push(page.sum);
  if (page.returns.length > 100) page.returns.shift();
}

function advance(now) {
  const passed = page.time === null ? 0 : Math.min(LONGEST_PAUSE, (now - page.time) / 1000);
  page.time = now;
  if (page.isRunning) {
    if (page.isOver) {
      page.rested += passed * Math.max(1, page.speed);
      if (page.rested >= REST) startEpisode();
    } else {
      page.due += passed * page.speed * Environment.stepsPerSecond;
      while (page.due >= 1 && !page.isOver) {
        page.due -= 1;
        step();
      }
    }
  }
  show();
  requestAnimationFrame(advance);
}

function readColors() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return { text: read("--text"), line: read("--line"), first: read("--first"), second: read("--second"), ground: read("--hill"), accent: read("--accent"), muted: read("--muted") };
}

function prepareCanvas(canvas) {
  const { width, height } = canvas.getBoundingClientRect(), ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

const formatReturn = (number) => (Number.isInteger(number) ? String(number) : number.toFixed(1));

function show() {
  const colors = readColors();
  const { pen, width, height } = prepareCanvas(find("scene"));
  pen.save();
  simulation.draw(pen, width, height, colors);
  pen.restore();
  find("status").textContent = page.endText || (page.isManual ? "You play" : Environment.goal);
  find("run").textContent = page.isRunning ? "Pause" : "Play";
  find("steps").textContent = page.steps;
  find("return").textContent = formatReturn(page.sum);
  const { returns } = page;
  find("mean").textContent = returns.length ? formatReturn(Math.round((10 * returns.reduce((a, b) => a + b, 0)) / returns.length) / 10) : "–";
  showDecision();
  showReturns(colors);
}

function showDecision() {
  const { preferences, action } = page.decision;
  const numbers = preferences.length ? preferences : action;
  const share = page.isRunning && page.shown.length ? SMOOTHING : 1;
  page.shown = numbers.map((x, i) => (share < 1 ? page.shown[i] + share * (x - page.shown[i]) : x));
  if (preferences.length) {
    showPreferences(find("thoughts"), Environment.actions, page.shown, findLargest(page.shown), areProbabilities);
    return;
  }
  const { low, high } = AGENT.output;
  const element = find("thoughts");
  if (!element.children.length) {
    element.innerHTML = page.shown.map(() => '<div class="line chosen"><span class="name"></span><div class="track"><div></div></div><span class="number"></span></div>').join("");
  }
  page.shown.forEach((number, i) => {
    const line = element.children[i], middle = -low[i] / (high[i] - low[i]), place = (number - low[i]) / (high[i] - low[i]);
    line.querySelector(".name").textContent = Environment.actions[i];
    Object.assign(line.querySelector(".track div").style, { left: `${100 * Math.min(middle, place)}%`, width: `${100 * Math.abs(place - middle)}%` });
    line.querySelector(".number").textContent = number.toFixed(2);
  });
}

function showReturns(colors) {
  const { pen, width, height } = prepareCanvas(find("returns"));
  const { returns } = page;
  if (!returns.length) {
    pen.fillStyle = colors.muted;
    pen.font = "13px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.fillText("after the first episode", width / 2, height / 2 + 4);
    return;
  }
  const low = Math.min(0, ...returns), high = Math.max(0, ...returns), span = high - low || 1;
  const slot = Math.min(18, (width - 16) / returns.length);
  const place = (x) => 8 + ((height - 16) * (high - x)) / span;
  pen.fillStyle = colors.accent;
  returns.forEach((x, i) => {
    const top = Math.min(place(x), place(0)), size = Math.max(2, Math.abs(place(x) - place(0)));
    pen.fillRect(8 + i * slot, top, Math.max(1, slot - 2), size);
  });
}

// The agent sees it after the next step.
function push(direction) {
  if (!page.isOver) simulation.push(direction);
}

function toggleManual() {
  page.isManual = !page.isManual;
  page.direction = 0;
  find("manual").setAttribute("aria-pressed", page.isManual);
  startEpisode();
}

function stepOnce() {
  page.isRunning = false;
  if (page.isOver) startEpisode();
  else step();
}

function showSpeed() {
  page.speed = 2 ** Number(find("speed").value);
  find("speed-text").textContent = page.speed >= 1 ? `${page.speed}×` : `1/${1 / page.speed}×`;
}

function toggleRunning() {
  page.isRunning = !page.isRunning;
}

// A person plays with the halves of the picture, or with the keys.
function startSteering() {
  const scene = find("scene");
  const steer = (event) => {
    if (!page.isManual || !(event.buttons || event.pointerType === "touch")) return;
    const { left, width } = scene.getBoundingClientRect();
    page.direction = event.clientX < left + width / 2 ? -1 : 1;
  };
  const release = () => (page.direction = 0);
  scene.addEventListener("pointerdown", steer);
  scene.addEventListener("pointermove", steer);
  for (const name of ["pointerup", "pointerleave", "pointercancel"]) scene.addEventListener(name, release);
  const keys = { arrowleft: -1, arrowright: 1 };
  document.addEventListener("keyup", (event) => {
    if (keys[event.key.toLowerCase()] === page.direction) release();
  });
  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.id === "speed") return;
    if (key in keys) {
      if (page.isManual) page.direction = keys[key];
    } else if (key === " ") toggleRunning();
    else if (key === "s") stepOnce();
    else if (key === "a") push(-1);
    else if (key === "d") push(1);
    else if (key === "n") startEpisode();
    else if (key === "m") toggleManual();
    else return;
    event.preventDefault();
  });
}

function startPage() {
  startTheme(show);
  find("run").addEventListener("click", toggleRunning);
  find("step").addEventListener("click", stepOnce);
  find("restart").addEventListener("click", startEpisode);
  find("manual").addEventListener("click", toggleManual);
  find("push-left").addEventListener("click", () => push(-1));
  find("push-right").addEventListener("click", () => push(1));
  find("speed").addEventListener("input", showSpeed);
  startSteering();
  startEpisode();
  requestAnimationFrame(advance);
}

startPage();

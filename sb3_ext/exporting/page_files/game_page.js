"use strict";

// A game of a person against the agent.

const agent = new Agent(AGENT);
const game = new Environment(AGENT.parameters);
const areProbabilities = AGENT.output.kind === "probabilities";
const SIGNS = { you: "M12 12 L88 88 M88 12 L12 88", agent: "M50 10 A40 40 0 1 1 49.9 10" };

const page = {
  moves: [], // actions since the start
  seat: 0, // of the person; 0 begins
  begins: "turns",
  games: 0,
  hasHints: false,
  aim: null, // the action that the keyboard points to
  fresh: null, // the cell that was filled last
  thoughts: null, // the agent's decision at its last move
  score: { won: 0, drawn: 0, lost: 0 },
  isCounted: false,
  timer: null,
};

const isPersonsTurn = () => game.winner === null && game.mover === page.seat;
const nameAction = (action) => (Environment.marks === "discs" ? `Column ${action + 1}` : `Row ${Math.floor(game.findCell(action) / game.columns) + 1}, ${(game.findCell(action) % game.columns) + 1}`);
const nameShort = (action) => (Environment.marks === "discs" ? action : game.findCell(action)) + 1; // its key

// The agent's decision for the player to move.
function think() {
  return agent.decide(game.observe(), game.legal());
}

function startGame() {
  clearTimeout(page.timer);
  const isFirst = page.begins === "you" || (page.begins === "turns" && page.games % 2 === 0);
  page.games += 1;
  page.seat = isFirst ? 0 : 1;
  page.moves = [];
  page.aim = page.fresh = page.thoughts = null;
  page.isCounted = false;
  game.reset();
  continueGame();
}

function play(action) {
  page.fresh = game.play(action);
  page.moves.push(action);
  page.aim = null;
}

function playPerson(action) {
  if (!isPersonsTurn() || !game.legal()[action]) return;
  play(action);
  continueGame();
}

function continueGame() {
  if (game.winner === null && game.mover !== page.seat) page.timer = setTimeout(answer, 420);
  if (game.winner !== null && !page.isCounted) {
    page.isCounted = true;
    page.score[game.winner === "draw" ? "drawn" : game.winner === page.seat ? "won" : "lost"] += 1;
  }
  show();
}

function answer() {
  page.thoughts = { ...think(), legal: game.legal() };
  play(page.thoughts.action);
  continueGame();
}

// Take back the person's last move, and what followed it.
function undo() {
  clearTimeout(page.timer);
  const movers = page.moves.map((_, index) => index % 2);
  const last = movers.lastIndexOf(page.seat);
  if (last < 0) return;
  const kept = page.moves.slice(0, last);
  page.moves = [];
  page.fresh = page.thoughts = null;
  game.reset();
  kept.forEach(play);
  page.fresh = null;
  continueGame();
}

function describeState() {
  if (game.winner === "draw") return "A draw";
  if (game.winner !== null) return game.winner === page.seat ? "You win!" : "The agent wins";
  return isPersonsTurn() ? "Your turn" : "The agent is thinking …";
}

function show() {
  find("status").textContent = describeState();
  showBoard();
  showChance();
  const areThoughtsShown = page.thoughts !== null;
  if (areThoughtsShown) {
    const { preferences, action, legal } = page.thoughts;
    const names = preferences.map((_, i) => `${Environment.marks === "discs" ? "Column" : "Field"} ${nameShort(i)}`);
    const order = preferences.map((_, i) => i).sort((a, b) => nameShort(a) - nameShort(b));
    const place = (list) => order.map((i) => list[i]);
    showPreferences(find("thoughts"), place(names), place(preferences.map((x, i) => (legal[i] ? x : NaN))), order.indexOf(action), areProbabilities);
  } else {
    find("thoughts").innerHTML = '<p class="empty">It has not moved yet.</p>';
  }
  find("undo").disabled = !page.moves.some((_, index) => index % 2 === page.seat);
  find("hints").setAttribute("aria-pressed", page.hasHints);
  for (const name of ["won", "drawn", "lost"]) find(name).textContent = page.score[name];
  for (const button of find("begins").children) button.setAttribute("aria-checked", button.dataset.value === page.begins);
}

function showBoard() {
  const board = find("board");
  const legal = game.winner === null ? game.legal() : [];
  const hints = page.hasHints && isPersonsTurn() ? think() : null;
  const aimed = page.aim === null || !isPersonsTurn() ? null : game.findCell(page.aim);
  game.cells.forEach((player, cell) => {
    const button = board.children[cell];
    const action = game.findAction(cell);
    const canPlay = isPersonsTurn() && legal[action];
    button.disabled = !canPlay;
    button.classList.toggle("aim", aimed === cell);
    const owner = player === null ? "empty" : player === page.seat ? "you" : "agent";
    button.setAttribute("aria-label", `${nameAction(action)}: ${owner}`);
    const isHinted = hints !== null && player === null && legal[action] && game.findCell(action) === cell;
    button.innerHTML = player === null ? "" : drawMark(owner, cell);
    if (isHinted) button.innerHTML += drawHint(hints, action);
  });
}

function drawMark(owner, cell) {
  const row = Math.floor(cell / game.columns);
  const classes = ["mark", owner, cell === page.fresh && "fresh", game.line.includes(cell) && "won"].filter(Boolean).join(" ");
  const sign = Environment.marks === "signs" ? `<svg viewBox="0 0 100 100"><path d="${SIGNS[owner]}"/></svg>` : "";
  return `<div class="${classes}" style="--from: ${-120 * (row + 1)}%">${sign}</div>`;
}

function drawHint({ preferences, action: best }, action) {
  const legal = preferences.filter((_, i) => game.legal()[i]);
  const low = Math.min(...legal), high = Math.max(...legal);
  const number = preferences[action];
  const share = areProbabilities ? number : high > low ? (number - low) / (high - low) : 1;
  const text = areProbabilities ? `${Math.round(100 * number)}%` : number.toFixed(2);
  return `<div class="hint${action === best ? " best" : ""}" style="--share: ${(0.12 + 0.75 * share).toFixed(3)}"><span>${text}</span></div>`;
}

// The person's chance to win, from the expected result between -1 and 1 of the player to move.
function showChance() {
  let share = null;
  if (game.winner !== null) share = game.winner === "draw" ? 0.5 : Number(game.winner === page.seat);
  else {
    const { value } = think();
    if (value !== null) share = (1 + Math.max(-1, Math.min(1, value)) * (isPersonsTurn() ? 1 : -1)) / 2;
  }
  find("chance").hidden = share === null;
  if (share === null) return;
  const percent = Math.round(100 * share);
  find("chance-bar").style.width = `${100 * share}%`;
  find("chance-you").textContent = `You ${percent}%`;
  find("chance-agent").textContent = `Agent ${100 - percent}%`;
}

function moveAim(direction) {
  if (!isPersonsTurn()) return;
  const legal = game.legal();
  const cells = legal.map((isLegal, action) => (isLegal ? action : -1)).filter((action) => action >= 0);
  cells.sort((a, b) => (Environment.marks === "discs" ? a - b : game.findCell(a) - game.findCell(b)));
  const place = cells.indexOf(page.aim);
  page.aim = place < 0 ? cells[direction > 0 ? 0 : cells.length - 1] : cells[(place + direction + cells.length) % cells.length];
  show();
}

function toggleHints() {
  page.hasHints = !page.hasHints;
  page.fresh = null;
  show();
}

function startPage() {
  startTheme(() => {});
  const board = find("board");
  board.className = Environment.marks;
  board.style.gridTemplateColumns = `repeat(${game.columns}, 1fr)`;
  game.cells.forEach((_, cell) => {
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", () => playPerson(game.findAction(cell)));
    board.append(button);
  });
  find("last-key").textContent = Math.min(9, game.numActions);
  find("new").addEventListener("click", startGame);
  find("undo").addEventListener("click", undo);
  find("hints").addEventListener("click", toggleHints);
  for (const button of find("begins").children) {
    button.addEventListener("click", () => {
      page.begins = button.dataset.value;
      page.games = 0;
      if (page.moves.length < 2 || game.winner !== null) startGame();
      else show();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key >= "1" && key <= "9") {
      const number = Number(key) - 1;
      if (number < game.numActions) playPerson(Environment.marks === "discs" ? number : game.findAction(number));
    } else if (key === "arrowleft" || key === "arrowup") moveAim(-1);
    else if (key === "arrowright" || key === "arrowdown") moveAim(1);
    else if (key === "enter" && page.aim !== null) playPerson(page.aim);
    else if (key === "u") undo();
    else if (key === "h") toggleHints();
    else if (key === "n") startGame();
    else return;
    event.preventDefault();
  });
  startGame();
}

startPage();

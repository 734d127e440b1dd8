"use strict";

// PettingZoo's tictactoe_v3: actions count the cells down the columns; the observation is (3, 3, 2), with the player's
// marks first.
const LINES = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]];

class Environment {
  static title = "Tic-tac-toe";
  static marks = "signs";

  constructor() {
    this.rows = this.columns = 3;
    this.title = Environment.title;
    this.numActions = 9;
    this.reset();
  }

  reset() {
    this.cells = Array(9).fill(null); // row by row, as they are seen
    this.mover = 0;
    this.winner = null; // 0, 1, or "draw"
    this.line = [];
  }

  legal() {
    return Array.from({ length: 9 }, (_, action) => this.cells[this.findCell(action)] === null);
  }

  findCell(action) {
    return (action % 3) * 3 + Math.floor(action / 3);
  }

  findAction(cell) {
    return this.findCell(cell); // a transposition is its own inverse
  }

  play(action) {
    const cell = this.findCell(action);
    this.cells[cell] = this.mover;
    this.line = LINES.find((line) => line.every((place) => this.cells[place] === this.mover)) || [];
    if (this.line.length) this.winner = this.mover;
    else if (!this.cells.includes(null)) this.winner = "draw";
    this.mover = 1 - this.mover;
    return cell;
  }

  observe() {
    const squares = Array.from({ length: 9 }, (_, action) => this.cells[this.findCell(action)]);
    return squares.flatMap((player) => [Number(player === this.mover), Number(player === 1 - this.mover)]);
  }
}

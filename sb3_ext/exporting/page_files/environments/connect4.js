"use strict";

// Connect4: an action is a column; the observation has a plane of the player's stones, then one of the other player's.
class Environment {
  static title = "Connect4";
  static marks = "discs";

  constructor(parameters) {
    this.rows = parameters.rows || 6;
    this.columns = parameters.cols || 7;
    this.inARow = parameters.in_a_row || 4;
    this.title = `${this.inARow} in a row`;
    this.numActions = this.columns;
    this.reset();
  }

  reset() {
    this.cells = Array(this.rows * this.columns).fill(null); // row 0 is the top
    this.mover = 0;
    this.winner = null; // 0, 1, or "draw"
    this.line = [];
  }

  legal() {
    return Array.from({ length: this.columns }, (_, column) => this.cells[column] === null);
  }

  // The cell that an action fills.
  findCell(action) {
    for (let row = this.rows - 1; row >= 0; row--) {
      if (this.cells[row * this.columns + action] === null) return row * this.columns + action;
    }
    return null;
  }

  findAction(cell) {
    return cell % this.columns;
  }

  play(action) {
    const cell = this.findCell(action);
    this.cells[cell] = this.mover;
    this.line = this.findLine(cell);
    if (this.line.length) this.winner = this.mover;
    else if (!this.cells.includes(null)) this.winner = "draw";
    this.mover = 1 - this.mover;
    return cell;
  }

  findLine(cell) {
    const row = Math.floor(cell / this.columns), column = cell % this.columns;
    for (const [down, right] of [[0, 1], [1, 0], [1, 1], [1, -1]]) {
      const line = [cell];
      for (const side of [1, -1]) {
        for (let i = 1; ; i++) {
          const y = row + side * i * down, x = column + side * i * right;
          const isInside = y >= 0 && y < this.rows && x >= 0 && x < this.columns;
          if (!isInside || this.cells[y * this.columns + x] !== this.cells[cell]) break;
          line.push(y * this.columns + x);
        }
      }
      if (line.length >= this.inARow) return line;
    }
    return [];
  }

  observe() {
    const own = this.cells.map((player) => Number(player === this.mover));
    return [...own, ...this.cells.map((player) => Number(player === 1 - this.mover))];
  }
}
